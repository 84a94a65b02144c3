package ensemble

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func spec(members, observers int) Spec {
	s := Spec{Observers: observers, TickTime: 500 * time.Millisecond, InitLimit: 10, SyncLimit: 5, Dir: "members"}
	for range members {
		s.Implementations = append(s.Implementations, Node)
	}
	return s
}

func TestZooCfg(t *testing.T) {
	s := spec(2, 1)
	s.Properties = map[string]string{"snapCount": "1000", "maxClientCnxns": "60"}
	text := ZooCfg(s, MemberConfig{
		ID: 2,
		Servers: []Server{
			{ID: 1, Host: "127.9.2.1", QuorumPort: 2888, ElectionPort: 3888},
			{ID: 2, Host: "127.9.2.2", QuorumPort: 2888, ElectionPort: 3888, Observer: true},
		},
		DataDir: "/members/2/data", ClientHost: "127.9.2.2", ClientPort: 2181,
	})
	require.Equal(t, `4lw.commands.whitelist=*
admin.enableServer=false
autopurge.purgeInterval=0
autopurge.snapRetainCount=3
clientPort=2181
clientPortAddress=127.9.2.2
dataDir=/members/2/data
initLimit=10
maxClientCnxns=60
peerType=observer
preAllocSize=4096
snapCount=1000
standaloneEnabled=false
syncLimit=5
tickTime=500
server.1=127.9.2.1:2888:3888:participant
server.2=127.9.2.2:2888:3888:observer
`, text)
}

func TestWriteMember(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "3")
	require.NoError(t, WriteMember(dir, spec(3, 0), MemberConfig{ID: 3, DataDir: "/data", ClientPort: 2181}))
	for name, want := range map[string]string{
		"data/myid": "3\n", ZooCfgName: "dataDir=/data\n", log4jName: "log4j.rootLogger=INFO",
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Contains(t, string(text), want)
	}
}

func TestCheckSpec(t *testing.T) {
	require.NoError(t, spec(1, 0).Check())
	require.NoError(t, spec(MaxMembers, 2).Check())
	require.ErrorContains(t, spec(MaxMembers+1, 0).Check(), "100 members are more than the 99")
	require.ErrorContains(t, spec(3, 3).Check(), "at least one must vote")
	require.ErrorContains(t, spec(3, -1).Check(), "at least one must vote")
	slow := spec(3, 0)
	slow.SyncLimit = 0
	require.ErrorContains(t, slow.Check(), "syncLimit 0 must be positive")
}

func TestArguments(t *testing.T) {
	require.Equal(t, []string{"node", "zoo.cfg"}, NodeArguments(Spec{}, "zoo.cfg"))
	require.Equal(t, []string{"node", "-Dordeal.defect=lost-watch", "-Dordeal.holdUnsynced=yes", "zoo.cfg"},
		NodeArguments(Spec{Defect: "lost-watch", HoldUnsynced: true}, "zoo.cfg"))
	require.Equal(t, []string{"node", "-Dordeal.profile=/profiles", "zoo.cfg"}, NodeArguments(Spec{ProfileDir: "/profiles"}, "zoo.cfg"))
	java := ApacheArguments(nil, []string{"a.jar", "b.jar"}, "/members/1")
	require.Subset(t, java, []string{"a.jar:b.jar", "-Dlog4j.configuration=file:/members/1/log4j.properties"})
	require.Equal(t, "/members/1/zoo.cfg", java[len(java)-1])
}

func TestVersionsAreRead(t *testing.T) {
	version, err := NodeVersion(os.Args[0])
	require.NoError(t, err)
	require.Contains(t, version, "go1.")
	_, err = NodeVersion(filepath.Join(t.TempDir(), "ordeal"))
	require.ErrorContains(t, err, "is not a program that can run as a member")

	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "zookeeper-3.8.0.jar"), nil, 0o644))
	require.NoError(t, os.Symlink("zookeeper-3.8.0.jar", filepath.Join(dir, "zookeeper.jar")))
	require.Equal(t, "3.8.0", versionOfJar(filepath.Join(dir, "zookeeper.jar")))
	require.Equal(t, "of unknown version", versionOfJar(filepath.Join(dir, "other.jar")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "release"), []byte("IMPLEMENTOR=\"Debian\"\nJAVA_VERSION=\"17.0.1\"\n"), 0o644))
	require.Equal(t, "17.0.1", javaVersion(dir))
}
