package server

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWhatIsMistypedIsTold: nobody is left in the belief that something is set.
func TestWhatIsMistypedIsTold(t *testing.T) {
	for _, test := range []struct{ lines, property, want string }{
		{"snapCuont=7", "", "zoo.cfg:3: unknown key snapCuont: did you mean snapCount?"},
		{"tickTim=500", "", "zoo.cfg:3: unknown key tickTim: did you mean tickTime?"},
		{"ssl.keystore.location=x", "", "zoo.cfg:3: unknown key ssl.keystore.location: did you mean ssl.keyStore.location?"},
		{"utterNonsense=7", "", "zoo.cfg:3: unknown key utterNonsense"},
		{"", "zookeeper.snapCuont", "unknown property zookeeper.snapCuont: did you mean zookeeper.snapCount?"},
		{"", "zookeeper.ssl.quorum.protocl", "unknown property zookeeper.ssl.quorum.protocl: did you mean zookeeper.ssl.quorum.protocol?"},
		{"", "jute.maxbufer", "unknown property jute.maxbufer: did you mean jute.maxbuffer?"},
		{"", "ordeal.defct", "unknown property ordeal.defct: did you mean ordeal.defect?"},
		{"", "zookeeper.tickTime", "property zookeeper.tickTime has no effect: tickTime is a key of zoo.cfg"},
		{"", "java.net.preferIPv4Stack", ""},
		{"", "zookeeper.authProvider.sasl", ""},
		{"", "zookeeper.jute.maxbuffer", ""},
		{"authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider", "", ""},
		{"watchManagerName=org.apache.zookeeper.server.watch.WatchManagerOptimized", "", ""},
	} {
		properties := map[string]string{}
		if test.property != "" {
			properties[test.property] = "1048576"
			if strings.Contains(test.property, "authProvider") {
				properties[test.property] = saslProvider
			}
		}
		c, dir, err := load(t, standaloneText+test.lines, properties)
		require.NoError(t, err)
		var told []string
		for _, warning := range c.Warnings {
			told = append(told, strings.TrimPrefix(warning, dir+"/"))
		}
		if test.want == "" {
			require.Empty(t, told, test)
		} else {
			require.Equal(t, []string{test.want}, told)
		}
	}
}

// TestAllNamesAreKnown reads from the source which keys and properties there are.
func TestAllNamesAreKnown(t *testing.T) {
	sources, err := filepath.Glob("*.go")
	require.NoError(t, err)
	reads := regexp.MustCompile(`\b(?:get|text|flag|number|milliseconds|fraction)\("([\w.-]+)"`)
	named := regexp.MustCompile(`"zookeeper\.([\w.-]+\w)"`)
	cases := regexp.MustCompile(`(?m)^\tcase "([\w.]+)":\n\t\t(?:return set|c\.|r\.|algorithm|err := set|hours|return nil)`)
	names := knownNames()
	count := 0
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") || source == "words_text.go" { // which only shows some
			continue
		}
		content, err := os.ReadFile(source)
		require.NoError(t, err)
		for _, pattern := range []*regexp.Regexp{reads, named} {
			for _, match := range pattern.FindAllStringSubmatch(string(content), -1) {
				name := strings.TrimPrefix(match[1], "zookeeper.")
				known := names[name] || slices.Contains(propertiesOfTLS, name) // behind a prefix
				require.True(t, known, "%s: %s", source, name)
				count++
			}
		}
		if source == "zoocfg.go" {
			keys := []string{}
			for _, match := range cases.FindAllStringSubmatch(string(content), -1) {
				keys = append(keys, match[1])
			}
			slices.Sort(keys)
			require.Equal(t, keysOfFile, keys)
		}
	}
	require.Greater(t, count, 60)
}
