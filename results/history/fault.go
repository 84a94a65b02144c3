package history

import (
	"fmt"
	"strings"
)

// FaultKind is one thing that can be done to an ensemble.
type FaultKind string

// The faults. Each has an inverse, by which it is healed.
const (
	Kill      FaultKind = "kill"       // kill -9; healed by a start
	PowerLoss FaultKind = "power-loss" // kill -9, and what was not synced is gone; healed by a start
	Stop      FaultKind = "stop"       // graceful stop; healed by a start
	Pause     FaultKind = "pause"      // the process stands still; healed by resume
	Cut       FaultKind = "cut"        // directed links between members carry nothing
	ClientCut FaultKind = "client-cut" // no client reaches the member
)

// FaultKinds are all kinds, in the order in which they are listed to people.
var FaultKinds = []FaultKind{Kill, PowerLoss, Stop, Pause, Cut, ClientCut}

// CutMode is what happens to traffic on a cut link.
type CutMode string

// The modes. Both stop new connections too.
const (
	Drop  CutMode = "drop"  // packets vanish, connections hang
	Reset CutMode = "reset" // connections are reset at once
)

// Link is traffic from one member to another, in one direction.
type Link struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// Fault is one fault, with everything needed to apply, heal and show it.
type Fault struct {
	ID      int       `json:"id"` // from 1, unique in a run
	Nemesis string    `json:"nemesis"`
	Kind    FaultKind `json:"kind"`
	Members []int     `json:"members,omitempty"`
	Links   []Link    `json:"links,omitempty"` // of a cut
	Mode    CutMode   `json:"mode,omitempty"`  // of a cut
	Shape   string    `json:"shape,omitempty"` // of a cut: isolate-leader, halves, bridge, …
	// Leader and Epoch say who led when the fault was chosen, if the members asked knew it.
	Leader int   `json:"leader,omitempty"`
	Epoch  int64 `json:"epoch,omitempty"`
}

// String describes the fault in a few words: "kill member 2 (leader of epoch 3)".
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(string(f.Kind))
	if f.Shape != "" {
		fmt.Fprintf(&b, " %s", f.Shape)
	}
	for i, m := range f.Members {
		if i == 0 {
			b.WriteString(" member")
		}
		fmt.Fprintf(&b, " %d", m)
	}
	for _, l := range f.Links {
		fmt.Fprintf(&b, " %d→%d", l.From, l.To)
	}
	if f.Mode != "" {
		fmt.Fprintf(&b, " by %s", f.Mode)
	}
	if f.Leader != 0 {
		fmt.Fprintf(&b, " (leader %d, epoch %d)", f.Leader, f.Epoch)
	}
	return b.String()
}
