package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"ordeal/harness/client"
	"ordeal/harness/ensemble"
	"ordeal/harness/ensemble/process"
	"ordeal/node/jute"
	"ordeal/results/history"
)

const (
	// serveTimeout bounds the wait for an ensemble that starts or has lost its leader.
	serveTimeout = 60 * time.Second
	// tryPause is the pause between two looks at a server that does not serve yet.
	tryPause = 2 * time.Millisecond
)

// javaFlags are those of zkServer.sh: the heap's bound, and Java's own defaults otherwise.
var javaFlags = []string{"-Xmx1000m"}

// servers is a running ensemble.
type servers struct {
	*process.Ensemble
	started time.Time
	serving time.Duration // from the first process to sessions at all members
	dir     string
	awake   *awake // nil until they serve
}

// start starts an ensemble and waits until every member serves.
func (o *Options) start(ctx context.Context, implementation ensemble.Implementation) (*servers, error) {
	dir, err := os.MkdirTemp(o.Dir, string(implementation)+"-")
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	s := &servers{started: time.Now(), dir: dir}
	s.Ensemble, err = process.Start(ctx, ensemble.Spec{
		Run: "bench", ProfileDir: o.ProfileDir, Implementations: []ensemble.Implementation{implementation, implementation, implementation},
		TickTime: o.TickTime, InitLimit: 10, SyncLimit: 5, Dir: dir, Binary: o.Binary,
		Properties: map[string]string{"preAllocSize": "65536"}, // ZooKeeper's default
		Direct:     true, JavaFlags: javaFlags,
	})
	if err != nil {
		return nil, err
	}
	if err := s.serve(ctx); err != nil {
		return nil, errors.Join(err, s.Close(context.WithoutCancel(ctx))) // the logs stay, to tell why
	}
	return s, nil
}

// serve waits until every member serves, and keeps them awake from then on.
func (s *servers) serve(ctx context.Context) error {
	group, groupCtx := errgroup.WithContext(ctx)
	for _, address := range s.addresses() {
		group.Go(func() error { return awaitSession(groupCtx, address, serveTimeout) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	s.serving = time.Since(s.started)
	s.awake = keepAwake(ctx, s.addresses())
	return nil
}

// awaitSession waits until a member gives out a session, which is a write of the whole ensemble.
func awaitSession(ctx context.Context, address string, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := usual.reach(ctx, address)
	if err != nil {
		return fmt.Errorf("bench: %s does not serve within %v: %w", address, patience, err)
	}
	return c.close()
}

func pause(ctx context.Context, wait time.Duration) bool {
	select {
	case <-time.After(wait):
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *servers) addresses() []string {
	var all []string
	for id := 1; id <= s.Size(); id++ {
		all = append(all, s.ClientAddress(id))
	}
	return all
}

// end kills the members and removes their files.
func (s *servers) end() error {
	if s.awake != nil {
		s.awake.end()
	}
	if err := errors.Join(s.Close(context.Background()), os.RemoveAll(s.dir)); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}

// resident is the mean resident memory of the members, in bytes.
func (s *servers) resident() (float64, error) {
	var sum float64
	for id := 1; id <= s.Size(); id++ {
		bytes, err := s.residentOf(id)
		if err != nil {
			return 0, err
		}
		sum += bytes
	}
	return sum / float64(s.Size()), nil
}

func (s *servers) residentOf(member int) (float64, error) {
	pid, running := s.Pid(member)
	if !running {
		return 0, fmt.Errorf("bench: member %d is not running", member)
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("bench: memory of member %d: %w", member, err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "VmRSS:"); found {
			kilobytes, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			if err != nil {
				return 0, fmt.Errorf("bench: memory of member %d: %w", member, err)
			}
			return kilobytes * 1024, nil
		}
	}
	return 0, fmt.Errorf("bench: memory of member %d is not told", member)
}

// clockTick is the unit of processor times in /proc, on all architectures that Go knows.
const clockTick = 10 * time.Millisecond

// processor is the processor time that the running members have taken since they started.
func (s *servers) processor() (time.Duration, error) {
	var sum time.Duration
	for id := 1; id <= s.Size(); id++ {
		pid, _ := s.Pid(id)
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, fmt.Errorf("bench: processor time of member %d: %w", id, err)
		}
		// Behind the name, which may contain spaces, stand the third and further fields.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		const first, user, system = 3, 14, 15
		for _, field := range []int{user, system} {
			ticks, err := strconv.ParseInt(fields[field-first], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("bench: processor time of member %d: %w", id, err)
			}
			sum += time.Duration(ticks) * clockTick
		}
	}
	return sum, nil
}

// ownProcessor is the same for this process, which is where the load comes from.
func ownProcessor() time.Duration {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// leader asks the members who leads.
func (s *servers) leader(ctx context.Context) (int, error) {
	for id := 1; id <= s.Size(); id++ {
		if status, err := client.Probe(ctx, s.ProbeAddress(id)); err == nil && status.Leads() {
			return id, nil
		}
	}
	return 0, fmt.Errorf("bench: no member leads")
}

const (
	// gapLead is how long writes go on before the leader is killed.
	gapLead = 500 * time.Millisecond
	// gapAfter is how long they go on after all writers are back.
	gapAfter = 500 * time.Millisecond
)

// gap kills the leader under writes to the other members and returns the longest time between two
// acknowledged writes, whosever they were.
func (s *servers) gap(ctx context.Context) (time.Duration, error) {
	leader, err := s.leader(ctx)
	if err != nil {
		return 0, err
	}
	writers := &writers{}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, groupCtx := errgroup.WithContext(ctx)
	for id := 1; id <= s.Size(); id++ {
		if id != leader {
			group.Go(func() error { return writers.write(groupCtx, s.ClientAddress(id)) })
		}
	}
	pause(groupCtx, gapLead)
	killed := time.Now()
	if err := s.Inject(groupCtx, history.Fault{ID: 1, Kind: history.Kill, Members: []int{leader}}); err != nil {
		return 0, err
	}
	for writers.since(killed) < s.Size()-1 && pause(groupCtx, tryPause) {
		if time.Since(killed) > serveTimeout {
			return 0, fmt.Errorf("bench: no write within %v of the leader's end", serveTimeout)
		}
	}
	pause(groupCtx, gapAfter)
	cancel()
	if err := group.Wait(); err != nil {
		return 0, err
	}
	return writers.longest, nil
}

// writers note when writes were acknowledged.
type writers struct {
	lock    sync.Mutex
	last    time.Time
	longest time.Duration
	newest  map[string]time.Time // by address
}

func (w *writers) acknowledged(address string) {
	w.lock.Lock()
	defer w.lock.Unlock()
	now := time.Now()
	if !w.last.IsZero() {
		w.longest = max(w.longest, now.Sub(w.last))
	}
	w.last = now
	if w.newest == nil {
		w.newest = map[string]time.Time{}
	}
	w.newest[address] = now
}

// sinceGap is how long a writer's write must be after the kill to be one that the new leader took, in
// case a last one of the old leader is still on its way.
const sinceGap = 100 * time.Millisecond

// since counts the addresses at which something was acknowledged after a time.
func (w *writers) since(when time.Time) int {
	w.lock.Lock()
	defer w.lock.Unlock()
	count := 0
	for _, newest := range w.newest {
		if newest.Sub(when) > sinceGap {
			count++
		}
	}
	return count
}

// write writes one at a time until ctx ends, with a new session whenever the old one is lost.
func (w *writers) write(ctx context.Context, address string) error {
	var c *connection
	for ctx.Err() == nil {
		if c == nil {
			var err error
			if c, err = usual.reach(ctx, address); err != nil {
				return nil // ctx has ended
			}
		}
		if code, err := c.do(jute.OpSetData, jute.SetDataRequest{Path: root, Data: value, Version: -1}); err != nil || code != jute.Ok {
			c.socket.Close()
			c = nil
			continue
		}
		w.acknowledged(address)
	}
	if c != nil {
		c.socket.Close()
	}
	return nil
}
