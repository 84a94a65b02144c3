package sim

import (
	"runtime"
	"testing"
	"time"
)

// standard is the world that speed is measured on: three members, 20 operations a second, faults, a
// minute.
func standard(seed uint64) Config {
	c := Draw(seed, Options{Strategy: Walk, Members: 3, Load: time.Minute})
	c.Rate, c.Workload, c.Clients, c.TickTime = 20, "register", 3, 200*time.Millisecond
	c.SessionTimeout, c.SnapCount, c.CommitLog = 2*time.Second, 1000, 500
	c.FaultEvery, c.FaultSpan = 3*time.Second, time.Second
	return c
}

// BenchmarkSeed is a seed with a minute of load, with all invariants and checkers.
func BenchmarkSeed(b *testing.B) { benchmarkSeeds(b, modelDisks) }

// BenchmarkSeedOnFiles is the same with the server's real store.
func BenchmarkSeedOnFiles(b *testing.B) { benchmarkSeeds(b, fileDisks) }

func benchmarkSeeds(b *testing.B, disk string) {
	events, virtual := 0, time.Duration(0)
	defer LimitMemory(1)() // as a search does
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		config := standard(uint64(i))
		config.Disk = disk
		outcome := Run(config, Observation{})
		if outcome.Violation != nil {
			b.Fatalf("seed %d: %v", i, outcome.Violation)
		}
		events += outcome.Events
		virtual += outcome.Virtual
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(virtual.Seconds()/b.Elapsed().Seconds(), "×realtime")
}

// BenchmarkWorldMemory reports the most that a world with its history holds at any time: what is live in
// the heap, looked at every second of virtual time.
func BenchmarkWorldMemory(b *testing.B) {
	var stats runtime.MemStats
	live := func() uint64 {
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	peak := uint64(0)
	for i := 0; b.Loop(); i++ {
		before := live()
		look := func() {
			now := live()
			peak = max(peak, now-min(before, now))
		}
		second := time.Duration(-1)
		outcome := Run(standard(uint64(i)), Observation{Trace: func(at time.Duration, _ string) {
			if at/time.Second == second {
				return
			}
			second = at / time.Second
			look()
		}})
		look() // with the checkers' results
		runtime.KeepAlive(outcome)
	}
	b.ReportMetric(float64(peak)/(1<<20), "MiB-peak")
}
