// Package apachetest runs servers of Apache ZooKeeper, from Debian's packages, beside tests. It is for tests only,
// and stands under no internal directory because those of the toolkit need it as well. It must not know what
// a server is asked.
package apachetest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Install installs everything that Need looks for, and what single tests need beside it.
const Install = "apt-get install zookeeper libslf4j-java openjdk-17-jre-headless libservlet-api-java libsnappy-java"

// Places of the libraries.
const (
	Jar    = "/usr/share/java/zookeeper.jar"
	Logger = "/usr/share/java/slf4j-simple.jar"
	// ServletAPI is what the AdminServer needs, and Snappy what snapshots compressed by it do. Debian's package
	// does not ask for either.
	ServletAPI = "/usr/share/java/servlet-api.jar"
	Snappy     = "/usr/share/java/snappy-java.jar"
)

// smallServer keeps several servers of a test within a small machine: they live for less than their compiler and collector are
// made for, and take half the processor's time so.
var smallServer = []string{"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"}

// Need returns the program java. Where it, the server or one of the further files is missing, the test is
// skipped; under CI=true it fails.
func Need(t testing.TB, files ...string) (java string) {
	t.Helper()
	for _, file := range append([]string{Jar, Logger}, files...) {
		if _, err := os.Stat(file); err != nil {
			Missing(t, fmt.Errorf("%w: %s", err, Install))
		}
	}
	java, err := exec.LookPath("java")
	if err != nil {
		Missing(t, fmt.Errorf("%w: %s", err, Install))
	}
	return java
}

// Missing skips a test that cannot run on this machine; under CI=true it fails.
func Missing(t testing.TB, why error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("with CI=true everything must be there: %v", why)
	}
	t.Skip(why)
}

// Server is a process that runs one server.
type Server struct {
	Config  string // the path of its zoo.cfg
	process *exec.Cmd
}

// Start writes zoo.cfg, of these lines, to a folder of its own and runs a server by it, with the given
// arguments to its virtual machine. It ends with the test, and what it complained of is told if the test fails.
func Start(t testing.TB, lines []string, arguments ...string) *Server {
	t.Helper()
	config := filepath.Join(t.TempDir(), "zoo.cfg")
	require.NoError(t, os.WriteFile(config, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return Run(t, config, arguments...)
}

// Run is Start by a zoo.cfg that is there already.
func Run(t testing.TB, config string, arguments ...string) *Server {
	t.Helper()
	java := Need(t)
	arguments = append(append(slices.Clone(smallServer), "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"), arguments...)
	arguments = append(arguments, "-cp", strings.Join([]string{Jar, Logger, ServletAPI, Snappy}, ":"),
		"org.apache.zookeeper.server.quorum.QuorumPeerMain", config)
	s := &Server{Config: config, process: exec.Command(java, arguments...)}
	var output bytes.Buffer
	s.process.Stdout, s.process.Stderr = &output, &output
	require.NoError(t, s.process.Start())
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("Apache's server by %s said: %s", config, output.String())
		}
	})
	return s
}

// Kill ends the server as kill -9 does, and waits for its end. It may be called again.
func (s *Server) Kill() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait() // it was killed: its exit status says nothing
}
