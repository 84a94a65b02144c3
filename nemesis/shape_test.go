package nemesis

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/results/history"
)

func viewOf(voters, observers int) View {
	return newWorld(voters, observers, 0).view
}

// sees are the voters with which a voter is linked both ways, itself among them.
func sees(view View, links []history.Link, voter int) []int {
	var seen []int
	for _, other := range view.Voters {
		if other == voter ||
			!slices.Contains(links, history.Link{From: voter, To: other}) && !slices.Contains(links, history.Link{From: other, To: voter}) {
			seen = append(seen, other)
		}
	}
	return seen
}

func TestIsolateCutsEachMemberFromEverybody(t *testing.T) {
	view := viewOf(5, 1)
	links := isolate(view, 2, 4)
	for _, lonely := range []int{2, 4} {
		for _, other := range without(view.Members, lonely) {
			require.Contains(t, links, history.Link{From: lonely, To: other})
			require.Contains(t, links, history.Link{From: other, To: lonely})
		}
	}
	require.Equal(t, []int{1, 3, 5}, sees(view, links, 1))
	require.Len(t, slices.Compact(sorted(links)), len(links), "no link twice")
}

func sorted(links []history.Link) []history.Link {
	return slices.SortedFunc(slices.Values(links), func(a, b history.Link) int { return (a.From-b.From)*100 + a.To - b.To })
}

func TestHalvesLeaveAMajorityTogether(t *testing.T) {
	for voters := 3; voters <= 7; voters++ {
		for seed := range uint64(20) {
			view := viewOf(voters, 2)
			links := halves(view, rand.New(rand.NewPCG(seed, 0)))
			for _, voter := range view.Voters {
				size := len(sees(view, links, voter))
				require.Contains(t, []int{(voters - 1) / 2, voters - (voters-1)/2}, size)
			}
		}
	}
}

func TestInAMajorityRingEachVoterSeesAMajorityAndNoTwoTheSame(t *testing.T) {
	require.Empty(t, majorityRing(viewOf(3, 0), rand.New(rand.NewPCG(1, 0))))
	for voters := 4; voters <= 7; voters++ {
		view := viewOf(voters, 0)
		links := majorityRing(view, rand.New(rand.NewPCG(1, 0)))
		var all [][]int
		for _, voter := range view.Voters {
			seen := sees(view, links, voter)
			require.Greater(t, len(seen), voters/2)
			require.NotContains(t, all, seen)
			all = append(all, seen)
		}
	}
}

func TestABridgeIsTheOnlyWayBetweenTheHalves(t *testing.T) {
	require.Empty(t, bridge(viewOf(2, 0), rand.New(rand.NewPCG(1, 0))))
	for voters := 3; voters <= 7; voters++ {
		view := viewOf(voters, 0)
		links := bridge(view, rand.New(rand.NewPCG(1, 0)))
		bridges := 0
		for _, voter := range view.Voters {
			if len(sees(view, links, voter)) == voters {
				bridges++
			}
		}
		require.Equal(t, 1, bridges)
	}
}

func TestOneWayCutsOneDirectionOnly(t *testing.T) {
	view := viewOf(3, 0)
	view.Leader = 2
	for seed := range uint64(50) {
		for _, link := range oneWay(view, rand.New(rand.NewPCG(seed, 0))) {
			links := oneWay(view, rand.New(rand.NewPCG(seed, 0)))
			require.NotContains(t, links, history.Link{From: link.To, To: link.From})
		}
	}
}

// sparing is a view whose driver cannot take the power from some members.
func sparing(view View, members ...int) View {
	view.Spared = map[history.FaultKind][]int{history.PowerLoss: members}
	return view
}

func TestFits(t *testing.T) {
	kill := func(id int, members ...int) history.Fault {
		return history.Fault{ID: id, Kind: history.Kill, Members: members}
	}
	isolated := func(view View, member int) history.Fault {
		return history.Fault{ID: 9, Kind: history.Cut, Links: isolate(view, member)}
	}
	three, five := viewOf(3, 0), viewOf(5, 0)
	for name, test := range map[string]struct {
		view   View
		active []history.Fault
		fault  history.Fault
		want   bool
	}{
		"a minority":                    {three, nil, kill(0, 1), true},
		"one more than a minority":      {three, []history.Fault{kill(1, 1)}, kill(0, 2), false},
		"two of five":                   {five, []history.Fault{kill(1, 1)}, kill(0, 2), true},
		"a member twice":                {five, []history.Fault{kill(1, 1)}, kill(0, 1), false},
		"an unknown member":             {three, nil, kill(0, 4), false},
		"the only one":                  {viewOf(1, 0), nil, kill(0, 1), true},
		"everybody by kill":             {three, nil, kill(0, 1, 2, 3), false},
		"everybody by power":            {three, nil, history.Fault{Kind: history.PowerLoss, Members: []int{1, 2, 3}}, true},
		"everybody by power, one down":  {three, []history.Fault{kill(1, 1)}, history.Fault{Kind: history.PowerLoss, Members: []int{1, 2, 3}}, false},
		"everybody but the spared":      {sparing(three, 2), nil, history.Fault{Kind: history.PowerLoss, Members: []int{1, 3}}, true},
		"the spared":                    {sparing(three, 2), nil, history.Fault{Kind: history.PowerLoss, Members: []int{2}}, false},
		"the spared by other means":     {sparing(three, 2), nil, kill(0, 2), true},
		"kill beside an isolated one":   {three, []history.Fault{isolated(three, 1)}, kill(0, 2), false},
		"kill the isolated one":         {three, []history.Fault{isolated(three, 1)}, kill(0, 1), true},
		"isolate two of five":           {five, []history.Fault{isolated(five, 1)}, isolated(five, 2), true},
		"isolate three of five":         {five, []history.Fault{isolated(five, 1), isolated(five, 2)}, isolated(five, 3), false},
		"a client cut beside a kill":    {three, []history.Fault{kill(1, 1)}, history.Fault{Kind: history.ClientCut, Members: []int{2}}, true},
		"the same client cut twice":     {three, []history.Fault{{ID: 1, Kind: history.ClientCut, Members: []int{2}}}, history.Fault{Kind: history.ClientCut, Members: []int{2}}, false},
		"the same cut twice":            {three, []history.Fault{isolated(three, 1)}, isolated(three, 1), false},
		"a part of a cut":               {three, []history.Fault{isolated(three, 1)}, history.Fault{Kind: history.Cut, Links: []history.Link{{From: 1, To: 2}}}, false},
		"an observer is not a voter":    {viewOf(3, 1), []history.Fault{kill(1, 1)}, kill(0, 4), true},
		"a link to an unknown member":   {three, nil, history.Fault{Kind: history.Cut, Links: []history.Link{{From: 1, To: 4}}}, false},
		"everybody isolated from 1 way": {three, nil, history.Fault{Kind: history.Cut, Links: linksFrom([]int{1, 2, 3}, []int{1, 2, 3})}, false},
	} {
		t.Run(name, func(t *testing.T) {
			test.view.Active = test.active
			require.Equal(t, test.want, fits(test.view, test.fault))
		})
	}
}
