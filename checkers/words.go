package checkers

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"ordeal/results/history"
)

// evidenceMax is how many lines of evidence a checker gives; the rest is counted.
const evidenceMax = 5

// evidence collects the first lines and counts the others.
type evidence struct {
	lines []string
	more  int
}

func (e *evidence) add(format string, args ...any) {
	if len(e.lines) == evidenceMax {
		e.more++
		return
	}
	e.lines = append(e.lines, fmt.Sprintf(format, args...))
}

func (e *evidence) found() bool { return len(e.lines) > 0 }

// all returns the lines, and in words how many were left out.
func (e *evidence) all() []string {
	if e.more == 0 {
		return e.lines
	}
	return append(append([]string(nil), e.lines...), fmt.Sprintf("and %d more of this kind", e.more))
}

// conclude fills in the verdict that evidence gives.
func (e *evidence) conclude(judged int) Result {
	r := Result{Judged: judged, Evidence: e.all()}
	if e.found() {
		r.Verdict = Violation
	}
	return r
}

// zxidWord prints a zxid as ZooKeeper does.
func zxidWord(zxid int64) string { return fmt.Sprintf("0x%x", uint64(zxid)) }

// timeWord prints a time since the run began.
func timeWord(t time.Duration) string { return fmt.Sprintf("%.6f s", t.Seconds()) }

// quote shortens and quotes a value.
func quote(value string) string {
	const longest = 40
	if len(value) > longest {
		return fmt.Sprintf("%q… (%d bytes)", value[:longest], len(value))
	}
	return fmt.Sprintf("%q", value)
}

// requestWords says what was asked, for instance: set /a to "7" if version 3.
func requestWords(r *history.Request) string {
	var b strings.Builder
	b.WriteString(string(r.Kind))
	if r.Path != "" {
		b.WriteString(" " + r.Path)
	}
	switch r.Kind {
	case history.Create:
		var kinds []string
		if r.Ephemeral {
			kinds = append(kinds, "ephemeral")
		}
		if r.Sequential {
			kinds = append(kinds, "sequential")
		}
		if len(kinds) > 0 {
			fmt.Fprintf(&b, " (%s)", strings.Join(kinds, ", "))
		}
		fmt.Fprintf(&b, " with %s", quote(r.Value))
	case history.Set:
		fmt.Fprintf(&b, " to %s", quote(r.Value))
	}
	switch r.Kind {
	case history.Set, history.Delete, history.Check:
		if r.Version != history.AnyVersion {
			fmt.Fprintf(&b, " if version %d", r.Version)
		}
	}
	for i, part := range r.Parts {
		if i == 0 {
			b.WriteString(" [")
		} else {
			b.WriteString("; ")
		}
		b.WriteString(requestWords(&part))
	}
	if len(r.Parts) > 0 {
		b.WriteString("]")
	}
	return b.String()
}

// resultWords says what came back.
func resultWords(request *history.Request, r *history.Result) string {
	switch r.Outcome {
	case history.Unknown:
		return "outcome unknown"
	case history.Failed:
		words := "failed"
		if r.Error != "" {
			words += " with " + r.Error
		}
		if r.Zxid > 0 {
			words += " at zxid " + zxidWord(r.Zxid)
		}
		return words
	}
	var words []string
	switch request.Kind {
	case history.Get, history.SyncGet:
		words = append(words, "read "+quote(r.Value))
	case history.Children, history.SyncChildren:
		words = append(words, fmt.Sprintf("listed %d children", len(r.Children)))
	default:
		words = append(words, "ok")
	}
	if r.Path != "" && r.Path != request.Path {
		words = append(words, "made "+r.Path)
	}
	if r.Stat != nil {
		words = append(words, fmt.Sprintf("version %d", r.Stat.Version), "mzxid "+zxidWord(r.Stat.Mzxid))
	}
	if r.Zxid > 0 {
		words = append(words, "at zxid "+zxidWord(r.Zxid))
	}
	return strings.Join(words, ", ")
}

// String says everything of an operation that helps to find it in the history.
func (op operation) String() string {
	end := "never answered"
	if op.ret != forever {
		end = "answered at " + timeWord(op.ret)
	}
	return fmt.Sprintf("%s: %s (operation %d of client %d, session %s, member %d, called at %s, %s)",
		requestWords(op.request), resultWords(op.request, op.result), op.id, op.client, op.session, op.member, timeWord(op.call), end)
}

// author is what changed or showed something: an operation, or a member's final tree. It is put into words
// only where it is shown.
type author struct {
	operation int64
	client    int
	call      time.Duration
	finalTree int // the member
}

func (op operation) author() author {
	return author{operation: op.id, client: op.client, call: op.call}
}

func (a author) String() string {
	if a.finalTree != 0 {
		return fmt.Sprintf("the final tree of member %d", a.finalTree)
	}
	return fmt.Sprintf("operation %d of client %d at %s", a.operation, a.client, timeWord(a.call))
}

// parent is the path of the znode that holds path.
func parent(path string) string {
	i := strings.LastIndexByte(path, '/')
	if i <= 0 {
		return "/"
	}
	return path[:i]
}

// child joins a parent's path and a child's name.
func child(parent, name string) string {
	if parent == "/" {
		return "/" + name
	}
	return parent + "/" + name
}

func itoa(n int) string     { return strconv.Itoa(n) }
func itoa64(n int64) string { return strconv.FormatInt(n, 10) }
