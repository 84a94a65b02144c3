//go:build integration

package process

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"ordeal/harness/ensemble"
	"ordeal/results/history"
)

// pureRuns is how many ensembles of Apache alone show what it warns of under the faults of shortLife.
const pureRuns = 3

// TestIntegrationMixedEnsemblesWithoutComplaints lets each implementation lead the other, with an observer of either,
// and holds every warning and error of Apache's members against those that they log among themselves.
func TestIntegrationMixedEnsemblesWithoutComplaints(t *testing.T) {
	needApache(t)
	pure := map[string]string{}
	for run := range pureRuns {
		apache := slices.Repeat([]ensemble.Implementation{ensemble.Apache}, 5)
		maps.Copy(pure, shortLife(t, fmt.Sprint("pure", run), apache))
	}
	for i, mix := range [][]ensemble.Implementation{
		{ensemble.Apache, ensemble.Apache, ensemble.Node, ensemble.Node, ensemble.Apache},
		{ensemble.Node, ensemble.Node, ensemble.Apache, ensemble.Apache, ensemble.Node},
	} {
		for complaint, entry := range shortLife(t, fmt.Sprint("mix", i), mix) {
			if _, known := pure[complaint]; !known && !dependsOnTheMoment(complaint) {
				t.Errorf("%v: only a mixed ensemble logs: %s\n%s", mix, complaint, entry)
			}
		}
	}
}

// shortLife lets an ensemble of three voters and two observers live a short life, led by its third member and then by
// its first, and returns what Apache's members complain of, with an entry of a log for each.
func shortLife(t *testing.T, name string, implementations []ensemble.Implementation) map[string]string {
	t.Helper()
	spec := fakeSpec(t.TempDir(), len(implementations))
	spec.Run, spec.Binary, spec.Implementations, spec.Observers = t.Name()+"-"+name, buildOrdeal(t), implementations, 2
	r := startRecorded(t, spec)
	r.leads()
	conn := r.client(1, 2, 3, 4, 5)
	defer conn.Close()
	r.writes(conn)
	fault := 0
	away := func(kind history.FaultKind, id int) history.Fault {
		fault++
		return history.Fault{ID: fault, Kind: kind, Members: []int{id}}
	}
	for _, leader := range []int{3, 1} {
		r.letLead(leader, 4-leader, conn, away)
		for id := 1; id <= r.Size(); id++ {
			r.writes(conn)
			cut := away(history.ClientCut, id)
			cut.Mode = history.Reset
			r.inject(cut) // the session moves
			r.heal(cut)
		}
		for _, id := range append(r.others(leader), leader) { // everybody comes back to new transactions
			kill := away(history.Kill, id)
			r.inject(kill)
			r.writes(conn)
			r.heal(kill)
			r.leads()
			r.writes(conn)
		}
	}
	require.NoError(t, r.Stop(t.Context()))
	require.Empty(t, r.crashes())
	found := map[string]string{}
	for id, implementation := range implementations {
		if implementation == ensemble.Apache {
			maps.Copy(found, complaintsOf(r.logText(id+1)))
		}
	}
	return found
}

// letLead makes a voter of three the leader: it and the second voter hold a write that the other lacks, and then
// nobody but it and the other is there to be elected.
func (r *recorded) letLead(leader, other int, conn *zk.Conn, away func(history.FaultKind, int) history.Fault) {
	r.t.Helper()
	const second = 2
	behind := away(history.Kill, other)
	r.inject(behind)
	r.writes(conn)
	gone := away(history.Kill, second)
	r.inject(gone)
	r.heal(behind)
	require.Equal(r.t, leader, r.leads(second))
	r.heal(gone)
	require.Equal(r.t, leader, r.leads(), "member %d leads, which runs %s", leader, r.spec.Implementations[leader-1])
}

// An entry of Apache's log begins with its time, thread and level. The lines of an exception follow.
var (
	entryBegins = regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d `)
	complains   = regexp.MustCompile(`^.*?\] (?:WARN |ERROR|FATAL) (\S+ - .*)$`)
	apacheFrame = regexp.MustCompile(`\tat org\.apache\.zookeeper\.([\w.$<>]+)\(`)
)

// complaintsOf are the warnings and errors of a log, with an entry for each: its first line, the exception if there is
// one, and where ZooKeeper met that, without what differs from one run to the next.
func complaintsOf(log string) map[string]string {
	found := map[string]string{}
	begins := entryBegins.FindAllStringIndex(log, -1)
	for i, begin := range begins {
		end := len(log)
		if i+1 < len(begins) {
			end = begins[i+1][0]
		}
		entry := log[begin[0]:end]
		first, exception, _ := strings.Cut(entry, "\n")
		parts := complains.FindStringSubmatch(first)
		if parts == nil {
			continue
		}
		complaint := numbers.ReplaceAllString(parts[1], "#")
		if exception != "" {
			what, trace, _ := strings.Cut(exception, "\n")
			if connectionEnd.MatchString(what) {
				what = connectionEnded
			}
			complaint += " | " + numbers.ReplaceAllString(what, "#")
			if at := apacheFrame.FindStringSubmatch(trace); at != nil {
				complaint += " | " + at[1]
			}
		}
		found[complaint] = entry
	}
	return found
}

// numbers are what differs from one entry to the next: addresses, ids, zxids, times.
var numbers = regexp.MustCompile(`0x[0-9a-f]+|/?\b[0-9][0-9.]*(:[0-9]+)?`)

// connectionEnd are the words for the end of a connection. It depends on what was on its way at the moment of a kill which
// of them a server is told, so that one stands for all.
var connectionEnd = regexp.MustCompile(`^java\.io\.EOFException$|^java\.net\.SocketException: (Connection reset|Broken pipe|Socket closed)`)

const connectionEnded = "the connection ended"

// momentary are complaints that not every few runs show, since they depend on the moment of a kill or of a client's move,
// and not on what a peer sent.
var momentary = []*regexp.Regexp{
	// Who is reading or writing whole packets when a peer is killed finds out first.
	regexp.MustCompile(`\| the connection ended \| server\.quorum\.(QuorumPacket\.deserialize|Learner\.writePacketNow|LearnerHandler\.sendPackets|QuorumCnxManager\$\w+\.\w+|Leader\$.*\.acceptConnections)$`),
	// A leader was killed between its election and the moment at which a learner called it, or a learner before it answered.
	regexp.MustCompile(`\| java\.io\.IOException: Failed connect to # \| server\.quorum\.Learner\.connectToLeader$`),
	regexp.MustCompile(`^QuorumPeer - Unexpected exception \| java\.lang\.InterruptedException: Timeout while waiting for epoch`),
	// A handler of a learner that is gone is told so while it waits.
	regexp.MustCompile(`^LearnerHandler - Ignoring unexpected exception \| java\.lang\.InterruptedException`),
	// A client was cut off, came while its server had no leader, or came back before its server had forgotten its former
	// connection. No member has a part in these connections.
	regexp.MustCompile(`^(NIOServerCnxn|NIOServerCnxnFactory|ServerCnxnFactory|MBeanRegistry) - `),
	regexp.MustCompile(`^ZooKeeperServer - (Connection request from old client|Failed to register with JMX)`),
	regexp.MustCompile(`^WorkerService - Unexpected exception \| java\.lang\.NullPointerException: .*Learner\.validateSession`),
	// An entry reached the follower's disk when the socket to the leader was forgotten already (ZOOKEEPER-4409).
	regexp.MustCompile(`\| java\.lang\.NullPointerException: .* \| server\.quorum\.SendAckRequestProcessor\.flush$`),
	// A learner that returned while a proposal was under way gets its COMMIT before UPTODATE (ZOOKEEPER-4394).
	regexp.MustCompile(`\| java\.lang\.NullPointerException: Cannot read field "hdr".* \| server\.quorum\.Learner\.syncWithLeader$`),
	// The disk was slow.
	regexp.MustCompile(`^FileTxnLog - fsync-ing the write ahead log`),
}

func dependsOnTheMoment(complaint string) bool {
	return slices.ContainsFunc(momentary, func(known *regexp.Regexp) bool { return known.MatchString(complaint) })
}

// TestIntegrationComplaintsLeaveOutWhatDiffersFromRunToRun reads a piece of a log as Apache's servers write it.
func TestIntegrationComplaintsLeaveOutWhatDiffersFromRunToRun(t *testing.T) {
	const log = `2026-11-28 11:05:05,850 [main] INFO  QuorumPeer - of no interest
2026-11-28 11:05:05,855 [QuorumPeer[myid=5](plain=127.157.5.5:2181)(secure=disabled)] WARN  Observer - Exception when observing the leader
java.net.SocketException: Connection reset
	at java.base/sun.nio.ch.NioSocketImpl.implRead(NioSocketImpl.java:328)
	at org.apache.jute.BinaryInputArchive.readInt(BinaryInputArchive.java:96)
	at org.apache.zookeeper.server.quorum.QuorumPacket.deserialize(QuorumPacket.java:86)
2026-11-28 11:05:05,856 [QuorumPeer[myid=5](plain=127.157.5.5:2181)(secure=disabled)] WARN  Learner - Got zxid 0x200000001 expected 0x1
2026-11-28 11:05:05,857 [QuorumPeer[myid=5](plain=127.157.5.5:2181)(secure=disabled)] WARN  Learner - Exception when following the leader
java.lang.NullPointerException: Cannot invoke "Object.toString()" because "packet" is null
	at org.apache.zookeeper.server.quorum.Learner.syncWithLeader(Learner.java:999)
`
	found := complaintsOf(log)
	connection := "Observer - Exception when observing the leader | the connection ended | server.quorum.QuorumPacket.deserialize"
	fault := `Learner - Exception when following the leader | java.lang.NullPointerException: Cannot invoke "Object.toString()" because "packet" is null | server.quorum.Learner.syncWithLeader`
	require.ElementsMatch(t, []string{connection, "Learner - Got zxid # expected #", fault}, slices.Collect(maps.Keys(found)))
	require.True(t, dependsOnTheMoment(connection))
	require.False(t, dependsOnTheMoment(fault))
}
