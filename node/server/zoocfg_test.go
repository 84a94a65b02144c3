package server

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/defect"
)

// load reads a zoo.cfg in which DIR stands for a directory with a myid of 2.
func load(t *testing.T, text string, properties map[string]string) (*Config, string, error) {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "myid"), "2\n")
	path := writeFile(t, filepath.Join(dir, "zoo.cfg"), strings.ReplaceAll(text, "DIR", dir))
	config, err := LoadConfig(path, properties)
	return config, dir, err
}

const (
	standaloneText = "dataDir=DIR\nclientPort=2181\n"
	ensembleText   = "dataDir=DIR\nclientPort=2181\ninitLimit=10\nsyncLimit=5\nserver.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n"
)

func TestDefaults(t *testing.T) {
	c, dir, err := load(t, standaloneText, nil)
	require.NoError(t, err)
	require.True(t, c.Standalone)
	require.Equal(t, dir, c.DataDir)
	require.Equal(t, dir, c.DataLogDir)
	require.Equal(t, 3*time.Second, c.TickTime)
	require.Equal(t, 6*time.Second, c.SessionTimeoutMin)
	require.Equal(t, 60*time.Second, c.SessionTimeoutMax)
	require.Equal(t, 60, c.ClientConnectionsMax)
	require.Empty(t, c.Warnings)
	require.EqualValues(t, 100_000, c.tuning.snapCount)
	require.EqualValues(t, 500, c.tuning.commitLogCount)
	require.EqualValues(t, 1048575, c.tuning.maxBuffer)
	require.EqualValues(t, 2*1048575, c.tuning.fieldMax)
	require.Equal(t, 0.33, c.tuning.snapshotSizeFactor)
	require.True(t, c.tuning.forceSync)
	require.True(t, c.tuning.digestEnabled)
	require.False(t, c.tuning.holdUnsynced)
	require.Equal(t, map[string]bool{"srvr": true, "isro": false}, allowedWords(c.tuning))
}

func TestEverythingSet(t *testing.T) {
	c, _, err := load(t, ensembleText+strings.Join([]string{
		"# a comment", "! another", "", "  tickTime = 500  ", "minSessionTimeout: 700", "maxSessionTimeout 9000",
		"maxClientCnxns=0", "autopurge.snapRetainCount=1", "autopurge.purgeInterval=2", "quorumListenOnAllIPs=TRUE",
		"dataLogDir=DIR/\\", "  log", "electionAlg=3", "snapCount=7", "preAllocSize=64", "peerType=observer",
	}, "\n"), map[string]string{"jute.maxbuffer": "0x200000", "ordeal.defect": "skip-trunc", "ordeal.holdUnsynced": "yes", "ordeal.profile": "/profiles"})
	require.NoError(t, err)
	require.False(t, c.Standalone)
	require.EqualValues(t, 2, c.MyID)
	require.Equal(t, []int64{1, 2, 3}, c.Membership.Voters())
	require.Equal(t, 10, c.InitLimit)
	require.Equal(t, 5, c.SyncLimit)
	require.Equal(t, 500*time.Millisecond, c.TickTime)
	require.Equal(t, 700*time.Millisecond, c.SessionTimeoutMin)
	require.Equal(t, 9*time.Second, c.SessionTimeoutMax)
	require.Zero(t, c.ClientConnectionsMax)
	require.Equal(t, snapshotsRetainedMin, c.SnapshotsRetained, "fewer are never kept")
	require.Equal(t, 2*time.Hour, c.PurgeInterval)
	require.True(t, c.QuorumListenOnAllIPs)
	require.Equal(t, filepath.Join(c.DataDir, "log"), c.DataLogDir)
	require.EqualValues(t, 7, c.tuning.snapCount, "an unknown key becomes the property zookeeper.snapCount")
	require.EqualValues(t, 64<<10, c.tuning.logPrealloc)
	require.EqualValues(t, 2<<20, c.tuning.maxBuffer)
	require.True(t, c.tuning.holdUnsynced)
	require.Equal(t, "/profiles", c.tuning.profileDir)
	require.True(t, c.tuning.defects.On(defect.SkipTrunc))
	require.Len(t, c.Warnings, 1)
	require.Contains(t, c.Warnings[0], "server.2 says participant")
}

func TestClientAddress(t *testing.T) {
	static := "dataDir=DIR\ninitLimit=10\nsyncLimit=5\nserver.1=a:1:2;2181\nserver.3=c:1:2\n"
	for _, test := range []struct {
		name, lines, host string
		port              int
	}{
		{"by itself", "clientPort=99\nserver.2=b:1:2", "", 99},
		{"with an address", "clientPort=99\nclientPortAddress=[::1]\nserver.2=b:1:2", "::1", 99},
		{"in the server line", "server.2=b:1:2;99", "", 99},
		{"in the server line with an address", "server.2=b:1:2;h:99", "h", 99},
		{"in both, alike", "clientPort=99\nserver.2=b:1:2;h:99", "h", 99},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, _, err := load(t, static+test.lines, nil)
			require.NoError(t, err)
			require.Equal(t, test.host, c.ClientHost)
			require.Equal(t, test.port, c.ClientPort)
		})
	}
}

func TestOneServerLineIsStandalone(t *testing.T) {
	c, _, err := load(t, "dataDir=DIR\nserver.7=h:1:2;99", nil)
	require.NoError(t, err)
	require.True(t, c.Standalone)
	require.Equal(t, 99, c.ClientPort)

	c, _, err = load(t, "dataDir=DIR\nstandaloneEnabled=false\ninitLimit=1\nsyncLimit=1\nserver.2=h:1:2;99", nil)
	require.NoError(t, err)
	require.False(t, c.Standalone)
}

func TestDynamicFile(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "myid"), "2")
	dynamic := writeFile(t, filepath.Join(dir, "zoo.cfg.dynamic.1f00000002"), "server.1=a:1:2;3\nserver.2=b:1:2;3\nserver.3=c:1:2:observer;3\n")
	static := "dataDir=" + dir + "\ninitLimit=10\nsyncLimit=5\ndynamicConfigFile="
	for _, name := range []string{dynamic, filepath.Base(dynamic)} {
		c, err := LoadConfig(writeFile(t, filepath.Join(dir, "zoo.cfg"), static+name), nil)
		require.NoError(t, err)
		require.Equal(t, []int64{1, 2}, c.Membership.Voters())
		require.Equal(t, []int64{3}, c.Membership.Observers())
		require.EqualValues(t, 0x1f00000002, c.Membership.Version)
	}

	_, err := LoadConfig(writeFile(t, filepath.Join(dir, "zoo.cfg"), static+dynamic+"\nserver.4=d:1:2"), nil)
	require.ErrorContains(t, err, "zoo.cfg:5: server.4 must stand in the dynamic configuration file")

	writeFile(t, dynamic, "server.1=a:1:2;3\ntickTime=5")
	_, err = LoadConfig(writeFile(t, filepath.Join(dir, "zoo.cfg"), static+dynamic), nil)
	require.ErrorContains(t, err, `zoo.cfg.dynamic.1f00000002:2: unknown key "tickTime"`)

	_, err = LoadConfig(writeFile(t, filepath.Join(dir, "zoo.cfg"), static+"absent"), nil)
	require.ErrorContains(t, err, "dynamicConfigFile")
}

func TestBadConfigurationIsNamed(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"clientPort=1", "zoo.cfg: dataDir is not set"},
		{"dataDir=\nclientPort=1", "zoo.cfg:1: dataDir is empty"},
		{"dataDir=DIR", "clientPort is not set"},
		{"dataDir=DIR\nclientPortAddress=h", "clientPortAddress is set, but clientPort is not"},
		{"dataDir=DIR\nclientPort=65536", "zoo.cfg:2: clientPort=65536: want a whole number from 1 to 65535"},
		{"dataDir=DIR\n\ntickTime=0", "zoo.cfg:3: tickTime=0"},
		{"dataDir=DIR\ntickTime=2s", "zoo.cfg:2: tickTime=2s"},
		{"nonsense", `zoo.cfg:1: "nonsense" is not of the form key=value`},
		{"=x", "is not of the form key=value"},
		{standaloneText + "electionAlg=0", "zoo.cfg:3: electionAlg=0"},
		{standaloneText + "peerType=king", "want participant or observer"},
		{standaloneText + "standaloneEnabled=maybe", "want true or false"},
		{standaloneText + "standaloneEnabled=false", "needs at least one server.N line"},
		{standaloneText + "minSessionTimeout=500\nmaxSessionTimeout=400", "must not be larger than"},
		{standaloneText + "server.1=h:1", "zoo.cfg:3: server.1=h:1"},
		{standaloneText + "server.1=h:1:2\nserver.2=h:1:2:observer", "standaloneEnabled=false"},
		{standaloneText + "multiAddress.enabled=true", "zoo.cfg:3: multiAddress.enabled=true is not supported"},
		{standaloneText + "observerMasterPort=2182", "is not supported"},
		{standaloneText + "snapCount=many", "property zookeeper.snapCount=many"},
		{standaloneText + "forceSync=perhaps", "want yes or no"},
		{standaloneText + "ordeal.defect=nonsense", `unknown defect "nonsense"`},
		{strings.Replace(ensembleText, "initLimit=10\n", "", 1), "initLimit is not set"},
		{strings.Replace(ensembleText, "syncLimit=5\n", "", 1), "syncLimit is not set"},
		{strings.Replace(ensembleText, "server.2", "server.4", 1), "there is no line server.2"},
		{strings.Replace(ensembleText, "server.2=b:1:2", "server.2=b:1:2;2182", 1), "clientPort says :2181, but server.2 says 0.0.0.0:2182"},
		{strings.Replace(ensembleText, "dataDir=DIR", "dataDir=DIR/elsewhere", 1), "this server's number cannot be read"},
	} {
		t.Run(test.want, func(t *testing.T) {
			_, _, err := load(t, test.text, nil)
			require.ErrorContains(t, err, test.want)
		})
	}
	_, err := LoadConfig(filepath.Join(t.TempDir(), "absent.cfg"), nil)
	require.ErrorContains(t, err, "absent.cfg")
}

func TestMyidIsANumber(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "myid"), "two")
	_, err := LoadConfig(writeFile(t, filepath.Join(dir, "zoo.cfg"), strings.ReplaceAll(ensembleText, "DIR", dir)), nil)
	require.ErrorContains(t, err, `myid: "two" is not a number`)
}

func TestHarmlessAndUnsupportedKeys(t *testing.T) {
	c, _, err := load(t, standaloneText+"sslQuorum=false\nreconfigEnabled=true\nlocalSessionsEnabled=false\nsyncEnabled=true\n", nil)
	require.NoError(t, err)
	require.Empty(t, c.Warnings)
	require.True(t, c.Reconfig)
}

func FuzzLoadConfig(f *testing.F) {
	f.Add(standaloneText)
	f.Add(ensembleText)
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "dynamicConfigFile") || strings.Contains(text, "dataDir=/") {
			t.Skip("reads files that are not the test's")
		}
		_, _, _ = load(t, text, nil)
	})
}
