package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"ordeal/node/defect"
	"ordeal/node/rare"
	"ordeal/workloads"
)

// Strategy is how a seed draws its decisions.
type Strategy string

// The strategies.
const (
	// Walk draws every kind of fault and delay at the same moderate rates: a random walk.
	Walk Strategy = "walk"
	// Swarm lets each seed leave out most kinds of faults and draw the rates of the others, so that
	// seeds differ from one another more than their decisions do.
	Swarm Strategy = "swarm"
	// PCT gives links and disks priorities, by which they go first, changes them at few moments, and
	// adds few faults (see priorities).
	PCT Strategy = "pct"
)

// Strategies are all of them, the default first.
var Strategies = []Strategy{Swarm, Walk, PCT}

// Config is what a world is made of. With a list of decisions it says everything that happens.
type Config struct {
	Seed      uint64 // of everything that is not a decision: jitter, what the servers draw, the workload's choices
	Strategy  Strategy
	Defect    string // planted in every member; empty for none
	Voters    int
	Observers int

	TickTime       time.Duration
	InitLimit      int // ticks
	SyncLimit      int // ticks
	SessionTimeout time.Duration
	SnapCount      int
	CommitLog      int
	SizeFactor     float64 // zookeeper.snapshotSizeFactor
	FastReads      bool    // plain reads are answered beside the pipeline, as the server does
	LeaderServes   bool

	Disk    string        // modelDisks or fileDisks; empty for the former
	Purge   bool          // of fileDisks: what recovery no longer needs is removed after each snapshot
	Latency time.Duration // a packet's usual time
	Jitter  time.Duration // up to so much is added, by chance that is no decision
	Fsync   time.Duration // a sync's usual time
	Drift   int           // clocks go up to so many parts in a thousand too fast or too slow

	Workload string
	Clients  int
	Rate     float64       // operations a second, all clients together
	Load     time.Duration // how long clients work and faults come

	// What the drawing of decisions aims at; a script has them made already.
	Faults     []string // kinds that may come
	FaultEvery time.Duration
	FaultSpan  time.Duration // how long one lasts at most
	DelayRate  int           // packets in a million that come late
	DelayMax   time.Duration
	SyncRate   int           // syncs in a million that take long
	Rare       []rare.Place  // branches that may be taken on purpose
	RareRate   int           // so often in a million, at the places that a member often comes to
	StageRate  int           // turns of a pipeline's stage in a million that wait
	StageMax   time.Duration // at most so long
}

// Members is the number of members.
func (c *Config) Members() int { return c.Voters + c.Observers }

// Options bound what a seed may draw.
type Options struct {
	Strategy Strategy      `json:"strategy"`          // empty for Swarm
	Members  int           `json:"members,omitempty"` // 0 lets the seed choose
	Defect   string        `json:"defect,omitempty"`
	Load     time.Duration `json:"load,omitempty"`     // 0 lets the seed choose
	Workload string        `json:"workload,omitempty"` // empty lets the seed choose
}

// String names the options in words.
func (o Options) String() string {
	words := []string{"strategy " + string(o.Strategy)}
	if o.Members > 0 {
		words = append(words, fmt.Sprintf("%d members", o.Members))
	}
	if o.Defect != "" {
		words = append(words, "defect "+o.Defect)
	}
	if o.Workload != "" {
		words = append(words, "workload "+o.Workload)
	}
	if o.Load > 0 {
		words = append(words, fmt.Sprintf("load %v", o.Load))
	}
	return strings.Join(words, ", ")
}

// Draw returns the world that a seed stands for.
func Draw(seed uint64, options Options) Config {
	r := rand.New(rand.NewPCG(seed, 0x6f726465616c)) // "ordeal"
	c := Config{
		Seed: seed, Strategy: options.Strategy, Defect: options.Defect,
		Voters: pickOne(r, 3, 3, 3, 3, 3, 3, 5, 5, 4, 2, 7, 6, 1),
		// Most of what can go wrong needs no observer.
		Observers:    pickOne(r, 0, 0, 0, 0, 1, 2),
		TickTime:     pickOne[time.Duration](r, 50, 100, 100, 200) * time.Millisecond,
		InitLimit:    5 + r.IntN(8),
		SyncLimit:    3 + r.IntN(5),
		SnapCount:    pickOne(r, 8, 16, 40, 200, 100_000),
		CommitLog:    pickOne(r, 2, 8, 30, 500),
		SizeFactor:   pickOne(r, 0.33, 0.33, 3, -1),
		FastReads:    r.IntN(2) == 0,
		LeaderServes: r.IntN(5) != 0,
		Latency:      pickOne[time.Duration](r, 100, 300, 1000, 5000) * time.Microsecond,
		Fsync:        pickOne[time.Duration](r, 100, 1000, 5000, 20_000) * time.Microsecond,
		Clients:      2 + r.IntN(4),
		Rate:         float64(pickOne(r, 10, 20, 50, 100)),
		Load:         pickOne[time.Duration](r, 5, 10, 15, 20) * time.Second,
	}
	c.SessionTimeout = c.TickTime * time.Duration(6+r.IntN(20))
	c.Jitter = pickOne(r, c.Latency/10, c.Latency, 4*c.Latency)
	if !c.LeaderServes && c.Voters == 1 {
		c.LeaderServes = true
	}
	if r.IntN(4) == 0 {
		c.Drift = 1 + r.IntN(20)
	}
	if c.Strategy == "" {
		c.Strategy = Swarm
	}
	c.drawFaults(r)
	c.drawMore(seed)
	c.drawTurns(seed)
	names := workloads.Names()
	c.Workload = names[r.IntN(len(names))]
	if description, known := defect.Find(defect.Name(options.Defect)); known {
		c.Workload = description.Workloads[r.IntN(len(description.Workloads))]
	}
	c.limit(options)
	if workload, err := workloads.Get(c.Workload); err == nil {
		c.Clients = max(c.Clients, workload.ClientsMin())
	}
	return c
}

// drawMore draws what the members' disks are, and what more befalls them.
func (c *Config) drawMore(seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0x6469736b)) // "disk"
	// Under the mistake of going on after an error it is the model that goes on.
	if r.IntN(filesOneIn) == 0 && c.Defect != string(defect.GoOnAfterDiskError) {
		c.Disk = fileDisks
		c.Purge = r.IntN(2) == 0
	}
	for _, kind := range moreKinds {
		if c.Strategy == Walk || r.IntN(3) == 0 {
			c.Faults = append(c.Faults, kind)
		}
	}
}

// filesOneIn is how rarely a seed has the real store on its members' disks, which takes a little more time.
const filesOneIn = 2

// limit applies what the caller fixed.
func (c *Config) limit(options Options) {
	if options.Members > 0 {
		c.Observers = min(c.Observers, max(options.Members-3, 0))
		c.Voters = options.Members - c.Observers
	}
	if options.Load > 0 {
		c.Load = options.Load
	}
	if options.Workload != "" {
		c.Workload = options.Workload
	}
	if c.Voters == 1 {
		c.LeaderServes = true
	}
}

// drawFaults draws which faults come, how often and for how long, and the weather of the network.
func (c *Config) drawFaults(r *rand.Rand) {
	c.FaultEvery = time.Duration(200+r.IntN(2000)) * time.Millisecond
	c.FaultSpan = time.Duration(200+r.IntN(3000)) * time.Millisecond
	c.DelayMax = c.TickTime * time.Duration(1+r.IntN(2*c.SyncLimit))
	switch c.Strategy {
	case Walk:
		c.Faults = slices.Clone(faultKinds)
		c.DelayRate, c.SyncRate = 5_000, 10_000
	case PCT:
		c.FaultEvery = time.Duration(1000+r.IntN(3000)) * time.Millisecond
		for range 1 + r.IntN(3) {
			c.Faults = append(c.Faults, faultKinds[r.IntN(len(faultKinds))])
		}
	default:
		for _, kind := range faultKinds {
			// What aims at moments and at changing quorums finds most: it is rarely left out.
			often := kind == "ambush" || kind == faultTurns
			if r.IntN(3) == 0 || often && r.IntN(2) == 0 {
				c.Faults = append(c.Faults, kind)
			}
		}
		if len(c.Faults) == 0 {
			c.Faults = []string{"crash", "ambush"}
		}
		if r.IntN(2) == 0 {
			c.DelayRate = pickOne(r, 200, 2000, 20_000)
		}
		if r.IntN(2) == 0 {
			c.SyncRate = pickOne(r, 1000, 20_000, 100_000)
		}
	}
}

func pickOne[T any](r *rand.Rand, choices ...T) T { return choices[r.IntN(len(choices))] }

// field is one line of a config's text.
type field struct {
	name  string
	value any // pointer
}

func (c *Config) fields() []field {
	return []field{
		{"seed", &c.Seed}, {"strategy", (*string)(&c.Strategy)}, {"defect", &c.Defect}, {"voters", &c.Voters}, {"observers", &c.Observers},
		{"tick-time", &c.TickTime}, {"init-limit", &c.InitLimit}, {"sync-limit", &c.SyncLimit},
		{"session-timeout", &c.SessionTimeout}, {"snap-count", &c.SnapCount}, {"commit-log", &c.CommitLog},
		{"size-factor", &c.SizeFactor}, {"fast-reads", &c.FastReads}, {"leader-serves", &c.LeaderServes},
		{"disk", &c.Disk}, {"purge", &c.Purge}, {"latency", &c.Latency}, {"jitter", &c.Jitter}, {"fsync", &c.Fsync}, {"drift", &c.Drift},
		{"workload", &c.Workload}, {"clients", &c.Clients}, {"rate", &c.Rate}, {"load", &c.Load},
	}
}

// format writes a config as lines of a name and a value. What only a drawing needs is left out.
func (c Config) format() string {
	var b strings.Builder
	for _, f := range c.fields() {
		var value any
		switch v := f.value.(type) {
		case *string:
			if *v == "" {
				continue
			}
			value = *v
		case *uint64:
			value = *v
		case *int:
			value = *v
		case *float64:
			value = *v
		case *bool:
			value = *v
		case *time.Duration:
			value = *v
		}
		fmt.Fprintf(&b, "%s %v\n", f.name, value)
	}
	return b.String()
}

// set takes one line of a config's text. It is false if there is no field of that name.
func (c *Config) set(name, value string) (known bool, err error) {
	for _, f := range c.fields() {
		if f.name != name {
			continue
		}
		switch v := f.value.(type) {
		case *string:
			*v = value
		case *time.Duration:
			*v, err = time.ParseDuration(value)
		default:
			_, err = fmt.Sscan(value, v)
		}
		if err != nil {
			return true, fmt.Errorf("%s %q: %w", name, value, err)
		}
		return true, nil
	}
	return false, nil
}

// The bounds of what a script may ask for.
const (
	membersMax = 9
	clientsMax = 1000
	loadMax    = 24 * time.Hour
)

// check refuses what no world can be made of.
func (c *Config) check() error {
	switch {
	case c.Voters < 1 || c.Observers < 0 || c.Members() > membersMax:
		return fmt.Errorf("voters %d, observers %d: at least one voter and at most %d members", c.Voters, c.Observers, membersMax)
	case c.TickTime < time.Millisecond || c.InitLimit < 1 || c.SyncLimit < 1 || c.SessionTimeout < c.TickTime:
		return fmt.Errorf("tick-time %v, init-limit %d, sync-limit %d, session-timeout %v: all must be set, the tick to at least 1ms", c.TickTime, c.InitLimit, c.SyncLimit, c.SessionTimeout)
	case c.Clients < 1 || c.Clients > clientsMax || c.Rate <= 0 || c.Load <= 0 || c.Load > loadMax:
		return fmt.Errorf("clients %d, rate %g, load %v: 1 to %d clients, a rate above 0, a load of up to %v", c.Clients, c.Rate, c.Load, clientsMax, loadMax)
	case c.Latency <= 0 || c.Fsync <= 0 || c.Jitter < 0 || c.Drift < 0 || c.Drift > 200:
		return fmt.Errorf("latency %v, fsync %v, jitter %v, drift %d: none may be negative, the first two not 0", c.Latency, c.Fsync, c.Jitter, c.Drift)
	}
	if c.Disk != "" && c.Disk != modelDisks && c.Disk != fileDisks {
		return fmt.Errorf("disk %q: %s or %s", c.Disk, modelDisks, fileDisks)
	}
	if _, err := workloads.Get(c.Workload); err != nil {
		return err
	}
	if _, err := defect.Parse(c.Defect); err != nil {
		return err
	}
	return nil
}
