package checkers

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var everyWorkload = []string{"register", "bank", "queue", "lock", "watch", "set"}

func simulatedOptions() Options {
	return Options{Workloads: everyWorkload, SessionTimeout: 4 * time.Second, TickTime: 500 * time.Millisecond}
}

// What an ensemble records that keeps every promise is valid, for every guarantee.
func TestCorrectHistoriesAreValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		lost := rapid.IntRange(0, 20).Draw(t, "lost")
		log := simulate(seed, 700, lost, everyWorkload...)
		for _, r := range Run(context.Background(), log, simulatedOptions(), nil) {
			require.Equal(t, Valid, r.Verdict, "%s: %s %q", r.Name, r.Reason, r.Evidence)
			require.Positive(t, r.Judged, r.Name)
		}
	})
}

func BenchmarkRun(b *testing.B) {
	log := simulate(1, 50_000, 3, everyWorkload...)
	b.ResetTimer()
	for b.Loop() {
		for _, r := range Run(context.Background(), log, simulatedOptions(), nil) {
			if r.Verdict != Valid {
				b.Fatalf("%s: %s %s %q", r.Name, r.Verdict, r.Reason, r.Evidence)
			}
		}
	}
	b.ReportMetric(float64(len(log)), "events")
}
