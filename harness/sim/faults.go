package sim

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"ordeal/node/jute"
	"ordeal/node/quorum"
	"ordeal/results/history"
)

// Fault is one thing that is done to members, when, to whom, and for how long.
type Fault struct {
	At time.Duration
	// Point, if it is set, makes the fault wait from At on for the Nth time that this happens: the
	// name of a packet that arrives, or of a disk operation that is done and not reported yet.
	Point string
	Nth   int
	Kind  string
	// Who is the member it befalls: "member" (see Member), "leader" as of that moment, "all", and at a
	// point "sender" or "receiver".
	Who    string
	Member int
	Other  int // the second member of a cut or a slow link
	For    time.Duration
	// Keep is how many of a hundred un-synced entries survive a loss of power.
	Keep int
	// Files are those that a fault of a disk is about; empty for all.
	Files fileKind
	// By is how slow something gets, or how far a clock jumps.
	By time.Duration
}

// The kinds of faults.
const (
	faultCrash        = "crash"         // the process ends: what it wrote stays
	faultPower        = "power"         // and what was not synced is lost
	faultStop         = "stop"          // the process ends as it was asked to
	faultPause        = "pause"         // it stands still
	faultIsolate      = "isolate"       // nothing passes from and to all other members
	faultDeafen       = "deafen"        // nothing passes to it
	faultSilence      = "silence"       // nothing passes from it
	faultCut          = "cut"           // nothing passes from one member to another
	faultReset        = "reset"         // all its connections break
	faultClientCut    = "client-cut"    // no client reaches it
	faultSlowLink     = "slow-link"     // packets from one member to another take long
	faultSlowDisk     = "slow-disk"     // syncs take long
	faultStuckDisk    = "stuck-disk"    // operations on the disk stand still
	faultBrokenDisk   = "broken-disk"   // writes and syncs fail
	faultFullDisk     = "full-disk"     // writes fail
	faultFailingSync  = "failing-sync"  // syncs fail
	faultRot          = "rot"           // the process ends, and until its next start a byte of its files changes
	faultWipe         = "wipe"          // the process ends, and its disk is empty when it starts again
	faultStall        = "stall"         // it accepts what its peers send and does not read it
	faultStallClients = "stall-clients" // clients do not read what it sends them
	faultJump         = "jump"          // its clock on the wall jumps
	faultTurns        = "turns"         // drawn only: other members are out of reach each time
	faultRestart      = "restart"       // drawn only: the process ends, and again while it starts
)

// faultKinds are what a seed draws from; "ambush" waits for a point, "blackout" is power for all.
var faultKinds = []string{
	faultCrash, faultPower, faultStop, faultPause, faultIsolate, faultDeafen, faultSilence, faultCut, faultReset,
	faultClientCut, faultSlowLink, faultSlowDisk, faultStuckDisk, faultBrokenDisk, faultJump, "ambush", "blackout",
	faultTurns,
}

// moreKinds are what a seed draws from besides.
var moreKinds = []string{faultFullDisk, faultFailingSync, faultRot, faultStall, faultStallClients, faultRestart, faultWipe}

// pointOpening is every change of a file while a store recovers.
const pointOpening = "opening"

// points are the moments at which an end hurts most.
var points = []string{
	"Sync", "WriteAcceptedEpoch", "WriteCurrentEpoch", "InstallSnapshot", "Truncate",
	"FOLLOWERINFO", "LEADERINFO", "ACKEPOCH", "DIFF", "TRUNC", "SNAP", "NEWLEADER", "UPTODATE",
	"PROPOSAL", "PROPOSAL", "ACK", "ACK", "COMMIT", "REQUEST",
}

// String is the fault's line in a script.
func (f *Fault) String() string {
	text := fmt.Sprintf("fault %v", f.At)
	if f.Point != "" {
		text += fmt.Sprintf(" at %s %d", f.Point, f.Nth)
	}
	text += " " + f.Kind
	switch {
	case f.Who == whoMember:
		text += fmt.Sprintf(" member %d", f.Member)
	default:
		text += " " + f.Who
	}
	if f.Other != 0 {
		text += fmt.Sprintf(" other %d", f.Other)
	}
	if f.Keep != 0 {
		text += fmt.Sprintf(" keep %d", f.Keep)
	}
	if f.Files != "" {
		text += " files " + string(f.Files)
	}
	if f.By != 0 {
		text += fmt.Sprintf(" by %v", f.By)
	}
	return text + fmt.Sprintf(" for %v", f.For)
}

// Whom a fault befalls.
const (
	whoMember   = "member"
	whoLeader   = "leader"
	whoAll      = "all"
	whoSender   = "sender"
	whoReceiver = "receiver"
)

func parseFault(words []string) (*Fault, error) {
	f := &Fault{}
	take := func() string {
		if len(words) == 0 {
			return ""
		}
		word := words[0]
		words = words[1:]
		return word
	}
	var err error
	if f.At, err = time.ParseDuration(take()); err != nil {
		return nil, fmt.Errorf("fault: %w", err)
	}
	for len(words) > 0 {
		switch word := take(); word {
		case "at":
			f.Point = take()
			f.Nth, err = strconv.Atoi(take())
			if !slices.Contains(points, f.Point) && !slices.Contains(fileOperations, f.Point) && f.Point != pointOpening {
				return nil, fmt.Errorf("fault: unknown point %q", f.Point)
			}
		case whoMember:
			f.Who = whoMember
			f.Member, err = strconv.Atoi(take())
		case whoLeader, whoAll, whoSender, whoReceiver:
			f.Who = word
		case "other":
			f.Other, err = strconv.Atoi(take())
		case "keep":
			f.Keep, err = strconv.Atoi(take())
		case "files":
			f.Files = fileKind(take())
			if !slices.Contains(fileKinds, f.Files) {
				return nil, fmt.Errorf("fault: unknown kind of files %q", f.Files)
			}
		case "by":
			f.By, err = time.ParseDuration(take())
		case "for":
			f.For, err = time.ParseDuration(take())
		default:
			if !slices.Contains(faultKinds, word) && !slices.Contains(moreKinds, word) {
				return nil, fmt.Errorf("fault: unknown word %q", word)
			}
			f.Kind = word
		}
		if err != nil {
			return nil, fmt.Errorf("fault: %w", err)
		}
	}
	if f.Kind == "" || f.Who == "" || f.Member < 0 || f.Other < 0 || f.For < 0 || f.Who == whoMember && f.Member < 1 {
		return nil, fmt.Errorf("fault: it needs a kind and a member: %q", f)
	}
	return f, nil
}

// ambush is a fault that waits for its point.
type ambush struct {
	fault  *Fault
	packet int32 // 0: a disk operation
	word   string
	seen   int
}

// lay plans a fault, or an ambush.
func (w *World) lay(f *Fault) {
	w.after(f.At-w.now, func() {
		if !w.faultsOn {
			return
		}
		if f.Point == "" {
			w.befall(f, w.victims(f, nil, nil))
			return
		}
		a := &ambush{fault: f, word: f.Point}
		for packet := jute.PacketRequest; packet <= jute.PacketInformAndActivate; packet++ {
			if jute.PacketName(packet) == f.Point {
				a.packet, a.word = packet, ""
			}
		}
		w.ambushes = append(w.ambushes, a)
	})
}

// spring lets ambushes strike: packet is what arrived, or 0 and word what a disk has done.
func (w *World) spring(packet int32, word string, from, to *member) {
	for i, a := range w.ambushes {
		if a.packet != packet || packet == 0 && a.word != word {
			continue
		}
		if a.seen++; a.seen < a.fault.Nth {
			continue
		}
		w.ambushes = slices.Delete(w.ambushes, i, i+1)
		w.tell("ambush at %s", a.fault.Point)
		w.befall(a.fault, w.victims(a.fault, from, to))
		return
	}
}

// victims are the members that a fault befalls.
func (w *World) victims(f *Fault, from, to *member) []*member {
	switch f.Who {
	case whoAll:
		return slices.Clone(w.members)
	case whoSender:
		if from != nil {
			return []*member{from}
		}
	case whoReceiver:
		if to != nil {
			return []*member{to}
		}
	case whoMember:
		return []*member{w.members[f.Member-1]}
	}
	if leader := w.leader(); leader != nil {
		return []*member{leader}
	}
	return nil
}

// befall begins a fault and plans its end.
func (w *World) befall(f *Fault, victims []*member) {
	if len(victims) == 0 {
		return
	}
	w.active++
	w.coverage.hit(f.Kind)
	recorded := f.recorded(victims)
	w.lastFault++
	recorded.ID = w.lastFault
	w.record(history.Event{Kind: history.FaultOn, Fault: &recorded})
	w.note(hashFault, victims[0].id, int64(f.At))
	w.noteBytes([]byte(f.Kind))
	if w.trace != nil {
		w.tell("FAULT %s", recorded.String())
	}
	length := min(f.For, max(w.loadEnd-w.now, 0))
	for _, m := range victims {
		w.after(length, m.suffer(f))
	}
	w.after(length, func() {
		w.active--
		w.quiet = w.now
		w.tell("HEAL fault %d", recorded.ID)
		w.record(history.Event{Kind: history.FaultOff, Fault: &recorded})
	})
}

// historyKinds are the history's words for what faults do. What it has no word for stands in a shape.
var historyKinds = map[string]history.FaultKind{
	faultCrash: history.Kill, faultPower: history.PowerLoss, faultStop: history.Stop, faultPause: history.Pause, faultClientCut: history.ClientCut,
}

func (f *Fault) recorded(victims []*member) history.Fault {
	recorded := history.Fault{Nemesis: "sim", Kind: historyKinds[f.Kind]}
	if recorded.Kind == "" {
		recorded.Kind, recorded.Shape = history.Cut, f.Kind
	}
	for _, m := range victims {
		recorded.Members = append(recorded.Members, m.id)
	}
	if f.Other != 0 {
		recorded.Links = []history.Link{{From: victims[0].id, To: f.Other}}
	}
	return recorded
}

// suffer lets a fault befall a member and returns what ends it.
func (m *member) suffer(f *Fault) (end func()) {
	w := m.world
	nothing := func() {}
	switch f.Kind {
	case faultCrash:
		m.crash(false, 0)
		return m.boot
	case faultPower:
		m.crash(true, f.Keep)
		return m.boot
	case faultStop:
		m.stop()
		return m.boot
	case faultPause:
		m.pause()
		return m.resume
	case faultIsolate:
		return w.cutWays(m, true, true)
	case faultDeafen:
		return w.cutWays(m, false, true)
	case faultSilence:
		return w.cutWays(m, true, false)
	case faultCut:
		if f.Other == 0 || f.Other == m.id {
			return w.cutWays(m, true, true)
		}
		return w.cutWay(w.ways[m.id][f.Other])
	case faultStall:
		var heals []func()
		for _, other := range w.members {
			if other != m && (f.Other == 0 || f.Other == other.id) {
				heals = append(heals, w.stallWay(w.ways[other.id][m.id]))
			}
		}
		return all(heals)
	case faultStallClients:
		return w.stallWay(w.ways[m.id][0])
	case faultReset:
		m.resetAll()
		return nothing
	case faultClientCut:
		there, back := w.cutWay(w.ways[0][m.id]), w.cutWay(w.ways[m.id][0])
		return func() { there(); back() }
	case faultSlowLink:
		if f.Other == 0 || f.Other == m.id {
			return w.slowWays(m, f.By)
		}
		v := w.ways[m.id][f.Other]
		v.slow += f.By
		return func() { v.slow -= f.By }
	case faultSlowDisk:
		m.disk.troubles().slow += f.By
		return func() { m.disk.troubles().slow -= f.By }
	case faultStuckDisk:
		m.disk.troubles().stuck++
		return func() { m.disk.release() }
	case faultBrokenDisk, faultFullDisk, faultFailingSync:
		m.disk.troubles().begin(f)
		return func() {
			m.disk.troubles().end(f)
			m.boot() // if it ended because of it
		}
	case faultRot:
		m.crash(false, 0)
		m.disk.rot(f.Files, mix(w.source.chance^uint64(f.At)))
		return m.boot
	case faultWipe:
		m.crash(false, 0)
		w.wipe(m)
		return m.boot
	case faultJump:
		m.wallOffset += f.By.Milliseconds()
		return nothing
	}
	panic(fmt.Sprintf("sim: unknown fault %q", f.Kind))
}

// wipe empties a member's disk, unless others lack so much already that what is committed could be lost.
func (w *World) wipe(m *member) {
	var sound quorum.Set
	for _, other := range w.members[:w.config.Voters] {
		if other != m && !other.disk.lacks() {
			sound.Add(int64(other.id))
		}
	}
	if !w.verifier.ContainsQuorum(sound) {
		w.tell("disk %d  is left as it is: without it no quorum has what it held", m.id)
		return
	}
	m.disk.wipe()
	w.coverage.hit("wiped")
	w.tell("disk %d  is wiped", m.id)
}

// cutWay cuts one direction between two machines, and returns what heals it.
func (w *World) cutWay(v *way) (heal func()) {
	v.cuts++
	return func() {
		v.cuts--
		if v.cuts == 0 {
			w.nudge()
		}
	}
}

// cutWays cuts what goes out from a member, what comes in, or both.
func (w *World) cutWays(m *member, out, in bool) (heal func()) {
	var heals []func()
	for _, other := range w.members {
		if other == m {
			continue
		}
		if out {
			heals = append(heals, w.cutWay(w.ways[m.id][other.id]))
		}
		if in {
			heals = append(heals, w.cutWay(w.ways[other.id][m.id]))
		}
	}
	return all(heals)
}

// all heals one after the other.
func all(heals []func()) func() {
	return func() {
		for _, h := range heals {
			h()
		}
	}
}

func (w *World) slowWays(m *member, by time.Duration) (heal func()) {
	for _, other := range w.members {
		w.ways[m.id][other.id].slow += by
	}
	return func() {
		for _, other := range w.members {
			w.ways[m.id][other.id].slow -= by
		}
	}
}
