package checkers

import (
	"context"
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
