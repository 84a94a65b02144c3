package ensemble

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/results/history"
)

func TestPowerLossIsRefusedWhereNothingWouldBeLost(t *testing.T) {
	s := spec(3, 0)
	require.Contains(t, RefusedFaults(s)[history.PowerLoss], "not told to hold")
	s.HoldUnsynced = true
	require.Empty(t, RefusedFaults(s))
	require.Empty(t, SparedMembers(s))

	s.Implementations[1] = Apache
	require.Empty(t, RefusedFaults(s), "the others can lose it")
	spared := SparedMembers(s)[history.PowerLoss]
	require.Equal(t, []int{2}, spared.Members)
	require.Contains(t, spared.Reason, "page cache")

	s.Implementations[0], s.Implementations[2] = Apache, "image:zookeeper:3.9"
	require.Contains(t, RefusedFaults(s)[history.PowerLoss], "page cache")
	require.Empty(t, SparedMembers(s), "what is refused altogether spares nobody in particular")
}

func TestOneMemberHasNoLinks(t *testing.T) {
	require.Contains(t, RefusedFaults(spec(1, 0))[history.Cut], "no links")
	require.NotContains(t, RefusedFaults(spec(2, 0)), history.Cut)
}

// limited is an ensemble of a spec, as far as its limits go.
type limited struct {
	Ensemble
	spec Spec
}

func (l limited) Size() int                             { return len(l.spec.Implementations) }
func (l limited) Refuses() map[history.FaultKind]string { return RefusedFaults(l.spec) }
func (l limited) Spares() map[history.FaultKind]Spared  { return SparedMembers(l.spec) }

func TestRefusal(t *testing.T) {
	mixed := spec(3, 0)
	mixed.HoldUnsynced = true
	mixed.Implementations[2] = Apache
	links := func(from, to int) history.Fault {
		return history.Fault{Kind: history.Cut, Links: []history.Link{{From: 1, To: 2}, {From: from, To: to}}}
	}
	for name, c := range map[string]struct {
		spec  Spec
		fault history.Fault
		want  string // empty if the fault can be given
	}{
		"a kill":                         {spec(3, 0), history.Fault{Kind: history.Kill, Members: []int{1, 3}}, ""},
		"a kind that is refused":         {spec(3, 0), history.Fault{Kind: history.PowerLoss, Members: []int{1}}, "not told to hold"},
		"a member that is not spared":    {mixed, history.Fault{Kind: history.PowerLoss, Members: []int{1, 2}}, ""},
		"a member that is spared":        {mixed, history.Fault{Kind: history.PowerLoss, Members: []int{2, 3}}, "member 3 is spared"},
		"a spared member by other means": {mixed, history.Fault{Kind: history.Kill, Members: []int{3}}, ""},
		"member 0":                       {spec(3, 0), history.Fault{Kind: history.Kill, Members: []int{0}}, "no member 0: members are 1 to 3"},
		"member 4":                       {spec(3, 0), history.Fault{Kind: history.Kill, Members: []int{1, 4}}, "no member 4: members are 1 to 3"},
		"a link":                         {spec(3, 0), links(3, 2), ""},
		"a link to nobody":               {spec(3, 0), links(3, 4), "no link 3→4"},
		"a link from nobody":             {spec(3, 0), links(0, 3), "no link 0→3"},
		"a link to oneself":              {spec(3, 0), links(2, 2), "no link 2→2"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Refusal(limited{spec: c.spec}, c.fault)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, " is not possible: ")
		})
	}
}

func TestHolds(t *testing.T) {
	on := map[int]history.Fault{
		1: {Kind: history.Pause, Members: []int{1, 2}},
		2: {Kind: history.Kill, Members: []int{2}},
	}
	require.True(t, Holds(on, 2, 1, history.Kill, history.Stop))
	require.False(t, Holds(on, 2, 2, history.Kill), "only that which is to be healed")
	require.False(t, Holds(on, 1, 0, history.Kill), "of another kind")
	require.False(t, Holds(on, 3, 0, history.Pause), "of other members")
}
