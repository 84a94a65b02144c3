package ensemble

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// Server is one line of the member list in a zoo.cfg: how one member reaches another.
type Server struct {
	ID           int
	Host         string
	QuorumPort   int
	ElectionPort int
	Observer     bool
}

// MemberConfig is what one member's zoo.cfg says.
type MemberConfig struct {
	ID int
	// Servers are all members, this one too, as this member reaches them.
	Servers []Server
	// DataDir is the data directory as the member sees it.
	DataDir string
	// ClientHost and ClientPort are where the member listens for clients; without a host it listens
	// on all addresses.
	ClientHost string
	ClientPort int
}

// preallocationKiB is by how much a transaction log grows at a time. ZooKeeper's 64 MiB would make
// collected data directories large for nothing.
const preallocationKiB = 4096

// ZooCfg renders the zoo.cfg of a member. The same text serves Apache and our node. The spec's
// Properties come last and replace what they name.
func ZooCfg(spec Spec, member MemberConfig) string {
	settings := map[string]string{
		"tickTime":                  strconv.FormatInt(spec.TickTime.Milliseconds(), 10),
		"initLimit":                 strconv.Itoa(spec.InitLimit),
		"syncLimit":                 strconv.Itoa(spec.SyncLimit),
		"dataDir":                   member.DataDir,
		"clientPort":                strconv.Itoa(member.ClientPort),
		"maxClientCnxns":            "0", // all clients of a run may come from one address
		"admin.enableServer":        "false",
		"4lw.commands.whitelist":    "*",
		"preAllocSize":              strconv.Itoa(preallocationKiB),
		"autopurge.purgeInterval":   "0", // logs are evidence
		"autopurge.snapRetainCount": "3",
	}
	if member.ClientHost != "" {
		settings["clientPortAddress"] = member.ClientHost
	}
	voters := 0
	for _, server := range member.Servers {
		if !server.Observer {
			voters++
		}
		if server.ID == member.ID && server.Observer {
			settings["peerType"] = "observer"
		}
	}
	if voters == 1 && len(member.Servers) > 1 {
		// Without this Apache takes one voter for a standalone server and refuses the observers.
		settings["standaloneEnabled"] = "false"
	}
	for name, value := range spec.Properties {
		settings[name] = value
	}

	var names []string
	for name := range settings {
		names = append(names, name)
	}
	sort.Strings(names)
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "%s=%s\n", name, settings[name])
	}
	for _, server := range member.Servers {
		role := "participant"
		if server.Observer {
			role = "observer"
		}
		fmt.Fprintf(&b, "server.%d=%s:%d:%d:%s\n", server.ID, server.Host, server.QuorumPort, server.ElectionPort, role)
	}
	return b.String()
}

// The names of what stands in a member's directory.
const (
	ZooCfgName  = "zoo.cfg"
	DataDirName = "data"
	LogName     = "log"
	log4jName   = "log4j.properties"
)

// WriteMember writes zoo.cfg, data/myid and the logging settings into a member's directory, which it
// makes. The member may see that directory elsewhere: only config.DataDir says where.
func WriteMember(dir string, spec Spec, config MemberConfig) error {
	if err := os.MkdirAll(filepath.Join(dir, DataDirName), 0o755); err != nil {
		return fmt.Errorf("directory of member %d: %w", config.ID, err)
	}
	for name, text := range map[string]string{
		ZooCfgName:                         ZooCfg(spec, config),
		filepath.Join(DataDirName, "myid"): strconv.Itoa(config.ID) + "\n",
		log4jName:                          log4jProperties,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("configuration of member %d: %w", config.ID, err)
		}
	}
	return nil
}

// Check tells what is wrong with a spec, whatever the driver.
func (s Spec) Check() error {
	voters := len(s.Implementations) - s.Observers
	switch {
	case len(s.Implementations) == 0:
		return fmt.Errorf("an ensemble needs at least one member")
	case len(s.Implementations) > MaxMembers:
		return fmt.Errorf("%d members are more than the %d that drivers have addresses for", len(s.Implementations), MaxMembers)
	case s.Observers < 0 || voters < 1:
		return fmt.Errorf("%d members of which %d observe: at least one must vote", len(s.Implementations), s.Observers)
	case s.TickTime.Milliseconds() < 1 || s.InitLimit < 1 || s.SyncLimit < 1:
		return fmt.Errorf("tickTime %v, initLimit %d and syncLimit %d must be positive (at least 1ms, 1 and 1)",
			s.TickTime, s.InitLimit, s.SyncLimit)
	case s.Dir == "":
		return fmt.Errorf("the ensemble has no directory to keep its members in")
	}
	return nil
}

// MaxMembers bounds the size of an ensemble.
const MaxMembers = 99
