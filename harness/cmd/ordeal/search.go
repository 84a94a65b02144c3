package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ordeal/harness"
	"ordeal/harness/sim"
	"ordeal/node/defect"
	"ordeal/workloads"
)

const (
	// searchFile holds what a search has done, beside the scripts of what it found.
	searchFile = "search.json"
	// shrinkTime bounds the shrinking of one failure.
	shrinkTime = 60 * time.Second
	// membersMax is what a seed may draw at most.
	membersMax = 9
)

// searchFlags are the flags of "ordeal search" that need parsing.
type searchFlags struct {
	seeds    string
	shard    string
	strategy string
	out      string
	json     bool
}

func newSearch() *cobra.Command {
	search := sim.Search{ShrinkFor: shrinkTime}
	var flags searchFlags
	command := &cobra.Command{
		Use:   "search",
		Short: "Search seeds of the deterministic simulator for broken promises",
		Long: `Search seeds of the deterministic simulator for broken promises. Every seed draws an ensemble of our
own node, a workload, faults and a network's weather, and lives through them in virtual time. All
cores are used, one world a core. Failing seeds are shrunk to few decisions and stored; "ordeal replay"
takes them. A search that is interrupted stores what it has found, and exits with 3: without --seeds
and --for it has no other end. --for bounds the search; what it finds last is still shrunk.`,
		Example: `  ordeal search --for 5m
  ordeal search --seeds 1..100000 --shard 3/8 --out results/search/3
  ordeal search --defect skip-trunc --stop-at-first
  ordeal merge results/search/*`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := flags.into(&search); err != nil {
				return err
			}
			return runSearch(command, search, flags)
		},
	}
	f := command.Flags()
	f.StringVar(&flags.seeds, "seeds", "", "seeds to try: A..B, both included (default: from 1 without end)")
	f.DurationVar(&search.For, "for", 0, "how long to search (default: no bound)")
	f.StringVar(&flags.shard, "shard", "0/1", "i/n: only every n-th seed, from the i-th; i counts from 0")
	f.BoolVar(&search.StopAtFirst, "stop-at-first", false, "end with the first failing seed")
	f.IntVar(&search.Workers, "workers", runtime.NumCPU(), "worlds at a time")
	f.StringVar(&flags.out, "out", "results/search", "folder for failing seeds and the summary")
	f.BoolVar(&flags.json, "json", false, "print the summary as JSON on stdout")
	addDrawFlags(command, &search.Options, &flags.strategy)
	return command
}

// addDrawFlags adds the flags that bound what seeds draw.
func addDrawFlags(command *cobra.Command, options *sim.Options, strategy *string) {
	f := command.Flags()
	f.IntVar(&options.Members, "members", 0, "number of members (default: each seed draws its own)")
	f.StringVar(&options.Defect, "defect", "", "bug to plant in every member (see ordeal repro)")
	f.StringVar(&options.Workload, "workload", "", "what clients do (default: each seed draws its own)")
	f.StringVar(strategy, "strategy", string(sim.Strategies[0]), "how decisions are drawn: "+strategyWords())
}

func strategyWords() string {
	var words []string
	for _, s := range sim.Strategies {
		words = append(words, string(s))
	}
	return strings.Join(words, ", ")
}

// checkDraw refuses flags that make no sense.
func checkDraw(options *sim.Options, strategy string) error {
	options.Strategy = sim.Strategy(strategy)
	if !slices.Contains(sim.Strategies, options.Strategy) {
		return exit{exitUsage, fmt.Sprintf("--strategy %q: known are %s", strategy, strategyWords())}
	}
	if options.Members < 0 || options.Members > membersMax {
		return exit{exitUsage, fmt.Sprintf("--members %d: 1 to %d", options.Members, membersMax)}
	}
	if _, err := defect.Parse(options.Defect); err != nil {
		return exit{exitUsage, err.Error()}
	}
	if options.Workload != "" && !slices.Contains(workloads.Names(), options.Workload) {
		return exit{exitUsage, fmt.Sprintf("--workload %q: known are %s", options.Workload, strings.Join(workloads.Names(), ", "))}
	}
	return nil
}

// into moves what needs parsing into the search.
func (flags searchFlags) into(search *sim.Search) error {
	if err := checkDraw(&search.Options, flags.strategy); err != nil {
		return err
	}
	search.From = 1
	if flags.seeds != "" {
		from, to, found := strings.Cut(flags.seeds, "..")
		first, err := strconv.ParseUint(from, 10, 64)
		last, err2 := strconv.ParseUint(to, 10, 64)
		if !found || err != nil || err2 != nil || last < first || last == 0 {
			return exit{exitUsage, fmt.Sprintf("--seeds %q: want A..B, for instance 1..1000", flags.seeds)}
		}
		search.From, search.To = first, last
	}
	index, count, found := strings.Cut(flags.shard, "/")
	i, err := strconv.Atoi(index)
	n, err2 := strconv.Atoi(count)
	if !found || err != nil || err2 != nil || n < 1 || i < 0 || i >= n {
		return exit{exitUsage, fmt.Sprintf("--shard %q: want i/n with i from 0 to n-1, for instance 3/8", flags.shard)}
	}
	search.Shard, search.Shards = i, n
	if search.Workers < 1 || search.For < 0 {
		return exit{exitUsage, fmt.Sprintf("--workers %d, --for %v: neither may be less than 1 and 0", search.Workers, search.For)}
	}
	return nil
}

func runSearch(command *cobra.Command, search sim.Search, flags searchFlags) error {
	if err := os.MkdirAll(flags.out, 0o755); err != nil {
		return fmt.Errorf("make the folder for what is found: %w", err)
	}
	defer sim.LimitMemory(search.Workers)()
	live := newLive(command.ErrOrStderr())
	ctx, stop := cancelled(command.Context(), live, "interrupted: finishing the seeds under way and storing what was found")
	defer stop()
	var failed error
	var last time.Time
	search.Progress = func(s sim.Summary) {
		if live.redraw || time.Since(last) >= plainEvery {
			last = time.Now()
			live.show(harness.Progress{Phase: "search", Detail: searchLine(s)})
		}
	}
	search.Found = func(f sim.Failure) {
		name, err := store(flags.out, f)
		if err != nil && failed == nil {
			failed = err
		}
		fmt.Fprintf(live, "seed %d: %s%s\n", f.Seed, oneLine(f.Violation.String()), name)
	}
	summary := search.Run(ctx)
	live.end()
	if failed != nil {
		return failed
	}
	for i, f := range summary.Failures {
		summary.Failures[i].File = scriptName(f.Seed)
	}
	if err := saveSummary(filepath.Join(flags.out, searchFile), summary); err != nil {
		return err
	}
	return printSummary(command.OutOrStdout(), command.ErrOrStderr(), summary, nil, flags.out, flags.json)
}

func scriptName(seed uint64) string { return fmt.Sprintf("seed-%d.sim", seed) }

// store writes the script of a failure and returns words about it.
func store(dir string, f sim.Failure) (string, error) {
	how := fmt.Sprintf("shrunk from %d to %d decisions", f.Found, f.Shrunk)
	if f.Shrunk == 0 {
		how = fmt.Sprintf("not shrunk: %d decisions", f.Found)
	}
	f.Script.Comment = []string{fmt.Sprintf("Found by seed %d, %s.", f.Seed, how), oneLine(f.Violation.String())}
	name := filepath.Join(dir, scriptName(f.Seed))
	if err := os.WriteFile(name, []byte(f.Script.Format()), 0o644); err != nil {
		return "", fmt.Errorf("store a failing seed: %w", err)
	}
	return fmt.Sprintf(" (%s: %s)", how, harness.Command(program(), "replay", name)), nil
}

// oneLineMax bounds a line of words about a violation, in bytes.
const oneLineMax = 300

func oneLine(text string) string {
	text = strings.ReplaceAll(text, "\n", " ")
	if len(text) > oneLineMax {
		text = text[:oneLineMax] + "…"
	}
	return text
}

func saveSummary(name string, summary sim.Summary) error {
	data, err := json.MarshalIndent(summary, "", "  ")
	if err != nil {
		return fmt.Errorf("store the summary: %w", err)
	}
	return os.WriteFile(name, append(data, '\n'), 0o644)
}

// searchLine is how a search goes, in a line.
func searchLine(s sim.Summary) string {
	seconds := max(s.Real.Seconds(), 0.001)
	faults, turns := 0, 0
	for name := range s.Coverage {
		if strings.ToUpper(name) == name {
			turns++
		} else {
			faults++
		}
	}
	return fmt.Sprintf("%d seeds, %.0f/s · %.0f× real time · %.0fk events/s · %d kinds of faults and states, %d of packets · %d failing",
		s.Seeds, float64(s.Seeds)/seconds, s.Virtual.Seconds()/seconds, float64(s.Events)/seconds/1000, faults, turns, len(s.Failures))
}

// printSummary prints what was found and returns the exit code as an error. Missing are parts of the
// search of which there is nothing.
func printSummary(out, errorOutput io.Writer, s sim.Summary, missing []sim.Part, dir string, asJSON bool) error {
	unfinished := s.Unfinished()
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(s); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(out, "%s\n\n  %s\n", verdictWords(s, len(unfinished)+len(missing) > 0), searchLine(s))
		for _, part := range unfinished {
			fmt.Fprintf(out, "  … %s: %s\n", part, part.Short())
		}
		for _, part := range missing {
			fmt.Fprintf(out, "  … %s is missing\n", part)
		}
		for _, f := range s.Failures {
			fmt.Fprintf(out, "  ✗ seed %d: %s\n", f.Seed, oneLine(f.Violation.String()))
		}
		for _, d := range s.Unknown {
			fmt.Fprintf(out, "  ? seed %d: %s\n", d.Seed, oneLine(d.Reason))
		}
		var words []string
		for name, count := range s.Coverage {
			words = append(words, fmt.Sprintf("%s %d", name, count))
		}
		slices.Sort(words)
		fmt.Fprintf(out, "  came across: %s\n", strings.Join(words, ", "))
	}
	switch {
	case len(s.Failures) > 0:
		again(errorOutput, "replay", filepath.Join(dir, s.Failures[0].File))
		return exit{code: exitViolation}
	case len(missing)+len(unfinished) > 0:
		again(errorOutput, searchCommand(s.Options, slices.Concat(missing, unfinished)[0])...)
		return exit{code: exitFailed}
	case len(s.Unknown) > 0:
		again(errorOutput, append([]string{"replay", fmt.Sprint(s.Unknown[0].Seed)}, drawFlags(s.Options)...)...)
		return exit{code: exitUnknown}
	case s.Seeds == 0:
		return exit{exitFailed, "no seed was tried: give the search more time (ordeal search --for 1m)"}
	}
	return nil
}

// drawFlags are the flags by which the same seeds draw the same again.
func drawFlags(options sim.Options) []string {
	var words []string
	if options.Members > 0 {
		words = append(words, "--members", fmt.Sprint(options.Members))
	}
	if options.Defect != "" {
		words = append(words, "--defect", options.Defect)
	}
	if options.Workload != "" {
		words = append(words, "--workload", options.Workload)
	}
	return append(words, "--strategy", string(options.Strategy))
}

// searchCommand searches a part.
func searchCommand(options sim.Options, part sim.Part) []string {
	words := []string{"search"}
	if part.To > 0 {
		words = append(words, "--seeds", fmt.Sprintf("%d..%d", part.From, part.To))
	}
	if part.Shards > 1 {
		words = append(words, "--shard", fmt.Sprintf("%d/%d", part.Shard, part.Shards))
	}
	if part.For > 0 {
		words = append(words, "--for", part.For.String())
	}
	return append(words, drawFlags(options)...)
}

func verdictWords(s sim.Summary, incomplete bool) string {
	switch {
	case len(s.Failures) > 0:
		return fmt.Sprintf("VIOLATION: %d of %d seeds break a promise", len(s.Failures), s.Seeds)
	case incomplete:
		return fmt.Sprintf("FAILED: the search is not complete; in %d seeds every promise that was judged held", s.Seeds)
	case len(s.Unknown) > 0:
		return fmt.Sprintf("UNKNOWN: a checker gave up on %d of %d seeds", len(s.Unknown), s.Seeds)
	case s.Seeds == 0:
		return "FAILED: no seed was tried"
	}
	return fmt.Sprintf("VALID: %d seeds, and every promise held", s.Seeds)
}
