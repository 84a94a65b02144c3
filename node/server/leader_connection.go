package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"ordeal/node/jute"
	"ordeal/node/peer"
	"ordeal/node/quorum"
	"ordeal/node/server/metrics"
	"ordeal/node/tree"
)

// How long a learner tries to reach its leader: as long as Apache's (Learner.connectToLeader), which tries five times,
// leaderPauseMax apart. A leader opens its port at about the time when its learners come, and all clients wait for
// that: the first pauses are shorter.
const (
	leaderPatience = 4 * leaderPauseMax // in pauses
	leaderPauseMin = time.Millisecond
	leaderPauseMax = 100 * time.Millisecond
)

// leaderConnection is this server's one connection to the leader that it follows. Only who has the
// core's turn calls it.
type leaderConnection struct {
	membership peer.Membership
	core       *core
	log        *slog.Logger
	group      *errgroup.Group
	tree       tree.Options
	fieldMax   int
	security   *security // nil for none
	metrics    *metrics.Registry

	current *leaderAttempt
}

// leaderAttempt is one connection, or the try to make it.
type leaderAttempt struct {
	number uint64
	out    *flow
	cancel context.CancelFunc

	lock  sync.Mutex
	tcp   net.Conn // nil until it stands
	ended bool
}

// deliver carries out what the peer wants of the connection.
func (l *leaderConnection) deliver(ctx context.Context, commands []peer.LeaderCommand, writer *packetWriter) {
	if len(commands) == 0 {
		return
	}
	for i := range commands {
		command := &commands[i]
		if command.Connect {
			l.connect(ctx, *command)
		}
		attempt := l.current
		if attempt == nil || attempt.number != command.Attempt {
			continue
		}
		if command.Message.Packet != nil && !attempt.out.put(writer.item(&command.Message)) {
			l.log.Warn("the leader does not keep up", "bytes", learnerQueueMax)
			attempt.cancel()
		}
		if command.Close {
			attempt.end()
			l.current = nil
		}
	}
	if l.current != nil {
		l.current.out.push()
	}
}

// connect gives up the connection that there is and makes another.
func (l *leaderConnection) connect(ctx context.Context, command peer.LeaderCommand) {
	if l.current != nil {
		l.current.end()
	}
	server, found := l.find(command.ConnectTo)
	ctx, cancel := context.WithCancel(ctx)
	attempt := &leaderAttempt{number: command.Attempt, out: newFlow(learnerQueueMax), cancel: cancel}
	l.current = attempt
	l.group.Go(func() error {
		defer cancel()
		err := fmt.Errorf("leader %d is not in the membership", command.ConnectTo)
		if found {
			err = l.run(ctx, attempt, server.QuorumAddress(), command.Deadline)
		}
		l.core.tell(ctx, func(p *peer.Peer) { p.LeaderClosed(attempt.number, err) })
		return nil
	})
}

// find looks for a server in the present membership, and then in the next one.
func (l *leaderConnection) find(id int64) (server quorum.Server, found bool) {
	if server, found = l.membership.Present.Server(id); !found && l.membership.Next != nil {
		server, found = l.membership.Next.Server(id)
	}
	return server, found
}

// run makes the connection and serves it to its end. It returns why it ended.
func (l *leaderConnection) run(ctx context.Context, attempt *leaderAttempt, address string, deadline time.Duration) error {
	tcp, err := l.dial(ctx, address, deadline)
	if err != nil {
		return err
	}
	if !attempt.use(tcp) {
		tcp.Close()
		return errors.New("the connection is not wanted any more")
	}
	if !l.core.tell(ctx, func(p *peer.Peer) { p.LeaderConnected(attempt.number) }) {
		tcp.Close()
		return ctx.Err()
	}
	reader := newLeaderReader(l.core.helping(tcp), l.fieldMax, l.tree)
	proposals, commits := l.metrics.Counter(metrics.LearnerProposalReceivedCount), l.metrics.Counter(metrics.LearnerCommitReceivedCount)
	return exchange(ctx, tcp, attempt.out, reader, l.metrics.Summary(metrics.SocketClosingTime), func(message peer.LearnerMessage) bool {
		switch message.Packet.Type {
		case jute.PacketProposal:
			proposals.Add(1)
		case jute.PacketCommit:
			commits.Add(1)
		}
		return l.core.add(ctx, func(p *peer.Peer) { p.LeaderPacket(attempt.number, message) })
	})
}

// dial tries a few times: the leader may have been elected before it has opened its port.
func (l *leaderConnection) dial(ctx context.Context, address string, deadline time.Duration) (net.Conn, error) {
	paused, pause := time.Duration(0), leaderPauseMin
	for try := 1; ; try++ {
		left := deadline - l.core.clock.elapsed()
		dialer := net.Dialer{Timeout: max(left, time.Millisecond)}
		tcp, err := dialer.DialContext(ctx, "tcp", address)
		if err == nil {
			secured, handshakeErr := l.security.call(ctx, tcp, address)
			if handshakeErr == nil {
				return secured, nil
			}
			tcp.Close()
			err = handshakeErr
		}
		if paused >= leaderPatience || left <= pause || !sleep(ctx, pause) {
			return nil, fmt.Errorf("the leader cannot be reached in %d tries: %w", try, err)
		}
		paused += pause
		pause = min(2*pause, leaderPauseMax)
		l.log.Debug("leader not reached yet", "try", try, "error", err)
	}
}

// use takes over the connection once it stands; false if the attempt was ended before.
func (a *leaderAttempt) use(tcp net.Conn) bool {
	a.lock.Lock()
	defer a.lock.Unlock()
	a.tcp = tcp
	return !a.ended
}

// end lets what is queued go out for a moment, and closes.
func (a *leaderAttempt) end() {
	a.lock.Lock()
	defer a.lock.Unlock()
	a.ended = true
	if a.tcp == nil {
		a.cancel()
		return
	}
	a.out.end()
	a.tcp.SetDeadline(time.Now().Add(shutdownGrace))
}
