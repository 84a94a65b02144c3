package sim

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ordeal/checkers"
	"ordeal/node/defect"
	"ordeal/node/election"
	"ordeal/node/quorum"
	"ordeal/node/tree"
	"ordeal/node/zab"
	"ordeal/results/history"
	"ordeal/workloads"
)

// The names of a run's phases, as in real runs.
const (
	phaseStart = "start"
	phaseSetup = "setup"
	phaseLoad  = "load"
	phaseHeal  = "heal"
	phaseFinal = "final"
	phaseEnd   = "end"
)

// Outcome is what came of one run.
type Outcome struct {
	// Violation is the first broken promise; nil if all was well.
	Violation *Violation
	// Results are the checkers' answers; empty if the run ended before they were asked.
	Results []checkers.Result
	// Unknown is the reason of a checker that gave up, empty for none.
	Unknown string
	// Decisions are those that were made; the same as the script's if there was one.
	Decisions []Decision
	Hash      uint64
	Events    int
	Virtual   time.Duration
	Coverage  Coverage
	OK        int
	History   history.Memory
	// branched is when the rare branches of a script were taken.
	branched map[Branch]time.Duration
	// CutShort says that the run ended earlier than planned, because its caller wanted it to.
	CutShort bool
}

// Observation is how a run may be watched. It changes nothing.
type Observation struct {
	Trace func(at time.Duration, line string)
	// Until stops the run early; 0 for never.
	Until time.Duration
}

// Coverage counts what a run, or many, came across: kinds of faults, packets, and turns of events.
type Coverage struct {
	packets [64]int
	Seen    map[string]int
}

func (c *Coverage) hit(name string) { c.Seen[name]++ }

// Broken lists the guarantees that the run broke, the first first.
func (o *Outcome) Broken() []string {
	var names []string
	if o.Violation != nil {
		names = append(names, o.Violation.Guarantee)
	}
	for _, r := range o.Results {
		if r.Verdict == checkers.Violation && r.Name != names[0] {
			names = append(names, r.Name)
		}
	}
	return names
}

// Run lets a seed's world live, with the decisions that the seed makes.
func Run(config Config, watch Observation) *Outcome { return run(config, nil, false, watch) }

// Replay lets a script's world live.
func Replay(script *Script, watch Observation) *Outcome {
	return run(script.Config, script.Decisions, true, watch)
}

func run(config Config, script []Decision, scripted bool, watch Observation) *Outcome {
	var memory history.Memory
	w := newWorld(config, script, scripted, memoryRecorder{&memory})
	memory = make(history.Memory, 0, w.config.expectedEvents())
	w.trace = watch.Trace
	outcome := w.live(script, watch.Until)
	outcome.History = memory
	if outcome.Violation == nil && watch.Until == 0 {
		outcome.judge(w, memory)
	}
	return outcome
}

// memoryRecorder is a history in memory that can be recorded to by one goroutine.
type memoryRecorder struct{ memory *history.Memory }

func (r memoryRecorder) Record(e history.Event) { *r.memory = append(*r.memory, e) }

// How many events a history has beside those of operations, and how much room is made for it in advance at
// most: it grows where that is too little.
const (
	eventsBeside      = 256
	expectedEventsMax = 1 << 14
)

// expectedEvents is how long the history is likely to get: growing costs much more than it holds.
func (c *Config) expectedEvents() int {
	return int(min(eventsBeside+2*c.Rate*c.Load.Seconds(), expectedEventsMax))
}

func newWorld(config Config, script []Decision, scripted bool, recorder history.Recorder) *World {
	if err := config.check(); err != nil {
		panic(fmt.Sprintf("sim: no world can be made of this: %v", err))
	}
	w := &World{
		config: config, hash: hashStart, recorder: recorder,
		inside: newInvariants(), readings: map[int64]reading{}, coverage: Coverage{Seen: map[string]int{}},
	}
	w.defects, _ = defect.Parse(config.Defect) // checked above
	if len(w.defects) == 0 {
		w.defects = nil
	}
	w.tree = tree.Options{DigestEnabled: true, Defects: w.defects}
	w.source = newSource(&w.config, script, scripted)
	w.membership = membership(config.Voters, config.Observers)
	w.verifier = w.membership.Verifier()
	n := config.Members()
	for from := 0; from <= n; from++ {
		row := make([]*way, n+1)
		for to := range row {
			row[to] = &way{from: from, to: to, base: config.Latency}
		}
		w.ways = append(w.ways, row)
	}
	for id := 1; id <= n; id++ {
		m := &member{id: id, world: w, turns: newTurnsTaken(w.source)}
		if config.Drift > 0 {
			m.drift = time.Duration(int(mix(w.source.noise+uint64(id))%uint64(2*config.Drift+1)) - config.Drift)
		}
		m.disk = w.newDisk(m)
		w.members = append(w.members, m)
	}
	return w
}

func membership(voters, observers int) *quorum.Config {
	text := ""
	for id := 1; id <= voters+observers; id++ {
		role := "participant"
		if id > voters {
			role = "observer"
		}
		text += fmt.Sprintf("server.%d=member%d:2888:3888:%s\n", id, id, role)
	}
	config, err := quorum.Parse(text)
	if err != nil {
		panic(fmt.Sprintf("sim: the membership cannot be read: %v", err))
	}
	return config
}

// Bounds of virtual time.
const (
	setupBound = 60 * time.Second
	lookEvery  = 20 * time.Millisecond
	// roundsMax is how many elections a healed quorum may need: the one that is under way may be lost
	// to members out of reach, the next to a learner that comes too late, and its leader's followers
	// may still be busy with an earlier leader.
	roundsMax = 4
)

// bound is within what time a healed quorum must serve. A server that looks for a leader repeats itself
// after up to a minute, so that nothing can be sure to begin before. Then come rounds: an election ends
// a finalizeWait after the last news, learners try to connect, and joining takes initLimit at most; a
// leader or a learner that is lost is noticed after syncLimit. Clocks may be slow.
func (w *World) bound() time.Duration {
	c := &w.config
	joining := connectTries*(connectPause+2*(c.Latency+c.Jitter)) + time.Duration(c.InitLimit+c.SyncLimit)*c.TickTime
	round := election.NotificationIntervalMin + election.FinalizeWait + joining
	bound := election.NotificationIntervalMax + roundsMax*round
	return bound + bound*time.Duration(c.Drift)/1000
}

// live goes through the phases.
func (w *World) live(script []Decision, until time.Duration) *Outcome {
	if until > 0 {
		w.after(until, func() { w.broken(stopped, "the run was to end here") })
	}
	defer func() {
		for _, m := range w.members {
			m.disk.close()
		}
	}()
	w.phases(script)
	outcome := &Outcome{
		Violation: w.violation, Decisions: w.source.made, branched: w.source.branched, Hash: w.hash, Events: w.events, Virtual: w.now, Coverage: w.coverage,
		CutShort: w.cutShort,
	}
	if w.source.scripted {
		outcome.Decisions = script
	}
	for packet, count := range w.coverage.packets {
		if count > 0 {
			outcome.Coverage.Seen[packetName(packet)] += count
		}
	}
	if w.violation != nil && w.violation.Guarantee == stopped {
		outcome.Violation = nil
	}
	for _, d := range w.clients {
		outcome.OK += d.done
	}
	return outcome
}

// stopped is no guarantee, but ends a world like a broken one.
const stopped = "stopped"

func (w *World) phases(script []Decision) {
	w.phase(phaseStart)
	for _, m := range w.members {
		m.boot()
	}
	if !w.runUntil(w.bound(), lookEvery, w.allServe) {
		w.stuck("start", "members do not all serve %v after the start: %v", w.now, w.members)
		return
	}
	if w.shares == nil {
		workload, err := workloads.Get(w.config.Workload)
		if err != nil {
			panic(fmt.Sprintf("sim: the workload was checked before: %v", err))
		}
		w.shares = []Share{{workload, w.config.Clients}}
	}
	w.phase(phaseSetup)
	for i, share := range w.shares {
		if !w.perform(share.Workload, w.config.Clients+1+i, w.everybody(), share.Workload.Setup()) {
			w.broken("clients-served", "the setup is not done %v after the start", w.now)
			return
		}
	}
	w.load(script)
	if w.violation == nil {
		w.heal()
	}
	if w.violation == nil {
		w.final()
	}
}

func (w *World) phase(name string) {
	w.tell("PHASE %s", name)
	if w.progress != nil {
		w.progress(name, 0, w.view())
	}
	w.record(history.Event{Kind: history.Phase, Text: name})
}

func (w *World) everybody() []int {
	all := make([]int, len(w.members))
	for i := range all {
		all[i] = i + 1
	}
	return all
}

// perform lets one client do requests, each until it is answered, and close its session.
func (w *World) perform(workload workloads.Workload, number int, members []int, requests []history.Request) bool {
	d := w.newDriver(workload.Name(), number, members)
	d.list, d.working = slices.Clone(requests), true
	d.step()
	if !w.runUntil(w.now+setupBound, lookEvery, d.idle) {
		return false
	}
	return w.runUntil(w.now+setupBound, lookEvery, func() bool {
		d.close()
		return !d.session.Alive() && d.idle()
	})
}

// load lets clients work while faults come.
func (w *World) load(script []Decision) {
	w.phase(phaseLoad)
	c := &w.config
	w.loadStart, w.loadEnd, w.faultsOn = w.now, w.now+c.Load, true
	var machines []workloads.Client
	var names []string
	for _, share := range w.shares {
		for _, machine := range share.Workload.Clients(share.Clients, c.Seed) {
			machines, names = append(machines, machine), append(names, share.Workload.Name())
		}
	}
	for i := range c.Clients {
		order := w.everybody()
		// Each client tries the members in an order of its own.
		turn := int(mix(w.source.noise+uint64(i)*7) % uint64(len(order)))
		d := w.newDriver(names[i], i+1, append(order[turn:], order[:turn]...))
		d.working = true
		w.clients = append(w.clients, d)
		if w.source.scripted {
			continue
		}
		d.machine = machines[i]
		d.gap = time.Duration(float64(time.Second) * float64(c.Clients) / c.Rate)
		d.planStep(d.pause())
	}
	w.follow(script)
	for _, f := range w.source.faults(w.loadStart, w.loadEnd) {
		w.lay(f)
	}
	w.unleash()
	if w.progress != nil {
		w.after(progressPause, w.tellProgress)
	}
	if w.runUntil(w.loadEnd, lookEvery, func() bool { return w.interrupted }) {
		w.cutShort, w.loadEnd = w.now < w.loadEnd, w.now
		w.healNemeses()
	}
	w.faultsOn, w.ambushes = false, nil
}

// progressPause is how often, in virtual time, the progress of a planned load is told.
const progressPause = time.Second

func (w *World) tellProgress() {
	if w.now < w.loadEnd {
		w.progress(phaseLoad, w.now-w.loadStart, w.view())
		w.after(progressPause, w.tellProgress)
	}
}

// heal wants liveness once faults are over: first of a quorum while the others are out of reach, then
// of all.
func (w *World) heal() {
	w.phase(phaseHeal)
	w.runTo(w.now + time.Millisecond) // the faults' ends
	for _, m := range w.members {
		m.disk.restore()
		m.boot()
	}
	core := w.drawQuorum()
	var heals []func()
	for _, m := range w.members {
		if !slices.Contains(core, m.id) {
			heals = append(heals, w.cutWays(m, true, true))
		}
	}
	w.tell("only members %v can reach one another", core)
	if !w.runUntil(w.now+w.bound(), lookEvery, func() bool { return w.serve(core) }) {
		w.stuck("quorum-serves", "members %v, a quorum without faults, do not serve within %v: %v", core, w.bound(), w.members)
		return
	}
	for _, h := range heals {
		h()
	}
	w.tell("all members can reach one another")
	if !w.runUntil(w.now+w.bound(), lookEvery, w.allServe) {
		w.stuck("all-serve", "without faults not all members serve within %v: %v", w.bound(), w.members)
		return
	}
	if !w.endClients() {
		return
	}
	if !w.runUntil(w.now+w.bound(), lookEvery, w.atRest) {
		w.stuck("all-serve", "members that all serve do not come to the same transaction within %v: %v", w.bound(), w.members)
	}
}

// drawQuorum draws a smallest quorum of voters, without those whose disks lack what they held: they join a leader
// that has one already.
func (w *World) drawQuorum() []int {
	var order []int
	for id := 1; id <= w.config.Voters; id++ {
		if !w.members[id-1].disk.lacks() {
			order = append(order, id)
		}
	}
	for i := range order {
		j := i + int(mix(w.source.noise^0xc02e+uint64(i))%uint64(len(order)-i))
		order[i], order[j] = order[j], order[i]
	}
	core := order[:w.config.Voters/2+1]
	slices.Sort(core)
	return core
}

// serve tells whether these members serve, one of them as the leader.
func (w *World) serve(ids []int) bool {
	led := false
	for _, id := range ids {
		m := w.members[id-1]
		leads := m.standing.Role == roleLeading || m.standing.Role == roleStandalone
		if !m.up || m.paused || m.standing.Phase != phaseBroadcast || !m.standing.Serving && !leads {
			return false
		}
		led = led || leads
	}
	return led
}

func (w *World) allServe() bool { return w.serve(w.everybody()) }

// atRest tells whether all members serve and have logged and applied the same. A leader that has had
// nothing to do yet stands at the start of its epoch: it has applied its log.
func (w *World) atRest() bool {
	last := w.lastTransaction()
	// A leader stands at the start of its epoch until its first transaction, and so does who was sent its tree.
	there := func(zxid int64) bool { return zxid == last || zxid > last && zab.Counter(zxid) == 0 }
	for _, m := range w.members {
		if !there(m.disk.end()) || !there(m.standing.LastZxid) || m.disk.busy() {
			return false
		}
	}
	return w.allServe()
}

// lastTransaction is the last one of any log.
func (w *World) lastTransaction() int64 {
	last := int64(0)
	for _, m := range w.members {
		if end := m.disk.end(); zab.Counter(end) != 0 {
			last = max(last, end)
		}
	}
	return last
}

// transactionAt is the last transaction before or at a zxid: that may be the start of an epoch, where a leader's
// tree stands that has all that came before.
func (w *World) transactionAt(zxid int64) int64 {
	if last := w.lastTransaction(); zab.Counter(zxid) == 0 && zxid > last {
		return last
	}
	return zxid
}

// endClients wants every operation to come to its end and every session closed, or expired.
func (w *World) endClients() bool {
	quiet := func() bool {
		for _, d := range w.clients {
			if !d.idle() {
				return false
			}
		}
		return true
	}
	if !w.runUntil(w.now+w.bound(), lookEvery, quiet) {
		w.broken("clients-served", "clients of a healed ensemble are not answered within %v", w.bound())
		return false
	}
	closed := func() bool {
		for _, d := range w.clients {
			d.close() // again, if it has got another session in the meantime
		}
		return quiet() && !slices.ContainsFunc(w.clients, func(d *driver) bool { return d.session.Alive() })
	}
	if !w.runUntil(w.now+w.bound(), lookEvery, closed) {
		w.broken("clients-served", "clients of a healed ensemble cannot close their sessions within %v", w.bound())
		return false
	}
	// Sessions that were lost expire; a member's clock may be slow.
	w.runTo(w.now + 2*w.config.SessionTimeout + 4*w.config.TickTime)
	return w.violation == nil
}

// final reads what the members hold.
func (w *World) final() {
	w.phase(phaseFinal)
	number := w.config.Clients + len(w.shares)
	for _, m := range w.members {
		for _, share := range w.shares {
			requests := share.Workload.Final()
			if len(requests) == 0 || !w.accepts(m) {
				continue
			}
			number++
			if !w.perform(share.Workload, number, []int{m.id}, requests) {
				w.broken("clients-served", "final reads at member %d are not answered within %v", m.id, setupBound)
				return
			}
		}
	}
	if !w.runUntil(w.now+w.bound(), lookEvery, w.atRest) {
		w.stuck("all-serve", "members that all serve do not come to the same transaction within %v: %v", w.bound(), w.members)
		return
	}
	for _, m := range w.members {
		w.finalTree(m)
	}
	w.phase(phaseEnd)
}

// accepts tells whether a member takes clients: a leader may not.
func (w *World) accepts(m *member) bool { return m.standing.Serving }

// finalTree records what a member has on its disk, and compares it with what it has in memory.
func (w *World) finalTree(m *member) {
	recovered, err := m.disk.readBack()
	if err != nil {
		w.broken("recovers", "what member %d has on its disk cannot be read back: %v", m.id, err)
		return
	}
	if recovered.Digest() != m.standing.Digest {
		w.broken("same-tree", "member %d's tree, read back from its disk, is another than that in its memory", m.id)
		return
	}
	count := 0
	recovered.Walk(func(path string, z tree.Znode) bool {
		ours := slices.ContainsFunc(w.shares, func(s Share) bool {
			return path == s.Workload.Root() || strings.HasPrefix(path, s.Workload.Root()+"/")
		})
		if !ours {
			return true
		}
		count++
		stat, _ := recovered.Stat(path)
		w.record(history.Event{Kind: history.Znode, Member: m.id, Node: &history.Node{Path: path, Value: string(z.Data), Stat: history.Stat{
			Czxid: stat.Czxid, Mzxid: stat.Mzxid, Pzxid: stat.Pzxid, Version: stat.Version, Cversion: stat.Cversion,
			EphemeralOwner: stat.EphemeralOwner, NumChildren: stat.NumChildren,
		}}})
		return true
	})
	w.record(history.Event{Kind: history.Final, Member: m.id, Zxid: w.transactionAt(recovered.LastZxid()), Served: w.transactionAt(m.standing.LastZxid), Count: count,
		Digest: strconv.FormatUint(uint64(recovered.Digest()), 16)})
}

// judge asks the checkers.
func (o *Outcome) judge(w *World, log history.Memory) {
	c := &w.config
	o.Results = checkers.Run(context.Background(), log, checkers.Options{
		TickTime: c.TickTime, SessionTimeout: c.SessionTimeout, Workloads: []string{c.Workload},
	}, nil)
	for _, r := range o.Results {
		switch r.Verdict {
		case checkers.Violation:
			if o.Violation == nil {
				o.Violation = &Violation{Guarantee: r.Name, At: w.now, Text: strings.Join(r.Evidence, "; ")}
			}
		case checkers.Unknown:
			o.Unknown = r.Name + ": " + r.Reason
		}
	}
}
