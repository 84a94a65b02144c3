package server

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// imageVariable is a variable that the official ZooKeeper image turns into a key of zoo.cfg, with its
// default. One without a default adds no line of its own.
type imageVariable struct{ variable, key, otherwise string }

var imageVariables = []imageVariable{
	{"ZOO_DATA_DIR", "dataDir", "/data"},
	{"ZOO_DATA_LOG_DIR", "dataLogDir", "/datalog"},
	{"ZOO_TICK_TIME", "tickTime", "2000"},
	{"ZOO_INIT_LIMIT", "initLimit", "5"},
	{"ZOO_SYNC_LIMIT", "syncLimit", "2"},
	{"ZOO_AUTOPURGE_SNAPRETAINCOUNT", "autopurge.snapRetainCount", "3"},
	{"ZOO_AUTOPURGE_PURGEINTERVAL", "autopurge.purgeInterval", "0"},
	{"ZOO_MAX_CLIENT_CNXNS", "maxClientCnxns", "60"},
	{"ZOO_STANDALONE_ENABLED", "standaloneEnabled", "true"},
	{"ZOO_ADMINSERVER_ENABLED", "admin.enableServer", "true"},
	{"ZOO_4LW_COMMANDS_WHITELIST", "4lw.commands.whitelist", ""},
}

const (
	imageConfigDirDefault = "/conf"
	imageServersDefault   = "server.1=localhost:2888:3888;2181"
	imageIDDefault        = "1"
)

// InImage tells whether the environment is that of a container of the official image's kind: any of its
// variables is set. ZOO_CONF_DIR always is, by the image itself.
func InImage(variable func(string) string) bool {
	for _, name := range []string{"ZOO_CONF_DIR", "ZOO_MY_ID", "ZOO_SERVERS", "ZOO_CFG_EXTRA"} {
		if variable(name) != "" {
			return true
		}
	}
	return slices.ContainsFunc(imageVariables, func(v imageVariable) bool { return variable(v.variable) != "" })
}

// ImageConfig does what the official ZooKeeper image does before it starts a server: unless they
// exist, it writes zoo.cfg into ZOO_CONF_DIR and myid into ZOO_DATA_DIR, from the variables that begin
// with ZOO_. It returns the path of zoo.cfg.
func ImageConfig(variable func(string) string) (path string, err error) {
	path = filepath.Join(cmp.Or(variable("ZOO_CONF_DIR"), imageConfigDirDefault), "zoo.cfg")
	text, err := imageConfigText(variable)
	if err != nil {
		return "", err
	}
	if err := writeUnlessThere(path, text); err != nil {
		return "", fmt.Errorf("write the configuration that the ZOO_ variables describe: %w", err)
	}
	myID := filepath.Join(cmp.Or(variable("ZOO_DATA_DIR"), imageVariables[0].otherwise), "myid")
	if err := writeUnlessThere(myID, cmp.Or(variable("ZOO_MY_ID"), imageIDDefault)+"\n"); err != nil {
		return "", fmt.Errorf("write this server's number: %w", err)
	}
	return path, nil
}

func imageConfigText(variable func(string) string) (string, error) {
	var text strings.Builder
	for _, v := range imageVariables {
		value := cmp.Or(variable(v.variable), v.otherwise)
		if strings.ContainsAny(value, "\r\n") {
			return "", fmt.Errorf("%s must be one line, and is %q", v.variable, value)
		}
		if value != "" {
			fmt.Fprintf(&text, "%s=%s\n", v.key, value)
		}
	}
	for _, server := range strings.Fields(cmp.Or(variable("ZOO_SERVERS"), imageServersDefault)) {
		fmt.Fprintln(&text, server)
	}
	for _, line := range strings.Fields(variable("ZOO_CFG_EXTRA")) {
		fmt.Fprintln(&text, line)
	}
	return text.String(), nil
}

// writeUnlessThere writes a file that does not exist yet. It is there as a whole or not at all, so that the
// next start mends what a full disk has prevented.
func writeUnlessThere(path, text string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err // nil if it is there
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return replaceFile(path, text)
}
