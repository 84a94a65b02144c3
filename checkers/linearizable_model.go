package checkers

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"ordeal/results/history"
)

// modelZnode is a znode in the sequential model. What is not known matches everything.
type modelZnode struct {
	exists       bool
	czxid, mzxid int64 // 0 if not known
	version      int32
	unversioned  bool // version is not known
	value        uint64
	valued       bool   // value is known
	owner        string // the session of an ephemeral
	vague        bool   // known from a list only: it may be anybody's ephemeral
}

// modelState is the tree, as far as a partition concerns it, after the operations put in order so far.
// A path that was never mentioned may exist or not.
type modelState struct {
	rank   int   // of the last operation with a known zxid
	zxid   int64 // up to which everything is decided
	znodes versioned[modelZnode]
}

func (s modelState) equal(o modelState) bool {
	return s.rank == o.rank && s.zxid == o.zxid && s.znodes.print() == o.znodes.print()
}

// move is an operation as the search orders it.
type move struct {
	operation
	// rank is the place among the operations whose zxid is known: by zxid, the write before what was
	// answered at its zxid, and those in the order of their answers. No other order need be tried:
	// zxids are the order in which the ensemble says it applied writes, and operations that do not
	// change anything may stand in the order of their answers. From 1; 0 if the outcome is unknown.
	rank int
	zxid int64 // at which it took effect or was answered; 0 if not known
	// ends is the session that this move ends, if it is no operation: an expiry that nobody saw.
	ends string
}

// rules are what a step needs beside the state.
type rules struct {
	facts map[string]*facts
	alive map[string]int64 // by session: the greatest zxid at which it was answered
	known []*move          // by rank
	// end is the rank of the last operation: after it, a write that nothing shows never happened.
	end int
	// early lets multis of unknown outcome take effect before an operation that fits without them.
	early bool
}

// step puts a move behind everything in the state, or says why it cannot stand there.
func (r *rules) step(s modelState, m *move) (modelState, string) {
	if m.rank == 0 {
		return r.unknown(s, m)
	}
	if m.rank != s.rank+1 {
		return s, "another operation has the next zxid"
	}
	switch {
	case m.zxid < s.zxid:
		return s, fmt.Sprintf("its zxid %s is before %s", zxidWord(m.zxid), zxidWord(s.zxid))
	case m.zxid == s.zxid && m.ok() && m.writes():
		return s, fmt.Sprintf("another write took effect at its zxid %s", zxidWord(m.zxid))
	}
	next, reason := s.known(m)
	if reason != "" {
		return s, reason
	}
	next.rank, next.zxid = m.rank, m.zxid
	return next, ""
}

// known takes in an operation whose outcome is known.
func (s modelState) known(m *move) (modelState, string) {
	switch {
	case m.request.Kind == history.CloseSession:
		s.znodes.each(func(path string, z modelZnode) {
			if z.exists && z.owner == m.session {
				s.znodes = s.znodes.with(path, modelZnode{})
			}
		})
		return s, ""
	case m.request.Kind != history.Multi && m.ok():
		return s.did(m, m.request, m.result)
	case m.request.Kind != history.Multi:
		return s.refused(m.request, m.result.Error)
	case m.ok():
		for i := range m.request.Parts {
			var reason string
			if s, reason = s.did(m, &m.request.Parts[i], &m.result.Parts[i]); reason != "" {
				return s, reason
			}
		}
		return s, ""
	}
	// A failed multi: the parts before the culprit could have been done, the culprit could not.
	before := s
	for i := range m.result.Parts {
		request, code := &m.request.Parts[i], m.result.Parts[i].Error
		if code != "" && code != "Ok" {
			_, reason := s.refused(request, code)
			return before, reason
		}
		var reason string
		if s, reason = s.did(m, request, &history.Result{}); reason != "" {
			return before, reason
		}
	}
	return before, ""
}

// did takes in one thing that was done, or that could have been done.
func (s modelState) did(m *move, request *history.Request, result *history.Result) (modelState, string) {
	path := request.Path
	if result.Path != "" {
		path = result.Path
	}
	z, mentioned := s.znodes.get(path)
	switch request.Kind {
	case history.Create:
		if z.exists && !z.vague {
			return s, fmt.Sprintf("%s exists already, %s", path, z)
		}
		s.znodes = s.znodes.with(path, m.created(request, m.zxid))
		return s, ""
	case history.Get, history.SyncGet, history.Exists:
		return s.read(path, z, mentioned, request, result)
	case history.Children, history.SyncChildren:
		return s.list(path, z, mentioned, result)
	}
	if mentioned && !z.exists {
		return s, path + " does not exist"
	}
	if mentioned && !z.unversioned && request.Version != history.AnyVersion && request.Version != z.version {
		return s, fmt.Sprintf("%s has not version %d, it has %s", path, request.Version, z)
	}
	switch request.Kind {
	case history.Delete:
		s.znodes = s.znodes.with(path, modelZnode{})
	case history.Set:
		after := modelZnode{exists: true, czxid: z.czxid, mzxid: m.zxid, version: z.version + 1, unversioned: z.unversioned || !mentioned,
			value: maphash.String(prints, request.Value), valued: true, owner: z.owner}
		if stat := result.Stat; stat != nil {
			if !after.unversioned && stat.Version != after.version {
				return s, fmt.Sprintf("it made version %d of %s, which has %s", stat.Version, path, z)
			}
			if z.czxid != 0 && stat.Czxid != z.czxid {
				return s, fmt.Sprintf("it changed a %s created at zxid %s, which has %s", path, zxidWord(stat.Czxid), z)
			}
			after.czxid, after.mzxid, after.version, after.unversioned = stat.Czxid, stat.Mzxid, stat.Version, false
			if stat.EphemeralOwner != 0 {
				after.owner = ownerName(stat.EphemeralOwner)
			}
		}
		s.znodes = s.znodes.with(path, after)
	}
	return s, ""
}

// created is the znode that a create makes; zxid is 0 if not known.
func (m *move) created(request *history.Request, zxid int64) modelZnode {
	z := modelZnode{exists: true, czxid: zxid, mzxid: zxid, value: maphash.String(prints, request.Value), valued: true}
	if request.Ephemeral {
		z.owner = m.session
	}
	return z
}

// read compares a reply with the znode.
func (s modelState) read(path string, z modelZnode, mentioned bool, request *history.Request, result *history.Result) (modelState, string) {
	if mentioned && !z.exists {
		return s, fmt.Sprintf("%s does not exist", path)
	}
	stat := result.Stat
	if stat == nil {
		return s, ""
	}
	if mentioned {
		switch {
		case !z.unversioned && stat.Version != z.version,
			z.czxid != 0 && stat.Czxid != z.czxid,
			z.mzxid != 0 && stat.Mzxid != z.mzxid:
			return s, fmt.Sprintf("it shows version %d, mzxid %s of %s, which has %s", stat.Version, zxidWord(stat.Mzxid), path, z)
		case request.Kind != history.Exists && z.valued && maphash.String(prints, result.Value) != z.value:
			return s, fmt.Sprintf("it shows the value %s, and the write of version %d wrote another", quote(result.Value), z.version)
		}
	}
	seen := modelZnode{exists: true, czxid: stat.Czxid, mzxid: stat.Mzxid, version: stat.Version, value: z.value, valued: z.valued, owner: z.owner}
	if request.Kind != history.Exists {
		seen.value, seen.valued = maphash.String(prints, result.Value), true
	}
	if stat.EphemeralOwner != 0 {
		seen.owner = ownerName(stat.EphemeralOwner)
	}
	if !mentioned || z != seen {
		s.znodes = s.znodes.with(path, seen)
	}
	return s, ""
}

// list compares a list of children with those that exist.
func (s modelState) list(path string, z modelZnode, mentioned bool, result *history.Result) (modelState, string) {
	if mentioned && !z.exists {
		return s, fmt.Sprintf("%s does not exist", path)
	}
	listed := make(map[string]bool, len(result.Children))
	for _, name := range result.Children {
		listed[child(path, name)] = true
	}
	var wrong []string
	next := s.znodes
	s.znodes.each(func(p string, z modelZnode) {
		switch {
		case p == path || parent(p) != path:
		case z.exists && z.vague && !listed[p]:
			next = next.with(p, modelZnode{})
		case z.exists && !listed[p]:
			wrong = append(wrong, fmt.Sprintf("it does not list %s, which exists, %s", p, z))
		case !z.exists && listed[p]:
			wrong = append(wrong, fmt.Sprintf("it lists %s, which does not exist", p))
		}
		delete(listed, p)
	})
	if len(wrong) > 0 {
		return s, slices.Min(wrong)
	}
	for p := range listed {
		next = next.with(p, modelZnode{exists: true, unversioned: true, vague: true})
	}
	s.znodes = next
	return s, ""
}

// refused takes in that something was refused with this code, or says why it cannot have been.
func (s modelState) refused(request *history.Request, code string) (modelState, string) {
	path := request.Path
	z, mentioned := s.znodes.get(path)
	if request.Kind == history.Create && (request.Sequential || code == "NoNode") {
		return s, "" // it is about another znode
	}
	switch code {
	case "NoNode":
		if z.exists && !z.vague {
			return s, fmt.Sprintf("%s exists, %s", path, z)
		}
		if !mentioned || z.vague {
			s.znodes = s.znodes.with(path, modelZnode{})
		}
	case "NodeExists", "BadVersion", "NotEmpty":
		if mentioned && !z.exists {
			return s, path + " does not exist"
		}
		if code == "BadVersion" && mentioned && !z.unversioned && z.version == request.Version {
			return s, fmt.Sprintf("%s has just that version: %s", path, z)
		}
	}
	return s, ""
}

// unknown takes in a write that may have taken effect. It may as well be put in order just before the
// first operation that cannot be explained without it, if it concerns one znode; where there is none by
// the end, it is taken never to have happened.
func (r *rules) unknown(s modelState, m *move) (modelState, string) {
	if s.rank >= r.end {
		return s, ""
	}
	next := r.known[s.rank]
	if !m.touches(next) {
		return s, "the next operation has nothing to do with it"
	}
	if _, reason := r.step(s, next); reason == "" && !(r.early && m.request.Kind == history.Multi) {
		return s, "the next operation fits without it"
	}
	after, done := r.take(s, m, next.zxid)
	if !done {
		return s, "it could not take effect here"
	}
	return after, ""
}

// touches tells whether a write of unknown outcome may matter to an operation.
func (m *move) touches(other *move) bool {
	if m.ends != "" || other.request.Kind == history.SyncChildren {
		return true
	}
	touches := false
	m.paths(func(path string) {
		other.paths(func(p string) { touches = touches || p == path || parent(path) == p })
	})
	return touches
}

// take lets a write of unknown outcome take effect before the zxid next, if it can.
func (r *rules) take(s modelState, m *move, next int64) (modelState, bool) {
	if m.ends != "" {
		return r.endSession(s, m, next)
	}
	parts := []history.Request{*m.request}
	if m.request.Kind == history.Multi {
		parts = m.request.Parts
	}
	after := s
	for i := range parts {
		path := parts[i].Path
		z, mentioned := after.znodes.get(path)
		if !mentioned {
			continue // whatever comes next matches anything
		}
		f := r.facts[path]
		if f == nil {
			f = newFacts()
		}
		if parts[i].Kind == history.Create {
			if z.exists {
				return s, false
			}
			after.znodes = after.znodes.with(path, m.created(&parts[i], 0))
			continue
		}
		if v := parts[i].Version; !z.exists || !z.unversioned && v != history.AnyVersion && v != z.version {
			return s, false
		}
		switch parts[i].Kind {
		case history.Set:
			value := maphash.String(prints, parts[i].Value)
			if !f.allowSet(z, value, next) {
				return s, false
			}
			z.version++
			z.mzxid, z.value, z.valued = 0, value, true
			after.znodes = after.znodes.with(path, z)
		case history.Delete:
			if !f.allowDelete(z, next) {
				return s, false
			}
			after.znodes = after.znodes.with(path, modelZnode{})
		}
	}
	return after, after.znodes != s.znodes
}

// endSession removes what is left of a session whose end nobody was told.
func (r *rules) endSession(s modelState, m *move, next int64) (modelState, bool) {
	after, allowed := s, r.alive[m.ends] < next
	s.znodes.each(func(path string, z modelZnode) {
		if !z.exists || z.owner != m.ends {
			return
		}
		if f := r.facts[path]; f != nil {
			allowed = allowed && f.allowDelete(z, next)
		}
		after.znodes = after.znodes.with(path, modelZnode{})
	})
	return after, allowed && after.znodes != s.znodes
}

func (z modelZnode) String() string {
	if !z.exists {
		return "absent"
	}
	var words []string
	if !z.unversioned {
		words = append(words, fmt.Sprintf("version %d", z.version))
	}
	if z.mzxid != 0 {
		words = append(words, "mzxid "+zxidWord(z.mzxid))
	}
	if z.owner != "" {
		words = append(words, "of session "+z.owner)
	}
	if len(words) == 0 {
		return "nothing more known of it"
	}
	return strings.Join(words, ", ")
}

// describe prints a state for Porcupine's picture.
func (s modelState) describe() string {
	var lines []string
	s.znodes.each(func(path string, z modelZnode) { lines = append(lines, path+": "+z.String()) })
	slices.Sort(lines)
	const longest = 12
	if len(lines) > longest {
		lines = append(lines[:longest], fmt.Sprintf("and %d more", len(lines)-longest))
	}
	return "after zxid " + zxidWord(s.zxid) + "\n" + strings.Join(lines, "\n")
}
