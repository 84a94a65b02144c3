package sim

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"ordeal/node/defect"
	"ordeal/results/history"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The numbers of seeds that unit tests take: bounded, for the larger ones see the integration tests.
const (
	soundSeeds     = 150
	repeatedSeeds  = 40
	seedsForDefect = 400
)

// short is what unit tests let seeds draw: less load than a search does.
var short = Options{Load: 5 * time.Second}

func TestTheSoundNodeKeepsItsPromises(t *testing.T) {
	for seed := uint64(1); seed <= soundSeeds; seed++ {
		outcome := Run(Draw(seed, short), Observation{})
		require.Nil(t, outcome.Violation, "ordeal replay %d", seed)
		require.Empty(t, outcome.Unknown, "ordeal replay %d", seed)
		require.Positive(t, outcome.OK, "seed %d: no operation was answered", seed)
	}
}

func TestTheSameSeedGivesTheSameEvents(t *testing.T) {
	for _, strategy := range Strategies {
		options := short
		options.Strategy = strategy
		for seed := uint64(1000); seed < 1000+repeatedSeeds/uint64(len(Strategies)); seed++ {
			first := Run(Draw(seed, options), Observation{})
			lines := 0
			second := Run(Draw(seed, options), Observation{Trace: func(time.Duration, string) { lines++ }})
			require.Equal(t, first.Hash, second.Hash, "seed %d of %s", seed, strategy)
			require.Equal(t, first.Events, second.Events)
			require.Equal(t, len(first.Decisions), len(second.Decisions))
			require.Positive(t, lines)
		}
	}
}

func TestOtherSeedsGiveOtherEvents(t *testing.T) {
	hashes := map[uint64]bool{}
	for seed := uint64(1); seed <= 10; seed++ {
		hashes[Run(Draw(seed, short), Observation{}).Hash] = true
	}
	require.Len(t, hashes, 10)
}

// What a seed decided is enough to repeat its run without the seed's choices, bit for bit.
func TestDecisionsRepeatARun(t *testing.T) {
	for _, strategy := range Strategies {
		options := short
		options.Strategy = strategy
		for seed := uint64(1); seed <= repeatedSeeds/uint64(len(Strategies)); seed++ {
			config := Draw(seed, options)
			outcome := Run(config, Observation{})
			text := outcome.Script(config).Format()
			script, err := Parse(text)
			require.NoError(t, err)
			require.Equal(t, text, script.Format(), "a script that was read is written as it was")
			again := Replay(script, Observation{})
			if outcome.Hash != again.Hash {
				t.Errorf("seed %d %s", seed, strategy)
				continue
			}
			require.Equal(t, outcome.Hash, again.Hash, "seed %d of %s", seed, strategy)
			require.Equal(t, outcome.Virtual, again.Virtual, "seed %d of %s", seed, strategy)
			require.Equal(t, outcome.History, again.History, "seed %d of %s", seed, strategy)
			require.Equal(t, outcome.Broken(), again.Broken(), "seed %d of %s", seed, strategy)
		}
	}
}

func TestARunEndsWhereItIsAskedTo(t *testing.T) {
	outcome := Run(Draw(3, short), Observation{Until: 2 * time.Second})
	require.Nil(t, outcome.Violation)
	require.Equal(t, 2*time.Second, outcome.Virtual)
}

// Three defects, each found in seeds, shrunk, and held by the sound node.
func TestDefectsAreFoundAndShrunk(t *testing.T) {
	for _, name := range []defect.Name{defect.PartialMulti, defect.LoseEarlyProposals, defect.LogAfterUpToDate, defect.EpochBeforeLog} {
		t.Run(string(name), func(t *testing.T) {
			description, known := defect.Find(name)
			require.True(t, known)
			found := find(t, description, short)
			tried := 0
			found.Script = Shrink(found.Script, func() bool { tried++; return tried > 1500 })
			require.NotNil(t, found.Script)
			require.LessOrEqual(t, len(found.Script.Decisions), 40)
			require.Nil(t, Replay(found.Script.Sound(), Observation{}).Violation, "the control")
			script, err := Parse(found.Script.Format())
			require.NoError(t, err)
			require.Equal(t, found.Script.Hash, Replay(script, Observation{}).Hash)
		})
	}
}

// find looks for a defect without a clock: by a number of seeds.
func find(t *testing.T, description defect.Description, options Options) *Reproduction {
	t.Helper()
	options.Defect = string(description.Name)
	for seed := uint64(1); seed <= seedsForDefect; seed++ {
		config := Draw(seed, options)
		if outcome := Run(config, Observation{}); outcome.Violation != nil {
			return &Reproduction{Defect: description, Seed: seed, Found: outcome.Violation, Script: outcome.Script(config)}
		}
	}
	t.Fatalf("%s is not found in %d seeds", description.Name, seedsForDefect)
	return nil
}

var rewrite = flag.Bool("rewrite", false, "write the hashes of the scripts in testdata anew")

// Every file in testdata is a script that broke a promise once: with the defect that it names it still
// does, and on the sound node every promise holds. Its events are those that it was written with, to
// the last byte, on this machine and with this compiler. After a change of the node that is meant,
//
//	go test ./harness/sim -run TestRegressions -rewrite
//
// writes the new hashes; that the promises break and hold as before is checked all the same.
func TestRegressions(t *testing.T) {
	files, err := filepath.Glob("testdata/*.sim")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			script, err := Parse(string(text))
			require.NoError(t, err)
			outcome := Replay(script, Observation{})
			if script.Config.Defect != "" {
				require.Contains(t, outcome.Broken(), script.Violation,
					"the script no longer brings out its defect: ordeal repro %s prints another one", script.Config.Defect)
			}
			require.Nil(t, Replay(script.Sound(), Observation{}).Violation, "the sound node")
			if *rewrite {
				script.Hash = outcome.Hash
				require.NoError(t, os.WriteFile(name, []byte(script.Format()), 0o644))
				return
			}
			require.Equal(t, fmt.Sprintf("%016x", script.Hash), fmt.Sprintf("%016x", outcome.Hash),
				"other events than the script was written with: if the node was changed on purpose, run with -rewrite")
		})
	}
}

// A client that balances its load asks for another member, and a script says to which it went.
func TestSessionsMove(t *testing.T) {
	options := short
	options.Workload, options.Members = "register", 3
	outcome := Run(Draw(2, options), Observation{})
	require.Nil(t, outcome.Violation)
	met := map[string]map[int]bool{}
	moves := 0
	for _, d := range outcome.Decisions {
		if d.Op != nil && d.Op.MoveTo > 0 {
			moves++
		}
	}
	for _, e := range outcome.History {
		if e.Kind == history.Session && e.SessionID != "" {
			if met[e.SessionID] == nil {
				met[e.SessionID] = map[int]bool{}
			}
			met[e.SessionID][e.Member] = true
		}
	}
	require.Greater(t, moves, 3)
	most := 0
	for _, members := range met {
		most = max(most, len(members))
	}
	require.Equal(t, 3, most, "a session has been everywhere")
}

func TestScriptsThatMakeNoSenseAreRefused(t *testing.T) {
	config := Draw(1, short)
	whole := (&Script{Config: config}).Format()
	for wrong, want := range map[string]string{
		"":                                      `no line "decisions"`,
		"hello":                                 "line 1",
		scriptHead + "\nvoters x":               "line 2",
		scriptHead + "\ncolour red":             `unknown field "colour"`,
		scriptHead + "\ndecisions":              "voters 0",
		whole + "fault 1s crash":                "needs a kind and a member",
		whole + "fault 1s melt member 1 for 1s": `unknown word "melt"`,
		whole + "fault 1s at LUNCH 1 crash sender for 1s": `unknown point "LUNCH"`,
		whole + "fault 1s crash member 12 for 1s":         "names a member or client that there is not",
		whole + "op 1s client 99 {}":                      "names a member or client that there is not",
		whole + "op 1s client 1":                          "op without a request",
		whole + "delay here":                              "delay",
		whole + "move 1s client 1 to 9":                   "names a member or client that there is not",
		whole + "move 1s client 1 to 0":                   "there is no member 0",
		whole + "sing":                                    `unknown decision "sing"`,
	} {
		_, err := Parse(wrong)
		require.ErrorContains(t, err, want, wrong)
	}
}

func TestTheQueueIsOrderedByTimeAndThenByPlan(t *testing.T) {
	w := &World{}
	var order []string
	for i, delay := range []time.Duration{3, 1, 2, 1, 3, 0, 2} {
		w.after(delay, func() { order = append(order, fmt.Sprintf("%d:%d", delay, i)) })
	}
	for w.step(10) {
	}
	require.Equal(t, "0:5 1:1 1:3 2:2 2:6 3:0 3:4", strings.Join(order, " "))
}

func TestEveryGuaranteeOfADefectIsKnown(t *testing.T) {
	for _, d := range defect.Catalogue {
		for _, name := range d.Inside {
			require.NotEmpty(t, Promise(name), "%s: %s", d.Name, name)
		}
	}
}
