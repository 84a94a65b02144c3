package checkers

import (
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"

	"ordeal/results/history"
)

// convergence judges replication by its outcome: servers that applied the same transactions hold the
// same tree, to the last version number.
var convergence = &guarantee{
	name:     "convergence",
	describe: "after healing, all members hold the same tree and the same digest",
	promise:  "After faults are healed, all members converge to the same tree.",
	nothing:  "no final tree was recorded",
	start: func(options Options) judge {
		return &convergenceJudge{weak: options.KnownWeakDisk && !options.StrictDisk, seed: maphash.MakeSeed(), memory: newMemory(options), trees: map[string]*sharedZnode{},
			finals: map[int]history.Event{}, counts: map[int]int{}, members: map[int]bool{}}
	},
}

// sharedZnode is one path as the first member had it that named it, and who else has it.
type sharedZnode struct {
	first   int
	print   uint64 // of value and stat
	stat    history.Stat
	members memberSet
}

// knownFaultyLog begins what is said of a log that is not what its server served.
const knownFaultyLog = "known weakness ZOOKEEPER-4712 (a server that changes its role while transactions wait for the disk)"

type convergenceJudge struct {
	weak     bool // a minority of faulty logs is a known weakness
	seed     maphash.Seed
	memory   memory
	evidence evidence
	trees    map[string]*sharedZnode
	finals   map[int]history.Event
	counts   map[int]int  // znodes seen, by member
	members  map[int]bool // that are known to exist
	judged   int
}

func (j *convergenceJudge) event(e history.Event) {
	switch e.Kind {
	case history.Member:
		j.members[e.Member] = true
	case history.Znode:
		j.znode(e.Member, e.Node)
	case history.Final:
		j.finals[e.Member] = e
	}
}

func (j *convergenceJudge) operation(operation) {}

func (j *convergenceJudge) znode(member int, n *history.Node) {
	const each = 160 // bytes that a path costs beside its name
	if n == nil || !j.memory.take(each+len(n.Path)) {
		return
	}
	j.judged++
	j.counts[member]++
	print := maphash.Comparable(j.seed, *n)
	shared, known := j.trees[n.Path]
	if !known {
		shared = &sharedZnode{first: member, print: print, stat: n.Stat}
		j.trees[n.Path] = shared
	} else if shared.print != print {
		j.evidence.add("%s differs: member %d has version %d, mzxid %s; member %d has version %d, mzxid %s, value %s",
			n.Path, shared.first, shared.stat.Version, zxidWord(shared.stat.Mzxid),
			member, n.Stat.Version, zxidWord(n.Stat.Mzxid), quote(n.Value))
	}
	shared.members.add(member)
}

func (j *convergenceJudge) finish(context.Context) Result {
	members := slices.Sorted(maps.Keys(j.finals))
	for _, path := range slices.Sorted(maps.Keys(j.trees)) {
		var with, without []string
		for _, m := range members {
			if j.trees[path].members.has(m) {
				with = append(with, fmt.Sprint(m))
			} else {
				without = append(without, fmt.Sprint(m))
			}
		}
		if len(with) > 0 && len(without) > 0 {
			j.evidence.add("%s (czxid %s) is on member %s and not on member %s", path,
				zxidWord(j.trees[path].stat.Czxid), strings.Join(with, ", "), strings.Join(without, ", "))
		}
	}
	known := j.disks(members)
	if j.evidence.found() {
		var words []string
		for _, m := range members {
			f := j.finals[m]
			words = append(words, fmt.Sprintf("member %d: zxid %s, %d znodes", m, zxidWord(f.Zxid), f.Count))
		}
		j.evidence.add("final trees: %s", strings.Join(words, "; "))
	}
	r := j.evidence.conclude(j.judged)
	if r.Verdict == Violation {
		return r
	}
	var missing []string
	for _, m := range slices.Sorted(maps.Keys(j.members)) {
		if _, ok := j.finals[m]; !ok {
			missing = append(missing, fmt.Sprint(m))
		}
	}
	for _, m := range members {
		if j.finals[m].Count != j.counts[m] {
			missing = append(missing, fmt.Sprintf("%d (%d of its %d znodes recorded)", m, j.counts[m], j.finals[m].Count))
		}
	}
	switch {
	case j.memory.exceeded:
		r.Verdict, r.Reason = Unknown, j.memory.reason("final trees")
	case len(members) > 0 && len(missing) > 0:
		r.Verdict, r.Reason = Unknown, "the final tree is missing or incomplete of member "+strings.Join(missing, ", ")
	}
	r.Evidence = append(r.Evidence, known...)
	return r
}

// disks judges what the members have on disk: logs that are not what their servers served, and the
// digests of the others. It returns what is a known weakness: not more than a minority of faulty logs
// of an implementation that is known for them, since a majority still has every transaction.
func (j *convergenceJudge) disks(members []int) (known []string) {
	var sound, faulty []history.Event
	for _, m := range members {
		if final := j.finals[m]; final.Text == "" {
			sound = append(sound, final)
		} else {
			faulty = append(faulty, final)
		}
	}
	weak := j.weak && 2*len(faulty) < len(members)
	for _, final := range faulty {
		words := fmt.Sprintf("what member %d has on disk is not what it served: %s", final.Member, final.Text)
		if weak {
			known = append(known, knownFaultyLog+": "+words)
		} else {
			j.evidence.add("%s", words)
		}
	}
	for i, b := range sound {
		if a := sound[0]; i > 0 && a.Digest != b.Digest && a.Zxid == b.Zxid {
			j.evidence.add("at zxid %s member %d has digest %s and member %d has digest %s",
				zxidWord(a.Zxid), a.Member, a.Digest, b.Member, b.Digest)
		}
	}
	return known
}
