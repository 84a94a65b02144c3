package pipeline

import (
	"cmp"
	"slices"
	"time"
)

// Counts is what a server counts of its own for metrics.
type Counts struct{ SessionsExpired, DigestMismatches int64 }

// Add adds what another server counted.
func (c Counts) Add(other Counts) Counts {
	return Counts{c.SessionsExpired + other.SessionsExpired, c.DigestMismatches + other.DigestMismatches}
}

// Counts returns what was counted so far.
func (s *Server) Counts() Counts { return s.counts }

// ExpiryBucket is the sessions that expire together, for whoever watches over the server.
type ExpiryBucket struct {
	At       time.Duration // Now.Elapsed
	Sessions []int64       // by ascending id
}

// SessionExpiries returns the buckets in the order in which they expire; decides is false on a server
// that does not decide over sessions, a follower or an observer.
func (s *Server) SessionExpiries() (buckets []ExpiryBucket, decides bool) {
	if s.tracker == nil {
		return nil, false
	}
	for at, sessions := range s.tracker.buckets { // any order: they are sorted below
		bucket := ExpiryBucket{At: time.Duration(at) * time.Millisecond}
		for id := range sessions { // any order: they are sorted below
			bucket.Sessions = append(bucket.Sessions, id)
		}
		if len(bucket.Sessions) > 0 {
			slices.Sort(bucket.Sessions)
			buckets = append(buckets, bucket)
		}
	}
	slices.SortFunc(buckets, func(a, b ExpiryBucket) int { return cmp.Compare(a.At, b.At) })
	return buckets, true
}

// DropProbability is the share of new connections that the throttle closes at random.
func (s *Server) DropProbability() float64 { return s.throttle.drop }

// CommitQueues is what waits in the CommitProcessor; a server without one has none.
func (s *Server) CommitQueues() CommitQueues {
	if s.commit == nil {
		return CommitQueues{}
	}
	return s.commit.queues
}
