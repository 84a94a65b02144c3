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

// Without any variable the image runs one server by itself, and what is there already is kept.
func TestImageConfigKeepsWhatIsThere(t *testing.T) {
	variable := variables(t, nil)
	require.False(t, InImage(variable))
	path, err := ImageConfig(variable)
	require.NoError(t, err)
	config, err := LoadConfig(path, nil)
	require.NoError(t, err)
	require.True(t, config.Standalone)
	require.NoError(t, os.WriteFile(path, []byte("dataDir=/elsewhere\nclientPort=1\n"), 0o644))
	again, err := ImageConfig(variable)
	require.NoError(t, err)
	require.Equal(t, path, again)
	config, err = LoadConfig(path, nil)
	require.NoError(t, err)
	require.Equal(t, "/elsewhere", config.DataDir)
}

func TestImageConfigRefusesLines(t *testing.T) {
	_, err := ImageConfig(variables(t, map[string]string{"ZOO_TICK_TIME": "1\nx=y"}))
	require.ErrorContains(t, err, "ZOO_TICK_TIME must be one line")
	_, err = ImageConfig(variables(t, map[string]string{"ZOO_CONF_DIR": "/proc/none"}))
	require.ErrorContains(t, err, "ZOO_ variables")
}
