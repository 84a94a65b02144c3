// Package harness carries out a run, phase by phase: plan, start, drive, heal, collect, check, store.
//
// It is also the API for a team's own gate: build a [Plan], call [Run], and look at the verdict. The
// command line adds flags to it and nothing else.
//
// The package wires the others together. It must not know how a driver does a fault, how a client
// speaks, or what a checker looks for.
package harness
