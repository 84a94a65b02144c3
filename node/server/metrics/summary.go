package metrics

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Percentiles are kept in buckets that are at most an eighth wide, as wide as the reading is coarse.
const (
	bucketBits   = 3 // buckets in an octave, as a power of two
	bucketsCount = (64 - bucketBits) << bucketBits
)

// Summary sums up how large something was. It takes the same room however much it is told.
type Summary struct {
	count, total atomic.Int64
	// least and most are stored one up: zero says that there was nothing yet.
	least, most atomic.Int64
	buckets     []atomic.Int64 // nil without percentiles
}

func newSummary(detailed bool) *Summary {
	s := &Summary{}
	if detailed {
		s.buckets = make([]atomic.Int64, bucketsCount)
	}
	return s
}

// Add takes one value. Negative ones count as zero.
func (s *Summary) Add(value int64) {
	value = max(value, 0)
	s.count.Add(1)
	if value > 0 { // most are zero, and this is on the way of every request
		s.total.Add(value)
	}
	move(&s.least, value+1, func(old int64) bool { return old == 0 || value+1 < old })
	move(&s.most, value+1, func(old int64) bool { return value+1 > old })
	if s.buckets != nil {
		s.buckets[bucketOf(value)].Add(1)
	}
}

// AddTime takes how long something took, in whole milliseconds as Apache counts them.
func (s *Summary) AddTime(took time.Duration) { s.Add(took.Milliseconds()) }

func move(at *atomic.Int64, to int64, further func(old int64) bool) {
	for {
		old := at.Load()
		if !further(old) || at.CompareAndSwap(old, to) {
			return
		}
	}
}

// bucketOf numbers the values 0 to 7 by themselves, and then eight buckets an octave.
func bucketOf(value int64) int {
	octave := bits.Len64(uint64(value)) - bucketBits - 1
	if octave < 0 {
		return int(value)
	}
	return (octave+1)<<bucketBits | int(value>>octave)&(1<<bucketBits-1)
}

// bucketStart is the least value of a bucket.
func bucketStart(bucket int) int64 {
	octave := bucket>>bucketBits - 1
	if octave < 0 {
		return int64(bucket)
	}
	return int64(1<<bucketBits|bucket&(1<<bucketBits-1)) << octave
}

// Values is what a summary says at one moment. Everything is zero while nothing was added.
type Values struct {
	Count, Total, Least, Most int64
	Average                   float64
	// Percentiles of Detailed summaries, accurate to an eighth.
	Detailed             bool
	P50, P95, P99, P99_9 int64
}

// Values returns what was added so far. What is added meanwhile may be in it in part.
func (s *Summary) Values() Values {
	v := Values{
		Count: s.count.Load(), Total: s.total.Load(), Detailed: s.buckets != nil,
		Least: max(s.least.Load()-1, 0), Most: max(s.most.Load()-1, 0),
	}
	if v.Count > 0 {
		v.Average = float64(v.Total) / float64(v.Count)
	}
	if v.Detailed && v.Count > 0 {
		v.P50, v.P95, v.P99, v.P99_9 = s.percentile(v, 0.5), s.percentile(v, 0.95), s.percentile(v, 0.99), s.percentile(v, 0.999)
	}
	return v
}

// percentile is the least value of the bucket in which the share of all values is reached.
func (s *Summary) percentile(v Values, share float64) int64 {
	wanted := int64(share*float64(v.Count) + 0.5)
	for bucket := range s.buckets {
		if wanted -= s.buckets[bucket].Load(); wanted <= 0 {
			return min(max(bucketStart(bucket), v.Least), v.Most)
		}
	}
	return v.Most
}

// Reset forgets everything.
func (s *Summary) Reset() {
	for _, value := range []*atomic.Int64{&s.count, &s.total, &s.least, &s.most} {
		value.Store(0)
	}
	for bucket := range s.buckets {
		s.buckets[bucket].Store(0)
	}
}
