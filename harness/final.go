package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"ordeal/harness/client"
	"ordeal/harness/load"
	"ordeal/node/store"
	"ordeal/results/history"
	"ordeal/workloads"
)

// final reads what the members hold, once the load is over and everything is healed: what each
// workload wants to read on every member, then every member's whole tree.
func (r *run) final(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, finalTimeout)
	defer cancel()
	if err := r.readFinals(ctx); err != nil {
		return err
	}
	trees := make([]client.Tree, r.ensemble.Size())
	var group errgroup.Group
	for i, member := range r.addresses() {
		group.Go(func() (err error) {
			trees[i], err = client.Walk(ctx, member, client.WalkOptions{
				Roots: r.roots(), SessionTimeout: r.plan.sessionTimeout(), RequestTimeout: finalTimeout,
			})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	r.trees = map[int]client.Tree{}
	for _, tree := range trees {
		tree.Record(r, r.writer.Now)
		r.trees[tree.Member] = tree
	}
	// Only members that have applied the same transactions can be compared by what is on their disks.
	if err := r.observer.await(ctx, sameZxid); err != nil {
		return fmt.Errorf("the members do not come to the same zxid after the load: %w", err)
	}
	return nil
}

// readFinals does each workload's final reads, on every member in turn.
func (r *run) readFinals(ctx context.Context) error {
	for _, member := range r.addresses() {
		for _, workload := range r.workloads() {
			requests := workload.Final()
			if len(requests) == 0 {
				continue
			}
			options := load.Options{Client: r.clientOptions(workload.Name(), []client.Member{member})}
			if _, err := load.Perform(ctx, options, requests); err != nil {
				return fmt.Errorf("final reads of %s on member %d: %w", workload.Name(), member.Number, err)
			}
		}
	}
	return nil
}

// roots are the znodes below which the workloads work.
func (r *run) roots() []string {
	var roots []string
	for _, workload := range r.workloads() {
		roots = append(roots, workload.Root())
	}
	return roots
}

func (r *run) workloads() []workloads.Workload {
	var list []workloads.Workload
	for _, name := range r.plan.Workloads {
		workload, err := workloads.Get(name)
		if err != nil {
			panic(fmt.Sprintf("harness: workload %q was checked when the plan was resolved: %v", name, err))
		}
		list = append(list, workload)
	}
	return list
}

// collect stops the members in order, brings their directories home, and records each final tree with
// the digest of what is on its disk.
func (r *run) collect(ctx context.Context, members string, stopObserving func()) error {
	ctx, cancel := context.WithTimeout(ctx, collectTimeout)
	defer cancel()
	r.phase(PhaseCollect)
	stopObserving()
	err := r.ensemble.Stop(ctx)
	err = errors.Join(err, r.ensemble.Collect(ctx, members))
	if err != nil {
		return fmt.Errorf("collect: %w", err)
	}
	for id := 1; id <= r.ensemble.Size(); id++ {
		tree, walked := r.trees[id]
		if !walked {
			continue
		}
		event := history.Event{Kind: history.Final, Member: id, Served: tree.Zxid, Count: len(tree.Nodes)}
		if err := readDisk(filepath.Join(members, strconv.Itoa(id)), &event); err != nil {
			return fmt.Errorf("read what member %d has on disk: %w", id, err)
		}
		event.Time = r.writer.Now()
		r.Record(event)
	}
	if r.trees != nil {
		r.Record(history.Event{Time: r.writer.Now(), Kind: history.Phase, Text: phaseEnd})
	}
	return nil
}

// phaseEnd closes the history of a run that came to its end.
const phaseEnd = "end"

// readDisk opens a member's data directory as a server would, without changing it, and notes zxid and
// digest, and in words what is wrong with it: that it is not what the member served is for a checker
// to judge.
func readDisk(member string, event *history.Event) error {
	data, logs := filepath.Join(member, "data"), filepath.Join(member, "datalog")
	if _, err := os.Stat(logs); err != nil {
		logs = data
	}
	state, err := store.ReadDir(data, logs)
	if state == nil {
		return err
	}
	event.Zxid = state.Tree.LastZxid()
	event.Digest = strconv.FormatUint(uint64(state.Tree.Digest()), 16)
	if err != nil && !onlyRepeats(err) {
		event.Text = err.Error()
	}
	return nil
}

// onlyRepeats tells whether nothing is wrong with a member's log but that it says something twice, as Apache's do
// (ZOOKEEPER-4712): then it is still what the member served.
func onlyRepeats(err error) bool {
	joined, isJoined := err.(interface{ Unwrap() []error })
	if !isJoined {
		return false
	}
	for _, one := range joined.Unwrap() {
		var disorder *store.DisorderError
		if !errors.As(one, &disorder) || !disorder.Repeated {
			return false
		}
	}
	return true
}

// addresses are the members as clients reach them.
func (r *run) addresses() []client.Member {
	var list []client.Member
	for id := 1; id <= r.ensemble.Size(); id++ {
		list = append(list, client.Member{Number: id, Address: r.ensemble.ClientAddress(id)})
	}
	return list
}

// expiry is how long to wait for a session to expire: it may outlive its last connection by two ticks more
// than its time-out (protocol.md 2.14), and a busy machine gets two more.
func (r *run) expiry() time.Duration { return r.plan.sessionTimeout() + 4*r.plan.TickTime }
