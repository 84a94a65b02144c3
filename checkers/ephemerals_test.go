package checkers

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/results/history"
)

const ownedPath = "/l/n-0000000000"

// makeEphemeral is the history of a session 9 whose ephemeral znode came and went as it should, and of a
// session 1 that has just made one.
func makeEphemeral() *script {
	list := history.Request{Kind: history.Children, Path: "/l"}
	other := history.Request{Kind: history.Create, Path: "/l/o", Ephemeral: true}
	return new(script).
		op(9, 0, 1, other, history.Result{Outcome: history.OK, Answered: true, Zxid: 1, Path: "/l/o"}).
		op(9, 0, 1, history.Request{Kind: history.CloseSession}, answeredAt(2)).
		op(8, 0, 1, list, listedAt(2)).
		op(1, 0, 1, history.Request{Kind: history.Create, Path: "/l/n-", Ephemeral: true, Sequential: true},
			history.Result{Outcome: history.OK, Answered: true, Zxid: 3, Path: ownedPath})
}

func answeredAt(zxid int64) history.Result {
	return history.Result{Outcome: history.OK, Answered: true, Zxid: zxid}
}

func listedAt(zxid int64, names ...string) history.Result {
	result := answeredAt(zxid)
	result.Children = names
	return result
}

// session is an event of client 1 and its session.
func sessionEvent(state history.State) history.Event {
	return history.Event{Kind: history.Session, Client: 1, SessionID: ownerName(1), State: state, Count: 1000}
}

func TestEphemerals(t *testing.T) {
	made := makeEphemeral
	list := history.Request{Kind: history.Children, Path: "/l"}
	removal := history.Request{Kind: history.Delete, Path: ownedPath}
	alive := history.Request{Kind: history.Get, Path: "/x"}
	closed := func() *script { return made().op(1, 2, 3, history.Request{Kind: history.CloseSession}, answeredAt(5)) }
	gone := func() *script { return made().op(2, 2, 3, list, listedAt(4)) }
	for name, c := range map[string]struct {
		history *script
		verdict Verdict
	}{
		"there while alive":         {made().op(2, 2, 3, list, listedAt(4, "n-0000000000")), Valid},
		"gone while alive":          {gone().op(1, 4, 5, alive, answeredAt(9)), Violation},
		"gone, and not seen since":  {gone(), Valid},
		"not there yet":             {made().op(2, 2, 3, list, listedAt(2)).op(1, 4, 5, alive, answeredAt(9)), Valid},
		"gone after close":          {closed().op(2, 4, 5, list, listedAt(6)), Valid},
		"seen after close":          {closed().op(2, 4, 5, list, listedAt(6, "n-0000000000")), Violation},
		"seen late, as of before":   {closed().op(2, 4, 5, list, listedAt(4, "n-0000000000")), Valid},
		"deleted while alive":       {made().op(2, 1, unanswered, removal, lost).op(2, 2, 3, list, listedAt(4)).op(1, 4, 5, alive, answeredAt(9)), Valid},
		"deleted in a lost multi":   {made().op(2, 1, unanswered, multiOf(removal), lost).op(2, 2, 3, list, listedAt(4)).op(1, 4, 5, alive, answeredAt(9)), Valid},
		"made in a multi, and gone": {made().op(1, 2, 3, multiOf(history.Request{Kind: history.Create, Path: "/l/m", Ephemeral: true}), partsAt(4, history.Result{Path: "/l/m"})).op(2, 4, 5, list, listedAt(6, "n-0000000000")).op(1, 6, 7, alive, answeredAt(9)), Violation},
	} {
		t.Run(name, func(t *testing.T) {
			r := judgeAlone(t, "ephemerals", c.history, Options{SessionTimeout: time.Second, TickTime: 100 * time.Millisecond})
			require.Equal(t, c.verdict, r.Verdict, "%q %s", r.Evidence, r.Reason)
		})
	}
}

// multiOf is a multi of these parts; partsAt is the answer to one that succeeded.
func multiOf(parts ...history.Request) history.Request {
	return history.Request{Kind: history.Multi, Parts: parts}
}

func partsAt(zxid int64, parts ...history.Result) history.Result {
	result := answeredAt(zxid)
	for _, part := range parts {
		part.Outcome = history.OK
		result.Parts = append(result.Parts, part)
	}
	return result
}

// TestEphemeralsOfDeadSessions: whoever's client has gone has lost its znodes a session time-out and two
// ticks later, unless a fault or a change of leaders has given it more time; here 1.2 s.
func TestEphemeralsOfDeadSessions(t *testing.T) {
	fault := &history.Fault{ID: 1, Kind: history.Kill}
	leads := history.Event{Kind: history.Member, Member: 1, State: history.Leading, Epoch: 2}
	ends := map[string]history.Event{
		"expired": sessionEvent(history.Expired), "abandoned": sessionEvent(history.Abandoned),
		"disconnected": sessionEvent(history.Disconnected),
		"replaced":     {Kind: history.Session, Client: 1, SessionID: ownerName(7), State: history.Connected},
	}
	for end, event := range ends {
		event.Count = 0
		ended := func() *script { return makeEphemeral().event(1000, sessionEvent(history.Resumed)).event(2000, event) }
		for name, c := range map[string]struct {
			history *script
			finalAt int
			verdict Verdict
		}{
			"looked for too early":    {ended(), 3199, Unknown},
			"looked for in time":      {ended(), 3200, Violation},
			"after a fault":           {ended().event(2500, history.Event{Kind: history.FaultOn, Fault: fault}).event(3000, history.Event{Kind: history.FaultOff, Fault: fault}), 4100, Unknown},
			"long after a fault":      {ended().event(2500, history.Event{Kind: history.FaultOn, Fault: fault}).event(3000, history.Event{Kind: history.FaultOff, Fault: fault}), 4200, Violation},
			"under a fault":           {ended().event(2500, history.Event{Kind: history.FaultOn, Fault: fault}), 9000, Unknown},
			"after a change of lead":  {ended().event(2500, leads), 3600, Unknown},
			"long after such a thing": {ended().event(2500, leads), 3700, Violation},
		} {
			t.Run(end+", "+name, func(t *testing.T) {
				c.history.event(c.finalAt, history.Event{Kind: history.Phase, Text: finalPhase})
				tree := history.Event{Kind: history.Znode, Member: 1, Node: &history.Node{Path: ownedPath, Stat: history.Stat{EphemeralOwner: 1}}}
				c.history.event(9500, tree).event(9500, history.Event{Kind: history.Final, Member: 1})
				r := judgeAlone(t, "ephemerals", c.history, Options{TickTime: 100 * time.Millisecond})
				require.Equal(t, c.verdict, r.Verdict, "%q %s", r.Evidence, r.Reason)
			})
		}
	}

	get := history.Request{Kind: history.SyncGet, Path: ownedPath}
	shown := answeredAt(9)
	shown.Stat = &history.Stat{EphemeralOwner: 1}
	for at, want := range map[int]Verdict{3100: Valid, 3300: Violation} {
		s := makeEphemeral().event(2000, sessionEvent(history.Expired)).op(2, at, at+1, get, shown)
		require.Equal(t, want, judgeAlone(t, "ephemerals", s, Options{TickTime: 100 * time.Millisecond}).Verdict, at)
	}
	tree := history.Event{Kind: history.Znode, Member: 1, Node: &history.Node{Path: ownedPath, Stat: history.Stat{EphemeralOwner: 1}}}
	closed := makeEphemeral().op(1, 2, 3, history.Request{Kind: history.CloseSession}, answeredAt(5)).event(9, tree)
	require.Equal(t, Violation, judgeAlone(t, "ephemerals", closed, Options{}).Verdict)
}

// TestEphemeralsWithoutAnEndAreNothing: that znodes were made and seen is no proof that they go.
func TestEphemeralsWithoutAnEndAreNothing(t *testing.T) {
	s := new(script).op(1, 0, 1, history.Request{Kind: history.Create, Path: "/e", Ephemeral: true}, answeredAt(1))
	r := judgeAlone(t, "ephemerals", s, Options{Workloads: []string{"lock"}})
	require.Equal(t, Skipped, r.Verdict)
	require.True(t, r.Empty)
}
