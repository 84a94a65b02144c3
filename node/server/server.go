package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"ordeal/node/disk"
	"ordeal/node/peer"
	"ordeal/node/quorum"
	"ordeal/node/server/metrics"
	"ordeal/node/store"
	"ordeal/node/tree"
)

// Run runs a server until ctx ends, which is a graceful stop, or until it can't go on, which is an
// error. When it returns, every connection and file is closed and every goroutine has ended.
func Run(ctx context.Context, config *Config, log *slog.Logger) error {
	at := &position{}
	log = slog.New(positioned{log.Handler(), at}).With("member", config.MyID)
	for _, warning := range config.Warnings {
		log.Warn(warning)
	}
	s := &shell{config: config, log: log, metrics: metrics.NewRegistry()}
	s.times, s.observer = newDiskTimes(s.metrics), newObserver(s.metrics, at)
	if err := s.open(ctx); err != nil {
		s.closeListeners()
		return err
	}
	return s.run(ctx)
}

// shell is everything around the core.
type shell struct {
	config *Config
	log    *slog.Logger
	core   *core
	store  *store.Store
	// backlog is what waits for the disk.
	backlog  backlog
	metrics  *metrics.Registry
	times    *diskTimes
	observer *observer
	// Nil where nobody is to be answered.
	secureListener, adminListener, metricsListener net.Listener
	group                                          *errgroup.Group
	ports                                          context.Context // ends after the core has

	// self is this server's line in the membership that it goes by, and savedVersion the version of the one
	// in its files.
	self         quorum.Server
	savedVersion int64
	clientHost   string
	clientPort   int

	client   *clientPort
	election *electionPort // nil for a standalone server, as the next two
	learner  *learnerPort
	leader   *leaderConnection
	packets  *packetWriter
}

// open opens the ports, so that one that is taken is an error at once, and then the files.
func (s *shell) open(ctx context.Context) error {
	c, t := s.config, s.config.tuning
	s.core = &core{
		clock: newClock(), log: s.log, outputs: s, observed: s.observer, beforePanic: c.FlushLog,
		inputs: make(chan input, inputsQueued), more: make(chan struct{}, 1),
		results: results{arrived: make(chan struct{}, 1)},
	}
	listener, err := s.listenForClients(ctx)
	if err != nil {
		return err
	}
	stats := newServerStats(s.metrics)
	s.core.measures = newCoreMeasures(s.metrics, stats, func() int { return len(s.core.inputs) })
	s.backlog.bytesMax = t.backlogBytesMax
	s.client = &clientPort{
		listener: listener, moves: make(chan net.Listener, 1), core: s.core, log: s.log, stats: stats,
		connectionsMax: c.ClientConnectionsMax, allConnectionsMax: int(t.allConnectionsMax), frameMax: int(t.maxBuffer),
		sessionlessTimeout: t.sessionlessTimeout, touchInterval: touchIntervalFor(c),
		admission: &admission{bytesMax: t.requestBytesMax, diskBusy: s.backlog.busy},
		open:      map[peer.Conn]*clientConn{}, byAddress: map[string]int{},
	}
	s.client.words = &words{
		config: c, allowed: allowedWords(t), core: s.core, clients: s.client, stats: stats, startedAt: time.Now(),
		metrics: s.metrics,
	}
	s.client.words.traceMask.Store(traceMaskDefault)
	options := tree.Options{ExtendedTypes: t.extendedTypes, DigestEnabled: t.digestEnabled, Defects: t.defects}
	if !c.Standalone {
		if err := s.openQuorumPorts(ctx, options); err != nil {
			return err
		}
	}
	if err := s.openSecurePort(ctx); err != nil {
		return err
	}
	if err := s.openWatchersPorts(ctx); err != nil {
		return err
	}
	return s.openStore(options)
}

func (s *shell) openQuorumPorts(ctx context.Context, options tree.Options) error {
	c, t := s.config, s.config.tuning
	self := c.self()
	s.self, s.savedVersion = self, c.Membership.Version
	s.clientHost, s.clientPort = c.ClientHost, c.ClientPort
	s.election = newElectionPort(c.Membership, self, t.connectTimeout)
	s.election.core, s.election.log, s.election.strangers = s.core, s.log, c.Reconfig
	s.election.security = t.quorumSecurity
	s.election.handshakeTimeout = time.Duration(c.SyncLimit) * c.TickTime
	var err error
	if s.election.listener, err = listenTCP(ctx, "election", s.own(self.ElectionAddress())); err != nil {
		return err
	}
	// The learner port opens only when this server leads. That it could is better known now.
	trial, err := listenTCP(ctx, "learner", s.own(self.QuorumAddress()))
	if err != nil {
		return err
	}
	trial.Close()
	s.learner = &learnerPort{
		address: s.own(self.QuorumAddress()), core: s.core, log: s.log, fieldMax: int(t.fieldMax),
		wanted: make(chan bool, 1), open: map[peer.Link]*learnerLink{}, unknown: waitingRoom{most: handshakesMax}, metrics: s.metrics, security: t.quorumSecurity,
		diffs: syncsUnderWay{told: s.metrics.Summary(metrics.InflightDiffCount)},
		snaps: syncsUnderWay{told: s.metrics.Summary(metrics.InflightSnapCount)},
	}
	s.packets = &packetWriter{lock: s.core.lock.RLocker()}
	s.leader = &leaderConnection{
		membership: peer.Membership{Present: c.Membership, Next: c.LastSeen},
		core:       s.core, log: s.log, tree: options, fieldMax: int(t.fieldMax), security: t.quorumSecurity,
		metrics: s.metrics,
	}
	return nil
}

// own is the address to listen at for an address of this server's line.
func (s *shell) own(address string) string {
	if !s.config.QuorumListenOnAllIPs {
		return address
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return net.JoinHostPort("", port)
}

func (s *shell) closeListeners() {
	if s.client != nil {
		s.client.listener.Close()
	}
	if s.election != nil && s.election.listener != nil {
		s.election.listener.Close()
	}
	for _, listener := range []net.Listener{s.secureListener, s.adminListener, s.metricsListener} {
		if listener != nil {
			listener.Close()
		}
	}
}

// openStore opens the files and makes the peer from what they hold.
func (s *shell) openStore(options tree.Options) error {
	c, t := s.config, s.config.tuning
	compression, err := store.ParseCompression(t.compression)
	if err != nil {
		return err
	}
	preallocate := t.logPrealloc
	if preallocate == 0 {
		preallocate = -1
	}
	began := time.Now()
	opened, state, err := store.Open(store.Options{
		DataDir: c.DataDir, LogDir: c.DataLogDir, FS: c.FS,
		Tree: options, CommitLogCount: int(t.commitLogCount), Preallocate: preallocate, LogSizeMax: t.logSizeMax, FieldMax: int(t.fieldMax),
		Compression: compression, NoForceSync: !t.forceSync, HoldUnsynced: t.holdUnsynced,
		TrustEmptySnapshot: t.trustEmpty, RequireInitialize: !t.autocreate,
		Guard: func(read func()) {
			s.core.lock.RLock()
			defer s.core.lock.RUnlock()
			read()
		},
		SyncTook: s.synced, StartTook: s.loaded, Answered: s.core.diskAnswered,
		Defects: t.defects, Log: s.log,
	})
	if err != nil {
		return err
	}
	s.store = opened
	s.metrics.Summary(metrics.DBInitTime).AddTime(time.Since(began))
	s.log.Info("data directory read", "dir", c.DataDir, "zxid", hexadecimal(state.Tree.LastZxid()),
		"current epoch", state.CurrentEpoch, "accepted epoch", state.AcceptedEpoch, "znodes", state.Tree.NodeCount())
	s.core.peer = peer.New(peer.Config{
		MyID: c.MyID, Membership: c.Membership, LastSeen: c.LastSeen, Standalone: c.Standalone,
		Reconfig: c.Reconfig, StandaloneEnabled: c.StandaloneEnabled,
		TickTime: c.TickTime, InitLimit: c.InitLimit, SyncLimit: c.SyncLimit, ConnectLimit: c.ConnectLimit,
		SessionTimeoutMin: c.SessionTimeoutMin, SessionTimeoutMax: c.SessionTimeoutMax,
		SnapCount: int(t.snapCount), SnapSizeBytes: t.snapSizeBytes, SnapshotSizeFactor: t.snapshotSizeFactor, DiffMax: diffMax,
		CommitLogCount: int(t.commitLogCount), OutstandingMax: int(t.outstandingMax),
		ThrottleMax: int(t.throttleMax), ThrottleKeepStale: !t.throttleDropStale, ThrottledOpWait: t.throttledOpWait,
		ConnectionThrottle: t.connectionThrottle, SessionsMax: int(t.sessionsMax),
		ReadOnlyMode: t.readOnlyMode, LocalSessions: c.LocalSessions, LocalSessionsUpgrading: c.LocalSessionsUpgrading,
		MaxBuffer: int(t.maxBuffer), TransactionMax: int(t.fieldMax),
		FirstCounter: t.firstCounter,
		LeaderServes: t.leaderServes, SyncByQuorum: t.syncByQuorum,
		SuperDigest: t.superDigest, Authentication: c.authentication, Containers: t.containers, SkipACL: t.skipACL, EnforceQuota: t.enforceQuota,
		NotificationIntervalMin: t.notificationMin, NotificationIntervalMax: t.notificationMax,
		Tree: options, Random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		Defects: t.defects, Log: s.log, Reader: s.store, Measured: s.core.measures.told,
	}, state, s.core.clock.now())
	return nil
}

// loaded takes how long it took to read the newest snapshot and the log behind it.
func (s *shell) loaded(snapshot, log time.Duration, entries int) {
	s.metrics.Summary(metrics.StartupSnapLoadTime).AddTime(snapshot)
	s.metrics.Summary(metrics.StartupTxnsLoadTime).AddTime(log)
	s.metrics.Summary(metrics.StartupTxnsLoaded).Add(int64(entries))
}

// synced takes how long an fsync of the log took.
func (s *shell) synced(took time.Duration) {
	s.metrics.Summary(metrics.FsyncTime).AddTime(took)
	s.times.flushed(took)
	if most := s.config.tuning.fsyncWarning; took > most {
		s.client.stats.slowFsyncs.Add(1)
		s.log.Warn("an fsync of the log took long, and every write with it", "took", took, "fsync.warningthresholdms", most.Milliseconds())
	}
}

// run starts what surrounds the core, drives the core, and ends everything in order: first the core,
// with a word to whoever is connected, then the ports, then the disk.
func (s *shell) run(ctx context.Context) error {
	ports, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	s.ports = ports
	s.group = &errgroup.Group{}
	s.client.group = s.group
	s.group.Go(func() error { return s.client.serve(ports) })
	if !s.config.Standalone {
		s.election.group, s.learner.group, s.leader.group = s.group, s.group, s.group
		s.group.Go(func() error { return s.election.serve(ports) })
		s.group.Go(func() error { return s.learner.serve(ports) })
	}
	s.serveWatchers(ports)
	if s.config.PurgeInterval > 0 {
		s.group.Go(func() error { return s.purge(ports) })
	}
	if dir := s.config.tuning.profileDir; dir != "" {
		s.group.Go(func() error {
			s.profile(ports, dir)
			return nil
		})
	}
	var storing errgroup.Group
	storing.Go(func() error { return s.store.Run(context.WithoutCancel(ctx)) })

	s.log.Info("serving", "client port", s.client.listener.Addr().String(), "version", version())
	err := s.core.run(ctx)
	if err != nil {
		s.metrics.Counter(metrics.UnrecoverableErrorCount).Add(1)
		err = fmt.Errorf("the server cannot go on: %w", err)
	}
	end()
	portsErr := s.group.Wait()
	closeErr := s.store.Close()
	storeErr := storing.Wait()
	if errors.Is(closeErr, storeErr) {
		closeErr = nil // the same failure, told twice
	}
	if err = errors.Join(err, portsErr, storeErr, closeErr); err != nil {
		s.log.Error("stopped", "error", err)
		return err
	}
	s.log.Info("stopped")
	return nil
}

// purge removes old snapshots and logs, at the start and then at the interval that was asked for.
func (s *shell) purge(ctx context.Context) error {
	for {
		if err := s.store.Purge(s.config.SnapshotsRetained); err != nil {
			s.log.Warn("old snapshots and logs could not be removed", "error", err)
		}
		if !sleep(ctx, s.config.PurgeInterval) {
			return nil
		}
	}
}

// disk, clients and others make shell the core's outputs.

func (s *shell) disk(operations []disk.Operation) {
	if len(operations) == 0 {
		return
	}
	s.backlog.add(operations)
	s.times.asked(operations)
	s.store.Do(operations, func(result disk.Result) {
		s.backlog.remove(result.Ticket)
		s.times.done(result.Ticket)
		s.core.results.put(result)
	})
}

func (s *shell) diskFull() bool { return s.backlog.full() }

func (s *shell) clients(frames []peer.ClientOutput) { s.client.deliver(frames) }

func (s *shell) others(ready *peer.Ready) {
	s.client.push()
	s.client.pause(ready.Reading)
	s.client.admission.settle(s.core.peer.RequestBytes())
	if s.config.Standalone {
		return
	}
	if ready.LearnerPort != nil {
		s.learner.want(*ready.LearnerPort)
	}
	s.election.deliver(ready.Notifications)
	s.leader.deliver(s.ports, ready.Leader, s.packets)
	s.learner.deliver(ready.Learners, s.packets)
}
