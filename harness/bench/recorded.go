package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"ordeal/harness/client"
	"ordeal/harness/ensemble"
	"ordeal/harness/ensemble/process"
	"ordeal/results/history"
)

const (
	// recordingClients and recordingInFlight are the load of recording clients.
	recordingClients  = 32
	recordingInFlight = 16
	// recordedValue is as short as those that workloads write.
	recordedValue = "a value such as runs write"
	// recordedTarget is how many operations a second the recording clients and the history should
	// reach on two cores, servers included.
	recordedTarget = 20_000
)

// Recorded is what the clients that record a history reach.
type Recorded struct {
	Operations int
	Seconds    float64
	Processor  time.Duration // of clients and history, and of the driver's proxies
}

// Rate is operations a second.
func (r Recorded) Rate() float64 { return float64(r.Operations) / r.Seconds }

// recorded measures recording clients and the history against three of our nodes, as in a run: behind the
// driver's proxies.
func (o *Options) recorded(ctx context.Context) (result Recorded, err error) {
	o.say("recording clients against our node")
	e, err := process.Start(ctx, ensemble.Spec{
		Run: "bench", Implementations: []ensemble.Implementation{ensemble.Node, ensemble.Node, ensemble.Node},
		TickTime: o.TickTime, InitLimit: 10, SyncLimit: 5, Dir: filepath.Join(o.Dir, "recorded"), Binary: o.Binary,
	})
	if err != nil {
		return result, err
	}
	s := &servers{Ensemble: e, dir: filepath.Join(o.Dir, "recorded")}
	defer func() { err = errors.Join(err, s.end()) }()
	if err := s.serve(ctx); err != nil {
		return result, err
	}
	if err := prepare(ctx, s.ClientAddress(1), []byte(recordedValue)); err != nil {
		return result, err
	}
	writer, err := history.NewWriter(filepath.Join(s.dir, "history.jsonl.zst"))
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, writer.Close()) }()

	var numbers client.Numbers
	var group errgroup.Group
	counts := make([]int, recordingClients)
	before, start := ownProcessor(), time.Now()
	until := start.Add(o.Duration)
	for i := range recordingClients {
		options := client.Options{
			Client: i + 1, Seed: uint64(i), Recorder: writer, Now: writer.Now, Numbers: &numbers, InFlight: recordingInFlight,
		}
		for member := 1; member <= s.Size(); member++ {
			options.Members = append(options.Members, client.Member{Number: member, Address: s.ClientAddress(member)})
		}
		group.Go(func() (err error) {
			counts[i], err = record(ctx, options, until)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return result, err
	}
	result.Seconds = time.Since(start).Seconds()
	result.Processor = ownProcessor() - before
	for _, count := range counts {
		result.Operations += count
	}
	return result, nil
}

// record keeps one recording client busy, with nine reads to a write.
func record(ctx context.Context, options client.Options, until time.Time) (count int, err error) {
	c, err := client.New(options)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.Close(context.WithoutCancel(ctx))) }()
	var waiting []*client.Pending
	for i := 0; ; i++ {
		if len(waiting) == recordingInFlight || (len(waiting) > 0 && !time.Now().Before(until)) {
			answer := waiting[0].Answer()
			if answer.Result.Outcome != history.OK {
				return count, fmt.Errorf("bench: a recorded operation failed: %s", answer.Result.Error)
			}
			waiting = waiting[1:]
			count++
			continue
		}
		if !time.Now().Before(until) || ctx.Err() != nil {
			return count, ctx.Err()
		}
		path := znode(i * options.Client % znodes)
		request := history.Request{Kind: history.Get, Path: path}
		if i%10 == 0 {
			request = history.Request{Kind: history.Set, Path: path, Value: recordedValue, Version: history.AnyVersion}
		}
		waiting = append(waiting, c.Start(request))
	}
}
