package sim

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/rare"
)

// turning is a world in which members take rare branches, and their stages wait.
func turning(seed uint64) Config {
	config := Draw(seed, short)
	config.Rare, config.RareRate = rare.Places, 25_000
	config.StageRate, config.StageMax = 20_000, config.TickTime
	return config
}

func TestAllRareBranchesAreTakenAndAllStagesWait(t *testing.T) {
	seen := map[string]int{}
	for seed := uint64(1); seed <= 60; seed++ {
		outcome := Run(turning(seed), Observation{})
		require.Nil(t, outcome.Violation, "seed %d", seed)
		for name, count := range outcome.Coverage.Seen {
			seen[name] += count
		}
	}
	for _, place := range rare.Places {
		require.Positive(t, seen["rare-"+string(place)], place)
	}
	for _, stage := range stages {
		require.Positive(t, seen["slow-stage-"+stageNames[stage]], stageNames[stage])
	}
}

// Branches and waits are decisions like others: a list without them is another, calmer run, and the whole
// list is the same run again.
func TestTurnsAreDecisions(t *testing.T) {
	config := turning(3)
	outcome := Run(config, Observation{})
	turn := func(d Decision) bool { return d.Branch != nil || d.Stage != nil }
	require.True(t, slices.ContainsFunc(outcome.Decisions, turn))
	script, err := Parse(outcome.Script(config).Format())
	require.NoError(t, err)
	again := Replay(script, Observation{})
	require.Equal(t, outcome.OK, again.OK)
	for _, place := range rare.Places {
		require.Equal(t, outcome.Coverage.Seen["rare-"+string(place)], again.Coverage.Seen["rare-"+string(place)], place)
	}
	script.Decisions = slices.DeleteFunc(script.Decisions, turn)
	calm := Replay(script, Observation{})
	require.Nil(t, calm.Violation)
	require.Zero(t, calm.Coverage.Seen["slow-stage-commit"])
}

// A branch that is said by its moment is taken once, at the first occasion from then on, whatever else is left out.
func TestABranchHasItsMoment(t *testing.T) {
	config := turning(3)
	script := Run(config, Observation{}).Script(config)
	script.Decisions = slices.DeleteFunc(script.Decisions, func(d Decision) bool { return d.Branch != nil || d.Stage != nil })
	place, from := rare.SkipPing, 2*time.Second // a leader comes there with every ping
	for member := range config.Members() {
		script.Decisions = append(script.Decisions, Decision{Branch: &Branch{Member: member + 1, Place: place, From: from}})
	}
	for _, decisions := range [][]Decision{
		script.Decisions,
		slices.DeleteFunc(slices.Clone(script.Decisions), func(d Decision) bool { return d.Branch == nil }),
	} {
		script.Decisions = decisions
		var taken []time.Duration
		outcome := Replay(script, Observation{Trace: func(at time.Duration, line string) {
			if strings.Contains(line, "rare branch "+string(place)) {
				taken = append(taken, at)
			}
		}})
		require.Nil(t, outcome.Violation)
		require.NotEmpty(t, taken)
		require.LessOrEqual(t, len(taken), config.Members())
		require.GreaterOrEqual(t, taken[0], from)
	}
}

func TestTurnsAreWrittenAndRead(t *testing.T) {
	for _, d := range []Decision{
		{Branch: &Branch{Member: 2, Place: rare.HoldAcks, Index: 7}},
		{Branch: &Branch{Member: 2, Place: rare.HoldAcks, From: 1500 * time.Microsecond}},
		{Stage: &SlowStage{Member: 3, Stage: "commit", Index: 9, By: 1500 * time.Microsecond}},
	} {
		read, err := parseDecision(d.String())
		require.NoError(t, err)
		require.Equal(t, d, read)
	}
	for line, want := range map[string]string{
		"rare member 2 place nowhere time 7":                 `unknown place "nowhere"`,
		"rare member 2 place hold-acks from noon":            `"noon" is no moment`,
		"slow-stage member 2 stage lunch time 7 by 1ms":      `unknown stage "lunch"`,
		"slow-stage member 2 stage commit time 7 by a while": "invalid duration",
	} {
		_, err := parseDecision(line)
		require.ErrorContains(t, err, want)
	}
}
