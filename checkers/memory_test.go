package checkers

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/results/history"
)

// What a judge keeps grows with the history in many ways, and each of them counts.
func TestJudgesAccountForWhatGrows(t *testing.T) {
	named := func(r history.Request, i int) history.Request {
		r.Path += "/" + itoa(i)
		return r
	}
	for name, c := range map[string]struct {
		checker string
		add     func(s *script, i int)
		bytes   int64 // at least, for each
	}{
		"reads of a session":        {"session-order", func(s *script, i int) { s.op(1, i, i, ask(history.Exists), refused(int64(i), "NoNode")) }, 900},
		"multis that failed":        {"multi", func(s *script, i int) { s.op(1, i, i, multiOf(set("1")), failedAt(int64(i))) }, 900},
		"multis of unknown outcome": {"multi", func(s *script, i int) { s.op(1, i, i, multiOf(set("1")), lost) }, 900},
		"balances": {"multi", func(s *script, i int) {
			s.op(1, i, i, multiOf(set("1")), partsAt(int64(i), done(int64(i), int32(i), "")))
		}, 350},
		"znodes of final trees":              {"multi", func(s *script, i int) { touched(s, i, named(create("x"), i)) }, 900 + 300},
		"sessions that watch":                {"watches", func(s *script, i int) { s.op(i, i, i, ask(history.Get), done(1, 0, "")) }, 300},
		"deletes of a parent":                {"sequential-names", func(s *script, i int) { s.op(1, i, i, remove(), answeredAt(int64(i))) }, 16},
		"sessions that are alive":            {"linearizable", func(s *script, i int) { s.op(i, i, i, ask(history.Get), done(1, 0, "")) }, 200},
		"versions of a znode that were read": {"linearizable", func(s *script, i int) { s.op(1, i, i, ask(history.Get), done(int64(i), int32(i), "")) }, 250},
	} {
		t.Run(name, func(t *testing.T) {
			used := func(count int) int64 {
				s := new(script).op(1, 0, 0, history.Request{Kind: history.Create, Path: "/a/n", Sequential: true},
					history.Result{Outcome: history.OK, Answered: true, Zxid: 1, Path: "/a/n0000000000"})
				for i := range count {
					c.add(s, i+1)
				}
				options := Options{}.withDefaults()
				require.NoError(t, read(context.Background(), s.events, []judge{&frugal{judge: find(c.checker).start(options)}}))
				return options.budget.used
			}
			const few, many = 10, 100
			require.GreaterOrEqual(t, used(many)-used(few), (many-few)*c.bytes)
		})
	}
}

// failedAt is the answer to a multi of which its one part failed.
func failedAt(zxid int64) history.Result {
	return history.Result{Outcome: history.Failed, Answered: true, Zxid: zxid, Parts: []history.Result{{Error: "BadVersion"}}}
}

// touched adds a lost multi, and what it left in a final tree.
func touched(s *script, i int, request history.Request) {
	s.op(1, i, i, multiOf(request), lost)
	s.event(i, history.Event{Kind: history.Znode, Member: 1, Node: &history.Node{Path: request.Path, Value: request.Value}})
}

// A judge that would need more than there is drops all that it keeps, and keeps nothing any more.
func TestAJudgeThatGivesUpKeepsNothing(t *testing.T) {
	log := simulate(1, 3000, 3, everyWorkload...)
	for _, g := range every {
		if g == health {
			continue // it keeps nothing that grows
		}
		options := simulatedOptions()
		options.MemoryBytes = 2000
		options = options.withDefaults()
		j := &frugal{judge: g.start(options)}
		require.NoError(t, read(context.Background(), log, []judge{j}))
		require.Nil(t, j.judge, g.name)
		require.Zero(t, options.budget.used, g.name)
		r := j.finish(context.Background())
		require.Equal(t, Unknown, r.Verdict, g.name)
		require.Contains(t, r.Reason, "memory budget", g.name)
	}
}

// What was found before the memory ran out stands.
func TestAJudgeThatGivesUpKeepsItsEvidence(t *testing.T) {
	s := new(script).op(1, 0, 1, create("0"), at(done(1, 0, ""), 9)).op(1, 2, 3, set("a"), done(2, 1, "")) // back from zxid 9
	s.op(1, 4, 5, history.Request{Kind: history.CloseSession}, answeredAt(10))
	for i := range 100 {
		s.op(2, 10+i, 10+i, ask(history.Exists), refused(int64(10+i), "NoNode"))
	}
	r := judgeAlone(t, "session-order", s, Options{MemoryBytes: 5000})
	require.Equal(t, Violation, r.Verdict)
	require.Contains(t, r.Evidence[0], "goes back from zxid 0x9")
}

// The budget is one for all: who needs most gives up, and leaves its part to the others.
func TestJudgesShareOneBudget(t *testing.T) {
	log := simulate(1, 3000, 3, everyWorkload...)
	options := simulatedOptions()
	options.MemoryBytes = 2 << 20
	verdicts := map[string]Verdict{}
	for _, r := range Run(context.Background(), log, options, []string{"linearizable", "durability", "convergence", "sync-reads"}) {
		verdicts[r.Name] = r.Verdict
		if r.Verdict == Unknown {
			require.Equal(t, "judging the order of operations needs more than its part of the memory budget of 2 MiB, which all checkers share", r.Reason)
		}
	}
	require.Equal(t, map[string]Verdict{"linearizable": Unknown, "durability": Valid, "convergence": Valid, "sync-reads": Valid}, verdicts)
}
