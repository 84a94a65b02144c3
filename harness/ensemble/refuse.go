package ensemble

import (
	"maps"
	"slices"

	"ordeal/results/history"
)

// RefusedFaults says which faults no driver can give to this ensemble, and why.
func RefusedFaults(spec Spec) map[history.FaultKind]string {
	refused := map[history.FaultKind]string{}
	for _, implementation := range spec.Implementations {
		if implementation != Node {
			refused[history.PowerLoss] = "kill -9 keeps the page cache, and only our own node can hold un-synced bytes back; " +
				"here runs " + string(implementation)
		}
	}
	if len(refused) == 0 && !spec.HoldUnsynced {
		refused[history.PowerLoss] = "the members were not told to hold un-synced bytes back"
	}
	return refused
}

// SortedNames are the keys of a map of properties, in order.
func SortedNames(properties map[string]string) []string { return slices.Sorted(maps.Keys(properties)) }
