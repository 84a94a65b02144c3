// Package harness carries out a run, phase by phase: plan, start, drive, heal, collect, check, store.
//
// It is also the API for a team's own gate: build a [Plan], call [Run], and look at the verdict. The
// command line adds flags to it and nothing else. The module has no address to fetch it from; another
// module names a copy of it beside its own, and the program as a tool, for the members to run:
//
//	go mod edit -require ordeal@v0.0.0 -replace ordeal=../ordeal -tool ordeal/harness/cmd/ordeal
//	go mod tidy
//
// The package wires the others together. It must not know how a driver does a fault, how a client
// speaks, or what a checker looks for.
package harness
