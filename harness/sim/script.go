package sim

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"ordeal/results/history"
)

// Decision is one choice that made a run differ from a calm one: exactly one of its fields is set.
type Decision struct {
	Fault  *Fault
	Op     *Op
	Delay  *Delay
	Sync   *SlowSync
	Branch *Branch
	Stage  *SlowStage
}

// Op is an operation of a client, or, if MoveTo is a member, that its session moves there.
type Op struct {
	At      time.Duration
	Client  int
	Request history.Request
	MoveTo  int
}

// Delay makes one packet late: the one with this index on its way. Member 0 stands for clients.
type Delay struct {
	From, To int
	Index    uint64
	By       time.Duration
}

// SlowSync makes one disk operation long.
type SlowSync struct {
	Member int
	Index  uint64
	By     time.Duration
}

// Script is a run as it was decided.
type Script struct {
	Config    Config
	Decisions []Decision
	// Violation is the guarantee that the run breaks, empty for none.
	Violation string
	// Hash is that of all events, 0 if not known.
	Hash uint64
	// Comment is lines for people.
	Comment []string
}

const scriptHead = "ordeal simulation 1"

// Format writes the script as text.
func (s *Script) Format() string {
	var b strings.Builder
	for _, line := range s.Comment {
		b.WriteString("# " + line + "\n")
	}
	b.WriteString(scriptHead + "\n")
	b.WriteString(s.Config.format())
	if s.Violation != "" {
		fmt.Fprintf(&b, "violation %s\n", s.Violation)
	}
	if s.Hash != 0 {
		fmt.Fprintf(&b, "hash %016x\n", s.Hash)
	}
	b.WriteString("decisions\n")
	for _, d := range s.Decisions {
		b.WriteString(d.String() + "\n")
	}
	return b.String()
}

// String is the decision's line in a script.
func (d Decision) String() string {
	switch {
	case d.Fault != nil:
		return d.Fault.String()
	case d.Op != nil && d.Op.MoveTo > 0:
		return fmt.Sprintf("move %v client %d to %d", d.Op.At, d.Op.Client, d.Op.MoveTo)
	case d.Op != nil:
		request, err := json.Marshal(d.Op.Request)
		if err != nil {
			panic(fmt.Sprintf("sim: a request cannot be written: %v", err))
		}
		return fmt.Sprintf("op %v client %d %s", d.Op.At, d.Op.Client, request)
	case d.Delay != nil:
		return fmt.Sprintf("delay %d>%d packet %d by %v", d.Delay.From, d.Delay.To, d.Delay.Index, d.Delay.By)
	case d.Branch != nil:
		return d.Branch.String()
	case d.Stage != nil:
		return d.Stage.String()
	default:
		return fmt.Sprintf("slow-sync member %d operation %d by %v", d.Sync.Member, d.Sync.Index, d.Sync.By)
	}
}

// Parse reads a script. The error names the line.
func Parse(text string) (*Script, error) {
	s := &Script{}
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<20)
	state := "head"
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			if state == "head" && line != "" {
				s.Comment = append(s.Comment, strings.TrimSpace(line[1:]))
			}
			continue
		}
		var err error
		switch {
		case state == "head" && line == scriptHead:
			state = "config"
		case state == "head":
			err = fmt.Errorf("a script begins with %q", scriptHead)
		case state == "config" && line == "decisions":
			state = "decisions"
		case state == "config":
			err = s.set(line)
		default:
			var d Decision
			if d, err = parseDecision(line); err == nil {
				s.Decisions = append(s.Decisions, d)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if state != "decisions" {
		return nil, fmt.Errorf("the script has no line %q", "decisions")
	}
	if err := s.Config.check(); err != nil {
		return nil, err
	}
	return s, s.checkDecisions()
}

// checkDecisions refuses decisions about members and clients that there are not.
func (s *Script) checkDecisions() error {
	members := s.Config.Members()
	for _, d := range s.Decisions {
		wrong := false
		switch {
		case d.Fault != nil:
			wrong = d.Fault.Member > members || d.Fault.Other > members
		case d.Op != nil:
			wrong = d.Op.Client < 1 || d.Op.Client > s.Config.Clients || d.Op.MoveTo < 0 || d.Op.MoveTo > members
		case d.Delay != nil:
			wrong = d.Delay.From < 0 || d.Delay.From > members || d.Delay.To < 0 || d.Delay.To > members
		case d.Sync != nil:
			wrong = d.Sync.Member < 1 || d.Sync.Member > members
		case d.Branch != nil:
			wrong = d.Branch.Member < 1 || d.Branch.Member > members
		case d.Stage != nil:
			wrong = d.Stage.Member < 1 || d.Stage.Member > members
		}
		if wrong {
			return fmt.Errorf("decision %q names a member or client that there is not", d)
		}
	}
	return nil
}

func (s *Script) set(line string) error {
	name, value, _ := strings.Cut(line, " ")
	switch name {
	case "violation":
		s.Violation = value
		return nil
	case "hash":
		hash, err := strconv.ParseUint(value, 16, 64)
		s.Hash = hash
		return err
	}
	known, err := s.Config.set(name, value)
	if !known {
		return fmt.Errorf("unknown field %q", name)
	}
	return err
}

func parseDecision(line string) (Decision, error) {
	words := strings.Fields(line)
	switch words[0] {
	case "op":
		op := &Op{}
		var at string
		start := strings.Index(line, "{")
		if start < 0 {
			return Decision{}, fmt.Errorf("op without a request: %q", line)
		}
		if _, err := fmt.Sscanf(line[:start], "op %s client %d", &at, &op.Client); err != nil {
			return Decision{}, fmt.Errorf("op: %w", err)
		}
		var err error
		if op.At, err = time.ParseDuration(at); err != nil {
			return Decision{}, err
		}
		return Decision{Op: op}, json.Unmarshal([]byte(line[start:]), &op.Request)
	case "move":
		op := &Op{}
		var at string
		if _, err := fmt.Sscanf(line, "move %s client %d to %d", &at, &op.Client, &op.MoveTo); err != nil {
			return Decision{}, fmt.Errorf("move: %w", err)
		}
		if op.MoveTo < 1 {
			return Decision{}, fmt.Errorf("move: there is no member %d", op.MoveTo)
		}
		var err error
		op.At, err = time.ParseDuration(at)
		return Decision{Op: op}, err
	case "delay":
		delay := &Delay{}
		var by string
		if _, err := fmt.Sscanf(line, "delay %d>%d packet %d by %s", &delay.From, &delay.To, &delay.Index, &by); err != nil {
			return Decision{}, fmt.Errorf("delay: %w", err)
		}
		var err error
		delay.By, err = time.ParseDuration(by)
		return Decision{Delay: delay}, err
	case "slow-sync":
		slow := &SlowSync{}
		var by string
		if _, err := fmt.Sscanf(line, "slow-sync member %d operation %d by %s", &slow.Member, &slow.Index, &by); err != nil {
			return Decision{}, fmt.Errorf("slow-sync: %w", err)
		}
		var err error
		slow.By, err = time.ParseDuration(by)
		return Decision{Sync: slow}, err
	case "rare":
		branch, err := parseBranch(line)
		return Decision{Branch: branch}, err
	case "slow-stage":
		slow, err := parseSlowStage(line)
		return Decision{Stage: slow}, err
	case "fault":
		fault, err := parseFault(words[1:])
		return Decision{Fault: fault}, err
	}
	return Decision{}, fmt.Errorf("unknown decision %q", words[0])
}

// wayIndex and diskIndex name what a delay is about.
type wayIndex struct {
	from, to int
	index    uint64
}

type diskIndex struct {
	member int
	index  uint64
}

// source is where a world's choices come from: a seed, and then they are recorded, or a script.
type source struct {
	config   *Config
	scripted bool
	delays   map[wayIndex]time.Duration
	syncs    map[diskIndex]time.Duration
	// priorities are those of PCT, nil for other strategies.
	priorities *priorities
	// scriptFaults are those of the script.
	scriptFaults []*Fault
	branches     map[Branch]bool
	branchesFrom []Branch                    // those by a moment that are still to come
	branched     map[Branch]time.Duration    // when those of a script were taken
	stages       map[SlowStage]time.Duration // by all but how long
	made         []Decision
	noise        uint64
	chance       uint64
}

func newSource(config *Config, script []Decision, scripted bool) *source {
	s := &source{config: config, scripted: scripted, noise: mix(config.Seed ^ 0x9e3779b97f4a7c15), chance: mix(config.Seed + 0x51ed2701)}
	if config.Strategy == PCT && !scripted {
		s.priorities = newPriorities(config)
	}
	for _, d := range script {
		switch {
		case d.Fault != nil:
			s.scriptFaults = append(s.scriptFaults, d.Fault)
		case d.Delay != nil:
			if s.delays == nil {
				s.delays = map[wayIndex]time.Duration{}
			}
			s.delays[wayIndex{d.Delay.From, d.Delay.To, d.Delay.Index}] = d.Delay.By
		case d.Sync != nil:
			if s.syncs == nil {
				s.syncs = map[diskIndex]time.Duration{}
			}
			s.syncs[diskIndex{d.Sync.Member, d.Sync.Index}] = d.Sync.By
		case d.Branch != nil && d.Branch.From > 0:
			s.branchesFrom = append(s.branchesFrom, *d.Branch)
		case d.Branch != nil:
			if s.branches == nil {
				s.branches, s.branched = map[Branch]bool{}, map[Branch]time.Duration{}
			}
			s.branches[*d.Branch] = true
		case d.Stage != nil:
			if s.stages == nil {
				s.stages = map[SlowStage]time.Duration{}
			}
			key := *d.Stage
			key.By = 0
			s.stages[key] = d.Stage.By
		}
	}
	return s
}

// mix is the finaliser of SplitMix64: neighbouring numbers give independent ones.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// upTo turns a random number into a time below span.
func upTo(random uint64, span time.Duration) time.Duration {
	if span <= 0 {
		return 0
	}
	return time.Duration(random % uint64(span))
}

// jitter is the small chance in every packet's time. It is no decision.
func (s *source) jitter(v *way, index uint64) time.Duration {
	return upTo(mix(s.noise^uint64(v.from)<<56^uint64(v.to)<<48^index), s.config.Jitter)
}

const million = 1_000_000

// delay is how much later than usual a packet comes.
func (s *source) delay(w *World, v *way, index uint64) time.Duration {
	if s.scripted {
		if s.delays == nil {
			return 0
		}
		return s.delays[wayIndex{v.from, v.to, index}]
	}
	if s.priorities != nil {
		s.priorities.sent(s.priorities.chain(v.from, v.to), w.now+v.base+v.slow+s.jitter(v, index))
	}
	if s.config.DelayRate == 0 || !w.faultsOn {
		return 0
	}
	random := mix(s.chance ^ uint64(v.from)<<56 ^ uint64(v.to)<<48 ^ index)
	if int(random%million) >= s.config.DelayRate {
		return 0
	}
	by := upTo(mix(random), s.config.DelayMax)
	s.made = append(s.made, Decision{Delay: &Delay{From: v.from, To: v.to, Index: index, By: by}})
	w.coverage.hit("delay")
	return by
}

// slowSync is how much longer than usual a disk operation takes.
func (s *source) slowSync(w *World, member int, index uint64) time.Duration {
	if s.scripted {
		if s.syncs == nil {
			return 0
		}
		return s.syncs[diskIndex{member, index}]
	}
	if !w.faultsOn {
		return 0
	}
	by := time.Duration(0)
	random := mix(s.chance ^ 0xd15c<<40 ^ uint64(member)<<56 ^ index)
	switch {
	case s.priorities != nil:
		by = w.holdDisk(member, index)
	case int(random%million) < s.config.SyncRate:
		by = upTo(mix(random), s.config.DelayMax)
	}
	if by == 0 {
		return 0
	}
	s.made = append(s.made, Decision{Sync: &SlowSync{Member: member, Index: index, By: by}})
	w.coverage.hit("slow-sync")
	return by
}

// faults are those that will come between two moments: the script's, or new ones.
func (s *source) faults(from, to time.Duration) []*Fault {
	if s.scripted {
		return s.scriptFaults
	}
	list := drawFaultList(s.config, from, to)
	for _, f := range list {
		s.made = append(s.made, Decision{Fault: f})
	}
	return list
}
