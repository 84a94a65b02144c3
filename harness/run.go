package harness

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"ordeal/harness/client"
	"ordeal/harness/ensemble"
	"ordeal/results"
	"ordeal/results/history"
)

// The phases of a run, as its history and its progress name them.
const (
	PhaseStart   = "start"
	PhaseSetup   = "setup"
	PhaseLoad    = "load"
	PhaseHeal    = "heal"
	PhaseFinal   = "final"
	PhaseCollect = "collect"
	PhaseCheck   = "check"
)

// Bounds on the phases, so that a run ends whatever its members do.
const (
	serveTimeout   = 60 * time.Second // from the start until all members serve
	setupTimeout   = 30 * time.Second
	finalTimeout   = 60 * time.Second
	collectTimeout = 60 * time.Second
)

// errInterrupted ends a run whose plan was interrupted.
var errInterrupted = errors.New("it was interrupted")

// Run carries out a plan and returns what was found. An error means that the plan makes no sense (a
// UsageError), that nothing could be stored, or that ctx ended: then everything is cleaned up at once,
// and what was recorded is kept without being judged. A run that fails otherwise has the verdict
// "failed", and what it recorded until then is kept and judged.
func Run(ctx context.Context, plan Plan) (*results.Verdict, error) {
	plan, err := plan.resolve()
	if err != nil {
		return nil, err
	}
	if plan.Driver == DriverSim {
		return simulate(ctx, plan)
	}
	choice, err := chooseDriver(ctx, plan)
	if err != nil {
		return nil, err
	}
	if err := plan.resolveProgram(); err != nil {
		return nil, err
	}
	return carryOut(ctx, plan, choice)
}

// carryOut does a run by a driver, and judges and stores it.
func carryOut(ctx context.Context, plan Plan, choice driver) (*results.Verdict, error) {
	plan.Driver = choice.name
	started := time.Now()
	folder, err := results.Create(plan.Out, plan.Name, started)
	if err != nil {
		return nil, err
	}
	writer, err := history.NewWriter(folder.Path(results.HistoryFile))
	if err != nil {
		return nil, err
	}
	r := &run{plan: plan, folder: folder, writer: writer, driver: choice, record: plan.record(started, choice),
		crashed: make(chan history.Event, 1), broken: make(chan error, 1)}
	failure := r.do(ctx)
	if failure != nil {
		r.Record(history.Event{Time: writer.Now(), Kind: history.Note, Text: failurePrefix + failure.Error()})
	}
	if err := writer.Close(); err != nil && !errors.Is(failure, err) {
		failure = errors.Join(failure, err)
	}
	failure = errors.Join(failure, folder.SaveRun(r.record))
	plan.Progress(Progress{Phase: PhaseCheck})
	verdict, err := judgeAndStore(ctx, folder, r.record, failure)
	if verdict == nil && ctx.Err() != nil {
		if failure == nil {
			failure = err
		}
		return nil, fmt.Errorf("the run was ended before it was judged; %s judges what it recorded: %w", CheckOptions{Program: plan.Program}.again(folder.Dir), failure)
	}
	if verdict == nil {
		return nil, errors.Join(failure, err)
	}
	if err != nil {
		verdict.Verdict, verdict.Reason = results.Failed, inALine(errors.Join(failure, err))
	}
	return verdict, nil
}

// run is a run under way.
type run struct {
	plan     Plan
	folder   *results.Folder
	writer   *history.Writer
	driver   driver
	record   results.Run
	ensemble ensemble.Ensemble
	observer *observer
	faults   *faults

	crashed chan history.Event // the first member that ended by itself
	broken  chan error         // what broke first that is not under test
	numbers client.Numbers     // of operations
	clients int                // numbers given to clients so far
	trees   map[int]client.Tree

	mu    sync.Mutex
	tally tally
}

// Record writes an event and counts it. It implements history.Recorder.
func (r *run) Record(event history.Event) {
	r.mu.Lock()
	r.tally.add(event)
	r.mu.Unlock()
	r.writer.Record(event)
}

// phase says where the run is.
func (r *run) phase(name string) {
	r.plan.Log.Info("phase", "name", name)
	r.Record(history.Event{Time: r.writer.Now(), Kind: history.Phase, Text: name})
	r.plan.Progress(r.progress(name, 0))
}

// startProgress tells what is being started.
func startProgress(record results.Run) Progress {
	return Progress{Phase: PhaseStart, Detail: fmt.Sprintf("%s driver (%s), seed %d", record.Driver, record.DriverReason, record.Seed)}
}

// progress is how the run goes now.
func (r *run) progress(phase string, elapsed time.Duration) Progress {
	p := Progress{Phase: phase, Elapsed: elapsed, Planned: r.plan.Duration, Members: r.plan.Members}
	r.mu.Lock()
	p.OK, p.Failed, p.Unknown = r.tally.operations.OK, r.tally.operations.Failed, r.tally.operations.Unknown
	r.mu.Unlock()
	if r.observer != nil {
		leader, serving, changes := r.observer.snapshot()
		p.Leader, p.Epoch, p.Serving, p.LeaderChanges = leader.member, leader.epoch, len(serving), changes
	}
	if r.faults != nil {
		p.Active = r.faults.activeNow()
	}
	return p
}

// notify takes what a driver tells of its members. A member that ends by itself before all serve ends
// the start: there is nothing to wait for.
func (r *run) notify(event history.Event) {
	event.Time = r.writer.Now()
	r.Record(event)
	if event.State == history.Crashed {
		select {
		case r.crashed <- event:
		default: // one is enough
		}
	}
}

// broke takes what a driver tells of itself: it ends the run, and no member is blamed.
func (r *run) broke(err error) {
	r.Record(history.Event{Time: r.writer.Now(), Kind: history.Note, Text: err.Error()})
	select {
	case r.broken <- err:
	default: // the first one has ended the run
	}
}

// brokenBy is what the driver told of itself and nobody has taken yet, or nil.
func (r *run) brokenBy() error {
	select {
	case err := <-r.broken:
		return err
	default:
		return nil
	}
}

// do goes through the phases. The ensemble is removed at the end whatever happens.
func (r *run) do(ctx context.Context) (failure error) {
	if err := r.folder.SaveRun(r.record); err != nil {
		return err
	}
	r.phase(PhaseStart)
	r.plan.Progress(startProgress(r.record))
	members := filepath.Join(r.folder.Dir, results.MembersDir)
	err := r.untilInterrupted(ctx, func(ctx context.Context) (err error) {
		r.ensemble, err = r.driver.start(ctx, r.plan.spec(members, r.folder, r.notify, r.broke))
		return err
	})
	if err != nil {
		return fmt.Errorf("start the ensemble: %w", err)
	}
	defer func() {
		failure = errors.Join(failure, r.ensemble.Close(context.WithoutCancel(ctx)))
	}()
	r.skipFaults()
	r.observer = newObserver(r.ensemble, r, r.writer.Now)
	r.faults = r.newFaults()

	// The observer ends when the phases have, and is waited for.
	watching, stop := context.WithCancel(ctx)
	var group errgroup.Group
	group.Go(func() error {
		r.observer.run(watching)
		return nil
	})
	defer func() {
		stop()
		_ = group.Wait()
	}()
	failure = r.phases(ctx)
	if ctx.Err() != nil {
		return failure // in a hurry: members are removed as they are
	}
	return errors.Join(failure, r.collect(ctx, members, stop), r.brokenBy())
}

// untilInterrupted does something that ends early when the plan is interrupted; the error then says so.
func (r *run) untilInterrupted(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-r.plan.Interrupt:
			cancel(errInterrupted)
		case <-ctx.Done():
		}
	})
	err := do(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	cancel(nil)
	waiting.Wait()
	return err
}

// phases are those that need the ensemble up: from the first member that serves to the last read.
func (r *run) phases(ctx context.Context) error {
	if err := r.untilInterrupted(ctx, r.awaitServing); err != nil {
		return err
	}
	r.phase(PhaseSetup)
	if err := r.untilInterrupted(ctx, r.setup); err != nil {
		return fmt.Errorf("set up the workloads: %w", err)
	}
	r.phase(PhaseLoad)
	crowd, err := r.startClients(ctx)
	if err != nil {
		return err
	}
	failure := r.load(ctx, crowd)
	if r.writer.Err() != nil {
		// Nothing that happens from here on would be recorded. The members may share the disk, and not recover.
		return errors.Join(failure, crowd.dismiss())
	}
	r.phase(PhaseHeal)
	// Even after a failure: what was recorded is worth more if the rest of the run is sound.
	var healing error
	if ctx.Err() == nil {
		healing = r.faults.healAll(ctx)
	}
	closing := r.endClients(ctx, crowd)
	if ctx.Err() != nil {
		return context.Cause(ctx) // what else failed did because of that
	}
	if failure != nil && !errors.Is(failure, errInterrupted) || healing != nil {
		return errors.Join(failure, healing, closing)
	}
	r.phase(PhaseFinal)
	return errors.Join(failure, closing, r.final(ctx))
}

// awaitServing returns when all members serve.
func (r *run) awaitServing(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, serveTimeout)
	defer cancel()
	serving := make(chan error, 1)
	var group errgroup.Group
	group.Go(func() error {
		serving <- r.observer.await(waiting, allServe)
		return nil
	})
	defer func() {
		cancel()
		_ = group.Wait()
	}()
	var err error
	select {
	case event := <-r.crashed:
		return fmt.Errorf("member %d does not start: %s", event.Member, event.Text)
	case err := <-r.broken:
		return err
	case err = <-serving:
	}
	if err != nil && ctx.Err() == nil {
		_, answering, _ := r.observer.snapshot()
		return fmt.Errorf("the ensemble does not serve %v after its start: members %v answer, of %d; their logs are in %s",
			serveTimeout, answering, r.ensemble.Size(), r.folder.Path(results.MembersDir))
	}
	return err
}
