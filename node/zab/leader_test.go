package zab

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/quorum"
	"ordeal/node/rare"
	"ordeal/node/tree"
)

const testMembership = `server.1=a:1:2
server.2=b:1:2
server.3=c:1:2
server.4=d:1:2:observer`

// votersText is a membership of voters with these ids.
func votersText(ids string) string {
	var text strings.Builder
	for _, id := range strings.Split(ids, ":") {
		fmt.Fprintf(&text, "server.%s=a:1:2\n", id)
	}
	return text.String()
}

// leaderScript plays a leader, server 1 of three voters and an observer unless others are named. Inputs:
//
//	start accepted=1 current=1 seen=0 history=1.1-1.4 [log=1.1-1.4] [by-quorum] [members=0:1:2]
//	rare PLACE: the rare branch that is taken from here on; none if there is no place
//	connect LINK · close LINK · from LINK PACKET zxid key=value…
//	tick 100ms · disk · propose zxid · acknowledge zxid · applied zxid · sync TICKET · send-sync LINK
type leaderScript struct {
	*transcript
	fakeDisk
	leader  *Leader
	history *History
	tree    *tree.Tree
	now     time.Duration
	rare    rare.Place
}

func TestLeaderTranscripts(t *testing.T) {
	runTranscripts(t, "testdata/leader/*.txt", func(tr *transcript) script {
		return &leaderScript{transcript: tr, fakeDisk: fakeDisk{tr: tr}}
	})
}

func (s *leaderScript) input(words []string) {
	set := options(words)
	switch words[0] {
	case "start":
		membership, err := quorum.Parse(testMembership)
		if members, given := set["members"]; given {
			membership, err = quorum.Parse(votersText(members))
		}
		require.NoError(s.t, err)
		entries := entriesOf(s.t, set["history"])
		last := int64(0)
		if len(entries) > 0 {
			last = entries[len(entries)-1].Zxid
		}
		s.history = NewHistory(100, entries, last)
		s.tree = tree.New(tree.Options{})
		s.tree.SetLastZxid(last)
		_, byQuorum := set["by-quorum"]
		var reader disk.Reader
		if log, given := set["log"]; given {
			reader = &logReader{entries: entriesOf(s.t, log), snapshot: 1000}
		}
		s.leader = NewLeader(LeaderConfig{
			MyID: 1, Membership: membership, TickTime: 100 * time.Millisecond, InitLimit: 10, SyncLimit: 5,
			AcceptedEpoch: number(s.t, set["accepted"]), CurrentEpoch: number(s.t, set["current"]),
			EpochSeen: number(s.t, set["seen"]), History: s.history, SyncByQuorum: byQuorum,
			Reader: reader, SnapshotSizeFactor: 0.33,
			Rare: func(place rare.Place) bool { return place == s.rare },
			Log:  slog.New(slog.DiscardHandler),
		}, 0, s)
		s.leader.Start()
	case "rare":
		s.rare = rare.Place(strings.Join(words[1:], ""))
	case "connect":
		s.leader.LearnerConnected(number(s.t, words[1]))
	case "close":
		s.leader.LearnerClosed(number(s.t, words[1]))
	case "from":
		s.leader.LearnerPacket(number(s.t, words[1]), packetOf(s.t, words[2:]))
	case "tick":
		s.now += span(s.t, words[1])
		s.leader.Tick(s.now)
	case "disk":
		s.next()
	case "propose":
		s.leader.Propose(entryFor(zxidOf(s.t, words[1])))
	case "acknowledge":
		s.leader.Acknowledge(zxidOf(s.t, words[1]))
	case "applied":
		zxid := zxidOf(s.t, words[1])
		s.history.Add(entryFor(zxid))
		s.tree.SetLastZxid(zxid)
		s.leader.Applied(zxid)
	case "sync":
		s.leader.Sync(uint64(number(s.t, words[1])))
	case "send-sync":
		s.leader.SendSync(number(s.t, words[1]))
	default:
		s.t.Fatalf("unknown input %q", words[0])
	}
}

// TestWhatIsNotSentIsNotProposed: neither before this leader serves nor after it has given up.
func TestWhatIsNotSentIsNotProposed(t *testing.T) {
	s := &leaderScript{transcript: &transcript{t: t}, fakeDisk: fakeDisk{tr: &transcript{t: t}}}
	s.input([]string{"start", "accepted=1", "current=1"})
	require.Panics(t, func() { s.leader.Propose(entryFor(2<<32 + 1)) })
	s.input([]string{"tick", "1s"})
	require.False(t, s.leader.Serving())
	require.Panics(t, func() { s.leader.ProposeReconfig(entryFor(2<<32+1), s.leader.config.Membership) })
}

func (s *leaderScript) SendToLearner(link int64, message Message) {
	s.say("to %d %s", link, packetText(message.Packet))
}
func (s *leaderScript) ReadLog(zxid, sizeMax int64, done func([]disk.Entry)) {
	s.order(func() {
		entries, _ := s.leader.config.Reader.ReadFrom(zxid, sizeMax)
		done(entries)
	}, "read the log from %s, at most %d", zxidText(zxid), sizeMax)
}
func (s *leaderScript) CloseLearner(link int64)             { s.say("close %d", link) }
func (s *leaderScript) Snapshot() *tree.Snapshotter         { return s.tree.Snapshot() }
func (s *leaderScript) Commit(zxid int64)                   { s.say("commit %s", zxidText(zxid)) }
func (s *leaderScript) SyncDone(ticket uint64)              { s.say("sync %d is done", ticket) }
func (s *leaderScript) Touch(touches []jute.SessionTimeout) { s.say("touch %v", touches) }
func (s *leaderScript) GiveUp(reason string)                { s.say("give up: %s", reason) }

func (s *leaderScript) SeeMembership(next *quorum.Config) { s.say("see membership %x", next.Version) }

func (s *leaderScript) Activate(membership *quorum.Config, leader int64) {
	s.say("activate membership %x with leader %d", membership.Version, leader)
}

func (s *leaderScript) Established(epoch int64) {
	s.say("established in epoch %d", epoch)
	s.tree.SetLastZxid(EpochStart(epoch))
}

func (s *leaderScript) Submit(link int64, request Forwarded) {
	s.say("submit from %d session %d", link, request.Session)
}

func (s *leaderScript) Revalidate(link int64, session int64, timeoutMs int32) bool {
	s.say("revalidate from %d session %d", link, session)
	return true
}
