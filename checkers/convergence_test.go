package checkers

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/results/history"
)

// finals are the final trees of three members, each of one znode, with these words about their disks.
func finals(words ...string) history.Memory {
	var log history.Memory
	for i, text := range words {
		node := history.Node{Path: "/a", Value: "v", Stat: history.Stat{Czxid: 1, Mzxid: 1}}
		log = append(log,
			history.Event{Kind: history.Znode, Member: i + 1, Node: &node},
			history.Event{Kind: history.Final, Member: i + 1, Zxid: 7, Count: 1, Digest: "d" + text, Text: text})
	}
	return log
}

// TestFaultyLogs: what a server served and what its log would make of it after a restart must be the
// same. Apache's are known to differ now and then; a majority that differs has lost data all the same.
func TestFaultyLogs(t *testing.T) {
	const hole = "transactions between them are missing"
	known, strict := Options{KnownWeakDisk: true}, Options{KnownWeakDisk: true, StrictDisk: true}
	for name, c := range map[string]struct {
		log     history.Memory
		options Options
		want    Verdict
		says    string
	}{
		"all sound":                       {finals("", "", ""), Options{}, Valid, ""},
		"one hole":                        {finals("", "", hole), Options{}, Violation, "what member 3 has on disk is not what it served"},
		"one hole, known":                 {finals("", hole, ""), known, Valid, "known weakness ZOOKEEPER-4712"},
		"one hole, known, but asked for":  {finals("", hole, ""), strict, Violation, hole},
		"holes in a majority":             {finals(hole, hole, ""), known, Violation, hole},
		"the hole's digest says no more":  {finals(hole, "", ""), known, Valid, hole},
		"a sound log with another digest": {append(finals("", ""), history.Event{Kind: history.Final, Member: 2, Zxid: 7, Count: 1, Digest: "other"}), known, Violation, "has digest other"},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := convergence.Check(context.Background(), c.log, c.options)
			require.NoError(t, err)
			require.Equal(t, c.want, result.Verdict, result)
			if c.says == "" {
				require.Empty(t, result.Evidence)
			} else {
				require.Contains(t, result.Evidence[0], c.says)
			}
		})
	}
}

// disk is a final event of a member whose disk ends at a zxid, and which served its tree up to another.
func disk(member int, zxid, served int64, digest string) history.Event {
	return history.Event{Kind: history.Final, Member: member, Zxid: zxid, Served: served, Count: 1, Digest: digest}
}

// TestDisksThatLag: what a member has served, or anybody was acknowledged, is on its disk. An epoch may begin
// behind the last transaction, and its start is none.
func TestDisksThatLag(t *testing.T) {
	const epoch = 1 << 32
	known := Options{KnownWeakDisk: true}
	for name, c := range map[string]struct {
		disks   []history.Event
		options Options
		want    Verdict
		says    string
	}{
		"all at the end":                      {[]history.Event{disk(1, 9, 9, "d"), disk(2, 9, 9, "d"), disk(3, 9, 9, "d")}, Options{}, Valid, ""},
		"as recorded of old":                  {[]history.Event{disk(1, 9, 0, "d"), disk(2, 9, 0, "d"), disk(3, 9, 0, "d")}, Options{}, Valid, ""},
		"one ends before what it served":      {[]history.Event{disk(1, 9, 9, "d"), disk(2, 9, 9, "d"), disk(3, 8, 9, "e")}, Options{}, Violation, "member 3 has on disk ends at zxid 0x8, before zxid 0x9"},
		"one ends before an acknowledged one": {[]history.Event{disk(1, 9, 0, "d"), disk(2, 9, 0, "d"), disk(3, 6, 0, "e")}, Options{}, Violation, "before zxid 0x7"},
		"one of Apache's":                     {[]history.Event{disk(1, 9, 9, "d"), disk(2, 9, 9, "d"), disk(3, 6, 9, "e")}, known, Valid, "known weakness ZOOKEEPER-4712"},
		"two of Apache's":                     {[]history.Event{disk(1, 9, 9, "d"), disk(2, 6, 9, "e"), disk(3, 6, 9, "e")}, known, Violation, "member 2"},
		"served at the start of an epoch":     {[]history.Event{disk(1, epoch, epoch, "d"), disk(2, 9, epoch, "d"), disk(3, 9, 9, "d")}, Options{}, Valid, ""},
		"the first stands alone":              {[]history.Event{disk(1, 10, 9, "x"), disk(2, 9, 9, "d"), disk(3, 9, 9, "e")}, Options{}, Violation, "member 2 has digest d and member 3 has digest e"},
		"each stands alone":                   {[]history.Event{disk(1, 9, 9, "d"), disk(2, 10, 9, "e"), disk(3, 11, 9, "f")}, Options{}, Unknown, "member 1 at 0x9, member 2 at 0xa, member 3 at 0xb"},
	} {
		t.Run(name, func(t *testing.T) {
			s := new(script).op(1, 0, 1, create("v"), answeredAt(7))
			for _, final := range c.disks {
				node := history.Node{Path: "/a", Value: "v", Stat: history.Stat{Czxid: 7, Mzxid: 7}}
				s.event(2, history.Event{Kind: history.Znode, Member: final.Member, Node: &node}).event(2, final)
			}
			r := judgeAlone(t, "convergence", s, c.options)
			require.Equal(t, c.want, r.Verdict, "%q %s", r.Evidence, r.Reason)
			require.Contains(t, strings.Join(append(r.Evidence, r.Reason), "; "), c.says)
		})
	}
}

// TestConvergenceJudgesTheLoad: trees that hold what the set-up made show nothing.
func TestConvergenceJudgesTheLoad(t *testing.T) {
	s := new(script).event(0, history.Event{Kind: history.Phase, Text: "setup"}).op(1, 0, 1, create("v"), answeredAt(7)).
		event(2, history.Event{Kind: history.Phase, Text: loadPhase})
	for member := 1; member <= 3; member++ {
		node := history.Node{Path: "/a", Value: "v", Stat: history.Stat{Czxid: 7, Mzxid: 7, Pzxid: 7}}
		s.event(3, history.Event{Kind: history.Znode, Member: member, Node: &node}).event(3, disk(member, 7, 7, "d"))
	}
	require.True(t, judgeAlone(t, "convergence", s, Options{}).Empty)
}
