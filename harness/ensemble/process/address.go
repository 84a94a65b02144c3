package process

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"ordeal/harness/ensemble"
	"ordeal/harness/ensemble/mesh"
)

// The first port numbers tried are ZooKeeper's own. Each further attempt takes the next subnet, and
// the port numbers move on too, in case a server that listens on all addresses has them.
const (
	firstQuorumPort   = 2888
	firstElectionPort = 3888
	firstClientPort   = 2181
	portStep          = 10
	subnets           = 254
	attempts          = 64
)

// addresses is the part of the loopback network that an ensemble uses.
type addresses struct {
	subnet                   int // N of 127.N
	quorum, election, client int // port numbers
}

// attempt gives the addresses to try first (0), next, … Runs start at different subnets so that they
// rarely meet.
func attempt(seed, number int) addresses {
	shift := number / 4 * portStep
	return addresses{
		subnet:   1 + (seed+number)%subnets,
		quorum:   firstQuorumPort + shift,
		election: firstElectionPort + shift,
		client:   firstClientPort + shift,
	}
}

func (a addresses) host(from, to int) string { return fmt.Sprintf("127.%d.%d.%d", a.subnet, from, to) }

func (a addresses) port(port mesh.Port) int {
	if port == mesh.Quorum {
		return a.quorum
	}
	return a.election
}

func (a addresses) proxy(from, to int, port mesh.Port) string {
	return fmt.Sprintf("%s:%d", a.host(from, to), a.port(port))
}

func (a addresses) direct(member int, port mesh.Port) string { return a.proxy(member, member, port) }

func (a addresses) clientProxy(member int) string {
	return fmt.Sprintf("%s:%d", a.host(0, member), a.client)
}

func (a addresses) clientDirect(member int) string {
	return fmt.Sprintf("%s:%d", a.host(member, member), a.client)
}

// servers are the members as one of them reaches them.
func (a addresses) servers(self, members, observers int) []ensemble.Server {
	var servers []ensemble.Server
	for id := 1; id <= members; id++ {
		servers = append(servers, ensemble.Server{
			ID: id, Host: a.host(self, id), QuorumPort: a.quorum, ElectionPort: a.election,
			Observer: id > members-observers,
		})
	}
	return servers
}

// runsBegun makes runs of one process begin their search at different subnets.
var runsBegun atomic.Int64

// take finds addresses that nobody uses and opens the mesh on them. Members' own ports are tried by
// binding them for a moment: only a server that listens on all addresses could take one later, and
// the member that meets it says so in its log.
func take(members int, log *slog.Logger) (addresses, *mesh.Mesh, error) {
	var taken error
	first := os.Getpid() + int(runsBegun.Add(1))
	for number := range attempts {
		a := attempt(first, number)
		m, err := a.open(members, log)
		if err == nil {
			return a, m, nil
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return a, nil, err
		}
		log.Debug("address taken", "subnet", a.subnet, "error", err)
		taken = err
	}
	return addresses{}, nil, fmt.Errorf("no free loopback ports after %d attempts: end what uses them (ss -ltnp shows it): %w", attempts, taken)
}

func (a addresses) open(members int, log *slog.Logger) (*mesh.Mesh, error) {
	plan := mesh.Plan{
		Proxy: a.proxy, Direct: a.direct, ClientProxy: a.clientProxy, ClientDirect: a.clientDirect,
		Log: log,
	}
	for id := 1; id <= members; id++ {
		plan.Members = append(plan.Members, id)
		for _, address := range []string{a.direct(id, mesh.Quorum), a.direct(id, mesh.Election), a.clientDirect(id)} {
			listener, err := net.Listen("tcp4", address)
			if err != nil {
				return nil, fmt.Errorf("listen on %s: %w", address, err)
			}
			listener.Close()
		}
	}
	return mesh.Open(plan)
}
