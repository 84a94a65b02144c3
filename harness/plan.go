package harness

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"ordeal/harness/ensemble"
	"ordeal/nemesis"
	"ordeal/node/defect"
	"ordeal/results"
	"ordeal/results/history"
	"ordeal/workloads"
)

// Drivers by name.
const (
	DriverAuto      = "auto" // container where an engine answers, else process
	DriverContainer = "container"
	DriverProcess   = "process"
	DriverSim       = "sim" // one process, virtual time
)

// Defaults of a plan.
const (
	DefaultMembers     = 3
	DefaultDuration    = 30 * time.Second
	DefaultRate        = 400.0 // operations a second, all clients together
	DefaultTickTime    = 500 * time.Millisecond
	DefaultInitLimit   = 10 // ticks
	DefaultSyncLimit   = 4  // ticks
	DefaultCheckTime   = 30 * time.Second
	DefaultCheckMemory = 2 << 30 // bytes
	DefaultOut         = "results/runs"
)

// MembersMax bounds the size of an ensemble: beyond it nothing is learned and a machine is drowned.
const MembersMax = 9

// ClientsMax bounds the number of clients, each of which is a connection and a goroutine or two.
const ClientsMax = 1000

// Bounds of what a plan may ask for: what is outside has no use, or no clock could count it.
const (
	DurationMin = time.Second
	DurationMax = 30 * 24 * time.Hour
	RateMin     = 0.001 // operations a second
	RateMax     = 1e6
	TickTimeMin = time.Millisecond // zoo.cfg counts in these
	TickTimeMax = time.Minute
)

// clientsEach is the default number of clients of one workload, if it does not want more, and
// clientsLeast that of all together: few clients leave few traces of a bug.
const (
	clientsEach  = 3
	clientsLeast = 12
)

// With Hush the load falls silent hushAfter after a fault came on, so that writes meet it, and until
// hushBeyond after the last one was healed, so that no write hides what the recovery did wrong.
const (
	hushAfter  = 500 * time.Millisecond
	hushBeyond = 2 * time.Second
)

// sessionTicks is the clients' session time-out, in ticks: long enough for an election, short
// enough to expire within a run.
const sessionTicks = 8

// Plan is one run as it is asked for. A zero field stands for its default.
type Plan struct {
	Name string // of the folder among the results; default from what is run
	// Implementations has one entry for all members, or one for each member. Default: node.
	Implementations []ensemble.Implementation
	Members         int // voters and observers together; default 3
	Observers       int
	// Driver is DriverAuto, DriverContainer, DriverProcess or DriverSim. Default: DriverAuto, or DriverSim for
	// a defect that shows nowhere else.
	Driver    string
	Workloads []string
	Nemeses   []string // they take turns, each for an equal share of the load
	Duration  time.Duration
	Clients   int
	Rate      float64 // operations a second of all clients together
	Hush      bool    // let the load fall silent while faults are on
	Seed      uint64  // 0 draws one
	Out       string  // folder for stored runs
	// Binary is the ordeal program, which node members and the agents beside containers run. Default:
	// this one, if it is an ordeal, else the one on PATH. A test must name one if PATH has none.
	Binary string
	// Program is how this program is called, for commands that repeat the run. Default: ordeal.
	Program string
	Defect  string

	TickTime  time.Duration
	InitLimit int
	SyncLimit int
	// Properties are added to every member's configuration.
	Properties map[string]string

	CheckTime   time.Duration // budget of the linearizability search
	CheckMemory int64         // budget of all checkers together, in bytes
	StrictSync  bool
	StrictDisk  bool

	// Interrupt, when closed, ends the start, the set-up or the load early: faults are healed, and what
	// there is is judged.
	Interrupt <-chan struct{}
	// Progress is told now and then how the run goes. It must not block.
	Progress func(Progress)
	Log      *slog.Logger

	driverReason string // why Driver is what it is
}

// Progress is how a run goes.
type Progress struct {
	Phase            string
	Detail           string        // of the start: which driver, and why
	Elapsed, Planned time.Duration // of the load
	OK               int64
	Failed           int64
	Unknown          int64
	Leader           int
	Epoch            int64
	Serving, Members int
	Active           []history.Fault
	LeaderChanges    int
}

// UsageError says that a plan makes no sense, and what would.
type UsageError struct{ message string }

func (e UsageError) Error() string { return e.message }

func usage(format string, values ...any) error { return UsageError{fmt.Sprintf(format, values...)} }

// resolve fills in defaults and refuses what makes no sense. Nothing has been started yet.
func (p Plan) resolve() (Plan, error) {
	if err := p.resolveDefect(); err != nil {
		return p, err
	}
	if err := p.resolveMembers(); err != nil {
		return p, err
	}
	p.fillDefaults()
	if err := p.checkNames(); err != nil {
		return p, err
	}
	if err := p.resolveClients(); err != nil {
		return p, err
	}
	return p, p.checkBounds()
}

// resolveDefect takes workloads and nemeses from a defect's description where none are given.
func (p *Plan) resolveDefect() error {
	if p.Defect == "" {
		return nil
	}
	description, known := defect.Find(defect.Name(p.Defect))
	if !known {
		_, err := defect.Parse(p.Defect)
		return usage("%v", err)
	}
	for _, implementation := range p.Implementations {
		if implementation != ensemble.Node {
			return usage("--defect %s is inside our own node and cannot be switched on in %q", p.Defect, implementation)
		}
	}
	if len(p.Workloads) == 0 {
		p.Workloads = description.Workloads
	}
	if len(p.Nemeses) == 0 {
		p.Nemeses = description.Nemeses
	}
	p.Hush = p.Hush || description.NeedsSilence
	if !description.SimulatorOnly {
		return nil
	}
	switch p.Driver {
	case "", DriverAuto:
		p.Driver = DriverSim
		p.driverReason = fmt.Sprintf("%s needs an order of events that real time hardly ever gives", p.Defect)
	case DriverSim:
	default:
		return usage("--defect %s needs an order of events that real time hardly ever gives: leave --driver out, or search for it with ordeal repro", p.Defect)
	}
	return nil
}

func (p *Plan) resolveMembers() error {
	if len(p.Implementations) == 0 {
		p.Implementations = []ensemble.Implementation{ensemble.Node}
	}
	if p.Members == 0 {
		p.Members = max(DefaultMembers, len(p.Implementations))
	}
	if p.Members < 1 || p.Members > MembersMax {
		return usage("--members %d: an ensemble has 1 to %d members", p.Members, MembersMax)
	}
	if p.Observers < 0 || p.Observers >= p.Members {
		return usage("--observers %d of --members %d leaves no voter", p.Observers, p.Members)
	}
	switch len(p.Implementations) {
	case 1:
		p.Implementations = slices.Repeat(p.Implementations, p.Members)
	case p.Members:
	default:
		return usage("--implementation names %d members, --members says %d", len(p.Implementations), p.Members)
	}
	for _, implementation := range p.Implementations {
		if err := knownImplementation(implementation); err != nil {
			return err
		}
	}
	return nil
}

func knownImplementation(implementation ensemble.Implementation) error {
	reference, image := strings.CutPrefix(string(implementation), "image:")
	switch {
	case implementation == ensemble.Node, implementation == ensemble.Apache, image && reference != "":
		return nil
	}
	return usage("unknown implementation %q; known are node, apache and image:REF", implementation)
}

// fillDefaults sets what has a default that needs no thought.
func (p *Plan) fillDefaults() {
	if len(p.Workloads) == 0 {
		p.Workloads = workloads.Names()
	}
	if len(p.Nemeses) == 0 {
		p.Nemeses = []string{"mixed"}
	}
	setDefault(&p.Driver, DriverAuto)
	setDefault(&p.driverReason, "asked for") // unless the driver is chosen later
	setDefault(&p.Duration, DefaultDuration)
	setDefault(&p.Rate, DefaultRate)
	setDefault(&p.Out, DefaultOut)
	setDefault(&p.Program, ProgramDefault)
	setDefault(&p.TickTime, DefaultTickTime)
	setDefault(&p.InitLimit, DefaultInitLimit)
	setDefault(&p.SyncLimit, DefaultSyncLimit)
	setDefault(&p.CheckTime, DefaultCheckTime)
	setDefault(&p.CheckMemory, DefaultCheckMemory)
	for p.Seed == 0 {
		p.Seed = uint64(rand.Uint32()) // the only choice not taken from the seed; short, to be typed again
	}
	setDefault(&p.Name, p.defaultName())
	if p.Progress == nil {
		p.Progress = func(Progress) {}
	}
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// checkBounds refuses amounts that no run can keep to. They are compared so that what is no number at
// all is refused too.
func (p *Plan) checkBounds() error {
	switch {
	case p.Duration < DurationMin:
		return usage("--duration %v is too short: a run needs at least %v", p.Duration, DurationMin)
	case p.Duration > DurationMax:
		return usage("--duration %v is too long: at most %v are allowed", p.Duration, DurationMax)
	case !(p.Rate >= RateMin && p.Rate <= RateMax):
		return usage("--rate %v/s: want %v to %.0f operations a second", p.Rate, RateMin, RateMax)
	case p.TickTime < TickTimeMin || p.TickTime > TickTimeMax:
		return usage("--tick-time %v: want %v to %v", p.TickTime, TickTimeMin, TickTimeMax)
	case p.InitLimit < 1 || p.SyncLimit < 1:
		return usage("--init-limit %d, --sync-limit %d: both must be at least 1 tick", p.InitLimit, p.SyncLimit)
	}
	if err := results.CheckName(p.Name); err != nil {
		return usage("--name: %v", err)
	}
	return checkBudget(p.CheckTime, p.CheckMemory)
}

// checkBudget refuses less than nothing as a budget of judging.
func checkBudget(time time.Duration, memory int64) error {
	switch {
	case time < 0:
		return usage("--check-time %v: a search can't take less than no time", time)
	case memory < 0:
		return usage("--check-memory %d: checkers can't keep less than nothing", memory)
	}
	return nil
}

func (p *Plan) checkNames() error {
	switch p.Driver {
	case DriverAuto, DriverContainer, DriverProcess:
	case DriverSim:
		for _, implementation := range p.Implementations {
			if implementation != ensemble.Node {
				return usage("--driver sim runs our own node alone, not %q", implementation)
			}
		}
		if len(p.Properties) > 0 {
			return usage("--property is for members that read a zoo.cfg: those of --driver sim do not")
		}
	default:
		return usage("unknown driver %q; known are auto, container, process and sim", p.Driver)
	}
	for _, name := range p.Workloads {
		if !slices.Contains(workloads.Names(), name) {
			return usage("unknown workload %q; known are: %s", name, strings.Join(workloads.Names(), ", "))
		}
	}
	if err := p.checkNemeses(); err != nil {
		return err
	}
	if len(p.Nemeses) > 1 && slices.Contains(p.Nemeses, none) {
		return usage("--nemesis %s: none means no faults and stands alone", strings.Join(p.Nemeses, ","))
	}
	for _, list := range [][]string{p.Workloads, p.Nemeses} {
		sorted := slices.Sorted(slices.Values(list))
		if unique := slices.Compact(slices.Clone(sorted)); len(unique) != len(sorted) {
			return usage("%s names something twice", strings.Join(list, ","))
		}
	}
	return nil
}

// checkNemeses refuses a nemesis that can do nothing to these members, whatever the driver: its share of
// the run would pass without a fault.
func (p *Plan) checkNemeses() error {
	refused := ensemble.RefusedFaults(ensemble.Spec{Implementations: p.Implementations, HoldUnsynced: p.holdsUnsynced()})
	for _, name := range p.Nemeses {
		n, err := nemesis.Get(name)
		if err != nil {
			return usage("%v", err)
		}
		for _, kind := range n.Needs() {
			if reason, no := refused[kind]; no {
				return usage("--nemesis %s can do nothing to %d members of %s: %s", name, p.Members, p.implementation(), reason)
			}
		}
	}
	return nil
}

// resolveClients makes sure that every workload has the clients that it needs.
func (p *Plan) resolveClients() error {
	needed, wanted := 0, 0
	for _, name := range p.Workloads {
		workload, err := workloads.Get(name)
		if err != nil {
			return usage("%v", err)
		}
		needed += workload.ClientsMin()
		wanted += max(clientsEach, workload.ClientsMin())
	}
	setDefault(&p.Clients, max(wanted, clientsLeast))
	if p.Clients < needed || p.Clients > ClientsMax {
		return usage("--clients %d: the workloads %s need at least %d, and at most %d are allowed",
			p.Clients, strings.Join(p.Workloads, ","), needed, ClientsMax)
	}
	return nil
}

// implementation is what the members run, in a word or a list.
func (p Plan) implementation() string {
	var words []string
	for _, implementation := range p.Implementations {
		words = append(words, string(implementation))
	}
	if compact := slices.Compact(slices.Clone(words)); len(compact) == 1 {
		return compact[0]
	}
	return strings.Join(words, ",")
}

// defaultName names the folder of runs of this kind: "node-mixed", "apache-kill-leader".
func (p Plan) defaultName() string {
	name := p.implementation() + "-" + strings.Join(p.Nemeses, "+")
	if p.Defect != "" {
		name += "-" + p.Defect
	}
	return results.Name(name)
}

// sessionTimeout is what clients ask for.
func (p Plan) sessionTimeout() time.Duration { return sessionTicks * p.TickTime }

// holdsUnsynced tells whether members of our node must keep un-synced bytes back, so that a power
// loss can lose them. Where no nemesis may cut the power they do not: it would turn each kill -9
// into a power loss.
func (p Plan) holdsUnsynced() bool {
	for _, name := range p.Nemeses {
		if name == "mixed" || name == "power-loss" {
			return true
		}
	}
	return false
}
