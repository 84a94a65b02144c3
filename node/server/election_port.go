package server

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"ordeal/node/election"
	"ordeal/node/peer"
	"ordeal/node/quorum"
)

// The handshake of the election port (protocol.md 6.1, Apache: QuorumCnxManager).
const (
	electionProtocol             int64 = -65536 // one address follows
	electionProtocolMultiAddress int64 = -65535 // several addresses, joined by |
	electionAddressMax                 = 2048   // bytes
	notificationMax                    = 512 << 10
)

const (
	// connectTimeoutDefault bounds one try to reach another server. Apache waits 5 s; with a second
	// a link that was cut is found healed a second later.
	connectTimeoutDefault = time.Second
	// reconnectMin and reconnectMax bound the time between two tries; it doubles each time.
	reconnectMin = 50 * time.Millisecond
	reconnectMax = time.Second
	// electionSilence is how long the kernel may wait for the other side to acknowledge bytes. A link
	// that drops packets is given up then, instead of being retried at ever longer distances.
	electionSilence = 3 * time.Second
	// handshakesMax bounds the callers that have not yet said who they are.
	handshakesMax = 64
)

// electionPort keeps one connection to each other server that there is something to say to. The
// connection that counts is the one that the server with the larger id made.
type electionPort struct {
	listener         net.Listener
	moves            chan net.Listener // the next place to listen at
	security         *security         // nil for none
	id               int64
	strangers        bool // servers outside the membership may ask for it, to join
	strangerPatience time.Duration
	connectTimeout   time.Duration
	core             *core
	log              *slog.Logger
	group            *errgroup.Group
	handshakeTimeout time.Duration
	unknown          waitingRoom // who calls and has not said who it is

	lock  sync.Mutex
	self  quorum.Server
	peers map[int64]*electionPeer
	last  uint64 // of the numbers of strangers
}

const (
	// strangersMax bounds the servers outside the membership that this server talks to. If more come, the
	// one that came first must go: who wants to join calls again.
	strangersMax = 32
	// strangerPatienceDefault is for how long a server outside the membership is remembered when it has no
	// connection.
	strangerPatienceDefault = 30 * time.Second
)

func newElectionPort(membership *quorum.Config, self quorum.Server, connectTimeout time.Duration) *electionPort {
	p := &electionPort{
		id: self.ID, self: self, peers: map[int64]*electionPeer{}, unknown: waitingRoom{most: handshakesMax},
		moves: make(chan net.Listener, 1), connectTimeout: connectTimeout, strangerPatience: strangerPatienceDefault,
	}
	for _, server := range membership.Servers {
		if server.ID != self.ID {
			p.peers[server.ID] = newElectionPeer(p, server, connectTimeout)
		}
	}
	return p
}

// setMembership connects to the servers that have joined or moved, and lets go of those that have left.
func (p *electionPort) setMembership(ctx context.Context, self quorum.Server, membership peer.Membership) {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.self = self
	wanted := map[int64]quorum.Server{}
	for _, config := range []*quorum.Config{membership.Next, membership.Present} {
		if config != nil {
			for _, server := range config.Servers {
				wanted[server.ID] = server
			}
		}
	}
	delete(wanted, self.ID)
	for id, other := range p.peers {
		if server, stays := wanted[id]; !stays || other.stranger > 0 || server.ElectionAddress() != other.server.ElectionAddress() {
			p.drop(other)
		}
	}
	for id, server := range wanted {
		if p.peers[id] == nil {
			p.start(ctx, newElectionPeer(p, server, p.connectTimeout))
		}
	}
}

// start takes up another server. The caller has the lock.
func (p *electionPort) start(ctx context.Context, other *electionPeer) {
	p.peers[other.server.ID] = other
	ctx, other.retire = context.WithCancel(ctx)
	other.done = ctx.Done()
	p.group.Go(func() error { return other.serve(ctx) })
}

// drop lets go of another server. The caller has the lock.
func (p *electionPort) drop(other *electionPeer) {
	other.retire()
	delete(p.peers, other.server.ID)
}

// find returns the server with this id. One that is in no membership is taken up if it may be about to
// join: it has given its own address then, and another one than before takes that one's place.
func (p *electionPort) find(ctx context.Context, id int64, address string) *electionPeer {
	p.lock.Lock()
	defer p.lock.Unlock()
	other := p.peers[id]
	if !p.strangers || (other != nil && (other.stranger == 0 || other.server.ElectionAddress() == address)) {
		return other
	}
	host, port, err := net.SplitHostPort(address)
	number, numberErr := strconv.Atoi(port)
	if err != nil || numberErr != nil {
		return other
	}
	if other != nil {
		p.drop(other)
	}
	p.makeRoom()
	p.log.Info("a server outside the membership asks for it", "server", id, "address", address)
	other = newElectionPeer(p, quorum.Server{ID: id, Host: host, ElectionPort: number}, p.connectTimeout)
	p.last++
	other.stranger = p.last
	p.start(ctx, other)
	return other
}

// makeRoom lets go of the oldest stranger if there are too many for another. The caller has the lock.
func (p *electionPort) makeRoom() {
	count := 0
	var oldest *electionPeer
	for _, other := range p.peers {
		if other.stranger == 0 {
			continue
		}
		count++
		if oldest == nil || other.stranger < oldest.stranger {
			oldest = other
		}
	}
	if count >= strangersMax {
		p.log.Warn("too many servers outside the membership: letting go of the oldest", "server", oldest.server.ID, "max", strangersMax)
		p.drop(oldest)
	}
}

// forget lets go of a stranger, unless that has happened already.
func (p *electionPort) forget(stranger *electionPeer) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.peers[stranger.server.ID] == stranger {
		p.drop(stranger)
	}
}

// header is what this server says first when it calls.
func (p *electionPort) header() []byte {
	p.lock.Lock()
	defer p.lock.Unlock()
	return electionHeader(p.self)
}

// serve accepts and makes connections until ctx is done.
func (p *electionPort) serve(ctx context.Context) error {
	p.lock.Lock()
	for _, other := range p.peers {
		p.start(ctx, other)
	}
	p.lock.Unlock()
	acceptMoving(ctx, p.listener, p.moves, p.log, func(tcp net.Conn) {
		if out := p.unknown.enter(tcp); out != nil {
			p.log.Warn("too many election connections at once: closing the oldest", "remote", out.RemoteAddr().String(), "max", handshakesMax)
		}
		p.group.Go(func() error {
			p.welcome(ctx, tcp)
			return nil
		})
	})
	return nil
}

// deliver queues notifications. Each replaces what its receiver has not been sent yet: only the newest
// vote counts.
func (p *electionPort) deliver(notifications []peer.Notification) {
	if len(notifications) == 0 {
		return
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	for _, n := range notifications {
		if other := p.peers[n.To]; other != nil {
			other.send(n.Message.Encode())
		} else {
			p.log.Warn("no server to send a notification to", "server", n.To)
		}
	}
}

// welcome hears who calls. Only a server with a larger id may keep its connection; one with a smaller
// id is called back.
func (p *electionPort) welcome(ctx context.Context, tcp net.Conn) {
	stop := context.AfterFunc(ctx, func() { tcp.Close() })
	caller := tcp
	secured, err := p.security.welcome(ctx, tcp)
	id, address := int64(0), ""
	if err == nil {
		tcp = secured
		id, address, err = readElectionHeader(tcp, p.handshakeTimeout)
	}
	p.unknown.leave(caller)
	if !stop() {
		return
	}
	if err == nil && id == p.id {
		err = errors.New("the caller claims to be this server")
	}
	var other *electionPeer
	if err == nil {
		other = p.find(ctx, id, address)
	}
	if err == nil && other == nil {
		err = fmt.Errorf("server %d is not in the membership", id)
	}
	if err != nil {
		p.log.Warn("election connection refused", "remote", tcp.RemoteAddr().String(), "error", err)
		tcp.Close()
		return
	}
	if id < p.id {
		tcp.Close()
		other.callBack()
		return
	}
	other.adopt(ctx, tcp)
}

// electionHeader is what a caller says first.
func electionHeader(self quorum.Server) []byte {
	address := self.ElectionAddress()
	header := binary.BigEndian.AppendUint64(nil, 1<<64-65536)
	header = binary.BigEndian.AppendUint64(header, uint64(self.ID))
	header = binary.BigEndian.AppendUint32(header, uint32(len(address)))
	return append(header, address...)
}

// readElectionHeader returns the id of the server that calls, and the address that it gives. That is used only
// for servers that the membership does not know.
func readElectionHeader(tcp net.Conn, timeout time.Duration) (id int64, address string, err error) {
	tcp.SetReadDeadline(time.Now().Add(timeout))
	defer tcp.SetReadDeadline(time.Time{})
	first, err := readLong(tcp)
	if err != nil || first >= 0 {
		return first, "", err // servers before 3.5 send nothing but their id
	}
	if first != electionProtocol && first != electionProtocolMultiAddress {
		return 0, "", fmt.Errorf("unknown version %d of the election protocol", first)
	}
	if id, err = readLong(tcp); err != nil {
		return 0, "", err
	}
	var length [4]byte
	if _, err := io.ReadFull(tcp, length[:]); err != nil {
		return 0, "", err
	}
	size := int32(binary.BigEndian.Uint32(length[:]))
	if size < 1 || size > electionAddressMax {
		return 0, "", fmt.Errorf("an election address of %d bytes: want 1 to %d", size, electionAddressMax)
	}
	addresses := make([]byte, size)
	_, err = io.ReadFull(tcp, addresses)
	address, _, _ = strings.Cut(string(addresses), "|")
	return id, address, err
}

func readLong(r io.Reader) (int64, error) {
	var bytes [8]byte
	_, err := io.ReadFull(r, bytes[:])
	return int64(binary.BigEndian.Uint64(bytes[:])), err
}

// receive reads notifications until the connection fails. A malformed one is passed over
// (ZOOKEEPER-3769); a length that cannot be ends the connection, since nothing behind it makes sense.
func (p *electionPort) receive(ctx context.Context, from int64, tcp net.Conn) error {
	in := bufio.NewReader(tcp)
	for {
		var length [4]byte
		if _, err := io.ReadFull(in, length[:]); err != nil {
			return err
		}
		size := int32(binary.BigEndian.Uint32(length[:]))
		if size < 1 || size > notificationMax {
			return fmt.Errorf("a notification of %d bytes: want 1 to %d", size, notificationMax)
		}
		data, err := readFull(in, int(size))
		if err != nil {
			return err
		}
		message, err := election.DecodeNotification(data)
		if err != nil {
			p.log.Warn("malformed notification ignored", "server", from, "error", err)
			continue
		}
		if !p.core.tell(ctx, func(peer *peer.Peer) { peer.ReceiveNotification(from, message) }) {
			return ctx.Err()
		}
	}
}
