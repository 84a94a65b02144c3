package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"ordeal/harness/ensemble"
)

// Row is one line of the table.
type Row struct {
	What   string  `json:"what"`
	Unit   string  `json:"unit"`
	Node   float64 `json:"node"`
	Apache float64 `json:"apache"`
	// Ratio is the node's figure by Apache's.
	Ratio float64 `json:"ratio"`
	// Target is what the ratio should be at least, or at most if AtMost; 0 for none.
	Target float64 `json:"target,omitempty"`
	AtMost bool    `json:"atMost,omitempty"`
	Met    bool    `json:"met"`
	// NotMeasured says that one of the figures is missing, so that there is no ratio and no target is met.
	NotMeasured bool `json:"notMeasured,omitempty"`
}

// compare fills in the ratio.
func (r *Row) compare() {
	if r.NotMeasured = r.Node == 0 || r.Apache == 0; !r.NotMeasured {
		r.Ratio = r.Node / r.Apache
	}
}

// The targets, as ratios to Apache ZooKeeper 3.8.0.
const (
	rateTarget     = 3.0
	tailTarget     = 1.0 / 2
	residentTarget = 1.0 / 8
	startTarget    = 1.0 / 4
	gapTarget      = 1.0 / 2
)

// Rows compares our node to Apache. It needs both to have been measured.
func (r *Result) Rows() []Row {
	node, apache := r.find(ensemble.Node), r.find(ensemble.Apache)
	if node == nil || apache == nil {
		return nil
	}
	var rows []Row
	add := func(what, unit string, target float64, atMost bool, of func(*Implementation) float64) {
		row := Row{What: what, Unit: unit, Node: of(node), Apache: of(apache), Target: target, AtMost: atMost}
		row.compare()
		row.Met = !row.NotMeasured && (target == 0 || (atMost && row.Ratio <= target) || (!atMost && row.Ratio >= target))
		rows = append(rows, row)
	}
	for _, l := range r.Options.loads() {
		add(l.name, "operations/s", rateTarget, false, func(i *Implementation) float64 { return i.Loads[l.name].Rate() })
		add("    p50", "ms", 0, true, func(i *Implementation) float64 { return i.Loads[l.name].Percentile(50) })
		add("    p99", "ms", tailTarget, true, func(i *Implementation) float64 { return i.Loads[l.name].Percentile(99) })
		add("    processor time of the members", "µs/operation", 0, true, func(i *Implementation) float64 { return i.Loads[l.name].PerOperation() })
		add("    processor time of the load itself", "µs/operation", 0, true, func(i *Implementation) float64 {
			m := i.Loads[l.name]
			return float64(m.Generator.Microseconds()) / float64(m.Latency.TotalCount())
		})
	}
	add("resident memory of a member", "MiB", residentTarget, true, func(i *Implementation) float64 { return i.Resident / (1 << 20) })
	if node.Large != nil && apache.Large != nil {
		rows = append(rows, r.Options.largeRows(node.Large, apache.Large)...)
	}
	if len(node.Start) == 0 {
		return rows
	}
	add("start to serving, three members", "s", startTarget, true, func(i *Implementation) float64 { return median(i.Start).Seconds() })
	add("longest without a write after kill -9 of the leader", "s", gapTarget, true, func(i *Implementation) float64 { return median(i.Gap).Seconds() })
	return rows
}

// Summary is what is printed as JSON.
type Summary struct {
	Versions      map[ensemble.Implementation]string `json:"versions"`
	Rounds        int                                `json:"rounds"`
	SecondsOfLoad float64                            `json:"secondsOfLoad"` // in a round
	TickTimeMs    int64                              `json:"tickTimeMs"`
	ValueBytes    int                                `json:"valueBytes"`
	FdatasyncMs   float64                            `json:"fdatasyncMs"`
	RoundTripMs   float64                            `json:"roundTripMs"`
	RecordedRate  float64                            `json:"recordedRate,omitempty"` // operations a second
	Rows          []Row                              `json:"rows"`
}

// Summary puts the result into numbers alone.
func (r *Result) Summary() Summary {
	s := Summary{
		Versions: map[ensemble.Implementation]string{}, Rounds: r.Options.Rounds, SecondsOfLoad: r.Options.Duration.Seconds(),
		TickTimeMs: r.Options.TickTime.Milliseconds(), ValueBytes: valueBytes, FdatasyncMs: milliseconds(r.Fdatasync), RoundTripMs: milliseconds(r.RoundTrip), Rows: r.Rows(),
	}
	if r.Recorded != nil {
		s.RecordedRate = r.Recorded.Rate()
	}
	for _, i := range r.Implementations {
		s.Versions[i.Name] = i.Version
	}
	return s
}

func (r *Result) find(name ensemble.Implementation) *Implementation {
	for _, i := range r.Implementations {
		if i.Name == name {
			return i
		}
	}
	return nil
}

// Print writes the table for people.
func (r *Result) Print(out io.Writer) error {
	rows := r.Rows()
	for _, i := range r.Implementations {
		fmt.Fprintf(out, "%s: %s\n", i.Name, i.Version)
	}
	fmt.Fprintf(out, "Three members and the load on one machine; the best of %d rounds of %v; fsync on; values of %d bytes; tickTime %v.\n",
		r.Options.Rounds, r.Options.Duration, valueBytes, r.Options.TickTime)
	fmt.Fprintf(out, "A write of one value made durable (fdatasync, median): %.3f ms.\n", milliseconds(r.Fdatasync))
	if err := r.printFloors(out); err != nil {
		return err
	}
	fmt.Fprintln(out)
	if rows == nil {
		return r.printAlone(out)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "what\tunit\tnode\tApache\tratio\ttarget\t\t\n")
	missed, unknown := 0, 0
	for _, row := range rows {
		target, verdict := "", ""
		if row.Target != 0 {
			sign := "≥"
			if row.AtMost {
				sign = "≤"
			}
			target, verdict = fmt.Sprintf("%s %.3g", sign, row.Target), "met"
			switch {
			case row.NotMeasured:
				verdict = "not measured"
				unknown++
			case !row.Met:
				verdict = "MISSED"
				missed++
			}
		}
		ratio := "-"
		if !row.NotMeasured {
			ratio = fmt.Sprintf("%.2f", row.Ratio)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", row.What, row.Unit, figure(row.Node), figure(row.Apache), ratio, target, verdict)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%d targets missed, %d not measured\n", missed, unknown)
	return r.printRest(out)
}

// printAlone writes what there is where no comparison is possible.
func (r *Result) printAlone(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, i := range r.Implementations {
		for _, l := range r.Options.loads() {
			m := i.Loads[l.name]
			fmt.Fprintf(table, "%s\t%s\t%s/s\tp50 %.3f ms\tp99 %.3f ms\t%.1f µs/operation\t\n", i.Name, l.name, figure(m.Rate()), m.Percentile(50), m.Percentile(99), m.PerOperation())
		}
		fmt.Fprintf(table, "%s\tresident\t%.1f MiB\t\t\t\n", i.Name, i.Resident/(1<<20))
		if i.Large != nil {
			for _, row := range r.Options.largeRows(i.Large, &Large{}) {
				fmt.Fprintf(table, "%s\t%s\t%s %s\t\t\t\n", i.Name, row.What, figure(row.Node), row.Unit)
			}
		}
		if len(i.Start) > 0 {
			fmt.Fprintf(table, "%s\tstart\t%.3f s\tgap\t%.3f s\t\n", i.Name, median(i.Start).Seconds(), median(i.Gap).Seconds())
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return r.printRest(out)
}

// printRest writes what belongs to no table.
func (r *Result) printRest(out io.Writer) error {
	if err := r.printRecorded(out); err != nil {
		return err
	}
	return r.printProfiles(out)
}

// printRecorded says how fast the recording client is: that needs no other server beside it.
func (r *Result) printRecorded(out io.Writer) error {
	if r.Recorded == nil {
		return nil
	}
	verdict := "met"
	if r.Recorded.Rate() < recordedTarget {
		verdict = "MISSED"
	}
	_, err := fmt.Fprintf(out, "\nRecording clients and the history, through the process driver's proxies to three nodes, 9 reads : 1 write: %s operations/s (target ≥ %d: %s), with %.1f µs/operation of processor time for clients, history and proxies.\n",
		figure(r.Recorded.Rate()), recordedTarget, verdict, float64(r.Recorded.Processor.Microseconds())/float64(r.Recorded.Operations))
	return err
}

// figure prints three significant digits or so, without an exponent.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
