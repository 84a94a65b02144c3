package quorum

import (
	"fmt"
	"net"
	"sort"
	"strconv"
	"strings"
)

// Role says whether a server votes.
type Role uint8

// The roles.
const (
	Participant Role = iota
	Observer
)

// String is the role as it stands in a server line.
func (r Role) String() string {
	if r == Observer {
		return "observer"
	}
	return "participant"
}

// IDMax is the largest server id: it is the top byte of every session id (protocol.md 2.3).
const IDMax = 255

// Server is one line "server.ID=host:quorumPort:electionPort[:role][;[clientHost:]clientPort]".
type Server struct {
	ID           int64
	Host         string // without the brackets of an IPv6 address
	QuorumPort   int
	ElectionPort int
	Role         Role
	// ClientHost and ClientPort are the address for clients if the line names one; ClientPort is 0
	// if it does not.
	ClientHost string
	ClientPort int
}

// QuorumAddress is where the server listens for learners while it leads.
func (s Server) QuorumAddress() string { return joinHostPort(s.Host, s.QuorumPort) }

// ElectionAddress is where the server listens for election notifications.
func (s Server) ElectionAddress() string { return joinHostPort(s.Host, s.ElectionPort) }

// String is the right side of the server line, always with the role, as Apache renders it.
func (s Server) String() string {
	text := fmt.Sprintf("%s:%d:%s", s.QuorumAddress(), s.ElectionPort, s.Role)
	if s.ClientPort != 0 {
		text += ";" + joinHostPort(s.ClientHost, s.ClientPort)
	}
	return text
}

func joinHostPort(host string, port int) string {
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// Group is one line "group.ID=member:member:…" of a hierarchical quorum.
type Group struct {
	ID      int64
	Members []int64 // ascending
}

// Config is the membership of an ensemble. It is not changed after it was made: a reconfiguration
// makes a new one.
type Config struct {
	Servers []Server // ascending ids
	// Groups is empty for a plain majority. Weights are those that were given; a voter without one
	// weighs 1.
	Groups  []Group // ascending ids
	Weights map[int64]int64
	// Version is the zxid of the reconfiguration that made this membership; 0 if it comes from a
	// static file.
	Version int64
}

// Server returns the server with this id.
func (c *Config) Server(id int64) (Server, bool) {
	i := sort.Search(len(c.Servers), func(i int) bool { return c.Servers[i].ID >= id })
	if i == len(c.Servers) || c.Servers[i].ID != id {
		return Server{}, false
	}
	return c.Servers[i], true
}

// Voters returns the ids of all participants, ascending.
func (c *Config) Voters() []int64 { return c.withRole(Participant) }

// Observers returns the ids of all observers, ascending.
func (c *Config) Observers() []int64 { return c.withRole(Observer) }

// IsVoter tells whether a server is a participant of this membership.
func (c *Config) IsVoter(id int64) bool {
	server, found := c.Server(id)
	return found && server.Role == Participant
}

func (c *Config) withRole(role Role) []int64 {
	var ids []int64
	for _, server := range c.Servers {
		if server.Role == role {
			ids = append(ids, server.ID)
		}
	}
	return ids
}

// String renders the text of protocol.md 5.6: the last line is "version=<hex>" and has no newline.
func (c *Config) String() string {
	var text strings.Builder
	for _, server := range c.Servers {
		fmt.Fprintf(&text, "server.%d=%s\n", server.ID, server)
	}
	for _, group := range c.Groups {
		members := make([]string, len(group.Members))
		for i, id := range group.Members {
			members[i] = strconv.FormatInt(id, 10)
		}
		fmt.Fprintf(&text, "group.%d=%s\n", group.ID, strings.Join(members, ":"))
	}
	if len(c.Groups) > 0 {
		for _, id := range c.Voters() {
			fmt.Fprintf(&text, "weight.%d=%d\n", id, c.weight(id))
		}
	}
	// Java renders the version as an unsigned number.
	fmt.Fprintf(&text, "version=%x", uint64(c.Version))
	return text.String()
}

// weight is a voter's weight in its group.
func (c *Config) weight(id int64) int64 {
	if weight, given := c.Weights[id]; given {
		return weight
	}
	return 1
}
