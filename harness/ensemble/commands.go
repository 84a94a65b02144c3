package ensemble

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// NodeArguments are the arguments with which the ordeal program runs as a member.
func NodeArguments(spec Spec, zooCfg string) []string {
	arguments := []string{"node"}
	if spec.Defect != "" {
		arguments = append(arguments, "-Dordeal.defect="+spec.Defect)
	}
	if spec.HoldUnsynced {
		arguments = append(arguments, "-Dordeal.holdUnsynced=yes")
	}
	if spec.ProfileDir != "" {
		arguments = append(arguments, "-Dordeal.profile="+spec.ProfileDir)
	}
	return append(arguments, zooCfg)
}

// NodeVersion names the build of an ordeal program: its revision if it was built from a repository.
func NodeVersion(binary string) (string, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return "", fmt.Errorf("%s is not a program that can run as a member: %w", binary, err)
	}
	version := "ordeal " + info.Main.Version
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if revision := settings["vcs.revision"]; revision != "" {
		version += " " + revision
		if settings["vcs.modified"] == "true" {
			version += " modified"
		}
	}
	return version + " " + info.GoVersion, nil
}

// log4jProperties send Apache's log to the standard output, which the drivers keep.
const log4jProperties = `log4j.rootLogger=INFO, CONSOLE
log4j.appender.CONSOLE=org.apache.log4j.ConsoleAppender
log4j.appender.CONSOLE.layout=org.apache.log4j.PatternLayout
log4j.appender.CONSOLE.layout.ConversionPattern=%d{ISO8601} [%t] %-5p %c{1} - %m%n
`

// ApacheInstallation is Apache ZooKeeper as Debian installs it.
type ApacheInstallation struct {
	Java        string // the program
	JavaHome    string
	JavaVersion string
	Version     string // of ZooKeeper
	// ClassPath are the jars to start with: ZooKeeper's, whose manifest names the rest, and exactly
	// one SLF4J binding with its log4j.
	ClassPath []string
}

// apacheJars are where Debian keeps jars.
const apacheJars = "/usr/share/java"

// installApache is what to do where Apache is missing.
const installApache = "apt-get install -y --no-install-recommends zookeeper libslf4j-java liblog4j1.2-java openjdk-17-jre-headless"

// FindApache looks for Apache ZooKeeper and Java on this machine. The error says what is missing and
// how to get it.
func FindApache() (ApacheInstallation, error) {
	var found ApacheInstallation
	for _, jar := range []string{"zookeeper.jar", "slf4j-log4j12.jar", "log4j-1.2.jar"} {
		path := filepath.Join(apacheJars, jar)
		if _, err := os.Stat(path); err != nil {
			return found, fmt.Errorf("no complete Apache ZooKeeper on this machine, %s is missing: install it by: %s", path, installApache)
		}
		found.ClassPath = append(found.ClassPath, path)
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return found, fmt.Errorf("no java in PATH, which Apache ZooKeeper needs: install it by: %s", installApache)
	}
	found.Java = java
	if real, err := filepath.EvalSymlinks(java); err == nil {
		found.JavaHome = filepath.Dir(filepath.Dir(real))
	}
	found.JavaVersion = javaVersion(found.JavaHome)
	found.Version = versionOfJar(found.ClassPath[0])
	return found, nil
}

// String names the versions: "Apache ZooKeeper 3.8.0, Java 17.0.21.1".
func (a ApacheInstallation) String() string {
	return fmt.Sprintf("Apache ZooKeeper %s, Java %s", a.Version, a.JavaVersion)
}

// versionOfJar takes the version from the name of the file with a version that Debian has beside the
// jar: one is a link to the other.
func versionOfJar(jar string) string {
	const unknown = "of unknown version"
	real, err := filepath.EvalSymlinks(jar)
	if err != nil {
		return unknown
	}
	name := strings.TrimSuffix(filepath.Base(jar), ".jar") + "-"
	versioned, err := filepath.Glob(filepath.Join(filepath.Dir(jar), name+"[0-9]*.jar"))
	if err != nil {
		return unknown
	}
	for _, other := range versioned {
		if target, err := filepath.EvalSymlinks(other); err == nil && target == real {
			return strings.TrimSuffix(strings.TrimPrefix(filepath.Base(other), name), ".jar")
		}
	}
	return unknown
}

// javaVersion reads the file "release" of a Java runtime: running java would take a fifth of a second.
func javaVersion(home string) string {
	text, err := os.ReadFile(filepath.Join(home, "release"))
	if err != nil {
		return "of unknown version"
	}
	for _, line := range strings.Split(string(text), "\n") {
		if value, found := strings.CutPrefix(line, "JAVA_VERSION="); found {
			return strings.Trim(value, `"`)
		}
	}
	return "of unknown version"
}

// apacheHeap is enough for what a run keeps in a tree, and little enough for five members on a laptop.
const apacheHeap = "256m"

// fastStart are java's flags where a member should serve within the first second of a run or of its
// return.
var fastStart = []string{
	"-Xmx" + apacheHeap,
	"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-XX:-UsePerfData",
}

// ApacheArguments are the arguments with which java runs Apache ZooKeeper; nil for flags stands for
// those that make it start fast. The class path and the member's directory are given as the member
// sees them.
func ApacheArguments(flags, classPath []string, memberDir string) []string {
	if flags == nil {
		flags = fastStart
	}
	return append(slices.Clone(flags),
		"-Djava.net.preferIPv4Stack=true",
		"-Dzookeeper.jmx.log4j.disable=true",
		"-Dlog4j.configuration=file:"+filepath.Join(memberDir, log4jName),
		"-cp", strings.Join(classPath, ":"),
		"org.apache.zookeeper.server.quorum.QuorumPeerMain",
		filepath.Join(memberDir, ZooCfgName),
	)
}
