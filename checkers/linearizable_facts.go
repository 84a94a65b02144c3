package checkers

import (
	"hash/maphash"

	"ordeal/results/history"
)

// incarnation is one version of one life of a znode.
type incarnation struct {
	czxid   int64
	version int32
}

// fact is what was seen of an incarnation, by anybody.
type fact struct {
	mzxid   int64
	value   uint64
	valued  bool  // value is known
	written bool  // by a write that was acknowledged
	held    int64 // the greatest zxid at which it was current
}

// facts are what a whole history shows of one znode. They tell which write of unknown outcome took
// effect, and where one cannot have: without them every such write could stand anywhere, and a search
// would try it everywhere. Plain reads count here too: they may be old, but what they show was there.
type facts struct {
	versions map[incarnation]*fact
	held     map[int64]int64 // by czxid: the greatest zxid at which that life went on
	listed   int64           // the greatest zxid of a list of children in which it stood
}

func newFacts() *facts {
	return &facts{versions: map[incarnation]*fact{}, held: map[int64]int64{}}
}

// see takes in a stat that a reply of this zxid showed; value may be nil.
func (f *facts) see(stat *history.Stat, value *string, zxid int64, written bool) {
	key := incarnation{stat.Czxid, stat.Version}
	v := f.versions[key]
	if v == nil {
		v = &fact{}
		f.versions[key] = v
	}
	v.mzxid = stat.Mzxid
	v.written = v.written || written
	v.held = max(v.held, zxid, stat.Mzxid)
	if value != nil {
		v.value, v.valued = maphash.String(prints, *value), true
	}
	f.held[stat.Czxid] = max(f.held[stat.Czxid], zxid, stat.Mzxid)
}

// allowSet tells whether a set of unknown outcome may have made the next version of a znode before
// the zxid next.
func (f *facts) allowSet(z modelZnode, value uint64, next int64) bool {
	if current := f.versions[incarnation{z.czxid, z.version}]; current != nil && current.held >= next {
		return false
	}
	made := f.versions[incarnation{z.czxid, z.version + 1}]
	return made == nil || !made.written && (!made.valued || made.value == value) && made.mzxid <= next
}

// allowDelete tells whether a znode may have been deleted before the zxid next.
func (f *facts) allowDelete(z modelZnode, next int64) bool {
	return f.held[z.czxid] < next && f.listed < next
}

// seenWrite is a write by what it wrote where; for a sequential create, by the path that was asked for.
type seenWrite struct {
	path  string
	value uint64
}

// evident is what somebody saw of a write that nobody acknowledged.
type evident struct {
	path  string // with its number, of a sequential create
	stat  history.Stat
	clear bool // only one incarnation has this value
}

// evidents finds everything that was seen and that no acknowledged write wrote.
func evidents(all map[string]*facts) map[seenWrite]evident {
	found := map[seenWrite]evident{}
	note := func(key seenWrite, e evident) {
		if _, twice := found[key]; twice {
			e.clear = false
		}
		found[key] = e
	}
	for path, f := range all {
		for key, v := range f.versions {
			if v.written || !v.valued {
				continue
			}
			e := evident{path: path, clear: true, stat: history.Stat{Czxid: key.czxid, Mzxid: v.mzxid, Version: key.version}}
			note(seenWrite{path, v.value}, e)
			if key.version == 0 && sequentialName(path) {
				note(seenWrite{path[:len(path)-suffixDigits], v.value}, e)
			}
		}
	}
	return found
}

// settle gives a write of unknown outcome the outcome that somebody saw. Values are unique in most
// workloads; one that two writes of unknown outcome share settles none of them.
func settle(m *move, found map[seenWrite]evident, writers map[seenWrite]int) {
	one := func(r *history.Request) (evident, bool) {
		if r.Kind != history.Set && r.Kind != history.Create {
			return evident{}, false
		}
		key := seenWrite{r.Path, maphash.String(prints, r.Value)}
		e, ok := found[key]
		created := r.Kind == history.Create
		return e, ok && e.clear && writers[key] == 1 && (e.stat.Version == 0) == created
	}
	var result history.Result
	if m.request.Kind != history.Multi {
		e, ok := one(m.request)
		if !ok {
			return
		}
		result = history.Result{Path: e.path, Stat: &e.stat, Zxid: e.stat.Mzxid}
	}
	for i := range m.request.Parts {
		part := history.Result{Outcome: history.OK}
		if e, ok := one(&m.request.Parts[i]); ok {
			part.Path, part.Stat, result.Zxid = e.path, &e.stat, e.stat.Mzxid
		}
		result.Parts = append(result.Parts, part)
	}
	if result.Zxid == 0 {
		return
	}
	result.Outcome, result.Answered = history.OK, false
	m.result, m.zxid = &result, result.Zxid
}

// writersOf counts the writes of unknown outcome by what they wrote.
func writersOf(moves []*move) map[seenWrite]int {
	writers := map[seenWrite]int{}
	note := func(r *history.Request) {
		if r.Kind == history.Set || r.Kind == history.Create {
			writers[seenWrite{r.Path, maphash.String(prints, r.Value)}]++
		}
	}
	for _, m := range moves {
		if m.result.Outcome != history.Unknown {
			continue
		}
		note(m.request)
		for i := range m.request.Parts {
			note(&m.request.Parts[i])
		}
	}
	return writers
}
