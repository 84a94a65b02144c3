package server

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// variables is an environment with its own directories.
func variables(t *testing.T, more map[string]string) func(string) string {
	t.Helper()
	dir := t.TempDir()
	all := map[string]string{
		"ZOO_CONF_DIR": filepath.Join(dir, "conf"), "ZOO_DATA_DIR": filepath.Join(dir, "data"), "ZOO_DATA_LOG_DIR": filepath.Join(dir, "datalog"),
	}
	for name, value := range more {
		all[name] = value
	}
	return func(name string) string { return all[name] }
}

func TestImageConfig(t *testing.T) {
	variable := variables(t, map[string]string{
		"ZOO_MY_ID": "2", "ZOO_TICK_TIME": "500", "ZOO_ADMINSERVER_ENABLED": "false", "ZOO_4LW_COMMANDS_WHITELIST": "*",
		"ZOO_SERVERS":   "server.1=one:2888:3888:participant;2181 server.2=two:2888:3888:participant;2181 server.3=three:2888:3888:observer;2181",
		"ZOO_CFG_EXTRA": "snapCount=1000 localSessionsEnabled=false",
	})
	require.True(t, InImage(variable))
	path, err := ImageConfig(variable)
	require.NoError(t, err)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "dataDir="+variable("ZOO_DATA_DIR")+"\ndataLogDir="+variable("ZOO_DATA_LOG_DIR")+`
tickTime=500
initLimit=5
syncLimit=2
autopurge.snapRetainCount=3
autopurge.purgeInterval=0
maxClientCnxns=60
standaloneEnabled=true
admin.enableServer=false
4lw.commands.whitelist=*
server.1=one:2888:3888:participant;2181
server.2=two:2888:3888:participant;2181
server.3=three:2888:3888:observer;2181
snapCount=1000
localSessionsEnabled=false
`, string(text))
	config, err := LoadConfig(path, nil)
	require.NoError(t, err)
	require.EqualValues(t, 2, config.MyID)
	require.Equal(t, 2181, config.ClientPort)
	require.Len(t, config.Membership.Servers, 3)
}

func TestInImage(t *testing.T) {
	for _, name := range []string{"ZOO_CONF_DIR", "ZOO_MY_ID", "ZOO_SERVERS", "ZOO_DATA_DIR", "ZOO_4LW_COMMANDS_WHITELIST", "ZOO_CFG_EXTRA"} {
		require.True(t, InImage(func(variable string) string { return map[string]string{name: "x"}[variable] }), name)
	}
	require.False(t, InImage(func(string) string { return "" }))
}

// With the image's own variable alone it runs one server by itself.
func TestImageConfigDefaults(t *testing.T) {
	variable := variables(t, nil)
	require.True(t, InImage(variable))
	path, err := ImageConfig(variable)
	require.NoError(t, err)
	config, err := LoadConfig(path, nil)
	require.NoError(t, err)
	require.True(t, config.Standalone)
	require.Equal(t, 2181, config.ClientPort)
}

// A mounted zoo.cfg is taken as it is, whether or not anything may be written beside it.
func TestImageConfigKeepsWhatIsThere(t *testing.T) {
	variable := variables(t, nil)
	require.NoError(t, os.Mkdir(variable("ZOO_CONF_DIR"), 0o755))
	mounted := writeFile(t, filepath.Join(variable("ZOO_CONF_DIR"), "zoo.cfg"), "dataDir=/elsewhere\nclientPort=1\n")
	require.NoError(t, os.Chmod(variable("ZOO_CONF_DIR"), 0o555))
	t.Cleanup(func() { _ = os.Chmod(variable("ZOO_CONF_DIR"), 0o755) })
	path, err := ImageConfig(variable)
	require.NoError(t, err)
	require.Equal(t, mounted, path)
	config, err := LoadConfig(path, nil)
	require.NoError(t, err)
	require.Equal(t, "/elsewhere", config.DataDir)
	_, err = ImageConfig(variable)
	require.NoError(t, err)
}

// What a full disk keeps from being written is not there, and is written by the next start.
func TestImageConfigOnAFullDisk(t *testing.T) {
	variable := variables(t, map[string]string{"ZOO_MY_ID": "3"})
	myID := filepath.Join(variable("ZOO_DATA_DIR"), "myid")
	require.NoError(t, os.Mkdir(variable("ZOO_DATA_DIR"), 0o755))
	require.NoError(t, os.Symlink("/dev/full", myID+".tmp"))
	_, err := ImageConfig(variable)
	require.ErrorContains(t, err, "no space left")
	require.NoFileExists(t, myID)
	require.NoError(t, os.Remove(myID+".tmp"))
	_, err = ImageConfig(variable)
	require.NoError(t, err)
	text, err := os.ReadFile(myID)
	require.NoError(t, err)
	require.Equal(t, "3\n", string(text))
}

func TestImageConfigRefusesLines(t *testing.T) {
	_, err := ImageConfig(variables(t, map[string]string{"ZOO_TICK_TIME": "1\nx=y"}))
	require.ErrorContains(t, err, "ZOO_TICK_TIME must be one line")
	_, err = ImageConfig(variables(t, map[string]string{"ZOO_CONF_DIR": "/proc/none"}))
	require.ErrorContains(t, err, "ZOO_ variables")
}
