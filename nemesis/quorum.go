package nemesis

import (
	"slices"

	"ordeal/results/history"
)

// minority is how many voters may be down at the same time. An ensemble of one or two cannot spare
// any; there one at a time goes down all the same, or such ensembles would see no faults.
func minority(view View) int { return max(1, (len(view.Voters)-1)/2) }

// stopped are the members whose process is down or stands still, ascending.
func stopped(faults []history.Fault) []int {
	var members []int
	for _, fault := range faults {
		if stopsMembers(fault.Kind) {
			members = append(members, fault.Members...)
		}
	}
	slices.Sort(members)
	return slices.Compact(members)
}

func stopsMembers(kind history.FaultKind) bool {
	switch kind {
	case history.Kill, history.PowerLoss, history.Stop, history.Pause:
		return true
	}
	return false
}

// fits tells whether a fault may be added to those that are on: it touches only members that there
// are, stops none twice, cuts something that is not cut already, stops a minority at most, and leaves
// some voter that could lead: one that runs and is linked, both ways, with a majority of running voters.
// A power loss of everybody who can lose it is meant to leave nobody else; it fits where nothing else is
// stopped.
func fits(view View, fault history.Fault) bool {
	before := stopped(view.Active)
	for _, member := range fault.Members {
		if !slices.Contains(view.Members, member) {
			return false
		}
		if stopsMembers(fault.Kind) && slices.Contains(before, member) {
			return false
		}
		if slices.Contains(view.Spared[fault.Kind], member) {
			return false
		}
	}
	if addsNothing(view.Active, fault) {
		return false
	}
	for _, link := range fault.Links {
		if !slices.Contains(view.Members, link.From) || !slices.Contains(view.Members, link.To) {
			return false
		}
	}
	if takesEverybody(view, fault) {
		return len(before) == 0
	}
	faults := append(slices.Clone(view.Active), fault)
	down := stopped(faults)
	downVoters := 0
	for _, voter := range view.Voters {
		if slices.Contains(down, voter) {
			downVoters++
		}
	}
	if downVoters > minority(view) {
		return false
	}
	return len(view.Voters) < 3 || slices.ContainsFunc(view.Voters, func(voter int) bool {
		return couldLead(view, voter, down, faults)
	})
}

// everybody is who can lose the power.
func everybody(view View) []int { return without(view.Members, view.Spared[history.PowerLoss]...) }

func takesEverybody(view View, fault history.Fault) bool {
	return fault.Kind == history.PowerLoss && len(fault.Members) == len(everybody(view))
}

func couldLead(view View, leader int, down []int, faults []history.Fault) bool {
	if slices.Contains(down, leader) {
		return false
	}
	followers := 0
	for _, voter := range view.Voters {
		if voter == leader || !slices.Contains(down, voter) &&
			!isCut(faults, leader, voter) && !isCut(faults, voter, leader) {
			followers++
		}
	}
	return followers > len(view.Voters)/2
}

// addsNothing tells whether a fault cuts only what others have cut already.
func addsNothing(on []history.Fault, fault history.Fault) bool {
	switch fault.Kind {
	case history.Cut:
		return !slices.ContainsFunc(fault.Links, func(l history.Link) bool { return !isCut(on, l.From, l.To) })
	case history.ClientCut:
		return !slices.ContainsFunc(fault.Members, func(member int) bool {
			return !slices.ContainsFunc(on, func(f history.Fault) bool { return f.Kind == history.ClientCut && slices.Contains(f.Members, member) })
		})
	}
	return false
}

func isCut(faults []history.Fault, from, to int) bool {
	return slices.ContainsFunc(faults, func(f history.Fault) bool {
		return f.Kind == history.Cut && slices.Contains(f.Links, history.Link{From: from, To: to})
	})
}
