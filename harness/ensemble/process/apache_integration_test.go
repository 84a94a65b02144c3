//go:build integration

package process

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"ordeal/harness/client"
	"ordeal/harness/ensemble"
	"ordeal/node/apachetest"
	"ordeal/results/history"
)

// patience bounds every wait of these tests; none of them expects to come near it.
const patience = 60 * time.Second

// needApache skips a test where there is no Apache.
func needApache(t *testing.T) {
	t.Helper()
	if _, err := ensemble.FindApache(); err != nil {
		apachetest.Missing(t, err)
	}
}

// startApache starts members of Apache.
func startApache(t *testing.T, members, observers int) *recorded {
	t.Helper()
	needApache(t)
	spec := fakeSpec(t.TempDir(), members)
	spec.Run, spec.Observers = t.Name(), observers
	for i := range spec.Implementations {
		spec.Implementations[i] = ensemble.Apache
	}
	return startRecorded(t, spec)
}

// leads asks the members until one leads and others, all of them, follow it; except names members
// that need not.
func (r *recorded) leads(except ...int) int {
	r.t.Helper()
	leader := 0
	require.Eventually(r.t, func() bool {
		leader = 0
		for id := 1; id <= r.Size(); id++ {
			if contains(except, id) {
				continue
			}
			switch r.mode(id) {
			case "leader":
				if leader != 0 {
					return false // one of them was deposed, and has not found out yet
				}
				leader = id
			case "follower", "observer":
			default:
				return false
			}
		}
		return leader != 0
	}, patience, 50*time.Millisecond)
	return leader
}

// standsAlone waits until the only member serves. Before, between binding its port and having a server
// behind it, Apache may leave a client's connection without an answer for ever.
func (r *recorded) standsAlone() {
	r.t.Helper()
	require.Eventually(r.t, func() bool { return r.mode(1) == "standalone" }, patience, 50*time.Millisecond)
}

// mode is what srvr says that a member is.
func (r *recorded) mode(id int) string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	status, err := client.Probe(ctx, r.ProbeAddress(id))
	if err != nil {
		return err.Error()
	}
	return status.Mode
}

func contains(ids []int, id int) bool {
	for _, i := range ids {
		if i == id {
			return true
		}
	}
	return false
}

// others are all members but these.
func (r *recorded) others(ids ...int) []int {
	var others []int
	for id := 1; id <= r.Size(); id++ {
		if !contains(ids, id) {
			others = append(others, id)
		}
	}
	return others
}

// isolation are the links between one member and all others, both ways.
func (r *recorded) isolation(member int) []history.Link {
	var links []history.Link
	for _, other := range r.others(member) {
		links = append(links, history.Link{From: member, To: other}, history.Link{From: other, To: member})
	}
	return links
}

// client is an independent client on the given members.
func (r *recorded) client(members ...int) *zk.Conn {
	r.t.Helper()
	var addresses []string
	for _, id := range members {
		addresses = append(addresses, r.ClientAddress(id))
	}
	conn, _, err := zk.Connect(addresses, 10*time.Second, zk.WithLogger(silent{}))
	require.NoError(r.t, err)
	return conn
}

type silent struct{}

func (silent) Printf(string, ...any) {}

// writes makes znodes until one create is answered, and returns its path.
func (r *recorded) writes(conn *zk.Conn) string {
	r.t.Helper()
	path := ""
	require.Eventually(r.t, func() bool {
		var err error
		path, err = conn.Create("/written-", []byte("x"), zk.FlagSequence, zk.WorldACL(zk.PermAll))
		return err == nil
	}, patience, 20*time.Millisecond)
	return path
}

func (r *recorded) inject(fault history.Fault) {
	r.t.Helper()
	begin := time.Now()
	require.NoError(r.t, r.Inject(r.t.Context(), fault))
	r.t.Logf("%s: on after %v", fault, time.Since(begin))
}

func (r *recorded) heal(fault history.Fault) {
	r.t.Helper()
	begin := time.Now()
	require.NoError(r.t, r.Heal(r.t.Context(), fault))
	r.t.Logf("%s: healed after %v", fault, time.Since(begin))
}

// complaints are what Apache 3.8.0 logs when it compares or adopts another member's configuration.
var complaints = []string{
	"restarting leader election", // FastLeaderElection: a newer configuration came with a notification
	"Received version",           // the same
	"setLastSeenQuorumVerifier",  // QuorumPeer: equal versions, other members
	"changes proposed in reconfig",
	" ERROR ",
}

func TestIntegrationApacheServesWithoutComplaints(t *testing.T) {
	begin := time.Now()
	r := startApache(t, 4, 1)
	r.leads()
	t.Logf("served after %v", time.Since(begin))
	require.Equal(t, "observer", r.mode(4))
	conn := r.client(1, 2, 3, 4)
	r.writes(conn)
	conn.Close()
	require.NoError(t, r.LinksPass(t.Context()))
	for id := 1; id <= r.Size(); id++ {
		for _, line := range strings.Split(r.logText(id), "\n") {
			for _, complaint := range complaints {
				if strings.Contains(line, complaint) {
					t.Errorf("member %d: %s", id, line)
				}
			}
		}
	}
	require.NoError(t, r.Stop(t.Context()))
	require.Empty(t, r.crashes())
}

func TestIntegrationApacheUnderFaults(t *testing.T) {
	underFaults(t, func() (*recorded, int) {
		r := startApache(t, 3, 0)
		return r, r.leads()
	})
}

// underFaults takes an ensemble of three through every kind of fault that needs no more than a leader.
func underFaults(t *testing.T, start func() (*recorded, int)) {
	r, leader := start()
	conn := r.client(1, 2, 3)
	defer conn.Close()
	r.writes(conn)

	fault := history.Fault{ID: 1, Kind: history.Kill, Members: []int{leader}}
	r.inject(fault)
	require.NotEqual(t, leader, r.leads(leader))
	r.writes(conn)
	r.heal(fault)
	leader = r.leads()

	for i, mode := range []history.CutMode{history.Drop, history.Reset} {
		fault := history.Fault{ID: 2 + i, Kind: history.Cut, Links: r.isolation(leader), Mode: mode}
		r.inject(fault)
		require.Error(t, r.LinksPass(t.Context()))
		next := r.leads(leader)
		require.NotEqual(t, leader, next)
		r.writes(conn)
		r.heal(fault)
		require.NoError(t, r.LinksPass(t.Context()))
		require.Equal(t, next, r.leads(), "the old leader follows the new one")
		leader = next
	}

	fault = history.Fault{ID: 4, Kind: history.Pause, Members: []int{leader}}
	r.inject(fault)
	next := r.leads(leader)
	require.NotEqual(t, leader, next)
	r.heal(fault)
	require.Equal(t, next, r.leads())

	fault = history.Fault{ID: 5, Kind: history.Stop, Members: []int{next}}
	r.inject(fault)
	require.NotEqual(t, next, r.leads(next))
	r.heal(fault)
	leader = r.leads()

	follower := r.others(leader)[0]
	fault = history.Fault{ID: 6, Kind: history.ClientCut, Members: []int{follower}, Mode: history.Reset}
	r.inject(fault)
	only := r.client(follower)
	defer only.Close()
	r.leads() // still served directly
	require.NotEqual(t, zk.StateHasSession, only.State())
	r.heal(fault)
	r.writes(only)

	require.NoError(t, r.Stop(t.Context()))
	require.Empty(t, r.crashes())
}

func TestIntegrationApacheKeepsItsLeaderUnderAOneWayCutBetweenFollowers(t *testing.T) {
	r := startApache(t, 3, 0)
	leader := r.leads()
	followers := r.others(leader)
	fault := history.Fault{
		ID: 1, Kind: history.Cut, Mode: history.Drop,
		Links: []history.Link{{From: followers[0], To: followers[1]}},
	}
	r.inject(fault)
	conn := r.client(1, 2, 3)
	defer conn.Close()
	for range 10 {
		r.writes(conn)
	}
	require.Equal(t, leader, r.leads())
	r.heal(fault)
	require.NoError(t, r.LinksPass(t.Context()))
}

func TestIntegrationApacheStandsAloneToo(t *testing.T) {
	r := startApache(t, 1, 0)
	r.standsAlone()
	conn := r.client(1)
	defer conn.Close()
	r.writes(conn)
	require.Contains(t, r.Refuses(), history.Cut)
	require.Contains(t, r.Refuses(), history.PowerLoss)
}

func TestIntegrationTwoRunsAtOnceKeepApart(t *testing.T) {
	var ensembles []*recorded
	for range 2 {
		ensembles = append(ensembles, startApache(t, 1, 0))
	}
	require.NotEqual(t, ensembles[0].ClientAddress(1), ensembles[1].ClientAddress(1))
	for i, r := range ensembles {
		r.standsAlone()
		conn := r.client(1)
		defer conn.Close()
		r.writes(conn)
		_, err := conn.Create(fmt.Sprintf("/run-%d", i), nil, 0, zk.WorldACL(zk.PermAll))
		require.NoError(t, err)
	}
}
