package quorum

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// WithVersion is the same membership with another version.
func (c *Config) WithVersion(version int64) *Config {
	changed := *c
	changed.Version = version
	return &changed
}

// SameMembers tells whether two memberships differ in nothing but perhaps their versions.
func (c *Config) SameMembers(other *Config) bool {
	return c.WithVersion(0).String() == other.WithVersion(0).String()
}

// FileText is the membership as Apache keeps it in a file: sorted, and without its version, which
// stands in the file's name, unless withVersion.
func (c *Config) FileText(withVersion bool) string {
	lines := strings.Split(c.String(), "\n")
	if !withVersion {
		lines = lines[:len(lines)-1]
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// Replace reads a whole new membership, whose lines may be separated by commas.
func Replace(members string, version int64) (*Config, error) {
	config, err := Parse(strings.ReplaceAll(members, ",", "\n"))
	if err != nil {
		return nil, err
	}
	return config.WithVersion(version), nil
}

// ErrNotANumber is a server to be removed that is not named by its number.
var ErrNotANumber = errors.New("a server that leaves is named by its number")

// Change returns the membership after some servers have joined or changed ("server.5=host:2888:3888;2181,…")
// and others have left ("1,2"). It needs a membership without groups, and lines that name all three ports.
func (c *Config) Change(joining, leaving string, version int64) (*Config, error) {
	if len(c.Groups) > 0 {
		return nil, errors.New("a membership with groups can only be replaced as a whole")
	}
	servers := map[int64]Server{}
	for _, server := range c.Servers {
		servers[server.ID] = server
	}
	for _, word := range words(leaving) {
		id, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%w, not by %q", ErrNotANumber, word)
		}
		delete(servers, id)
	}
	for _, word := range words(joining) {
		server, err := parseJoining(word)
		if err != nil {
			return nil, err
		}
		for _, id := range slices.Sorted(maps.Keys(servers)) {
			if other := servers[id]; id != server.ID {
				if address, conflict := server.conflict(other); conflict {
					return nil, fmt.Errorf("%s of server.%d is taken by server.%d", address, server.ID, other.ID)
				}
			}
		}
		servers[server.ID] = server
	}
	changed := &Config{Version: version}
	for _, server := range servers { // any order: they are sorted below
		changed.Servers = append(changed.Servers, server)
	}
	slices.SortFunc(changed.Servers, func(a, b Server) int { return int(a.ID - b.ID) })
	return changed, nil
}

// words splits a list at its commas.
func words(list string) []string {
	var all []string
	for _, word := range strings.Split(list, ",") {
		if word = strings.TrimSpace(word); word != "" {
			all = append(all, word)
		}
	}
	return all
}

func parseJoining(line string) (Server, error) {
	key, value, found := strings.Cut(line, "=")
	if !found || strings.Contains(value, "=") {
		return Server{}, fmt.Errorf("%q is not of the form server.N=address", line)
	}
	id, err := strconv.ParseInt(strings.TrimSpace(key[strings.LastIndexByte(key, '.')+1:]), 10, 64)
	if err != nil || id < 0 || id > IDMax {
		return Server{}, fmt.Errorf("%q does not name a server by a number from 0 to %d", key, IDMax)
	}
	server, err := parseServer(id, strings.TrimSpace(value))
	switch {
	case err != nil:
		return Server{}, fmt.Errorf("%s: %w", line, err)
	case server.ClientPort == 0:
		return Server{}, fmt.Errorf("%s: the client port is missing", line)
	case server.QuorumPort == server.ElectionPort:
		return Server{}, fmt.Errorf("%s: the quorum port and the election port are the same", line)
	}
	return server, nil
}

// conflict finds an address that two servers would share. Addresses that mean another machine on each
// machine cannot be in conflict.
func (s Server) conflict(other Server) (address string, found bool) {
	taken := other.addresses()
	for _, address := range s.addresses() {
		if slices.Contains(taken, address) && !everywhere(address) {
			return address, true
		}
	}
	return "", false
}

func (s Server) addresses() []string {
	return []string{s.QuorumAddress(), s.ElectionAddress(), joinHostPort(s.ClientHost, s.ClientPort)}
}

func everywhere(address string) bool {
	if strings.HasPrefix(address, "localhost:") {
		return true
	}
	parsed, err := netip.ParseAddrPort(address)
	return err == nil && (parsed.Addr().IsUnspecified() || parsed.Addr().IsLoopback())
}
