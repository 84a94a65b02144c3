package checkers

import (
	"context"
	"fmt"

	"ordeal/results/history"
)

// budget is what the judges of one run may keep together, in bytes.
type budget struct {
	used, limit int64
	judges      []*memory
}

// largest is the judge that keeps most; it is asking if no other keeps more.
func (b *budget) largest(asking *memory) *memory {
	largest := asking
	for _, m := range b.judges {
		if m.used > largest.used {
			largest = m
		}
	}
	return largest
}

// memory counts roughly what one judge keeps, so that a long history ends in an answer and not in a
// full machine.
type memory struct {
	shared   *budget
	what     string // is judged
	used     int64
	exceeded bool
}

func newMemory(options Options, what string) *memory {
	m := &memory{shared: options.budget, what: what}
	m.shared.judges = append(m.shared.judges, m)
	return m
}

// take accounts for more bytes and tells whether they may be kept. If they are not there, the judge that
// keeps most must give up: this one, or another whose bytes are this one's to take.
func (m *memory) take(bytes int) bool {
	for int64(bytes) > m.left() {
		largest := m.shared.largest(m)
		largest.exceeded = true
		if largest == m {
			return false
		}
		largest.release()
	}
	m.shared.used += int64(bytes)
	m.used += int64(bytes)
	return true
}

// give accounts for bytes that are kept no more.
func (m *memory) give(bytes int) {
	m.shared.used -= int64(bytes)
	m.used -= int64(bytes)
}

// left is how many bytes nobody keeps.
func (m *memory) left() int64 { return m.shared.limit - m.shared.used }

// release gives all that is kept to the other judges.
func (m *memory) release() {
	m.shared.used -= m.used
	m.used = 0
}

// overdrawn says why there is no answer if the judge had to give up; empty if it had not.
func (m *memory) overdrawn() string {
	if !m.exceeded {
		return ""
	}
	return fmt.Sprintf("judging %s needs more than its part of the memory budget of %d MiB, which all checkers share", m.what, m.shared.limit>>20)
}

// keeper is a judge that keeps what grows with the history.
type keeper interface {
	overdrawn() string
	release()
}

// frugal lets a judge give up as soon as all need more memory than there is, and it most: what it keeps is dropped, for
// the others to use. What it would say later could be wrong, for it has not seen everything; what it has
// found before stands.
type frugal struct {
	judge  judge // nil if it gave up
	answer Result
}

func (f *frugal) event(e history.Event) {
	if f.judge != nil {
		f.judge.event(e)
		f.settle()
	}
}

func (f *frugal) operation(op operation) {
	if f.judge != nil {
		f.judge.operation(op)
		f.settle()
	}
}

// settle drops a judge that had to give up.
func (f *frugal) settle() {
	k, keeps := f.judge.(keeper)
	if !keeps || k.overdrawn() == "" {
		return
	}
	if found, finds := f.judge.(interface{ conclude(judged int) Result }); finds {
		f.answer = found.conclude(0)
	}
	f.answer = unfinished(f.answer, k)
	k.release()
	f.judge = nil
}

// unfinished is an answer of a judge that could not do all: unknown, if it is no violation.
func unfinished(r Result, k keeper) Result {
	if why := k.overdrawn(); why != "" && r.Verdict != Violation {
		r.Verdict, r.Reason = Unknown, why
	}
	return r
}

func (f *frugal) finish(ctx context.Context) Result {
	if f.judge == nil {
		return f.answer
	}
	r := f.judge.finish(ctx)
	if k, keeps := f.judge.(keeper); keeps {
		r = unfinished(r, k)
		k.release()
	}
	return r
}

// memberSet is a small set of member numbers.
type memberSet uint64

// membersMax is how many members a memberSet holds; ZooKeeper ensembles are far smaller.
const membersMax = 63

func (s *memberSet) add(member int) {
	if member < 0 || member > membersMax {
		panic(fmt.Sprintf("checkers: member %d, want 0 to %d", member, membersMax))
	}
	*s |= 1 << member
}

func (s memberSet) has(member int) bool { return s&(1<<member) != 0 }

// noteDeletes notes the paths that a request asks to delete, by itself or in a multi, as far as the memory goes.
func noteDeletes(m *memory, paths map[string]bool, r *history.Request) {
	const each = 60 // bytes that a path costs beside its name
	if r.Kind == history.Delete && !paths[r.Path] && m.take(each+len(r.Path)) {
		paths[r.Path] = true
	}
	for i := range r.Parts {
		noteDeletes(m, paths, &r.Parts[i])
	}
}
