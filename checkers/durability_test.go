package checkers

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/results/history"
)

// TestDurability: each history is followed by the final trees of three members that hold /a as given, or not.
func TestDurability(t *testing.T) {
	there := func(version int32, zxid int64, value string) *history.Node {
		return &history.Node{Path: "/a", Value: value, Stat: history.Stat{Czxid: 1, Mzxid: zxid, Version: version}}
	}
	made := func() *script {
		return new(script).op(2, 0, 1, history.Request{Kind: history.Create, Path: "/b"}, answeredAt(1)).op(2, 0, 1, create("0"), done(1, 0, ""))
	}
	ephemeral := create("0")
	ephemeral.Ephemeral = true
	owned := done(3, 1, "x")
	owned.Stat.EphemeralOwner = 5
	for name, c := range map[string]struct {
		history *script
		node    *history.Node
		verdict Verdict
	}{
		"the last write":                           {made().op(1, 2, 3, set("x"), done(3, 1, "")), there(1, 3, "x"), Valid},
		"a later write":                            {made().op(1, 2, 3, set("x"), done(3, 1, "")), there(2, 4, "y"), Valid},
		"an older write":                           {made().op(1, 2, 3, set("x"), done(3, 1, "")), there(0, 1, "0"), Violation},
		"another value":                            {made().op(1, 2, 3, set("x"), done(3, 1, "")), there(1, 3, "y"), Violation},
		"gone":                                     {made(), nil, Violation},
		"gone, and somebody may have deleted it":   {made().op(1, 2, 3, remove(), lost), nil, Valid},
		"there after its delete":                   {made().op(1, 2, 3, remove(), answeredAt(3)), there(0, 1, "0"), Violation},
		"set twice in a multi, the last":           {made().op(1, 2, 3, multiOf(set("x"), set("y")), partsAt(3, done(3, 1, ""), done(3, 2, ""))), there(2, 3, "y"), Valid},
		"set twice in a multi, the first":          {made().op(1, 2, 3, multiOf(set("x"), set("y")), partsAt(3, done(3, 1, ""), done(3, 2, ""))), there(1, 3, "x"), Violation},
		"made and deleted in a multi":              {made().op(1, 2, 3, multiOf(remove(), create("x"), remove()), partsAt(3, history.Result{}, history.Result{}, history.Result{})), nil, Valid},
		"deleted and made in a multi":              {made().op(1, 2, 3, multiOf(remove(), create("x")), partsAt(3, history.Result{}, history.Result{})), nil, Violation},
		"an ephemeral, gone":                       {made().op(1, 2, 3, multiOf(remove(), ephemeral), partsAt(3, history.Result{}, history.Result{})).op(1, 4, 5, set("x"), done(4, 1, "")), nil, Valid},
		"set, and its stat says that it may go":    {made().op(1, 2, 3, set("x"), owned), nil, Valid},
		"set, and made by a create without answer": {made().op(1, 2, 3, ephemeral, lost).op(1, 4, 5, multiOf(set("x")), partsAt(3, history.Result{})), nil, Valid},
	} {
		t.Run(name, func(t *testing.T) {
			for member := 1; member <= 3; member++ {
				b := history.Node{Path: "/b", Stat: history.Stat{Czxid: 1, Mzxid: 1}}
				c.history.event(9, history.Event{Kind: history.Znode, Member: member, Node: &b})
				if c.node != nil {
					c.history.event(9, history.Event{Kind: history.Znode, Member: member, Node: c.node})
				}
				c.history.event(9, history.Event{Kind: history.Final, Member: member, Zxid: 9})
			}
			r := judgeAlone(t, "durability", c.history, Options{})
			require.Equal(t, c.verdict, r.Verdict, "%q %s", r.Evidence, r.Reason)
		})
	}
}

// TestDurabilityWantsAMajorityOfDisks: an acknowledged write, here of zxid 7, is where logs end at it or later.
func TestDurabilityWantsAMajorityOfDisks(t *testing.T) {
	for name, c := range map[string]struct {
		ends []int64
		want Verdict
		says string
	}{
		"on all":              {[]int64{7, 7, 7}, Valid, ""},
		"on two of three":     {[]int64{7, 6, 9}, Valid, ""},
		"on one of three":     {[]int64{6, 9, 6}, Violation, "that of member 1 at zxid 0x6, that of member 3 at zxid 0x6"},
		"on half of four":     {[]int64{6, 9, 9, 6}, Violation, "not on a majority"},
		"a tree is not known": {[]int64{7, 7, unanswered}, Unknown, "missing of member 3"},
	} {
		t.Run(name, func(t *testing.T) {
			s := new(script).op(1, 0, 1, create("v"), answeredAt(7))
			for i, end := range c.ends {
				s.event(1, history.Event{Kind: history.Member, Member: i + 1, State: history.Serving})
				if end == unanswered {
					continue
				}
				node := history.Node{Path: "/a", Value: "v", Stat: history.Stat{Czxid: 7, Mzxid: 7}}
				s.event(2, history.Event{Kind: history.Znode, Member: i + 1, Node: &node}).event(2, disk(i+1, end, 0, "d"))
			}
			r := judgeAlone(t, "durability", s, Options{})
			require.Equal(t, c.want, r.Verdict, "%q %s", r.Evidence, r.Reason)
			require.Contains(t, append(r.Evidence, r.Reason, "")[0], c.says)
		})
	}
}
