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

// BenchmarkWorldMemory reports what one world holds when its load is over.
func BenchmarkWorldMemory(b *testing.B) {
	var before, after runtime.MemStats
	for i := 0; b.Loop(); i++ {
		runtime.GC()
		runtime.ReadMemStats(&before)
		outcome := Run(standard(uint64(i)), Observation{})
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/(1<<20), "MiB-allocated")
		runtime.KeepAlive(outcome)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB-history")
	}
}
