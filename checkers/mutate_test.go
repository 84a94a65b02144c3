package checkers

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/results/history"
)

// calls joins the returns of a history with what was asked.
func calls(log history.Memory) map[int64]history.Event {
	asked := map[int64]history.Event{}
	for _, e := range log {
		if e.Kind == history.Call {
			asked[e.Operation] = e
		}
	}
	return asked
}

// altered copies a history and replaces one event, which the copy owns.
func altered(log history.Memory, at int, with func(*history.Event)) history.Memory {
	log = slices.Clone(log)
	e := &log[at]
	if e.Result != nil {
		result := *e.Result
		if result.Stat != nil {
			stat := *result.Stat
			result.Stat = &stat
		}
		e.Result = &result
	}
	if e.Node != nil {
		node := *e.Node
		e.Node = &node
	}
	with(e)
	return log
}

// answered finds the nth answer that fits, from the middle of the history on.
func answered(log history.Memory, fits func(request *history.Request, e history.Event) bool) int {
	asked := calls(log)
	for i := len(log) / 3; i < len(log); i++ {
		if e := log[i]; e.Kind == history.Return && fits(asked[e.Operation].Request, e) {
			return i
		}
	}
	return -1
}

func ok(e history.Event) bool { return e.Result.Outcome == history.OK }

// Each mutation breaks one promise in a history that kept them all, as a real defect would.
var mutations = []struct {
	name   string
	finds  string
	mutate func(history.Memory) history.Memory
}{
	{"an acknowledged write is missing from every final tree", "durability", func(log history.Memory) history.Memory {
		at := answered(log, func(r *history.Request, e history.Event) bool {
			return r.Kind == history.Create && e.Workload == "set" && ok(e)
		})
		return slices.DeleteFunc(slices.Clone(log), func(e history.Event) bool { return e.Node != nil && e.Node.Path == log[at].Result.Path })
	}},
	{"one member lacks a znode", "convergence", func(log history.Memory) history.Memory {
		at := slices.IndexFunc(log, func(e history.Event) bool { return e.Kind == history.Znode && e.Member == 2 })
		log = slices.Delete(slices.Clone(log), at, at+1)
		final := slices.IndexFunc(log, func(e history.Event) bool { return e.Kind == history.Final && e.Member == 2 })
		log[final].Count--
		return log
	}},
	{"one member has another value", "convergence", func(log history.Memory) history.Memory {
		at := slices.IndexFunc(log, func(e history.Event) bool { return e.Kind == history.Znode && e.Member == 3 })
		return altered(log, at, func(e *history.Event) { e.Node.Value = "other" })
	}},
	{"a read after sync shows the state of long ago", "sync-reads", func(log history.Memory) history.Memory {
		at := answered(log, func(r *history.Request, e history.Event) bool { return r.Kind == history.SyncGet && ok(e) })
		return altered(log, at, func(e *history.Event) { e.Result.Zxid = e.Result.Stat.Czxid })
	}},
	{"a read after sync shows an old version", "linearizable", func(log history.Memory) history.Memory {
		at := answered(log, func(r *history.Request, e history.Event) bool {
			return r.Kind == history.SyncGet && ok(e) && e.Result.Stat.Version > 1 && e.Workload == "register"
		})
		return altered(log, at, func(e *history.Event) { e.Result.Stat.Version-- })
	}},
	{"two writes make the same version", "linearizable", func(log history.Memory) history.Memory {
		at := answered(log, func(r *history.Request, e history.Event) bool {
			return r.Kind == history.Set && ok(e) && e.Result.Stat.Version > 1
		})
		return altered(log, at, func(e *history.Event) { e.Result.Stat.Version-- })
	}},
	{"a write takes effect before it was sent", "linearizable", func(log history.Memory) history.Memory {
		asked := calls(log)
		at := answered(log, func(r *history.Request, e history.Event) bool { return r.Kind == history.Set && ok(e) })
		log = slices.Clone(log)
		call := slices.IndexFunc(log, func(e history.Event) bool { return e.Kind == history.Call && e.Operation == log[at].Operation })
		next := answered(log, func(r *history.Request, e history.Event) bool {
			return r.Kind == history.Set && ok(e) && e.Time > log[at].Time && e.Result.Zxid > log[at].Result.Zxid && r.Path == asked[log[at].Operation].Request.Path
		})
		log[call].Time, log[at].Time = log[next].Time+1, log[next].Time+2
		return log
	}},
	{"a list of children lacks one", "linearizable", func(log history.Memory) history.Memory {
		at := answered(log, func(r *history.Request, e history.Event) bool {
			return r.Kind == history.SyncChildren && e.Workload == "queue" && len(e.Result.Children) > 2
		})
		return altered(log, at, func(e *history.Event) { e.Result.Children = e.Result.Children[1:] })
	}},
	{"a sequential name is given twice", "sequential-names", func(log history.Memory) history.Memory {
		first := ""
		at := answered(log, func(r *history.Request, e history.Event) bool {
			if !r.Sequential || !ok(e) || e.Workload != "queue" {
				return false
			}
			if first == "" {
				first = e.Result.Path
				return false
			}
			return parent(first) == parent(e.Result.Path)
		})
		return altered(log, at, func(e *history.Event) { e.Result.Path = first })
	}},
	{"a session goes back in time", "session-order", func(log history.Memory) history.Memory {
		at := answered(log, func(r *history.Request, e history.Event) bool {
			return r.Kind == history.Get && ok(e) && e.Result.Stat.Mzxid > e.Result.Stat.Czxid
		})
		return altered(log, at, func(e *history.Event) { e.Result.Zxid = e.Result.Stat.Mzxid - 1 })
	}},
	{"a watch event comes twice", "watches", func(log history.Memory) history.Memory {
		at := slices.IndexFunc(log, func(e history.Event) bool { return e.Kind == history.WatchFired })
		return slices.Insert(slices.Clone(log), at, log[at])
	}},
	{"the watch events of a client are lost", "watches", func(log history.Memory) history.Memory {
		at := slices.IndexFunc(log, func(e history.Event) bool { return e.Kind == history.WatchFired && e.Workload == "watch" })
		return slices.DeleteFunc(slices.Clone(log), func(e history.Event) bool { return e.Kind == history.WatchFired && e.Client == log[at].Client })
	}},
	{"an ephemeral znode outlives its closed session", "ephemerals", func(log history.Memory) history.Memory {
		at := answered(log, func(r *history.Request, e history.Event) bool { return r.Kind == history.CloseSession && ok(e) })
		var owner int64
		fmt.Sscanf(log[at].SessionID, "0x%x", &owner)
		last := slices.IndexFunc(log, func(e history.Event) bool { return e.Kind == history.Final })
		e := history.Event{Time: log[last].Time, Kind: history.Znode, Member: 1, Node: &history.Node{Path: "/left", Stat: history.Stat{EphemeralOwner: owner}}}
		return slices.Insert(slices.Clone(log), last, e)
	}},
	{"a failed multi leaves a trace", "multi", func(log history.Memory) history.Memory {
		asked := calls(log)
		at := answered(log, func(r *history.Request, e history.Event) bool {
			return r.Kind == history.Multi && e.Result.Outcome == history.Failed && len(e.Result.Parts) > 0 && r.Parts[0].Kind == history.Set
		})
		path := asked[log[at].Operation].Request.Parts[0].Path
		final := slices.IndexFunc(log, func(e history.Event) bool { return e.Node != nil && e.Node.Path == path })
		return altered(log, final, func(e *history.Event) { e.Node.Stat.Mzxid = log[at].Result.Zxid })
	}},
	{"money vanishes", "multi", func(log history.Memory) history.Memory {
		final := slices.IndexFunc(log, func(e history.Event) bool {
			return e.Node != nil && parent(parent(e.Node.Path)) == "/ordeal-bank"
		})
		return altered(log, final, func(e *history.Event) { e.Node.Value = "1 lost" })
	}},
	{"a member crashes", "health", func(log history.Memory) history.Memory {
		return append(slices.Clone(log), history.Event{Kind: history.Member, Member: 1, State: history.Crashed, Text: "panic: boom", Time: log[len(log)-1].Time})
	}},
}

func TestBrokenPromisesAreFound(t *testing.T) {
	for seed := range uint64(3) {
		log := simulate(seed, 2500, 4, everyWorkload...)
		for _, m := range mutations {
			t.Run(fmt.Sprintf("%s, seed %d", m.name, seed), func(t *testing.T) {
				options := simulatedOptions()
				options.ArtifactDir = t.TempDir()
				checker, err := Get(m.finds)
				require.NoError(t, err)
				r, err := checker.Check(context.Background(), m.mutate(log), options)
				require.NoError(t, err)
				require.Equal(t, Violation, r.Verdict, "%s %q", r.Reason, r.Evidence)
				require.NotEmpty(t, r.Evidence)
				require.NotEmpty(t, r.Guarantee)
				if m.finds == "linearizable" {
					require.Len(t, r.Artifacts, 1)
					picture, err := os.ReadFile(r.Artifacts[0])
					require.NoError(t, err)
					require.Contains(t, string(picture), "kill member 1", "the picture shows the faults")
				}
			})
		}
	}
}
