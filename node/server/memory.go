package server

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

const (
	// garbageMin is how much garbage may gather in any case before it is collected, in bytes, as long
	// as that is within percentMax of what is in use.
	garbageMin = 32 << 20
	// percentDefault is Go's rule: as much garbage as there is in use. It makes a server with a small
	// tree collect all the time.
	percentDefault = 100
	percentMax     = 200
)

// PaceCollector lets a process with little in use gather more garbage than Go would, in exchange for
// a bounded amount of memory. With much in use, Go's own rule holds. It does nothing if the variable
// GOGC is set. It is for a process that is a server and nothing else.
func PaceCollector() {
	if os.Getenv("GOGC") == "" {
		pace.Do(func() { (&pacer{percent: percentDefault}).adjust() })
	}
}

var pace sync.Once

// pacer is called after every collection: its finalizer runs, and sets the next one up.
type pacer struct{ percent int }

func (p *pacer) adjust() {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	percent := percentMax
	if live := sample[0].Value.Uint64(); live > 0 {
		percent = min(percentMax, max(percentDefault, int(garbageMin*100/live)))
	}
	// Each change stops the world for a moment.
	if percent > p.percent*5/4 || percent < p.percent*4/5 {
		debug.SetGCPercent(percent)
		p.percent = percent
	}
	runtime.SetFinalizer(p, (*pacer).adjust)
}
