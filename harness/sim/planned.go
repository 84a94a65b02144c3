package sim

import (
	"slices"
	"time"

	"ordeal/nemesis"
	"ordeal/results/history"
	"ordeal/workloads"
)

// Planned is a run whose workloads and nemeses are chosen by its caller, as for real ensembles, and not
// by a seed.
type Planned struct {
	Config    Config // Workload, Clients and what faults are drawn from do not count
	Workloads []Share
	Nemeses   []Turn // they take turns, each for an equal share of the load
	// Recorder gets the history, while the run goes on.
	Recorder history.Recorder
	// HushAfter, if it is not 0, lets the load fall silent so long after a fault came on, until
	// HushBeyond after the last one was healed.
	HushAfter, HushBeyond time.Duration
	// Progress is told at every change of phase, and once a second of virtual time during the load.
	Progress func(phase string, load time.Duration, view nemesis.View)
	// Stop is asked now and then whether the run should go on.
	Stop func() Stop
}

// Stop is how a run is to be ended early.
type Stop int

// How a run goes on.
const (
	GoOn    Stop = iota
	EndLoad      // heal, and see to it that the ensemble recovers
	EndNow
)

// stopEvents is after how many events a run looks whether it should go on.
const stopEvents = 256

// Share is a workload and the number of its clients.
type Share struct {
	Workload workloads.Workload
	Clients  int
}

// Turn is a nemesis at work.
type Turn struct {
	Name     string
	Schedule nemesis.Schedule
}

// Possible are the kinds of faults that nemeses may choose.
func Possible() []history.FaultKind { return slices.Clone(history.FaultKinds) }

// fill is the configuration with what follows from the workloads.
func (p Planned) fill() Config {
	c := p.Config
	c.Workload, c.Clients, c.Faults = p.Workloads[0].Workload.Name(), 0, nil
	for _, share := range p.Workloads {
		c.Clients += share.Clients
	}
	return c
}

// Check refuses what no world can be made of.
func (p Planned) Check() error {
	c := p.fill()
	return c.check()
}

// Run lets the plan's world live, which must have passed Check. The outcome's history is empty and
// nothing is judged: the recorder has it all. A promise that is broken on the inside is the outcome's
// violation.
func (p Planned) Run() *Outcome {
	w := newWorld(p.fill(), nil, false, p.Recorder)
	w.shares = p.Workloads
	w.nemeses = p.Nemeses
	w.progress = p.Progress
	w.hushAfter, w.hushBeyond = p.HushAfter, p.HushBeyond
	w.stop = p.Stop
	return w.live(nil, 0)
}

// lookStop asks whether the run should go on.
func (w *World) lookStop() {
	if w.stop == nil || w.events%stopEvents != 0 {
		return
	}
	switch w.stop() {
	case EndLoad:
		w.interrupted = true
	case EndNow:
		w.cutShort = true
		w.broken(stopped, "the run was to end at once")
	}
}

// hushed tells whether clients should be silent now, so that what a recovery did wrong is not hidden
// by the next write.
func (w *World) hushed() bool {
	if w.hushAfter == 0 {
		return false
	}
	if len(w.injected) > 0 {
		return w.now > w.injectedAt+w.hushAfter
	}
	return w.quiet > 0 && w.now < w.quiet+w.hushBeyond
}

// hushPause is after what time a silent client looks again.
const hushPause = 10 * time.Millisecond

// nemesisSettle is the time between an injection or a healing and the nemesis's next look.
const nemesisSettle = 10 * time.Millisecond

// unleash lets the nemeses take turns.
func (w *World) unleash() {
	each := w.config.Load / time.Duration(max(len(w.nemeses), 1))
	for i, turn := range w.nemeses {
		until := w.loadStart + each*time.Duration(i+1)
		if i == len(w.nemeses)-1 {
			until = w.loadEnd
		}
		w.after(each*time.Duration(i), func() { w.consult(turn, until) })
		w.after(until-w.now-time.Millisecond, w.healNemeses)
	}
}

// consult asks a nemesis what to do next, and again after that, until its turn is over.
func (w *World) consult(turn Turn, until time.Duration) {
	if !w.faultsOn || w.now >= until-nemesisSettle {
		return
	}
	wait := nemesisSettle
	action := turn.Schedule.Next(w.view())
	switch {
	case action.Inject != nil:
		fault := *action.Inject
		fault.Nemesis = turn.Name
		w.inject(fault)
	case action.Heal != 0:
		w.healFault(action.Heal)
	default:
		wait = max(action.Wait, time.Millisecond)
	}
	w.after(wait, func() { w.consult(turn, until) })
}

// view is what a nemesis may know.
func (w *World) view() nemesis.View {
	v := nemesis.View{Now: w.now - w.loadStart, Members: w.everybody(), Voters: w.everybody()[:w.config.Voters]}
	if leader := w.leader(); leader != nil {
		v.Leader, v.Epoch = leader.id, leader.standing.Epoch
	}
	for _, m := range w.members {
		if m.up && !m.paused && m.standing.Serving {
			v.Serving = append(v.Serving, m.id)
		}
	}
	for _, f := range w.injected {
		v.Active = append(v.Active, f.fault)
	}
	return v
}

// injected is a nemesis's fault that is on.
type injected struct {
	fault history.Fault
	heals []func()
}

// inject applies a fault as histories name them.
func (w *World) inject(fault history.Fault) {
	w.lastFault++
	fault.ID = w.lastFault
	if leader := w.leader(); leader != nil {
		fault.Leader, fault.Epoch = leader.id, leader.standing.Epoch
	}
	f := injected{fault: fault}
	for _, id := range fault.Members {
		f.heals = append(f.heals, w.members[id-1].suffer(&Fault{Kind: kindOf(fault.Kind)}))
	}
	for _, l := range fault.Links {
		f.heals = append(f.heals, w.cutWay(w.ways[l.From][l.To]))
		if fault.Mode == history.Reset {
			w.members[l.From-1].resetWith(w.members[l.To-1])
		}
	}
	w.injected, w.injectedAt = append(w.injected, f), w.now
	w.active++
	w.coverage.hit(string(fault.Kind))
	w.tell("FAULT %v", fault)
	w.record(history.Event{Kind: history.FaultOn, Fault: &fault})
}

// kindOf is the simulator's word for a kind of fault that befalls members.
func kindOf(kind history.FaultKind) string {
	for _, word := range faultKinds {
		if historyKinds[word] == kind {
			return word
		}
	}
	panic("sim: no fault of members is called " + string(kind))
}

func (w *World) healFault(id int) {
	at := slices.IndexFunc(w.injected, func(f injected) bool { return f.fault.ID == id })
	if at < 0 {
		return
	}
	f := w.injected[at]
	w.injected = slices.Delete(w.injected, at, at+1)
	for _, heal := range f.heals {
		heal()
	}
	w.active--
	w.quiet = w.now
	w.tell("HEAL %v", f.fault)
	w.record(history.Event{Kind: history.FaultOff, Fault: &f.fault})
}

// healNemeses ends every fault that a nemesis has left, the newest first.
func (w *World) healNemeses() {
	for len(w.injected) > 0 {
		w.healFault(w.injected[len(w.injected)-1].fault.ID)
	}
}

// resetWith breaks the connections between two members.
func (m *member) resetWith(other *member) {
	for _, a := range []*member{m, other} {
		b := m
		if a == m {
			b = other
		}
		if a.upstream != nil && a.upstream.leader == b {
			a.upstream.reset()
		}
	}
}
