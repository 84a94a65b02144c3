package workloads_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/results/history"
	"ordeal/workloads"
)

const (
	clientsOfTest    = 6
	operationsOfTest = 10_000
)

// simulated is one history of each workload, with and without faults, for the tests that look at it
// from different sides.
var simulated = sync.OnceValue(func() map[string][]step {
	histories := map[string][]step{}
	for _, w := range workloads.All() {
		histories[w.Name()+"/calm"], _ = simulate(w, clientsOfTest, 1, operationsOfTest, false)
		histories[w.Name()+"/faults"], _ = simulate(w, clientsOfTest, 1, operationsOfTest, true)
	}
	return histories
})

func each(t *testing.T, test func(t *testing.T, w workloads.Workload, steps []step)) {
	for _, w := range workloads.All() {
		for _, name := range []string{"calm", "faults"} {
			t.Run(w.Name()+"/"+name, func(t *testing.T) { test(t, w, simulated()[w.Name()+"/"+name]) })
		}
	}
}

// writes calls visit for every znode written, also those within a multi.
func writes(s step, visit func(path, value string)) {
	for _, r := range append([]history.Request{s.request}, s.request.Parts...) {
		if r.Kind == history.Create || r.Kind == history.Set {
			visit(r.Path, r.Value)
		}
	}
}

func TestSameSeedSameSteps(t *testing.T) {
	for _, w := range workloads.All() {
		first, _ := simulate(w, clientsOfTest, 5, 2_000, true)
		second, _ := simulate(w, clientsOfTest, 5, 2_000, true)
		require.Equal(t, first, second, w.Name())
		other, _ := simulate(w, clientsOfTest, 6, 2_000, true)
		require.NotEqual(t, first, other, w.Name())
	}
}

func TestEverythingHappensBelowTheRoot(t *testing.T) {
	each(t, func(t *testing.T, w workloads.Workload, steps []step) {
		for _, s := range steps {
			for _, r := range append([]history.Request{s.request}, s.request.Parts...) {
				if r.Kind != history.CloseSession && r.Kind != history.AbandonSession {
					require.True(t, strings.HasPrefix(r.Path, w.Root()+"/"), "%+v", r)
				}
			}
		}
	})
}

func TestAValueNamesItsWrite(t *testing.T) {
	each(t, func(t *testing.T, _ workloads.Workload, steps []step) {
		seen := map[string]bool{}
		for _, s := range steps {
			writes(s, func(path, value string) {
				word := value[strings.LastIndexByte(value, ' ')+1:]
				require.True(t, strings.HasPrefix(word, "c"+strconv.Itoa(s.client)+"-"), value)
				require.False(t, seen[word], "%q is written twice", word)
				seen[word] = true
			})
		}
	})
}

// The search for a linear order needs short histories of each znode, or of the znodes below one
// parent.
func TestZnodesRotate(t *testing.T) {
	const most = 900
	each(t, func(t *testing.T, w workloads.Workload, steps []step) {
		perZnode := map[string]int{}
		for _, s := range steps {
			path := s.request.Path
			if path == "" || w.Name() == "set" {
				continue
			}
			if parent := parentOf(path); parent != w.Root() {
				path = parent
			}
			perZnode[path]++
		}
		for path, n := range perZnode {
			require.Less(t, n, most, path)
		}
	})
}

func TestMostOperationsSucceedAndNobodyStops(t *testing.T) {
	each(t, func(t *testing.T, w workloads.Workload, steps []step) {
		succeeded := 0
		late := map[int]int{}
		kinds := map[history.OpKind]int{}
		for i, s := range steps {
			if s.result.Outcome == history.OK {
				succeeded++
				kinds[s.request.Kind]++
			}
			if i > len(steps)*9/10 {
				late[s.client]++
			}
		}
		require.Greater(t, succeeded, len(steps)/2)
		require.Len(t, late, clientsOfTest)
		for _, kind := range map[string][]history.OpKind{
			"register": {history.Create, history.Set, history.Get, history.SyncGet},
			"bank":     {history.Multi, history.Get, history.SyncGet},
			"queue":    {history.Create, history.Get, history.Delete, history.Children, history.SyncChildren},
			"lock":     {history.Create, history.Children, history.Exists, history.SyncGet, history.Set, history.Delete, history.CloseSession},
			"watch":    {history.Create, history.Set, history.Delete, history.Get, history.Exists, history.Children},
			"set":      {history.Create, history.Get, history.SyncGet},
		}[w.Name()] {
			require.Greater(t, kinds[kind], len(steps)/200, kind)
		}
	})
}

func TestBankKeepsItsTotal(t *testing.T) {
	w, err := workloads.Get("bank")
	require.NoError(t, err)
	_, m := simulate(w, clientsOfTest, 3, operationsOfTest, true)
	banks := 0
	for path, parent := range m.znodes {
		if parentOf(path) != w.Root() {
			continue
		}
		banks++
		total := 0
		for child := range parent.children {
			word, _, _ := strings.Cut(m.znodes[path+"/"+child].value, " ")
			balance, err := strconv.Atoi(word)
			require.NoError(t, err)
			total += balance
		}
		require.Equal(t, 500, total, path)
	}
	require.Greater(t, banks, 10)
}

func TestLockHasOneHolderAtATime(t *testing.T) {
	w, err := workloads.Get("lock")
	require.NoError(t, err)
	steps, _ := simulate(w, clientsOfTest, 3, operationsOfTest, false)
	raised := 0
	for _, s := range steps {
		if s.request.Kind == history.Set {
			require.Equal(t, history.OK, s.result.Outcome, "two clients raised the counter at once")
			raised++
		}
	}
	require.Greater(t, raised, operationsOfTest/20)
}

// TestLockAbandonsSessions: some clients leave a lock for good without a word, and no lock is held up by it.
func TestLockAbandonsSessions(t *testing.T) {
	w, err := workloads.Get("lock")
	require.NoError(t, err)
	steps, _ := simulate(w, clientsOfTest, 3, operationsOfTest, false)
	abandoned := 0
	for _, s := range steps {
		if s.request.Kind == history.AbandonSession {
			abandoned++
			require.Less(t, s.at%(5*time.Second), time.Second, "only where all go on to fresh locks")
		}
	}
	require.Positive(t, abandoned)
}

func TestSetStaysBounded(t *testing.T) {
	w, err := workloads.Get("set")
	require.NoError(t, err)
	_, m := simulate(w, clientsOfTest, 1, 45_000, false)
	require.LessOrEqual(t, len(m.znodes), 30_000+32)
}

func TestGetNamesTheAlternatives(t *testing.T) {
	_, err := workloads.Get("regsiter")
	require.EqualError(t, err, `no workload "regsiter"; there are register, bank, queue, lock, watch, set`)
}
