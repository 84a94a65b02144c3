package pipeline

import (
	"slices"

	"ordeal/node/jute"
	"ordeal/node/rare"
)

// sessionTracker knows which sessions are alive, on a leader or a standalone server: when each
// expires, and which server it was last seen at (protocol.md 2.14).
//
// Sessions expire in buckets of a tick, so that a touch moves a session rarely and expiring costs
// nothing for those that live.
type sessionTracker struct {
	tick int64 // ms
	// unknown is what a request of an unknown session is answered with.
	unknown jute.Code

	nowMs    int64
	sessions map[int64]*session
	buckets  map[int64]map[int64]*session // by expiry, then by session id
	next     int64                        // the expiry of the next bucket to look at
	spare    []map[int64]*session         // empty, for buckets

	rare rare.Choice
}

type session struct {
	id        int64
	timeoutMs int32 // as last told
	expiry    int64 // ms, a multiple of the tick
	closing   bool
	origin    Origin
	hasOwner  bool
}

func newSessionTracker(tickMs, nowMs int64, unknown jute.Code) *sessionTracker {
	t := &sessionTracker{
		tick: tickMs, unknown: unknown, nowMs: nowMs,
		sessions: map[int64]*session{}, buckets: map[int64]map[int64]*session{},
	}
	t.next = t.roundUp(nowMs)
	return t
}

// roundUp gives the end of the bucket that a moment falls into.
func (t *sessionTracker) roundUp(ms int64) int64 { return (ms/t.tick + 1) * t.tick }

// track starts to watch over a session, or touches it if it is known.
func (t *sessionTracker) track(id int64, timeoutMs int32) {
	s := t.sessions[id]
	if s == nil {
		s = &session{id: id}
		t.sessions[id] = s
	}
	t.expireAfter(s, timeoutMs)
}

// tracks tells whether a session is known, be it closing or not.
func (t *sessionTracker) tracks(id int64) bool { return t.sessions[id] != nil }

// touch tells that a session was heard of. It is false if the session is unknown or being closed.
func (t *sessionTracker) touch(id int64, timeoutMs int32) bool {
	s := t.sessions[id]
	if s == nil || s.closing {
		return false
	}
	t.expireAfter(s, timeoutMs)
	return true
}

func (t *sessionTracker) expireAfter(s *session, timeoutMs int32) {
	s.timeoutMs = timeoutMs
	expiry := t.roundUp(t.nowMs + int64(timeoutMs))
	if expiry == s.expiry {
		return
	}
	delete(t.buckets[s.expiry], s.id)
	s.expiry = expiry
	bucket := t.buckets[expiry]
	if bucket == nil {
		bucket = t.newBucket()
		t.buckets[expiry] = bucket
	}
	bucket[s.id] = s
}

// spareBucketsMax bounds the buckets that are kept to be used again.
const spareBucketsMax = 8

// newBucket returns an empty bucket.
func (t *sessionTracker) newBucket() map[int64]*session {
	last := len(t.spare) - 1
	if last < 0 {
		return map[int64]*session{}
	}
	bucket := t.spare[last]
	t.spare = t.spare[:last]
	return bucket
}

// expire returns the sessions whose time is over, in the order of their ids bucket by bucket, and
// marks them closing.
func (t *sessionTracker) expire(nowMs int64) []int64 {
	t.nowMs = nowMs
	var expired []int64
	for ; t.next <= nowMs; t.next += t.tick {
		bucket := t.buckets[t.next]
		if len(bucket) > 0 && t.rare.Take(rare.ExpireLater) {
			break
		}
		delete(t.buckets, t.next)
		first := len(expired)
		for id, s := range bucket { // any order: they are sorted below
			if !s.closing {
				s.closing = true
				expired = append(expired, id)
			}
		}
		slices.Sort(expired[first:])
		if bucket != nil && len(t.spare) < spareBucketsMax {
			clear(bucket)
			t.spare = append(t.spare, bucket)
		}
	}
	return expired
}

// setClosing makes the session refuse touches and writes.
func (t *sessionTracker) setClosing(id int64) {
	if s := t.sessions[id]; s != nil {
		s.closing = true
	}
}

// remove forgets a session.
func (t *sessionTracker) remove(id int64) {
	if s := t.sessions[id]; s != nil {
		delete(t.buckets[s.expiry], id)
		delete(t.sessions, id)
	}
}

// setOwner tells at which server a session is from now on; false if it is not alive.
func (t *sessionTracker) setOwner(id int64, origin Origin) bool {
	s := t.sessions[id]
	if s == nil || s.closing {
		return false
	}
	s.origin, s.hasOwner = origin, true
	return true
}

// check tells whether a request of this session that came from origin may be carried out. The first
// origin that a session is seen at becomes its owner.
func (t *sessionTracker) check(id int64, origin Origin) jute.Code {
	s := t.sessions[id]
	switch {
	case s == nil:
		return t.unknown
	case s.closing:
		return jute.SessionExpired
	case !s.hasOwner:
		s.origin, s.hasOwner = origin, true
	case s.origin != origin:
		return jute.SessionMoved
	}
	return jute.Ok
}

// ownsNow tells, without changing anything, that check would answer Ok.
func (t *sessionTracker) ownsNow(id int64, origin Origin) bool {
	s := t.sessions[id]
	return s != nil && !s.closing && s.hasOwner && s.origin == origin
}
