package harness

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ordeal/harness/sim"
	"ordeal/nemesis"
	"ordeal/results"
	"ordeal/results/history"
	"ordeal/workloads"
)

// The network and the disks of a simulated run: those of one machine room.
const (
	simLatency = 300 * time.Microsecond
	simJitter  = 500 * time.Microsecond
	simFsync   = 2 * time.Millisecond
)

// simulate carries out a plan in virtual time: the same workloads, nemeses, history, checkers and report
// as on real ensembles, and the same events again for the same seed.
func simulate(ctx context.Context, plan Plan) (*results.Verdict, error) {
	planned, err := plan.simulation()
	if err != nil {
		return nil, err
	}
	if err := planned.Check(); err != nil {
		return nil, usage("--driver sim: %v", err)
	}
	folder, err := results.Create(plan.Out, plan.Name, time.Now())
	if err != nil {
		return nil, err
	}
	writer, err := history.NewWriter(folder.Path(results.HistoryFile))
	if err != nil {
		return nil, err
	}
	record := plan.record(time.Now(), driver{name: DriverSim, reason: plan.driverReason})
	record.Skipped = plan.omitted(sim.Possible())
	plan.Progress(startProgress(record))
	if err := folder.SaveRun(record); err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	watched := &simulated{plan: plan, writer: writer}
	planned.Recorder, planned.Progress = watched, watched.progress
	planned.Stop = func() sim.Stop { return asked(ctx, plan.Interrupt) }
	outcome := planned.Run()
	if v := outcome.Violation; v != nil {
		// What broke inside, where no client need have seen it, is told as the end of a server that
		// noticed it itself would be: the checker of health names it.
		writer.Record(history.Event{Time: v.At, Kind: history.Member, State: history.Crashed,
			Text: fmt.Sprintf("the simulator saw that %s is broken (%s) %s", v.Guarantee, sim.Promise(v.Guarantee), v.Text)})
	}
	if outcome.CutShort {
		writer.Record(history.Event{Time: outcome.Virtual, Kind: history.Note, Text: failurePrefix + errInterrupted.Error()})
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	plan.Progress(Progress{Phase: PhaseCheck})
	return judgeAndStore(context.WithoutCancel(ctx), folder, record, nil)
}

// asked tells how a run was asked to end: the context's end ends it at once, an interrupt its load.
func asked(ctx context.Context, interrupt <-chan struct{}) sim.Stop {
	select {
	case <-ctx.Done():
		return sim.EndNow
	default:
	}
	select {
	case <-interrupt:
		return sim.EndLoad
	default:
		return sim.GoOn
	}
}

// simulated watches a simulated run.
type simulated struct {
	plan   Plan
	writer *history.Writer
	tally  tally
	phase  string
	told   time.Time
}

// Record writes an event and counts it. It implements history.Recorder.
func (s *simulated) Record(event history.Event) {
	s.tally.add(event)
	s.writer.Record(event)
}

// progress tells how the run goes: at every change of phase, and else not too often, for virtual time
// flies.
func (s *simulated) progress(phase string, elapsed time.Duration, view nemesis.View) {
	if phase == s.phase && time.Since(s.told) < progressEvery {
		return
	}
	s.phase, s.told = phase, time.Now()
	s.plan.Progress(Progress{
		Phase: phase, Elapsed: elapsed, Planned: s.plan.Duration, Members: s.plan.Members,
		OK: s.tally.operations.OK, Failed: s.tally.operations.Failed, Unknown: s.tally.operations.Unknown,
		Leader: view.Leader, Epoch: view.Epoch, Serving: len(view.Serving), Active: view.Active, LeaderChanges: s.tally.leaderChanges(),
	})
}

// simulation is the plan as the simulator takes it.
func (p Plan) simulation() (sim.Planned, error) {
	planned := sim.Planned{
		Config: sim.Config{
			Seed: p.Seed, Strategy: sim.Swarm, Defect: p.Defect, Voters: p.Members - p.Observers, Observers: p.Observers,
			TickTime: p.TickTime, InitLimit: p.InitLimit, SyncLimit: p.SyncLimit, SessionTimeout: p.sessionTimeout(),
			SnapCount: simSnapCount, CommitLog: simCommitLog, SizeFactor: simSizeFactor, FastReads: true, LeaderServes: true,
			Latency: simLatency, Jitter: simJitter, Fsync: simFsync, Rate: p.Rate, Load: p.Duration,
		},
	}
	if p.Hush {
		planned.HushAfter, planned.HushBeyond = hushAfter, hushBeyond
	}
	var list []workloads.Workload
	for _, name := range p.Workloads {
		workload, err := workloads.Get(name)
		if err != nil {
			return planned, err
		}
		list = append(list, workload)
	}
	sharing := run{plan: p}
	for i, workload := range list {
		planned.Workloads = append(planned.Workloads, sim.Share{Workload: workload, Clients: sharing.share(workload, i, list)})
	}
	for i, name := range p.Nemeses {
		n, err := nemesis.Get(name)
		if err != nil {
			return planned, err
		}
		planned.Nemeses = append(planned.Nemeses, sim.Turn{Name: name, Schedule: n.Start(p.Seed+uint64(i), sim.Possible())})
	}
	return planned, nil
}

// Apache's defaults of what a plan does not say.
const (
	simSnapCount  = 100_000
	simCommitLog  = 500
	simSizeFactor = 0.33
)
