package zab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/defect"
	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/quorum"
	"ordeal/node/rare"
	"ordeal/node/tree"
)

// learnerScript plays a follower, or an observer, server 2. Inputs:
//
//	start accepted=1 current=1 last=1.4 [observer] [force-snapshot] [defect=NAME] [rare=PLACE]
//	connected · closed · packet PACKET zxid key=value…
//	tick 100ms · disk · disk-cannot · acknowledge zxid · forward SESSION · revalidate SESSION
type learnerScript struct {
	*transcript
	fakeDisk
	learner *Learner
	now     time.Duration
	// pending is what a follower may commit, in order: what it logged and was told of.
	pending []int64
	// truncated is the answer that the disk owes to a truncation.
	truncated func(possible bool)
}

func TestLearnerTranscripts(t *testing.T) {
	runTranscripts(t, "testdata/learner/*.txt", func(tr *transcript) script {
		return &learnerScript{transcript: tr, fakeDisk: fakeDisk{tr: tr}}
	})
}

func (s *learnerScript) input(words []string) {
	set := options(words)
	switch words[0] {
	case "start":
		_, observer := set["observer"]
		_, force := set["force-snapshot"]
		s.learner = NewLearner(LearnerConfig{
			MyID: 2, Observer: observer, TickTime: 100 * time.Millisecond, InitLimit: 10, SyncLimit: 5,
			AcceptedEpoch: number(s.t, set["accepted"]), CurrentEpoch: number(s.t, set["current"]),
			LastZxid: zxidOf(s.t, set["last"]), ForceSnapshot: force,
			Rare:    func(place rare.Place) bool { return string(place) == set["rare"] },
			Defects: defect.Set{defect.Name(set["defect"]): true}, Log: slog.New(slog.DiscardHandler),
		}, 0, s)
	case "connected":
		s.learner.Connected()
	case "closed":
		s.learner.Closed(errors.New("connection reset"))
	case "packet":
		message := Message{Packet: packetOf(s.t, words[1:])}
		if message.Packet.Type == jute.PacketSnap {
			message.Incoming = tree.New(tree.Options{})
		}
		s.learner.Packet(message)
	case "tick":
		s.now += span(s.t, words[1])
		s.learner.Tick(s.now)
	case "disk":
		s.next()
	case "disk-cannot":
		s.truncated(false)
	case "acknowledge":
		s.learner.Acknowledge(zxidOf(s.t, words[1]))
	case "forward":
		s.learner.Forward(Forwarded{Session: number(s.t, words[1])})
	case "revalidate":
		s.learner.Revalidate(number(s.t, words[1]), 1000)
	default:
		s.t.Fatalf("unknown input %q", words[0])
	}
}

func (s *learnerScript) SendToLeader(packet *jute.QuorumPacket) {
	require.True(s.t, packet.Type != jute.PacketPing || packet.Data != nil, "Apache cannot read a PING without data")
	s.say("to leader %s", packetText(packet))
}
func (s *learnerScript) Append(entry disk.Entry) { s.say("append %s", zxidText(entry.Zxid)) }
func (s *learnerScript) Sync(done func())        { s.order(done, "sync the log") }
func (s *learnerScript) Truncate(zxid int64, done func(bool)) {
	s.truncated = done
	s.order(func() { done(true) }, "truncate to %s", zxidText(zxid))
}
func (s *learnerScript) Claim(zxid int64) { s.say("claim %s", zxidText(zxid)) }

func (s *learnerScript) Install(incoming *tree.Tree, done func()) {
	s.order(done, "install the snapshot %s", zxidText(incoming.LastZxid()))
}
func (s *learnerScript) Apply(entry disk.Entry) { s.say("apply %s", zxidText(entry.Zxid)) }

func (s *learnerScript) Synchronised(epoch int64, pending []disk.Entry) {
	s.say("serve in epoch %d", epoch)
	for _, entry := range pending {
		s.pending = append(s.pending, entry.Zxid)
		s.say("pending %s", zxidText(entry.Zxid))
	}
}

func (s *learnerScript) Propose(entry disk.Entry) error {
	s.pending = append(s.pending, entry.Zxid)
	s.say("propose %s", zxidText(entry.Zxid))
	return nil
}

func (s *learnerScript) Commit(zxid int64) error {
	if len(s.pending) == 0 || s.pending[0] != zxid {
		return fmt.Errorf("commit of %s is not the next one", zxidText(zxid))
	}
	s.pending = s.pending[1:]
	s.say("commit %s", zxidText(zxid))
	return nil
}

func (s *learnerScript) Inform(entry disk.Entry) error {
	s.say("inform %s", zxidText(entry.Zxid))
	return nil
}
func (s *learnerScript) SyncReceived() { s.say("sync received") }
func (s *learnerScript) Revalidated(session int64, valid bool) {
	s.say("session %d is valid: %v", session, valid)
}
func (s *learnerScript) Touches() []jute.SessionTimeout { return nil }
func (s *learnerScript) SeeMembership(next *quorum.Config) {
	if next.Version != 0 {
		s.say("see membership %x", next.Version)
	}
}

func (s *learnerScript) Activate(membership *quorum.Config, leader int64) (changed bool) {
	if membership.Version != 0 {
		s.say("activate membership %x with leader %d", membership.Version, leader)
	}
	return membership.Version != 0 && leader != 1 && leader != NoLeader
}

func (s *learnerScript) GiveUp(reason string, snapshotNeeded bool) {
	s.say("give up: %s (snapshot needed: %v)", reason, snapshotNeeded)
}
func (s *learnerScript) Fail(err error) { s.say("fail: %v", err) }

// TestWhatWaitsForUpToDateIsBounded, by its number and by its size.
func TestWhatWaitsForUpToDateIsBounded(t *testing.T) {
	for name, packet := range map[string]*jute.QuorumPacket{
		"many packets":  {Type: jute.PacketCommit, Zxid: 2<<32 + 1},
		"large packets": {Type: jute.PacketProposal, Zxid: 2<<32 + 1, Data: make([]byte, 16<<20)},
	} {
		tr := &transcript{t: t}
		s := &learnerScript{transcript: tr, fakeDisk: fakeDisk{tr: tr}}
		for _, input := range []string{
			"start accepted=2 current=1 last=1.2", "connected", "packet LEADERINFO 2.0", "packet DIFF 1.2", "packet NEWLEADER 2.0",
		} {
			s.input(strings.Fields(input))
		}
		kept := 0
		for s.learner.phase == persisting && kept <= earlyMax {
			s.learner.Packet(Message{Packet: packet})
			kept++
		}
		require.Equal(t, learnerOver, s.learner.phase, name)
		require.LessOrEqual(t, (kept-1)*len(packet.Data), earlyBytesMax, name)
		require.Contains(t, tr.output[len(tr.output)-1], "between NEWLEADER and UPTODATE")
	}
}

// TestSynchronisationIsBounded: a leader that sends transactions without end is left, and asked for its snapshot the next
// time.
func TestSynchronisationIsBounded(t *testing.T) {
	const size = 32 << 20
	tr := &transcript{t: t}
	s := &learnerScript{transcript: tr, fakeDisk: fakeDisk{tr: tr}}
	for _, input := range []string{"start accepted=2 current=1 last=1.2", "connected", "packet LEADERINFO 2.0", "packet DIFF 1.2"} {
		s.input(strings.Fields(input))
	}
	header := jute.TxnHeader{Zxid: 2 << 32, Type: jute.OpSetData}
	payload := jute.EncodePayload(header, &jute.SetDataTxn{Path: "/a", Data: make([]byte, size)}, nil)
	const zxidAt = 12 // in a payload, behind clientId and cxid
	sent := 0
	for s.learner.phase == receiving && sent <= receivedBytesMax/size {
		header.Zxid++
		sent++
		binary.BigEndian.PutUint64(payload[zxidAt:], uint64(header.Zxid))
		s.learner.Packet(Message{Packet: &jute.QuorumPacket{Type: jute.PacketProposal, Zxid: header.Zxid, Data: payload}})
	}
	require.Equal(t, learnerOver, s.learner.phase)
	require.Equal(t, receivedBytesMax/size, sent)
	require.Contains(t, tr.output[len(tr.output)-1], "bytes of transactions before NEWLEADER (snapshot needed: true)")
}

// TestConnectDeadline: connectToLearnerMasterLimit counts where it is set, or else initLimit.
func TestConnectDeadline(t *testing.T) {
	config := LearnerConfig{TickTime: time.Second, InitLimit: 10}
	require.Equal(t, 15*time.Second, NewLearner(config, 5*time.Second, nil).ConnectDeadline())
	config.ConnectLimit = 3
	require.Equal(t, 8*time.Second, NewLearner(config, 5*time.Second, nil).ConnectDeadline())
}
