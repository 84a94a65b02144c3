package sim

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

func TestSmoke(t *testing.T) {
	from, to := 1, 50
	if v := os.Getenv("SEEDS"); v != "" {
		fmt.Sscanf(v, "%d-%d", &from, &to)
	}
	begin := time.Now()
	events, virtual, bad := 0, time.Duration(0), 0
	for seed := from; seed <= to; seed++ {
		c := Draw(uint64(seed), Options{Strategy: Strategy(os.Getenv("STRATEGY")), Defect: os.Getenv("DEFECT")})
		var trace func(time.Duration, string)
		if os.Getenv("TRACE") == strconv.Itoa(seed) {
			trace = func(at time.Duration, line string) { fmt.Printf("%12v %s\n", at, line) }
		}
		o := Run(c, Observation{Trace: trace})
		events += o.Events
		virtual += o.Virtual
		if o.Violation != nil {
			bad++
			t.Logf("seed %d: %.600v", seed, o.Violation)
		}
		if o.Unknown != "" {
			t.Logf("seed %d unknown %s", seed, o.Unknown)
		}
	}
	real := time.Since(begin)
	t.Logf("%d bad of %d; %v, %d events, %.0f events/s, %.0fx, %v/seed", bad, to-from+1, real, events, float64(events)/real.Seconds(), virtual.Seconds()/real.Seconds(), real/time.Duration(to-from+1))
}

func TestShrinkSmoke(t *testing.T) {
	defectName := os.Getenv("DEFECT")
	for seed := uint64(1); seed < 200; seed++ {
		c := Draw(seed, Options{Strategy: Strategy(os.Getenv("STRATEGY")), Defect: defectName})
		o := Run(c, Observation{})
		if o.Violation == nil {
			continue
		}
		begin := time.Now()
		s := Shrink(o.Script(c), func() bool { return time.Since(begin) > 60*time.Second })
		if s == nil {
			t.Logf("seed %d: replay of %d decisions does not fail (%v)", seed, len(o.Decisions), o.Violation.Guarantee)
			continue
		}
		t.Logf("seed %d %s: %d -> %d in %v\n%s", seed, o.Violation.Guarantee, len(o.Decisions), len(s.Decisions), time.Since(begin), s.Format())
		return
	}
}
