package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"ordeal/node/jute"
	"ordeal/results/history"
)

const (
	// The large state's znodes are created in multis of largeBatch, of which largeInFlight are under way.
	// They hold largeBytes each.
	largeBatch    = 500
	largeInFlight = 4
	largeBytes    = 100
	// largeWatches are those of each session.
	largeWatches = 10
	// largeTimeout bounds the wait for a member that recovers a large state.
	largeTimeout = 5 * time.Minute
	// largeDialers is how many sessions are opened or moved at a time.
	largeDialers = 32
)

// Large is what an ensemble with much state takes.
type Large struct {
	Fill         time.Duration // to create the znodes
	BytesOfZnode float64       // of resident memory of a member, for each znode
	Recovery     time.Duration // of one member, from its start after kill -9 to a session
	// BytesOfSession is resident memory of a member for each of its sessions, with its watches.
	BytesOfSession float64
	// Moved is how long it took until all sessions of a killed member were back at the others, with
	// their watches.
	Moved time.Duration
}

// large fills an ensemble, restarts a member, opens sessions with watches and kills a member under them.
func (i *Implementation) large(ctx context.Context, o *Options) (err error) {
	o.say("%s: %d znodes", i.Name, o.Znodes)
	s, err := o.start(ctx, i.Name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.end()) }()
	i.Large = &Large{}
	empty, err := s.resident()
	if err != nil {
		return err
	}
	started := time.Now()
	if err := fill(ctx, s.ClientAddress(1), o.Znodes); err != nil {
		return err
	}
	i.Large.Fill = time.Since(started)
	follower, err := s.follower(ctx)
	if err != nil {
		return err
	}
	o.say("%s: a member is killed and recovers", i.Name)
	killed := history.Fault{ID: 1, Kind: history.Kill, Members: []int{follower}}
	if err := s.Inject(ctx, killed); err != nil {
		return err
	}
	started = time.Now()
	if err := s.Heal(ctx, killed); err != nil {
		return err
	}
	if err := awaitSession(ctx, s.ClientAddress(follower), largeTimeout); err != nil {
		return err
	}
	i.Large.Recovery = time.Since(started)
	full, err := s.resident()
	if err != nil {
		return err
	}
	i.Large.BytesOfZnode = (full - empty) / float64(o.Znodes)
	return i.watch(ctx, o, s, full)
}

// fill creates the znodes.
func fill(ctx context.Context, address string, znodes int) error {
	c, err := connect(ctx, address)
	if err != nil {
		return err
	}
	data := make([]byte, largeBytes)
	if _, err := c.do(jute.OpCreate, jute.CreateRequest{Path: root, ACL: jute.OpenACL()}); err != nil {
		return fmt.Errorf("bench: make %s: %w", root, err)
	}
	made := 0
	more := func() bool {
		if made == znodes {
			return false
		}
		var request jute.MultiRequest
		for range min(largeBatch, znodes-made) {
			request.Ops = append(request.Ops, jute.MultiOp{Type: jute.OpCreate, Request: &jute.CreateRequest{
				Path: fmt.Sprintf("%s/%08d", root, made), Data: data, ACL: jute.OpenACL(),
			}})
			made++
		}
		c.request(jute.OpMulti, request)
		return true
	}
	for range largeInFlight {
		more()
	}
	for len(c.sent) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.socket.SetDeadline(time.Now().Add(replyTimeout))
		if err := c.flush(); err != nil {
			return fmt.Errorf("bench: make znodes: %w", err)
		}
		code, _, err := c.reply()
		if err != nil || code != jute.Ok {
			return refused("make znodes", code, err)
		}
		more()
	}
	return c.close()
}

// follower is a member that does not lead.
func (s *servers) follower(ctx context.Context) (int, error) {
	leader, err := s.leader(ctx)
	if err != nil {
		return 0, err
	}
	return leader%s.Size() + 1, nil
}

// watch opens sessions at all members and lets them watch, then kills a member and moves its sessions.
func (i *Implementation) watch(ctx context.Context, o *Options, s *servers, before float64) (err error) {
	o.say("%s: %d sessions with %d watches", i.Name, o.Sessions, o.Sessions*largeWatches)
	sessions := make([]*connection, o.Sessions)
	defer func() {
		for _, c := range sessions {
			if c != nil {
				c.socket.Close()
			}
		}
	}()
	err = each(ctx, o.Sessions, func(ctx context.Context, n int) error {
		c, err := connect(ctx, s.ClientAddress(n%s.Size()+1))
		if err != nil {
			return err
		}
		sessions[n] = c
		for w := range largeWatches {
			if code, err := c.do(jute.OpGetData, jute.GetDataRequest{Path: watched(n, w), Watch: true}); err != nil || code != jute.Ok {
				return refused("watch", code, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	after, err := s.resident()
	if err != nil {
		return err
	}
	i.Large.BytesOfSession = (after - before) / (float64(o.Sessions) / float64(s.Size()))
	follower, err := s.follower(ctx)
	if err != nil {
		return err
	}
	o.say("%s: a member is killed and its sessions move", i.Name)
	started := time.Now()
	if err := s.Inject(ctx, history.Fault{ID: 2, Kind: history.Kill, Members: []int{follower}}); err != nil {
		return err
	}
	err = each(ctx, o.Sessions, func(ctx context.Context, n int) error {
		if n%s.Size()+1 != follower {
			return nil
		}
		old := sessions[n]
		old.socket.Close()
		c, err := attach(ctx, s.ClientAddress(follower%s.Size()+1), old.id, old.passwd)
		if err != nil {
			return err
		}
		sessions[n] = c
		request := jute.SetWatches{RelativeZxid: old.zxid, ExistWatches: []string{}, ChildWatches: []string{}} // no list may be null
		for w := range largeWatches {
			request.DataWatches = append(request.DataWatches, watched(n, w))
		}
		if code, err := c.do(jute.OpSetWatches, request); err != nil || code != jute.Ok {
			return refused("take watches along", code, err)
		}
		return nil
	})
	i.Large.Moved = time.Since(started)
	return err
}

func watched(session, watch int) string {
	return fmt.Sprintf("%s/%08d", root, session*largeWatches+watch)
}

// each does something for all numbers, several at a time.
func each(ctx context.Context, count int, do func(ctx context.Context, n int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	var lock sync.Mutex
	next := 0
	for range largeDialers {
		group.Go(func() error {
			for ctx.Err() == nil {
				lock.Lock()
				n := next
				next++
				lock.Unlock()
				if n >= count {
					return nil
				}
				if err := do(ctx, n); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}

// largeRows compares what a large state costs.
func (o *Options) largeRows(node, apache *Large) []Row {
	row := func(what, unit string, of func(*Large) float64) Row {
		r := Row{What: what, Unit: unit, Node: of(node), Apache: of(apache)}
		r.compare()
		r.Met = !r.NotMeasured
		return r
	}
	return []Row{
		row(fmt.Sprintf("%d znodes of %d bytes: to create them", o.Znodes, largeBytes), "s", func(l *Large) float64 { return l.Fill.Seconds() }),
		row("    resident memory of a member, for each", "bytes", func(l *Large) float64 { return l.BytesOfZnode }),
		row("    recovery of a member after kill -9", "s", func(l *Large) float64 { return l.Recovery.Seconds() }),
		row(fmt.Sprintf("%d sessions, %d watches: memory for each session", o.Sessions, o.Sessions*largeWatches), "bytes", func(l *Large) float64 { return l.BytesOfSession }),
		row("    a killed member's sessions back at another", "s", func(l *Large) float64 { return l.Moved.Seconds() }),
	}
}
