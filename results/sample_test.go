package results

import (
	"math/rand/v2"
	"time"

	"ordeal/results/history"
	"ordeal/results/judgement"
)

// sampleHistory is a run of some seconds with faults, elections and operations of all outcomes.
func sampleHistory(seconds, rate int) history.Memory {
	random := rand.New(rand.NewPCG(1, 2))
	var log history.Memory
	add := func(at float64, e history.Event) {
		e.Time = time.Duration(at * float64(time.Second))
		log = append(log, e)
	}
	add(0, history.Event{Kind: history.Phase, Text: "setup"})
	add(1.1, history.Event{Kind: history.Member, Member: 2, State: history.Leading, Epoch: 1})
	add(1.5, history.Event{Kind: history.Phase, Text: "load"})
	faults := []history.Fault{
		{ID: 1, Nemesis: "kill-leader", Kind: history.Kill, Members: []int{2}, Leader: 2, Epoch: 1},
		{ID: 2, Nemesis: "partition-leader", Kind: history.Cut, Shape: "isolate-leader", Mode: history.Drop, Members: []int{3}, Leader: 3, Epoch: 2},
		{ID: 3, Nemesis: "pause-leader", Kind: history.Pause, Members: []int{1}},
	}
	step := float64(seconds) / 4
	down := func(at float64) bool {
		for i := range faults {
			if from := step*float64(i) + step; at >= from && at < from+0.7 {
				return true
			}
		}
		return false
	}
	number := int64(0)
	fault := 0
	kinds := []history.OpKind{history.Get, history.SyncGet, history.Set, history.Create, history.Multi, history.Children}
	for at := 1.5; at < float64(seconds); at += 1 / float64(rate) {
		if from := step * float64(fault+1); fault < len(faults) && at >= from {
			add(from, history.Event{Kind: history.FaultOn, Fault: &faults[fault]})
			add(from+0.6, history.Event{Kind: history.Member, Member: fault%3 + 1, State: history.Leading, Epoch: int64(fault + 2)})
			add(from+step*0.45, history.Event{Kind: history.FaultOff, Fault: &faults[fault]})
			fault++
		}
		number++
		kind := kinds[random.IntN(len(kinds))]
		latency := 0.001 + 0.002*random.ExpFloat64()
		outcome := history.OK
		if down(at) {
			switch latency = 0.3 + 0.4*random.Float64(); random.IntN(3) {
			case 0:
				outcome = history.Unknown
			case 1:
				outcome = history.Failed
			}
		} else if random.IntN(12) == 0 {
			outcome = history.Failed
		}
		add(at, history.Event{Kind: history.Call, Operation: number, Client: 1, Request: &history.Request{Kind: kind}})
		add(at+latency, history.Event{Kind: history.Return, Operation: number, Client: 1, Result: &history.Result{Outcome: outcome}})
	}
	add(float64(seconds), history.Event{Kind: history.Phase, Text: "end"})
	return log
}

func sampleRun() Run {
	return Run{
		Name: "node-mixed", Started: time.Date(2026, 11, 23, 7, 4, 5, 0, time.UTC), Driver: "container",
		DriverReason: "a Docker engine answers (API 1.41)", Implementations: []string{"node", "node", "node"}, Members: 3,
		Workloads: []string{"register", "bank", "queue", "lock", "watch", "set"}, Nemeses: []string{"mixed"}, DurationSeconds: 30,
		Clients: 18, Rate: 400, Seed: 4711, TickTimeMillis: 500, InitLimit: 10, SyncLimit: 4, SessionMillis: 4000,
		Versions: map[string]string{"ordeal": "3aec4c5", "docker": "20.10.24", "image": "sha256:93f1b1c5aa0e"},
	}
}

// sampleVerdict has a guarantee of each verdict.
func sampleVerdict() Verdict {
	v := Verdict{
		Driver: "container", Implementation: "node", Seed: 4711, DurationSeconds: 30, Operations: Operations{OK: 10412, Failed: 934, Unknown: 112},
		Faults: 3, FaultsSkipped: []Skipped{{"power-loss", "the image under test writes through the page cache, and kill -9 alone does not empty it"}},
		LeaderChanges: 4, Results: "results/runs/node-mixed/20261123T070405Z",
		Rerun: "ordeal run --implementation node --driver container --nemesis mixed --duration 30s --seed 4711",
		Checkers: []judgement.Result{
			{Name: "linearizable", Verdict: judgement.Violation, Judged: 7120,
				Guarantee: "Writes are linearizable, and so are reads after sync as far as the implementation promises it.",
				Evidence: []string{
					`no order explains sync-get /ordeal-register/r0-0-0-k1: read "c4-22", version 16, mzxid 0x1000001f3, at zxid 0x100000214 (operation 1010 of client 2, session 0x100000c1b2f0001, member 1, called at 14.141774 s, answered at 14.142622 s)`,
					"after all that stands before it, it shows version 16, mzxid 0x1000001f3 of /ordeal-register/r0-0-0-k1, which has version 17, mzxid 0x1000001f8",
				},
				Artifacts: []string{"/somewhere/pictures/linearizable-ordeal-register-r0-0-0-k1.html"}},
			{Name: "sync-reads", Verdict: judgement.Valid, Judged: 1240, Guarantee: "A read that follows a sync sees every write acknowledged before the sync was sent.",
				Evidence: []string{"known weakness ZOOKEEPER-1675 (sync is not a quorum operation): one stale read"}},
			{Name: "session-order", Verdict: judgement.Valid, Judged: 10412, Guarantee: "A session's operations take effect in the order it sent them; it sees its own writes and never goes back in time."},
			{Name: "watches", Verdict: judgement.Skipped, Reason: "no watch was left; it needs the workload watch or lock", Guarantee: "A watch fires once, in order, before any read shows what came after it, and is not lost across reconnects."},
			{Name: "convergence", Verdict: judgement.Unknown, Judged: 3201, Reason: "the final tree is missing or incomplete of member 3", Guarantee: "After faults are healed, all members converge to the same tree."},
			{Name: "health", Verdict: judgement.Valid, Judged: 14, Guarantee: "A member runs until it is asked to end: no panic, no unexpected exit, no data race."},
		},
	}
	v.Conclude(true)
	return v
}
