package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
	"ordeal/results/history"
)

// played is a calm world with a few decisions.
func played(t *testing.T, decisions ...Decision) *Outcome {
	t.Helper()
	config := Draw(1, Options{Members: 3, Load: 8 * time.Second, Workload: "register"})
	config.Observers, config.Drift, config.TickTime, config.SyncLimit = 0, 0, 200*time.Millisecond, 5
	config.LeaderServes = true
	outcome := Replay(&Script{Config: config, Decisions: decisions}, Observation{Until: config.Load})
	require.Nil(t, outcome.Violation)
	return outcome
}

// A member that accepts and does not read is noticed by silence, as if it were cut off; nothing that it
// had not read by then does harm afterwards.
func TestAReaderThatStalls(t *testing.T) {
	stall := func(length time.Duration) Decision {
		return Decision{Fault: &Fault{At: 2 * time.Second, Kind: faultStall, Who: whoLeader, For: length}}
	}
	require.Equal(t, 1, played(t).Coverage.Seen["leader"])
	require.Equal(t, 1, played(t, stall(200*time.Millisecond)).Coverage.Seen["leader"], "short enough to go unnoticed")
	require.Equal(t, 2, played(t, stall(5*time.Second)).Coverage.Seen["leader"])
}

// countingEnds count what a pipe delivers and how often it is ended.
type countingEnds struct{ delivered, ended int }

func (e *countingEnds) take(*pipe, parcel) { e.delivered++ }
func (e *countingEnds) reset()             { e.ended++ }

// What a reader does not read is bounded: its sender ends the connection.
func TestUnreadParcelsAreBounded(t *testing.T) {
	config := Draw(1, Options{Members: 3})
	w := newWorld(config, nil, true, memoryRecorder{&history.Memory{}})
	var p pipe
	var ends countingEnds
	p.open(w, w.ways[1][2], &ends)
	heal := w.stallWay(w.ways[1][2])
	for range unreadParcelsMax {
		p.push(parcel{packet: &jute.QuorumPacket{}})
	}
	w.runTo(time.Minute)
	require.Zero(t, ends)
	p.push(parcel{})
	p.push(parcel{})
	w.runTo(2 * time.Minute)
	require.Equal(t, 1, ends.ended)
	heal()
	w.runTo(3 * time.Minute)
	require.Zero(t, ends.delivered, "the connection is gone")
}

func TestAReaderGoesOn(t *testing.T) {
	w := newWorld(Draw(1, Options{Members: 3}), nil, true, memoryRecorder{&history.Memory{}})
	var p pipe
	var ends countingEnds
	p.open(w, w.ways[1][2], &ends)
	first, second := w.stallWay(w.ways[1][2]), w.stallWay(w.ways[1][2])
	p.push(parcel{packet: &jute.QuorumPacket{}})
	first()
	w.runTo(time.Minute)
	require.Zero(t, ends.delivered, "the other fault is still on")
	second()
	w.runTo(2 * time.Minute)
	require.Equal(t, 1, ends.delivered)
}
