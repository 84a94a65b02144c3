package server

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"ordeal/node/disk"
	"ordeal/node/peer"
	"ordeal/node/server/metrics"
)

// observer notes where the peer stands after each step, for the log and for the metrics.
type observer struct {
	metrics *metrics.Registry
	at      *position

	// Of whoever has the core's turn.
	last                                    peer.Standing
	lookingSince, absentSince, syncingSince time.Time // zero: it is not so
}

// position is the epoch and the last zxid that were applied.
type position struct{ epoch, zxid atomic.Int64 }

func newObserver(registry *metrics.Registry, at *position) *observer {
	return &observer{metrics: registry, at: at, absentSince: time.Now()}
}

// observe is called after each step.
func (o *observer) observe(p *peer.Peer) {
	standing := p.Standing()
	o.at.epoch.Store(standing.Epoch)
	o.at.zxid.Store(standing.LastZxid)
	o.election(standing)
	o.absence(standing)
	o.synchronisation(standing)
	o.last = standing
	counts := p.Counts()
	for _, c := range []struct {
		name  string
		value int64
	}{
		{metrics.ProposalCount, counts.Proposals}, {metrics.CommitCount, counts.Commits},
		{metrics.StaleSessionsExpired, counts.SessionsExpired}, {metrics.DigestMismatchesCount, counts.DigestMismatches},
	} {
		o.metrics.Counter(c.name).Store(c.value)
	}
}

// election measures how long this server looks for a leader.
func (o *observer) election(now peer.Standing) {
	const looking = "looking"
	switch {
	case now.Role == looking && o.lookingSince.IsZero():
		o.lookingSince = time.Now()
		o.metrics.Counter(metrics.LookingCount).Add(1)
	case now.Role != looking && !o.lookingSince.IsZero():
		o.metrics.Summary(metrics.ElectionTime).AddTime(time.Since(o.lookingSince))
		o.lookingSince = time.Time{}
	}
}

// synchronisation measures how long a learner takes to get what its leader has.
func (o *observer) synchronisation(now peer.Standing) {
	learns := now.Role == "following" || now.Role == "observing"
	switch {
	case !learns:
		o.syncingSince = time.Time{}
	case now.Phase == "synchronization" && o.syncingSince.IsZero():
		o.syncingSince = time.Now()
	case now.Phase == "broadcast" && !o.syncingSince.IsZero():
		name := metrics.FollowerSyncTime
		if now.Role == "observing" {
			name = metrics.ObserverSyncTime
		}
		o.metrics.Summary(name).AddTime(time.Since(o.syncingSince))
		o.syncingSince = time.Time{}
	}
}

// absence measures how long this server does not serve.
func (o *observer) absence(now peer.Standing) {
	switch {
	case !now.Serving && o.absentSince.IsZero():
		o.absentSince = time.Now()
	case now.Serving && !o.absentSince.IsZero():
		took := time.Since(o.absentSince)
		o.absentSince = time.Time{}
		o.metrics.Summary(metrics.UnavailableTime).AddTime(took)
		if now.Role == "leading" {
			o.metrics.Summary(metrics.LeaderUnavailableTime).AddTime(took)
		}
	}
}

// positioned adds the epoch and the last zxid to every line of the log that does not have its own.
type positioned struct {
	slog.Handler
	at *position
}

// Handle writes a line.
func (p positioned) Handle(ctx context.Context, record slog.Record) error {
	hasEpoch, hasZxid := false, false
	record.Attrs(func(attribute slog.Attr) bool {
		hasEpoch = hasEpoch || attribute.Key == "epoch"
		hasZxid = hasZxid || attribute.Key == "zxid"
		return true
	})
	if !hasEpoch {
		record.AddAttrs(slog.Int64("epoch", p.at.epoch.Load()))
	}
	if !hasZxid {
		record.AddAttrs(slog.String("zxid", hexadecimal(p.at.zxid.Load())))
	}
	return p.Handler.Handle(ctx, record)
}

// WithAttrs and WithGroup keep the position.

func (p positioned) WithAttrs(attributes []slog.Attr) slog.Handler {
	return positioned{p.Handler.WithAttrs(attributes), p.at}
}

func (p positioned) WithGroup(name string) slog.Handler {
	return positioned{p.Handler.WithGroup(name), p.at}
}

// diskTimes measures the disk. Its entries are as many as operations are under way.
type diskTimes struct {
	lock    sync.Mutex
	began   map[disk.Ticket]begun
	waiting int64         // entries appended since the last Sync
	behind  int64         // and since the last one that is done
	flush   time.Duration // how long the last one took by itself

	batch, syncs, snapshots, size, wait, flushes, process *metrics.Summary
	queued                                                *metrics.Counter
}

type begun struct {
	at      time.Time
	into    *metrics.Summary
	entries int64 // of a Sync
}

func newDiskTimes(r *metrics.Registry) *diskTimes {
	return &diskTimes{
		began: map[disk.Ticket]begun{}, batch: r.Summary(metrics.SyncBatchSize), syncs: r.Summary(metrics.SyncQueueAndFlushTime),
		snapshots: r.Summary(metrics.SnapshotTime), queued: r.Counter(metrics.SyncProcessorQueued),
		size: r.Summary(metrics.SyncQueueSize), wait: r.Summary(metrics.SyncQueueTime),
		flushes: r.Summary(metrics.SyncFlushTime), process: r.Summary(metrics.SyncProcessTime),
	}
}

// asked notes operations on their way to the disk.
func (d *diskTimes) asked(operations []disk.Operation) {
	now := time.Now()
	d.lock.Lock()
	defer d.lock.Unlock()
	for _, operation := range operations {
		switch operation.Kind {
		case disk.Append:
			d.waiting++
		case disk.Sync:
			d.batch.Add(d.waiting)
			d.queued.Add(d.waiting)
			d.size.Add(d.behind)
			d.behind += d.waiting
			d.began[operation.Ticket] = begun{now, d.syncs, d.waiting}
			d.waiting = 0
		case disk.TakeSnapshot, disk.InstallSnapshot:
			d.began[operation.Ticket] = begun{now, d.snapshots, 0}
		}
	}
}

// done notes that an operation is carried out.
func (d *diskTimes) done(ticket disk.Ticket) {
	d.lock.Lock()
	defer d.lock.Unlock()
	if one, found := d.began[ticket]; found {
		took := time.Since(one.at)
		one.into.AddTime(took)
		if one.into == d.syncs {
			d.behind -= one.entries
			d.wait.AddTime(took - d.flush)
			d.flushes.AddTime(d.flush)
			d.process.AddTime(d.flush)
		}
		delete(d.began, ticket)
	}
}

// flushed notes how long a Sync took by itself. The disk tells it before it reports those that it serves.
func (d *diskTimes) flushed(took time.Duration) {
	d.lock.Lock()
	defer d.lock.Unlock()
	d.flush = took
}
