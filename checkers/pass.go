package checkers

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"ordeal/results/history"
)

// forever is the return time of an operation whose outcome is not known: it may take effect at any
// later time.
const forever = time.Duration(math.MaxInt64)

// reorderWindow is how many events are held back to put them in the order of their times. Clients
// record from goroutines of their own, so that lines stand a little out of order.
const reorderWindow = 2048

// The phases of a run that checkers tell apart.
const (
	loadPhase  = "load"
	finalPhase = "final" // all clients have ended, and what their sessions left behind has had time to go
)

// operation is a call joined with its return.
type operation struct {
	id        int64
	client    int
	member    int
	workload  string
	session   string
	request   *history.Request
	result    *history.Result
	call, ret time.Duration // ret is forever if the outcome is not known
	// load is true if it was called during the load. What set-up and final reads show is judged too, but
	// it is no work: a run whose load did nothing has judged nothing.
	load bool
}

// read gives every event and every operation of the log to all judges.
func read(ctx context.Context, log history.Log, judges []judge) error {
	pending := map[int64]operation{}
	load := true // of a history without phases, everything
	deliver := func(e history.Event) {
		for _, j := range judges {
			j.event(e)
		}
		switch e.Kind {
		case history.Phase:
			load = e.Text == loadPhase
		case history.Call:
			if e.Request != nil {
				pending[e.Operation] = operation{id: e.Operation, client: e.Client, member: e.Member, load: load,
					workload: e.Workload, session: e.SessionID, request: e.Request, call: e.Time, ret: forever}
			}
		case history.Return:
			op, ok := pending[e.Operation]
			if !ok || e.Result == nil {
				return
			}
			delete(pending, e.Operation)
			op.complete(e)
			for _, j := range judges {
				j.operation(op)
			}
		}
	}

	var window reorder
	var count int64
	ordered := inOrder(log)
	err := log.Each(func(e history.Event) error {
		if count%reorderWindow == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		count++
		if ordered {
			deliver(e)
		} else {
			window.add(e, deliver)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("after event %d: %w", count, err)
	}
	window.release(len(window.events), deliver)
	unreturned := make([]operation, 0, len(pending))
	for _, op := range pending {
		op.result = &history.Result{Outcome: history.Unknown}
		unreturned = append(unreturned, op)
	}
	slices.SortFunc(unreturned, func(a, b operation) int { return int(a.id - b.id) })
	for _, op := range unreturned {
		for _, j := range judges {
			j.operation(op)
		}
	}
	return nil
}

// inOrder tells whether a log is in memory and in the order of time, as a simulator's: its events need not
// be held back.
func inOrder(log history.Log) bool {
	memory, ok := log.(history.Memory)
	for i := 1; ok && i < len(memory); i++ {
		ok = memory[i-1].Time <= memory[i].Time
	}
	return ok
}

// size is roughly how many bytes it takes to keep the operation, with its texts.
func (op operation) size() int {
	const each, part = 900, 400
	size := each + len(op.request.Value) + len(op.result.Value) + part*len(op.request.Parts)
	for _, name := range op.result.Children {
		size += 16 + len(name)
	}
	return size
}

// complete joins a call with its return.
func (op *operation) complete(e history.Event) {
	op.result = e.Result
	if e.Member != 0 {
		op.member = e.Member
	}
	if e.SessionID != "" {
		op.session = e.SessionID
	}
	if e.Result.Outcome != history.Unknown {
		op.ret = e.Time
	}
}

// ok tells whether the operation took effect, or read.
func (op operation) ok() bool { return op.result.Outcome == history.OK }

// failed tells whether the ensemble answered with this error.
func (op operation) failed(code string) bool {
	return op.result.Answered && op.result.Outcome == history.Failed && op.result.Error == code
}

// writes tells whether the operation changes the tree if it takes effect.
func (op operation) writes() bool {
	switch op.request.Kind {
	case history.Create, history.Delete, history.Set, history.Multi, history.CloseSession:
		return true
	}
	return false
}

// reorder puts events in the order of time, and keeps those of one instant as they were recorded. They
// come nearly in order, so that each finds its place after a few steps.
type reorder struct {
	events []history.Event
}

func (r *reorder) add(e history.Event, deliver func(history.Event)) {
	i := len(r.events)
	r.events = append(r.events, e)
	for ; i > 0 && r.events[i-1].Time > e.Time; i-- {
		r.events[i] = r.events[i-1]
	}
	r.events[i] = e
	if len(r.events) == 2*reorderWindow {
		r.release(reorderWindow, deliver)
	}
}

// release delivers the first events.
func (r *reorder) release(count int, deliver func(history.Event)) {
	for _, e := range r.events[:count] {
		deliver(e)
	}
	rest := copy(r.events, r.events[count:])
	clear(r.events[rest:])
	r.events = r.events[:rest]
}

// writeZxid is the zxid at which an acknowledged write took effect. A stat says it; else the reply's
// zxid does: the server answers a write in the step that applies it.
func writeZxid(op operation, request *history.Request, result *history.Result) int64 {
	if result != nil && result.Stat != nil {
		switch request.Kind {
		case history.Create:
			return result.Stat.Czxid
		case history.Set:
			return result.Stat.Mzxid
		}
	}
	return op.result.Zxid
}
