package ensemble

import (
	"fmt"
	"maps"
	"slices"

	"ordeal/results/history"
)

// Spared are the members to whom a kind of fault can't be given, though others can take it.
type Spared struct {
	Members []int // ascending
	Reason  string
}

// takesPowerLoss tells whether a power loss takes more from a member than kill -9 does.
func takesPowerLoss(implementation Implementation) bool { return implementation == Node }

const keepsPageCache = "kill -9 keeps the page cache, and only our own node can hold un-synced bytes back"

// RefusedFaults says which faults no driver can give to this ensemble, and why.
func RefusedFaults(spec Spec) map[history.FaultKind]string {
	refused := map[history.FaultKind]string{}
	if len(spec.Implementations) == 1 {
		refused[history.Cut] = "an ensemble of one has no links"
	}
	switch {
	case !slices.ContainsFunc(spec.Implementations, takesPowerLoss):
		refused[history.PowerLoss] = keepsPageCache + ", which runs nowhere here"
	case !spec.HoldUnsynced:
		refused[history.PowerLoss] = "the members were not told to hold un-synced bytes back"
	}
	return refused
}

// SparedMembers says for the faults that the ensemble can be given which members are spared, and why.
func SparedMembers(spec Spec) map[history.FaultKind]Spared {
	var keep []int
	for i, implementation := range spec.Implementations {
		if !takesPowerLoss(implementation) {
			keep = append(keep, i+1)
		}
	}
	if _, refused := RefusedFaults(spec)[history.PowerLoss]; refused || len(keep) == 0 {
		return nil
	}
	return map[history.FaultKind]Spared{history.PowerLoss: {Members: keep, Reason: keepsPageCache}}
}

// Refusal says why a fault can't be given to an ensemble, whatever its members do at the moment; nil
// if it can.
func Refusal(e Ensemble, fault history.Fault) error {
	if reason, refused := e.Refuses()[fault.Kind]; refused {
		return fmt.Errorf("%s is not possible: %s", fault, reason)
	}
	spared := e.Spares()[fault.Kind]
	missing := func(id int) bool { return id < 1 || id > e.Size() }
	for _, id := range fault.Members {
		if missing(id) {
			return fmt.Errorf("%s is not possible: no member %d: members are 1 to %d", fault, id, e.Size())
		}
		if slices.Contains(spared.Members, id) {
			return fmt.Errorf("%s is not possible: member %d is spared: %s", fault, id, spared.Reason)
		}
	}
	for _, link := range fault.Links {
		if missing(link.From) || missing(link.To) || link.From == link.To {
			return fmt.Errorf("%s is not possible: no link %d→%d: members are 1 to %d", fault, link.From, link.To, e.Size())
		}
	}
	return nil
}

// Holds tells whether one of the faults that are on, other than that numbered except, is of one of the
// kinds and does it to this member.
func Holds(on map[int]history.Fault, member, except int, kinds ...history.FaultKind) bool {
	for id, fault := range on {
		if id != except && slices.Contains(kinds, fault.Kind) && slices.Contains(fault.Members, member) {
			return true
		}
	}
	return false
}

// SortedNames are the keys of a map of properties, in order.
func SortedNames(properties map[string]string) []string { return slices.Sorted(maps.Keys(properties)) }
