package nemesis

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ordeal/results/history"
)

// world is a harness and an ensemble as a nemesis sees them: faults are applied and healed at once,
// and the leader is the first voter that could lead, once an election has taken its time.
type world struct {
	view     View
	election time.Duration
	elected  time.Duration // when the next leader will be known; 0 if nothing is under way
	nextID   int
	moments  []moment
	trace    []string
	// fail says which injections the driver refuses.
	fail func(history.Fault) bool
}

// moment is what was on after an action.
type moment struct {
	at     time.Duration
	action Action
	active []history.Fault
}

const steps = 5000 // more than any schedule needs for the time simulated

func newWorld(voters, observers int, election time.Duration) *world {
	w := &world{election: election, fail: func(history.Fault) bool { return false }}
	for id := 1; id <= voters+observers; id++ {
		w.view.Members = append(w.view.Members, id)
		if id <= voters {
			w.view.Voters = append(w.view.Voters, id)
		}
	}
	w.settle()
	return w
}

// settle lets the ensemble notice what has changed.
func (w *world) settle() {
	down := stopped(w.view.Active)
	w.view.Serving = without(w.view.Members, down...)
	if w.view.Leader != 0 && couldLead(w.view, w.view.Leader, down, w.view.Active) {
		return
	}
	w.view.Leader = 0
	if w.elected == 0 {
		w.elected = w.view.Now + w.election
	}
	if w.view.Now < w.elected {
		return
	}
	for _, voter := range w.view.Voters {
		if couldLead(w.view, voter, down, w.view.Active) {
			w.view.Leader, w.elected = voter, 0
			w.view.Epoch++
			return
		}
	}
}

func (w *world) run(schedule Schedule, until time.Duration) {
	for range steps {
		if w.view.Now >= until {
			return
		}
		action := schedule.Next(w.copyOfView())
		switch {
		case action.Inject != nil:
			if !w.fail(*action.Inject) {
				w.nextID++
				fault := *action.Inject
				fault.ID = w.nextID
				w.view.Active = append(w.view.Active, fault)
			}
			w.view.Now += time.Millisecond
		case action.Heal != 0:
			w.view.Active = slices.DeleteFunc(w.view.Active, func(f history.Fault) bool { return f.ID == action.Heal })
			w.view.Now += time.Millisecond
		default:
			w.view.Now += action.Wait
		}
		w.settle()
		w.moments = append(w.moments, moment{w.view.Now, action, slices.Clone(w.view.Active)})
		w.trace = append(w.trace, describe(w.view.Now, action))
	}
	panic("expected the schedule to let time pass, found only actions")
}

func (w *world) copyOfView() View {
	view := w.view
	view.Active = slices.Clone(view.Active)
	return view
}

func describe(at time.Duration, action Action) string {
	if action.Inject != nil {
		return fmt.Sprintf("%v inject %s", at, action.Inject)
	}
	return fmt.Sprintf("%v heal %d wait %v", at, action.Heal, action.Wait)
}

func (w *world) injected() []history.Fault {
	var faults []history.Fault
	for _, m := range w.moments {
		if m.action.Inject != nil {
			faults = append(faults, *m.action.Inject)
		}
	}
	return faults
}

var everything = history.FaultKinds

func TestCatalogue(t *testing.T) {
	require.Equal(t, []string{
		"kill-leader", "power-loss", "pause-leader", "partition-leader", "partition-followers",
		"partition-halves", "one-way", "rolling", "mixed", "none",
	}, Names())
	for _, n := range All() {
		found, err := Get(n.Name())
		require.NoError(t, err)
		require.Equal(t, n, found)
		require.NotEmpty(t, n.Describe())
	}
	_, err := Get("kill-leaders")
	require.ErrorContains(t, err, `unknown nemesis "kill-leaders"; known are: kill-leader, power-loss`)
}

// A drawn run of a drawn nemesis.
func draw(t *rapid.T) (Nemesis, *world, uint64) {
	n := rapid.SampledFrom(All()).Draw(t, "nemesis")
	voters := rapid.IntRange(1, 7).Draw(t, "voters")
	observers := rapid.IntRange(0, 2).Draw(t, "observers")
	election := time.Duration(rapid.IntRange(0, 3000).Draw(t, "election ms")) * time.Millisecond
	w := newWorld(voters, observers, election)
	w.view = sparing(w.view, rapid.SliceOfDistinct(rapid.SampledFrom(w.view.Members), rapid.ID).Draw(t, "spared")...)
	refused := rapid.SampledFrom(append([]history.FaultKind{"nothing"}, everything...)).Draw(t, "driver fails at")
	w.fail = func(f history.Fault) bool { return f.Kind == refused }
	return n, w, rapid.Uint64().Draw(t, "seed")
}

func TestEqualSeedsAndViewsGiveEqualSchedules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, first, seed := draw(t)
		second := newWorld(len(first.view.Voters), len(first.view.Members)-len(first.view.Voters), first.election)
		second.view.Spared, second.fail = first.view.Spared, first.fail
		first.run(n.Start(seed, everything), 30*time.Second)
		second.run(n.Start(seed, everything), 30*time.Second)
		require.Equal(t, first.trace, second.trace)
	})
}

// chosen is what the seed says of a fault: all but its moment and the members that it hits.
type chosen struct {
	kind  history.FaultKind
	shape string
	mode  history.CutMode
	hold  time.Duration
}

// chosenByLane lets a schedule run and returns what each of its lanes chose, in order.
func chosenByLane(s Schedule, w *world) map[int][]chosen {
	lanes := map[int][]chosen{}
	w.run(watched(func(view View) Action {
		action := s.Next(view)
		if action.Inject == nil {
			return action
		}
		for i, l := range s.(*schedule).lanes {
			if f := l.step.fault; l.asked && alike(f, *action.Inject) {
				lanes[i] = append(lanes[i], chosen{f.Kind, f.Shape, f.Mode, l.step.hold})
				break
			}
		}
		return action
	}), 120*time.Second)
	return lanes
}

type watched func(View) Action

func (w watched) Next(view View) Action { return w(view) }

// However long elections take, and whoever is elected: the same seed brings the same faults in the same order.
func TestTheOrderOfFaultsComesFromTheSeedAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom(All()).Filter(func(n Nemesis) bool { return n.Name() != "none" }).Draw(t, "nemesis")
		voters, observers := rapid.IntRange(1, 7).Draw(t, "voters"), rapid.IntRange(0, 2).Draw(t, "observers")
		seed := rapid.Uint64().Draw(t, "seed")
		possible := rapid.SliceOfNDistinct(rapid.SampledFrom(everything), 1, len(everything), rapid.ID).Draw(t, "possible")
		first := n.Start(seed, possible)
		if first == (idle{}) {
			return
		}
		elections := rapid.IntRange(0, 4000)
		draw := func(label string) *world {
			return newWorld(voters, observers, time.Duration(elections.Draw(t, label))*time.Millisecond)
		}
		quick := chosenByLane(first, draw("one election ms"))
		slow := chosenByLane(n.Start(seed, possible), draw("another election ms"))
		for lane := range max(1, n.(*scheduled).lanes) {
			both := min(len(quick[lane]), len(slow[lane]))
			require.Equal(t, quick[lane][:both], slow[lane][:both], "lane %d", lane)
		}
	})
}

func TestAnInjectionThatCameTooLateIsTriedAgainForTheNewLeader(t *testing.T) {
	n, err := Get("partition-leader")
	require.NoError(t, err)
	schedule := n.Start(1, everything)
	view := View{Now: time.Minute, Voters: []int{1, 2, 3}, Members: []int{1, 2, 3}, Leader: 2}
	first := *schedule.Next(view).Inject
	view.Leader = 3 // the harness noticed it too, and has let the injection be
	view.Now += schedule.Next(view).Wait
	second := *schedule.Next(view).Inject
	require.Equal(t, first.Mode, second.Mode)
	require.ElementsMatch(t, isolate(view, 3), second.Links)
}

func TestWhatAnEnsembleIsTooSmallForIsOmitted(t *testing.T) {
	for name, test := range map[string]struct {
		nemesis         string
		voters, members int
		want            []string
	}{
		"a ring of three":      {"partition-halves", 3, 3, []string{"majority-ring: it needs at least 4 voters, and this ensemble has 3"}},
		"a ring of four":       {"partition-halves", 4, 4, nil},
		"two voters":           {"partition-halves", 2, 3, []string{"bridge: it needs at least 3 voters, and this ensemble has 2", "majority-ring: it needs at least 4 voters, and this ensemble has 2"}},
		"one alone":            {"partition-leader", 1, 1, []string{"isolate-leader: it needs at least 2 members, and this ensemble has 1"}},
		"the leader is enough": {"kill-leader", 1, 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := Get(test.nemesis)
			require.NoError(t, err)
			var omitted []string
			for _, o := range n.Omits(test.voters, test.members, everything) {
				omitted = append(omitted, o.Name+": "+o.Reason)
			}
			require.Equal(t, test.want, omitted)
			require.Empty(t, n.Omits(test.voters, test.members, []history.FaultKind{history.ClientCut}), "what the driver refuses is said elsewhere")
		})
	}
}

// What is not omitted comes in its turn, in an ensemble of any size.
func TestASingleServerSeesWhatItCanTake(t *testing.T) {
	for name, want := range map[string]history.FaultKind{"kill-leader": history.Kill, "pause-leader": history.Pause, "power-loss": history.PowerLoss} {
		n, err := Get(name)
		require.NoError(t, err)
		w := newWorld(1, 0, time.Second)
		w.run(n.Start(1, everything), 20*time.Second)
		require.NotEmpty(t, w.injected(), name)
		require.Equal(t, want, w.injected()[0].Kind)
	}
}

func TestFlappingOfFollowersSparesWhoLeadsByThen(t *testing.T) {
	schedule := newSchedule("test", 1, 1, []card{flapFollower})
	view := View{Now: time.Minute, Voters: []int{1, 2, 3}, Members: []int{1, 2, 3}, Leader: 1}
	for id := range flapsMin {
		fault := *schedule.Next(view).Inject
		require.Equal(t, shapeFlapping, fault.Shape)
		victim := fault.Links[0].From
		require.NotEqual(t, view.Leader, victim, "flap %d isolates the leader", id)
		fault.ID = id + 1
		view.Active = []history.Fault{fault}
		view.Now += schedule.Next(view).Wait
		require.Equal(t, fault.ID, schedule.Next(view).Heal)
		view.Active = nil
		view.Leader = victim // it was elected
		view.Now += schedule.Next(view).Wait
	}
}

func TestFaultsAreBoundedAndHealedInTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, w, seed := draw(t)
		w.run(n.Start(seed, everything), 60*time.Second)
		lanes := max(1, n.(*scheduled).lanes)
		began := map[int]time.Duration{}
		for _, m := range w.moments {
			require.LessOrEqual(t, len(m.active), lanes, "faults at the same time")
			down := stopped(m.active)
			downVoters := 0
			for _, voter := range down {
				if slices.Contains(w.view.Voters, voter) {
					downVoters++
				}
			}
			if !slices.ContainsFunc(m.active, func(f history.Fault) bool { return takesEverybody(w.view, f) }) {
				require.LessOrEqual(t, downVoters, minority(w.view), "voters down at %v", m.at)
			}
			for _, fault := range m.active {
				if _, known := began[fault.ID]; !known {
					began[fault.ID] = m.at
				}
				require.LessOrEqual(t, m.at-began[fault.ID], holdMax+time.Second, "%s is on too long", fault)
			}
		}
	})
}

func TestOnlyKnownMembersAndPossibleKindsAreTouched(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, w, seed := draw(t)
		possible := rapid.SliceOfDistinct(rapid.SampledFrom(everything), rapid.ID).Draw(t, "possible")
		w.run(n.Start(seed, possible), 60*time.Second)
		for _, fault := range w.injected() {
			require.Contains(t, possible, fault.Kind)
			for _, member := range fault.Members {
				require.Contains(t, w.view.Members, member)
				require.NotContains(t, w.view.Spared[fault.Kind], member)
			}
			for _, link := range fault.Links {
				require.Contains(t, w.view.Members, link.From)
				require.Contains(t, w.view.Members, link.To)
				require.NotEqual(t, link.From, link.To)
			}
			if fault.Kind == history.Cut {
				require.NotEmpty(t, fault.Links)
				require.NotEmpty(t, fault.Shape)
				require.Contains(t, []history.CutMode{history.Drop, history.Reset}, fault.Mode)
			} else {
				require.NotEmpty(t, fault.Members)
			}
			require.Zero(t, fault.ID, "the harness numbers faults")
		}
	})
}

func TestEveryNemesisActsWithinAShortRun(t *testing.T) {
	for _, n := range All() {
		for _, voters := range []int{3, 4, 5, 7} {
			for seed := range uint64(20) {
				w := newWorld(voters, 0, time.Second)
				w.run(n.Start(seed, everything), 20*time.Second)
				if n.Name() == "none" {
					require.Empty(t, w.injected())
					continue
				}
				require.GreaterOrEqual(t, len(w.injected()), 2, "%s, %d voters, seed %d", n.Name(), voters, seed)
			}
		}
	}
}

func TestPowerLossFindsWhoCanLoseIt(t *testing.T) {
	n, err := Get("power-loss")
	require.NoError(t, err)
	for _, spared := range [][]int{{1}, {3}, {1, 2}, {2, 3}} {
		for seed := range uint64(20) {
			w := newWorld(3, 0, time.Second)
			w.view = sparing(w.view, spared...)
			w.run(n.Start(seed, everything), 20*time.Second)
			require.GreaterOrEqual(t, len(w.injected()), 2, "%v spared, seed %d", spared, seed)
		}
	}
}

func TestWhereTheLeaderIsSparedAnotherMemberIsHit(t *testing.T) {
	three := viewOf(3, 0)
	three.Leader = 3
	random := rand.New(rand.NewPCG(1, 1))
	for name, c := range map[string]struct {
		choose chooser
		spared []int
		want   []int // one of them is hit
	}{
		"the leader":                      {onLeader(history.PowerLoss), []int{1, 2}, []int{3}},
		"the leader is spared":            {onLeader(history.PowerLoss), []int{3}, []int{1, 2}},
		"a follower":                      {onFollower(history.PowerLoss), []int{1, 3}, []int{2}},
		"all followers are spared":        {onFollower(history.PowerLoss), []int{1, 2}, []int{3}},
		"a fault that nobody is spared":   {onLeader(history.Kill), []int{3}, []int{3}},
		"a follower of a leader not able": {onFollower(history.PowerLoss), []int{3}, []int{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			plan := c.choose(sparing(three, c.spared...), random)
			require.Len(t, plan, 1)
			require.Len(t, plan[0].fault.Members, 1)
			require.Subset(t, c.want, plan[0].fault.Members)
		})
	}
	require.Empty(t, onFollower(history.Kill)(viewOf(1, 0), random), "an ensemble of one has no followers")
}

func TestLeaderNemesesHitTheLeaderOfTheMoment(t *testing.T) {
	for _, name := range []string{"kill-leader", "pause-leader", "partition-leader"} {
		n, err := Get(name)
		require.NoError(t, err)
		schedule := n.Start(1, everything)
		view := View{Now: time.Minute, Voters: []int{1, 2, 3}, Members: []int{1, 2, 3}}
		require.Equal(t, Action{Wait: lookAgain}, schedule.Next(view), "no leader is known")
		view.Leader = 2
		action := schedule.Next(view)
		require.NotNil(t, action.Inject)
		if name == "partition-leader" {
			require.ElementsMatch(t, []history.Link{{From: 2, To: 1}, {From: 2, To: 3}, {From: 1, To: 2}, {From: 3, To: 2}}, action.Inject.Links)
		} else {
			require.Equal(t, []int{2}, action.Inject.Members)
		}
	}
}

func TestAFaultThatCouldNotBeAppliedIsFollowedByAnother(t *testing.T) {
	n, err := Get("kill-leader")
	require.NoError(t, err)
	w := newWorld(3, 0, 0)
	failures := 0
	w.fail = func(history.Fault) bool { failures++; return failures <= 3 }
	w.run(n.Start(1, everything), 20*time.Second)
	require.Greater(t, w.nextID, 1)
}

func TestAnotherNemesisFaultsAreLeftAlone(t *testing.T) {
	n, err := Get("kill-leader")
	require.NoError(t, err)
	w := newWorld(5, 0, 0)
	w.nextID = 100
	w.view.Active = []history.Fault{{ID: 100, Nemesis: "another", Kind: history.Kill, Members: []int{5}}}
	w.run(n.Start(1, everything), 30*time.Second)
	for _, m := range w.moments {
		require.NotEqual(t, 100, m.action.Heal)
		if m.action.Inject != nil {
			require.NotEqual(t, []int{5}, m.action.Inject.Members, "it is down already")
		}
	}
}

func TestRollingRestartWaitsUntilTheMemberServes(t *testing.T) {
	n, err := Get("rolling")
	require.NoError(t, err)
	schedule := n.Start(1, everything)
	view := View{Now: time.Minute, Voters: []int{1, 2, 3}, Members: []int{1, 2, 3}, Serving: []int{1, 2, 3}}
	fault := *schedule.Next(view).Inject
	fault.ID = 1
	member := fault.Members[0]
	view.Active, view.Serving = []history.Fault{fault}, without(view.Serving, member)
	view.Now += schedule.Next(view).Wait
	require.Equal(t, 1, schedule.Next(view).Heal)
	view.Active = nil
	for range 10 {
		require.Equal(t, Action{Wait: lookAgain}, schedule.Next(view))
		view.Now += lookAgain
	}
	view.Serving = []int{1, 2, 3}
	view.Now += schedule.Next(view).Wait
	next := schedule.Next(view).Inject
	require.NotNil(t, next)
	require.NotEqual(t, member, next.Members[0])
}

func TestMixedOverlapsFaultsAndDrawsAllKinds(t *testing.T) {
	n, err := Get("mixed")
	require.NoError(t, err)
	kinds, shapes, overlaps := map[history.FaultKind]int{}, map[string]int{}, 0
	for seed := range uint64(30) {
		w := newWorld(5, 0, time.Second)
		w.run(n.Start(seed, everything), 60*time.Second)
		for _, fault := range w.injected() {
			kinds[fault.Kind]++
			shapes[fault.Shape]++
		}
		for _, m := range w.moments {
			if len(m.active) == 2 {
				overlaps++
			}
		}
	}
	for _, kind := range everything {
		require.Positive(t, kinds[kind], kind)
	}
	for _, shape := range []string{
		shapeIsolateLeader, shapeIsolateFollower, shapeHalves, shapeMajorityRing, shapeBridge, shapeOneWay, shapeFlapping,
	} {
		require.Positive(t, shapes[shape], shape)
	}
	require.Positive(t, overlaps)
}
