package results

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"ordeal/results/history"
	"ordeal/results/judgement"
)

var (
	//go:embed report.html
	reportPage string
	//go:embed report.css
	reportStyle string

	reportTemplate = template.Must(template.New("report").Parse(reportPage))
)

// Report writes a run for people: one HTML file that fetches nothing. It reads the history as a stream.
// The verdict and its reasons come first, in words; then what happened, on one axis of time.
func Report(run Run, verdict Verdict, log history.Log) ([]byte, error) {
	line := newTimeline(time.Duration(run.DurationSeconds * float64(time.Second)))
	if err := log.Each(line.take); err != nil {
		return nil, fmt.Errorf("read the history for %s: %w", ReportFile, err)
	}
	line.finish()
	var page bytes.Buffer
	if err := reportTemplate.Execute(&page, reportData(run, verdict, line)); err != nil {
		return nil, fmt.Errorf("write %s: %w", ReportFile, err)
	}
	return page.Bytes(), nil
}

// reportValues is what the page shows. Its fields are words: the template decides nothing.
type reportValues struct {
	Style        template.CSS
	Title        string
	Verdict      string
	Headline     string
	Reason       string
	Started      string
	Facts        []reportFact
	Guarantees   []reportGuarantee
	Wide, Narrow template.HTML
	Bucket       string
	HasChart     bool
	Kinds        []reportKind
	Totals       reportKind
	Faults       []reportFault
	Skipped      []Skipped
	Rerun        string
	Options      []reportFact
	Files        []reportFact // what lies beside the report
}

type reportFact struct{ Name, Value string }

// Long tells whether a value needs the room of two.
func (f reportFact) Long() bool {
	const longest = 20
	return len(f.Value) > longest
}

type reportGuarantee struct {
	Name, Verdict, Word, Promise, Judged, Reason string
	Evidence                                     []string
	Pictures                                     []reportFact
}

type reportKind struct {
	Name                string
	OK, Failed, Unknown string
	Median, P99, Max    string
}

type reportFault struct {
	ID, What, Nemesis, From, Until, Lasted string
}

// headlines say a verdict in a sentence.
var headlines = map[string]string{
	string(judgement.Valid):     "Every guarantee that was judged held",
	string(judgement.Violation): "A guarantee was broken",
	string(judgement.Unknown):   "Not everything could be decided",
	Failed:                      "The run proves nothing",
}

// verdictWords are what a reader sees of a checker's verdict.
var verdictWords = map[judgement.Verdict]string{
	judgement.Valid: "held", judgement.Violation: "broken", judgement.Unknown: "not decided", judgement.Skipped: "not judged",
}

func reportData(run Run, v Verdict, line *timeline) reportValues {
	values := reportValues{
		Style: template.CSS(reportStyle), Title: run.Name, Verdict: v.Verdict, Headline: orElse(headlines[v.Verdict], v.Verdict),
		Reason: v.Reason, Started: run.Started.UTC().Format("2 January 2006, 15:04:05 UTC"), Rerun: v.Rerun, Skipped: v.FaultsSkipped,
		HasChart: len(line.buckets) > 0, Bucket: durationWord(line.width), Kinds: line.kindRows(), Totals: line.totalRow(),
		Wide: line.chart(wideChart), Narrow: line.chart(narrowChart),
		Facts: []reportFact{
			{"Implementation", v.Implementation},
			{"Driver", v.Driver},
			{"Members", members(run)},
			{"Duration", durationWord(time.Duration(v.DurationSeconds * float64(time.Second)))},
			{"Faults", number(int64(v.Faults))},
			{"Leader changes", number(int64(v.LeaderChanges))},
			{"Seed", strconv.FormatUint(v.Seed, 10)},
			{"Workloads", strings.Join(run.Workloads, ", ")},
			{"Nemeses", orElse(strings.Join(run.Nemeses, ", "), "none")},
		},
		Options: options(run),
	}
	for _, c := range v.Checkers {
		values.Guarantees = append(values.Guarantees, guarantee(c))
	}
	for _, f := range line.faults {
		values.Faults = append(values.Faults, f.row())
	}
	values.Files = []reportFact{
		{HistoryFile, "every call, return, fault and member event, one JSON object a line"},
		{VerdictFile, "the verdict, for programs"},
		{RunFile, "every option as it was resolved, and what ran"},
		{MembersDir + "/", "logs and data of the members"},
	}
	return values
}

func guarantee(c judgement.Result) reportGuarantee {
	g := reportGuarantee{Name: c.Name, Verdict: string(c.Verdict), Word: verdictWords[c.Verdict], Promise: c.Guarantee,
		Reason: c.Reason, Evidence: c.Evidence}
	if c.Judged > 0 {
		g.Judged = number(int64(c.Judged)) + " judged"
	}
	for _, file := range c.Artifacts {
		// A stored run may be moved: the picture is found beside the report.
		g.Pictures = append(g.Pictures, reportFact{Name: filepath.Base(file), Value: PicturesDir + "/" + filepath.Base(file)})
	}
	return g
}

func members(run Run) string {
	words := strconv.Itoa(run.Members)
	if run.Observers > 0 {
		words += fmt.Sprintf(", of them %d observing", run.Observers)
	}
	return words
}

func options(run Run) []reportFact {
	facts := []reportFact{
		{"clients", strconv.Itoa(run.Clients)},
		{"rate", fmt.Sprintf("%g operations/s", run.Rate)},
		{"tick time", fmt.Sprintf("%d ms", run.TickTimeMillis)},
		{"init limit", fmt.Sprintf("%d ticks", run.InitLimit)},
		{"sync limit", fmt.Sprintf("%d ticks", run.SyncLimit)},
		{"session time-out", fmt.Sprintf("%d ms", run.SessionMillis)},
		{"strict sync", strconv.FormatBool(run.StrictSync)},
	}
	if run.Hush {
		facts = append(facts, reportFact{"load", "silent while faults are on"})
	}
	if run.Defect != "" {
		facts = append(facts, reportFact{"defect", run.Defect})
	}
	if run.DriverReason != "" {
		facts = append(facts, reportFact{"driver chosen", run.DriverReason})
	}
	for _, name := range slices.Sorted(maps.Keys(run.Properties)) {
		facts = append(facts, reportFact{name, run.Properties[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(run.Versions)) {
		facts = append(facts, reportFact{name, run.Versions[name]})
	}
	return facts
}

func orElse(word, other string) string {
	if word == "" {
		return other
	}
	return word
}

// number groups digits by thin spaces: 12 345.
func number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	return digits
}

// durationWord prints a duration with three digits that matter.
func durationWord(d time.Duration) string {
	switch {
	case d >= 10*time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return strconv.FormatFloat(d.Seconds(), 'g', 3, 64) + "\u202fs"
	case d >= time.Millisecond:
		return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'g', 3, 64) + "\u202fms"
	}
	return strconv.FormatInt(d.Microseconds(), 10) + "\u202fµs"
}
