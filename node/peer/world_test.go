package peer_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/defect"
	"ordeal/node/peer/internal/world"
)

// seeds is how many worlds TestSeeds lives through.
const seeds = 1000

// shapes are the ensembles of successive seeds.
var shapes = []struct{ voters, observers int }{{3, 0}, {3, 1}, {5, 0}, {3, 0}}

// torment lives through one seed: faults for a while, then healing, then agreement.
func torment(seed uint64, options world.Options) *world.World {
	shape := shapes[seed%uint64(len(shapes))]
	options.Seed, options.Voters, options.Observers, options.Clients = seed, shape.voters, shape.observers, 3
	w := world.New(options)
	w.Start()
	w.Torment(15 * time.Second)
	w.Settle()
	return w
}

// Whatever happens to an ensemble: there is one history, what is committed is on a quorum's disks, no
// promise is older than what is on disk, syncs show what was acknowledged before them, and once
// everything is healed all members come to the same end. What is checked is written down in
// world/checks.go.
func TestSeeds(t *testing.T) {
	count := uint64(seeds)
	if testing.Short() {
		count = 100
	}
	for seed := uint64(1); seed <= count; seed++ {
		require.NoError(t, torment(seed, world.Options{}).Violation())
	}
}

func TestTheSameSeedIsTheSameRun(t *testing.T) {
	for seed := uint64(1); seed <= 8; seed++ {
		first, second := torment(seed, world.Options{Hashed: true}), torment(seed, world.Options{Hashed: true})
		require.Equal(t, first.Hash(), second.Hash(), "seed %d", seed)
		require.Equal(t, first.Now(), second.Now(), "seed %d", seed)
	}
	require.NotEqual(t, torment(1, world.Options{Hashed: true}).Hash(), torment(2, world.Options{Hashed: true}).Hash())
}

// The world must find what is planted, or its silence says nothing.
func TestTheWorldFindsDefects(t *testing.T) {
	const seedsMax = 50
	for _, name := range []defect.Name{
		defect.CommitBeforeQuorum, defect.AckBeforeFsync, defect.SkipTrunc, defect.ServeUnsynchronised,
	} {
		t.Run(string(name), func(t *testing.T) {
			for seed := uint64(1); seed <= seedsMax; seed++ {
				if torment(seed, world.Options{Defects: defect.Set{name: true}}).Violation() != nil {
					return
				}
			}
			t.Errorf("%s was not found in %d seeds", name, seedsMax)
		})
	}
}
