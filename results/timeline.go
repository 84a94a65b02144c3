package results

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"ordeal/results/history"
)

const (
	// bucketsMost bounds how many points the charts have: longer runs get wider buckets.
	bucketsMost = 240
	// latencyMost is the greatest latency that is told apart; what took longer counts as this.
	latencyMost = 5 * time.Minute
	// latencyDigits is to how many digits latencies are exact.
	latencyDigits = 2
)

// timeline sums up a history on one axis of time. Events come in the order of time, so that only the
// newest bucket needs a histogram.
type timeline struct {
	width   time.Duration
	buckets []bucket
	open    *hdrhistogram.Histogram // of the last bucket
	calls   map[int64]pendingCall
	kinds   map[history.OpKind]*kindTotal
	total   *kindTotal
	faults  []faultSpan
	leaders []leaderMark
	phases  []phaseMark
	end     time.Duration
}

// bucket is what returned within one step of time.
type bucket struct {
	ok, failed, unknown int64
	p50, p95, p99       time.Duration // of what succeeded; 0 if nothing did
}

type pendingCall struct {
	at   time.Duration
	kind history.OpKind
}

type kindTotal struct {
	ok, failed, unknown int64
	latency             *hdrhistogram.Histogram
}

func newKindTotal() *kindTotal { return &kindTotal{latency: newHistogram()} }

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, latencyMost.Microseconds(), latencyDigits)
}

type faultSpan struct {
	fault       history.Fault
	from, until time.Duration // from the begin of its injection to the end of its healing; until is 0 if it was not healed
	end         time.Duration // where its band ends
}

type leaderMark struct {
	at     time.Duration
	member int
	epoch  int64
}

type phaseMark struct {
	at   time.Duration
	name string
}

func newTimeline(load time.Duration) *timeline {
	width := time.Second
	for load/width > bucketsMost/2 { // set-up and healing need room too
		width *= 2
	}
	return &timeline{width: width, calls: map[int64]pendingCall{}, kinds: map[history.OpKind]*kindTotal{}, total: newKindTotal()}
}

// take is a visitor of history.Log.
func (t *timeline) take(e history.Event) error {
	switch e.Kind {
	case history.Call:
		if e.Request != nil {
			t.calls[e.Operation] = pendingCall{e.Time, e.Request.Kind}
		}
	case history.Return:
		if call, known := t.calls[e.Operation]; known && e.Result != nil {
			delete(t.calls, e.Operation)
			t.returned(e, call)
		}
	case history.FaultOn:
		if e.Fault != nil {
			t.faults = append(t.faults, faultSpan{fault: *e.Fault, from: e.From()})
		}
	case history.FaultOff:
		for i := range t.faults {
			if e.Fault != nil && t.faults[i].fault.ID == e.Fault.ID {
				t.faults[i].until = e.Time
			}
		}
	case history.Member:
		if e.State == history.Leading {
			t.leaders = append(t.leaders, leaderMark{e.Time, e.Member, e.Epoch})
		}
	case history.Phase:
		t.phases = append(t.phases, phaseMark{e.Time, e.Text})
	default:
		return nil // watches and sessions are no marks, and final trees are no time of the run
	}
	t.end = max(t.end, e.Time)
	return nil
}

func (t *timeline) returned(e history.Event, call pendingCall) {
	b := t.bucket(e.Time)
	kind := t.kinds[call.kind]
	if kind == nil {
		kind = newKindTotal()
		t.kinds[call.kind] = kind
	}
	latency := min(e.Time-call.at, latencyMost).Microseconds()
	kind.add(e.Result.Outcome, latency)
	t.total.add(e.Result.Outcome, latency)
	switch e.Result.Outcome {
	case history.OK:
		b.ok++
		_ = t.open.RecordValue(max(1, latency)) // within the bounds of the histogram
	case history.Failed:
		b.failed++
	default:
		b.unknown++
	}
}

// bucket returns the bucket of a time, after closing those before it.
func (t *timeline) bucket(at time.Duration) *bucket {
	index := int(at / t.width)
	for len(t.buckets) <= index {
		t.close()
		t.buckets = append(t.buckets, bucket{})
		if t.open == nil {
			t.open = newHistogram()
		}
		if len(t.buckets) > bucketsMost {
			t.widen()
			index = int(at / t.width)
		}
	}
	return &t.buckets[index]
}

// close fills in the percentiles of the last bucket.
func (t *timeline) close() {
	if len(t.buckets) == 0 || t.open == nil || t.open.TotalCount() == 0 {
		return
	}
	last := &t.buckets[len(t.buckets)-1]
	last.p50, last.p95, last.p99 = quantile(t.open, 50), quantile(t.open, 95), quantile(t.open, 99)
	t.open.Reset()
}

// widen halves the number of buckets; of two percentiles the worse one stays.
func (t *timeline) widen() {
	t.width *= 2
	var merged []bucket
	for i, b := range t.buckets {
		if i%2 == 0 {
			merged = append(merged, b)
			continue
		}
		a := &merged[len(merged)-1]
		a.ok, a.failed, a.unknown = a.ok+b.ok, a.failed+b.failed, a.unknown+b.unknown
		a.p50, a.p95, a.p99 = max(a.p50, b.p50), max(a.p95, b.p95), max(a.p99, b.p99)
	}
	t.buckets = merged
}

// finish closes what is open when the history ends.
func (t *timeline) finish() {
	t.close()
	for range t.calls { // those that never returned
		t.total.unknown++
	}
	for _, call := range t.calls {
		kind := t.kinds[call.kind]
		if kind == nil {
			kind = newKindTotal()
			t.kinds[call.kind] = kind
		}
		kind.unknown++
	}
	for i := range t.faults {
		t.faults[i].end = t.faults[i].until
		if t.faults[i].until == 0 {
			t.faults[i].end = t.end
		}
	}
	slices.SortStableFunc(t.faults, func(a, b faultSpan) int { return cmp.Compare(a.from, b.from) })
}

func quantile(h *hdrhistogram.Histogram, percent float64) time.Duration {
	return time.Duration(h.ValueAtQuantile(percent)) * time.Microsecond
}

func (k *kindTotal) add(outcome history.Outcome, micros int64) {
	switch outcome {
	case history.OK:
		k.ok++
		_ = k.latency.RecordValue(max(1, micros)) // within the bounds of the histogram
	case history.Failed:
		k.failed++
	default:
		k.unknown++
	}
}

func (t *timeline) kindRows() []reportKind {
	var rows []reportKind
	for _, kind := range slices.Sorted(maps.Keys(t.kinds)) {
		rows = append(rows, t.kinds[kind].row(string(kind)))
	}
	return rows
}

func (t *timeline) totalRow() reportKind { return t.total.row("all") }

func (k *kindTotal) row(name string) reportKind {
	row := reportKind{Name: name, OK: number(k.ok), Failed: number(k.failed), Unknown: number(k.unknown), Median: "–", P99: "–", Max: "–"}
	if k.ok > 0 {
		row.Median, row.P99 = durationWord(quantile(k.latency, 50)), durationWord(quantile(k.latency, 99))
		row.Max = durationWord(time.Duration(k.latency.Max()) * time.Microsecond)
	}
	return row
}

func (f faultSpan) row() reportFault {
	row := reportFault{ID: strconv.Itoa(f.fault.ID), What: f.fault.String(), Nemesis: f.fault.Nemesis,
		From: clockWord(f.from), Until: "not healed", Lasted: "–"}
	if f.until > 0 {
		row.Until, row.Lasted = clockWord(f.until), durationWord(f.until-f.from)
	}
	return row
}

// clockWord prints a moment of the run.
func clockWord(at time.Duration) string { return fmt.Sprintf("%.1f\u202fs", at.Seconds()) }
