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
// same tree, to the last version number; and their disks hold all that was acknowledged or served.
var convergence = &guarantee{
	name:     "convergence",
	describe: "after healing, all members hold the same tree and the same digest, in memory and on disk",
	promise:  "After faults are healed, all members converge to the same tree.",
	nothing:  "no final tree with a change of the load was recorded",
	start: func(options Options) judge {
		return &convergenceJudge{weak: options.KnownWeakDisk && !options.StrictDisk, seed: maphash.MakeSeed(), memory: newMemory(options, "final trees"), trees: map[string]*sharedZnode{},
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
	weak bool // a minority of faulty logs is a known weakness
	seed maphash.Seed
	*memory
	evidence
	trees   map[string]*sharedZnode
	finals  map[int]history.Event
	counts  map[int]int  // znodes seen, by member
	members map[int]bool // that are known to exist
	newest  int64        // the greatest zxid of an acknowledged write
	before  int64        // the same of those before the load
	loaded  bool         // the load has begun
	judged  int
}

func (j *convergenceJudge) event(e history.Event) {
	switch e.Kind {
	case history.Member:
		j.members[e.Member] = true
	case history.Phase:
		j.loaded = j.loaded || e.Text == loadPhase
	case history.Znode:
		j.znode(e.Member, e.Node)
	case history.Final:
		j.finals[e.Member] = e
	}
}

func (j *convergenceJudge) operation(op operation) {
	if !op.ok() || !op.writes() || !isTransaction(op.result.Zxid) {
		return
	}
	j.newest = max(j.newest, op.result.Zxid)
	if !op.load && !j.loaded {
		j.before = max(j.before, op.result.Zxid)
	}
}

// isTransaction tells a transaction's zxid from the start of an epoch, at which a new leader answers.
func isTransaction(zxid int64) bool {
	const counter = 1<<32 - 1
	return zxid&counter != 0
}

func (j *convergenceJudge) znode(member int, n *history.Node) {
	const each = 160 // bytes that a path costs beside its name
	if n == nil || !j.memory.take(each+len(n.Path)) {
		return
	}
	if max(n.Stat.Mzxid, n.Stat.Pzxid) > j.before {
		j.judged++
	}
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
	known, apart := j.disks(members)
	if j.evidence.found() {
		var words []string
		for _, m := range members {
			f := j.finals[m]
			words = append(words, fmt.Sprintf("member %d: zxid %s, %d znodes", m, zxidWord(max(f.Served, f.Zxid)), f.Count))
		}
		j.evidence.add("final trees: %s", strings.Join(words, "; "))
	}
	r := j.evidence.conclude(j.judged)
	if r.Verdict == Violation {
		return r
	}
	missing := without(j.members, j.finals)
	for _, m := range members {
		if j.finals[m].Count != j.counts[m] {
			missing = append(missing, fmt.Sprintf("%d (%d of its %d znodes recorded)", m, j.counts[m], j.finals[m].Count))
		}
	}
	switch {
	case len(members) > 0 && len(missing) > 0:
		r.Verdict, r.Reason = Unknown, "the final tree is missing or incomplete of member "+strings.Join(missing, ", ")
	case apart != "":
		r.Verdict, r.Reason = Unknown, apart
	}
	r.Evidence = append(r.Evidence, known...)
	return r
}

// disks judges what the members have on disk: logs that are not what their servers served, or that end
// before it, and the digests of the others. It returns what is a known weakness: not more than a minority
// of faulty logs of an implementation that is known for them, since a majority still has every
// transaction. And it says so if no two digests could be compared.
func (j *convergenceJudge) disks(members []int) (known []string, apart string) {
	var sound []history.Event
	var faulty []string
	for _, m := range members {
		final := j.finals[m]
		newest := j.newest
		if isTransaction(final.Served) {
			newest = max(newest, final.Served)
		}
		switch {
		case final.Text != "":
			faulty = append(faulty, fmt.Sprintf("what member %d has on disk is not what it served: %s", m, final.Text))
		case final.Zxid < newest:
			faulty = append(faulty, fmt.Sprintf("what member %d has on disk ends at zxid %s, before zxid %s, which was acknowledged or served",
				m, zxidWord(final.Zxid), zxidWord(newest)))
		default:
			sound = append(sound, final)
		}
	}
	weak := j.weak && 2*len(faulty) < len(members)
	for _, words := range faulty {
		if weak {
			known = append(known, knownFaultyLog+": "+words)
		} else {
			j.evidence.add("%s", words)
		}
	}
	compared := false
	for i, b := range sound {
		for _, a := range sound[:i] {
			if a.Zxid != b.Zxid {
				continue
			}
			compared = true
			if a.Digest != b.Digest {
				j.evidence.add("at zxid %s member %d has digest %s and member %d has digest %s",
					zxidWord(a.Zxid), a.Member, a.Digest, b.Member, b.Digest)
			}
		}
	}
	if len(sound) > 1 && !compared {
		var ends []string
		for _, final := range sound {
			ends = append(ends, fmt.Sprintf("member %d at %s", final.Member, zxidWord(final.Zxid)))
		}
		apart = "no two disks could be compared by their digests, for they end at different zxids: " + strings.Join(ends, ", ")
	}
	return known, apart
}
