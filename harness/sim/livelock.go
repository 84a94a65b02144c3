package sim

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The signs of a livelock.
const (
	// paceMax is how many events a second of virtual time may have: ensembles that live have far fewer.
	paceMax = 50_000
	// instantMax is how many a single moment may have, those included of which nothing is told.
	instantMax = 500_000
)

// How much of a livelock is looked at and shown.
const (
	overheardMax = 3000 // lines of the transcript among which a cycle is looked for
	turnsMin     = 3    // a cycle must have come round so often to be one
	shownMax     = 16   // lines
)

// pace counts events by second and moment.
type pace struct {
	second      time.Duration // the running one of virtual time
	secondBegan int           // events that were mixed into the hash before it
	moment      time.Duration
	momentBegan int        // events before it
	suspicion   string     // of a livelock; empty for none
	overheard   *overheard // while there is a suspicion
	until       int        // so many events in the hash are waited for
}

// watchPace notices a livelock: events that follow one another without end. It goes on listening until
// enough of the cycle has been told, or nothing more can be expected.
func (w *World) watchPace() {
	p := &w.pace
	if second := w.now / time.Second; second != p.second {
		p.second, p.secondBegan = second, w.notes
	}
	if w.now != p.moment {
		p.moment, p.momentBegan = w.now, w.events
	}
	moment := w.events - p.momentBegan
	if p.suspicion == "" {
		switch {
		case moment > instantMax:
			p.suspicion = fmt.Sprintf("more than %d events at one moment", instantMax)
		case w.notes-p.secondBegan > paceMax:
			p.suspicion = fmt.Sprintf("more than %d events in a second", paceMax)
		default:
			return
		}
		p.overheard, p.until = w.listen(), w.notes+paceMax
		return
	}
	if len(p.overheard.lines) >= overheardMax || w.notes >= p.until || moment > 2*instantMax {
		p.overheard.end()
		w.broken("no-livelock", "%s: %s", p.suspicion, p.overheard.words())
	}
}

// overheard is what the transcript says from some moment on.
type overheard struct {
	lines []string
	end   func()
}

// listen begins to listen; end must be called.
func (w *World) listen() *overheard {
	outer := w.trace
	o := &overheard{end: func() { w.trace = outer }}
	w.trace = func(at time.Duration, line string) {
		if outer != nil {
			outer(at, line)
		}
		if len(o.lines) < overheardMax {
			o.lines = append(o.lines, line)
		}
	}
	return o
}

// stuck is a broken promise that something happens in time. The world goes on for as long again, so
// that the cycle is found if members do the same over and over.
func (w *World) stuck(guarantee, format string, args ...any) {
	if w.violation != nil {
		return
	}
	text := fmt.Sprintf(format, args...)
	o := w.listen()
	w.runUntil(w.now+w.bound(), lookEvery, func() bool { return len(o.lines) == overheardMax })
	o.end()
	w.broken(guarantee, "%s; what they do: %s", text, o.words())
}

// words are the cycle in what was overheard, or the last lines if there is none.
func (o *overheard) words() string {
	if len(o.lines) == 0 {
		return "nothing of which the transcript tells"
	}
	if cycle := findCycle(o.lines); cycle != nil {
		return "again and again " + shown(cycle)
	}
	// On many links at once a cycle is not in step with itself, but each link keeps its order.
	links := map[string][]string{}
	var names []string
	for _, line := range o.lines {
		name, _, _ := strings.Cut(line, "  ")
		if links[name] == nil {
			names = append(names, name)
		}
		links[name] = append(links[name], line)
	}
	slices.SortStableFunc(names, func(a, b string) int { return len(links[b]) - len(links[a]) })
	var found []string
	for _, name := range names {
		if cycle := findCycle(links[name]); cycle != nil {
			found = append(found, cycle...)
		}
	}
	if found != nil {
		return "again and again, each on its own, " + shown(found)
	}
	return "at last " + shown(o.lines[max(0, len(o.lines)-shownMax):])
}

func shown(lines []string) string {
	rest := ""
	if len(lines) > shownMax {
		rest = fmt.Sprintf(" / … %d more", len(lines)-shownMax)
		lines = lines[:shownMax]
	}
	return strings.Join(lines, " / ") + rest
}

// changing are the numbers that rise in each turn of a cycle: all but those of members.
var changing = regexp.MustCompile(`0x[0-9a-f]+|(leader )?[0-9]+`)

// normalised is a line without the numbers that rise in each turn. What stands before two spaces names
// who acts.
func normalised(line string) string {
	who, what, _ := strings.Cut(line, "  ")
	return who + "  " + changing.ReplaceAllStringFunc(what, func(number string) string {
		if strings.HasPrefix(number, "leader ") {
			return number
		}
		return "#"
	})
}

// findCycle returns the shortest run of lines that the list ends with turnsMin times over, up to
// numbers that rise; nil if there is none.
func findCycle(lines []string) []string {
	alike := make([]string, len(lines))
	for i, line := range lines {
		alike[i] = normalised(line)
	}
	n := len(lines)
	for period := 1; period*turnsMin <= n; period++ {
		repeats := true
		for i := n - period*(turnsMin-1); i < n && repeats; i++ {
			repeats = alike[i] == alike[i-period]
		}
		if repeats {
			return lines[n-period:]
		}
	}
	return nil
}
