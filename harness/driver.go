package harness

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"ordeal/harness/ensemble"
	"ordeal/harness/ensemble/container"
	"ordeal/harness/ensemble/process"
	"ordeal/nemesis"
	"ordeal/results"
	"ordeal/results/history"
)

// driver is a chosen driver, and why it was chosen.
type driver struct {
	name   string
	reason string
	start  func(context.Context, ensemble.Spec) (ensemble.Ensemble, error)
}

// chooseDriver takes the container driver where an engine answers and the process driver elsewhere,
// unless the plan says which.
func chooseDriver(ctx context.Context, plan Plan) (driver, error) {
	containers := driver{name: DriverContainer, start: func(ctx context.Context, spec ensemble.Spec) (ensemble.Ensemble, error) {
		return started(container.Start(ctx, spec))
	}}
	processes := driver{name: DriverProcess, start: func(ctx context.Context, spec ensemble.Spec) (ensemble.Ensemble, error) {
		return started(process.Start(ctx, spec))
	}}
	needsImage := slices.ContainsFunc(plan.Implementations, func(i ensemble.Implementation) bool {
		return i != ensemble.Node && i != ensemble.Apache
	})
	switch plan.Driver {
	case DriverContainer:
		containers.reason = plan.driverReason
		_, err := container.Available(ctx)
		return containers, err
	case DriverProcess:
		processes.reason = plan.driverReason
		if needsImage {
			return processes, usage("--driver process cannot run the image in --implementation %s; use --driver container", plan.implementation())
		}
		return processes, nil
	}
	engine, err := container.Available(ctx)
	if err == nil {
		containers.reason = fmt.Sprintf("Docker engine %s answers", engine.Version)
		return containers, nil
	}
	if needsImage {
		return containers, err
	}
	processes.reason = err.Error()
	return processes, nil
}

// started keeps a nil pointer of a driver's own type from becoming an interface that is not nil.
func started[E ensemble.Ensemble](e E, err error) (ensemble.Ensemble, error) {
	if err != nil {
		return nil, err
	}
	return e, nil
}

// implementationWord is an implementation as it stands in a stored run.
func implementationWord(word string) ensemble.Implementation { return ensemble.Implementation(word) }

// spec is the ensemble that a plan asks for.
func (p Plan) spec(members string, folder *results.Folder, notify func(history.Event), failed func(error)) ensemble.Spec {
	return ensemble.Spec{
		Run:             p.Name + "-" + filepath.Base(folder.Dir),
		Implementations: p.Implementations, Observers: p.Observers,
		TickTime: p.TickTime, InitLimit: p.InitLimit, SyncLimit: p.SyncLimit,
		Dir: members, Binary: p.Binary, Defect: p.Defect, HoldUnsynced: p.holdsUnsynced(),
		Properties: p.Properties, Log: p.Log, Notify: notify, Failed: failed,
	}
}

// record is the plan as it is stored with the run.
func (p Plan) record(started time.Time, choice driver) results.Run {
	var implementations []string
	weak := false
	for _, implementation := range p.Implementations {
		implementations = append(implementations, string(implementation))
		weak = weak || implementation != ensemble.Node
	}
	return results.Run{
		Name: p.Name, Started: started, Command: p.rerun(),
		Driver: choice.name, DriverReason: choice.reason,
		Implementations: implementations, Members: p.Members, Observers: p.Observers,
		Workloads: p.Workloads, Nemeses: p.Nemeses, DurationSeconds: p.Duration.Seconds(),
		Clients: p.Clients, Rate: p.Rate, Hush: p.Hush, Seed: p.Seed, Defect: p.Defect,
		TickTimeMillis: p.TickTime.Milliseconds(), InitLimit: p.InitLimit, SyncLimit: p.SyncLimit,
		SessionMillis: p.sessionTimeout().Milliseconds(), Properties: p.Properties,
		StrictSync: p.StrictSync, KnownWeakSync: weak, StrictDisk: p.StrictDisk, KnownWeakDisk: weak,
		CheckSeconds: p.CheckTime.Seconds(), CheckMemoryBytes: p.CheckMemory,
	}
}

// skipFaults records which faults the nemeses would use and this ensemble cannot give, or is too small for.
func (r *run) skipFaults() {
	refused, spared := r.ensemble.Refuses(), r.ensemble.Spares()
	for _, kind := range history.FaultKinds {
		reason, skipped := refused[kind]
		if some, partly := spared[kind]; partly {
			reason, skipped = fmt.Sprintf("members %v are spared: %s", some.Members, some.Reason), true
		}
		if !skipped || !r.wants(kind) {
			continue
		}
		r.record.Skipped = append(r.record.Skipped, results.Skipped{Name: string(kind), Reason: reason})
	}
	r.record.Skipped = append(r.record.Skipped, r.plan.omitted(r.possible())...)
	for _, skipped := range r.record.Skipped {
		r.Record(history.Event{Time: r.writer.Now(), Kind: history.Note, Text: fmt.Sprintf("left out: %s: %s", skipped.Name, skipped.Reason)})
	}
	r.record.Versions = r.ensemble.Versions()
}

// omitted is what the plan's nemeses would do with these kinds of faults in a larger ensemble.
func (p Plan) omitted(possible []history.FaultKind) []results.Skipped {
	var skipped []results.Skipped
	for _, name := range p.Nemeses {
		n, err := nemesis.Get(name)
		if err != nil {
			panic(fmt.Sprintf("harness: nemesis %q was checked when the plan was resolved: %v", name, err))
		}
		for _, omission := range n.Omits(p.Members-p.Observers, p.Members, possible) {
			if s := (results.Skipped{Name: omission.Name, Reason: omission.Reason}); !slices.Contains(skipped, s) {
				skipped = append(skipped, s)
			}
		}
	}
	return skipped
}

// wants tells whether a nemesis of the plan would use a fault. One that needs none in particular uses
// all that it gets.
func (r *run) wants(kind history.FaultKind) bool {
	for _, name := range r.plan.Nemeses {
		n, err := nemesis.Get(name)
		if err != nil || name == none {
			continue
		}
		if len(n.Needs()) == 0 || slices.Contains(n.Needs(), kind) {
			return true
		}
	}
	return false
}

// possible are the kinds of faults that the ensemble gives.
func (r *run) possible() []history.FaultKind {
	refused := r.ensemble.Refuses()
	return slices.DeleteFunc(slices.Clone(history.FaultKinds), func(kind history.FaultKind) bool {
		_, no := refused[kind]
		return no
	})
}

func (r *run) newFaults() *faults {
	f := &faults{ensemble: r.ensemble, observer: r.observer, recorder: r, now: r.writer.Now, spared: map[history.FaultKind][]int{}}
	for kind, spared := range r.ensemble.Spares() {
		f.spared[kind] = spared.Members
	}
	for id := 1; id <= r.plan.Members; id++ {
		f.members = append(f.members, id)
		if id <= r.plan.Members-r.plan.Observers {
			f.voters = append(f.voters, id)
		}
	}
	return f
}
