package mesh

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"ordeal/results/history"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// short is how long a test watches for something that must not come. It may be too short to see a
// mistake, never too short for what is right.
const short = 100 * time.Millisecond

// network is a mesh between members that are nothing but listeners.
type network struct {
	*Mesh
	t    *testing.T
	plan Plan
}

// newNetwork opens a mesh in a part of the loopback network that is free.
func newNetwork(t *testing.T, members int) *network {
	t.Helper()
	for attempt := range 200 {
		subnet := 1 + (os.Getpid()+attempt)%254
		address := func(from, to, port int) string { return fmt.Sprintf("127.%d.%d.%d:%d", subnet, from, to, 21000+port) }
		plan := Plan{
			Proxy:        func(from, to int, port Port) string { return address(from, to, int(port)) },
			Direct:       func(member int, port Port) string { return address(member, member, int(port)) },
			ClientProxy:  func(member int) string { return address(0, member, 2) },
			ClientDirect: func(member int) string { return address(member, member, 2) },
			Log:          slog.New(slog.DiscardHandler),
		}
		for id := 1; id <= members; id++ {
			plan.Members = append(plan.Members, id)
		}
		m, err := Open(plan)
		if err != nil {
			require.ErrorIs(t, err, unix.EADDRINUSE)
			continue
		}
		t.Cleanup(func() { require.NoError(t, m.Close()) })
		for _, id := range plan.Members {
			require.NoError(t, m.Running(t.Context(), id, true))
		}
		return &network{Mesh: m, t: t, plan: plan}
	}
	t.Fatal("no free loopback addresses")
	return nil
}

// listen lets a member listen.
func (n *network) listen(address string) net.Listener {
	n.t.Helper()
	listener, err := net.Listen("tcp4", address)
	require.NoError(n.t, err)
	n.t.Cleanup(func() { listener.Close() })
	return listener
}

// connect opens a connection from one member to the quorum port of another, and returns both ends.
func (n *network) connect(from, to int) (caller, called *peer) {
	n.t.Helper()
	listener := n.listen(n.plan.Direct(to, Quorum))
	defer listener.Close()
	conn := n.dial(n.plan.Proxy(from, to, Quorum))
	accepted, err := listener.Accept()
	require.NoError(n.t, err)
	return newPeer(n.t, conn), newPeer(n.t, accepted)
}

func (n *network) dial(address string) net.Conn {
	n.t.Helper()
	conn, err := net.DialTimeout("tcp4", address, 10*time.Second)
	require.NoError(n.t, err)
	return conn
}

// peer is one end of a connection, talking in lines.
type peer struct {
	net.Conn
	t     *testing.T
	lines *bufio.Reader
}

func newPeer(t *testing.T, conn net.Conn) *peer {
	t.Cleanup(func() { conn.Close() })
	return &peer{Conn: conn, t: t, lines: bufio.NewReader(conn)}
}

func (p *peer) says(line string) {
	p.t.Helper()
	_, err := io.WriteString(p, line+"\n")
	require.NoError(p.t, err)
}

func (p *peer) hears(line string) {
	p.t.Helper()
	require.NoError(p.t, p.SetReadDeadline(time.Now().Add(10*time.Second)))
	heard, err := p.lines.ReadString('\n')
	require.NoError(p.t, err)
	require.Equal(p.t, line+"\n", heard)
}

func (p *peer) hearsNothing() {
	p.t.Helper()
	require.NoError(p.t, p.SetReadDeadline(time.Now().Add(short)))
	heard, err := p.lines.ReadByte()
	require.ErrorIs(p.t, err, os.ErrDeadlineExceeded, "heard %q", heard)
}

func (p *peer) hearsEnd(want error) {
	p.t.Helper()
	require.NoError(p.t, p.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err := p.lines.ReadByte()
	require.ErrorIs(p.t, err, want)
}

// hangs proves that a connection request gets no answer.
func (n *network) hangs(address string) {
	n.t.Helper()
	_, err := net.DialTimeout("tcp4", address, short)
	requireTimeout(n.t, err)
}

func requireTimeout(t *testing.T, err error) {
	t.Helper()
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout(), "expected no answer, found %v", err)
}

func (n *network) refuses(address string) {
	n.t.Helper()
	_, err := net.DialTimeout("tcp4", address, 10*time.Second)
	require.ErrorIs(n.t, err, syscall.ECONNREFUSED)
}

func link(from, to int) []history.Link { return []history.Link{{From: from, To: to}} }

func TestADroppedDirectionHoldsItsBytesAndTheOtherFlows(t *testing.T) {
	n := newNetwork(t, 3)
	// The link 1→2 is cut; it does not matter who opened the connection.
	one, two := n.connect(1, 2)
	two2, one2 := n.connect(2, 1)
	one.says("before")
	two.hears("before")

	require.NoError(t, n.Cut(t.Context(), 7, link(1, 2), history.Drop))
	require.ErrorContains(t, n.Pass(t.Context(), link(1, 2)), "link 1→2 does not pass: cut by fault [7]")
	one.says("held")
	one2.says("held too")
	two.hearsNothing()
	two2.hearsNothing()
	two.says("flows")
	one.hears("flows")
	two2.says("flows too")
	one2.hears("flows too")
	for _, port := range ports {
		n.hangs(n.plan.Proxy(1, 2, port))
		n.hangs(n.plan.Proxy(2, 1, port))
	}
	require.NoError(t, n.Pass(t.Context(), append(link(1, 3), link(3, 2)...)), "other links are not concerned")

	require.NoError(t, n.Heal(t.Context(), 7))
	two.hears("held")
	two2.hears("held too")
	require.NoError(t, n.Pass(t.Context(), n.Links()))
}

func TestTheEndOfAConnectionIsHeldToo(t *testing.T) {
	for name, end := range map[string]struct {
		close func(*peer)
		want  error
	}{
		"in order": {func(p *peer) { p.Close() }, io.EOF},
		"by reset": {func(p *peer) { p.Conn.(*net.TCPConn).SetLinger(0); p.Close() }, syscall.ECONNRESET},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t, 2)
			one, two := n.connect(1, 2)
			require.NoError(t, n.Cut(t.Context(), 1, link(1, 2), history.Drop))
			end.close(one)
			two.hearsNothing()
			require.NoError(t, n.Heal(t.Context(), 1))
			two.hearsEnd(end.want)
		})
	}
}

func TestAHalfClosedConnectionStillCarriesTheOtherDirection(t *testing.T) {
	n := newNetwork(t, 2)
	one, two := n.connect(1, 2)
	require.NoError(t, one.Conn.(*net.TCPConn).CloseWrite())
	two.hearsEnd(io.EOF)
	two.says("last words")
	one.hears("last words")
}

func TestWhatACutHoldsIsBoundedAndComplete(t *testing.T) {
	n := newNetwork(t, 2)
	one, two := n.connect(1, 2)
	require.NoError(t, n.Cut(t.Context(), 1, link(1, 2), history.Drop))
	const total = 64 << 20 // far more than sockets' buffers
	var group errgroup.Group
	written := make(chan int, 1)
	group.Go(func() error {
		block := make([]byte, 1<<20)
		sum := 0
		require.NoError(t, one.SetWriteDeadline(time.Now().Add(5*short)))
		for sum < total {
			k, err := one.Write(block)
			sum += k
			if err != nil {
				break
			}
		}
		written <- sum
		return one.Close()
	})
	held := <-written
	require.Less(t, held, total, "the sender must be held back")
	require.NoError(t, group.Wait())
	require.NoError(t, n.Heal(t.Context(), 1))
	delivered, err := io.Copy(io.Discard, two)
	require.NoError(t, err)
	require.EqualValues(t, held, delivered)
}

func TestAResetEndsConnectionsAndRefusesNewOnes(t *testing.T) {
	n := newNetwork(t, 3)
	one, two := n.connect(1, 2)
	other, _ := n.connect(1, 3)
	require.NoError(t, n.Cut(t.Context(), 1, link(2, 1), history.Reset))
	one.hearsEnd(syscall.ECONNRESET)
	two.hearsEnd(syscall.ECONNRESET)
	other.hearsNothing()
	n.refuses(n.plan.Proxy(1, 2, Quorum))
	n.refuses(n.plan.Proxy(2, 1, Election))
	require.NoError(t, n.Heal(t.Context(), 1))
	require.NoError(t, n.Pass(t.Context(), n.Links()))
	one, two = n.connect(1, 2)
	one.says("again")
	two.hears("again")
}

func TestALinkThatDoesNotPassOnOnePortIsNamed(t *testing.T) {
	n := newNetwork(t, 2)
	one := history.Link{From: 1, To: 2}
	for i, port := range ports {
		door := n.proxies[one][i].door
		require.NoError(t, door.set(t.Context(), doorRefusing))
		err := n.Pass(t.Context(), n.Links())
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.ErrorContains(t, err, "link 1→2 does not pass: "+port.String()+" port")
		require.NotContains(t, err.Error(), "2→1")
		require.NoError(t, door.set(t.Context(), doorOpen))
	}
	require.NoError(t, n.Pass(t.Context(), n.Links()))
}

func TestAProbeDoesNotReachTheMember(t *testing.T) {
	n := newNetwork(t, 2)
	listener := n.listen(n.plan.Direct(2, Quorum))
	require.NoError(t, n.Pass(t.Context(), link(1, 2)))
	newPeer(t, n.dial(n.plan.Proxy(1, 2, Quorum))).says("the first to call")
	called, err := listener.Accept()
	require.NoError(t, err)
	newPeer(t, called).hears("the first to call")
}

func TestALinkPassesWhenTheLastCutIsHealed(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		// The state of doors and gates follows from the cuts that are on, whatever their history.
		m := &Mesh{
			plan:    Plan{Members: []int{1, 2}},
			cuts:    map[history.Link]map[int]history.CutMode{},
			running: map[int]bool{1: true, 2: true},
		}
		here, back := history.Link{From: 1, To: 2}, history.Link{From: 2, To: 1}
		for number := range rapid.IntRange(0, 4).Draw(rt, "cuts") {
			add(m.cuts, rapid.SampledFrom([]history.Link{here, back}).Draw(rt, "link"), number,
				rapid.SampledFrom([]history.CutMode{history.Drop, history.Reset}).Draw(rt, "mode"))
		}
		down := rapid.Bool().Draw(rt, "down")
		m.running[2] = !down
		drop := holds(m.cuts[here], history.Drop) || holds(m.cuts[back], history.Drop)
		state := m.door(2, m.cuts[here], m.cuts[back])
		require.Equal(rt, drop, state == doorHanging, "what is lost on the way cannot be refused")
		if !drop {
			cut := len(m.cuts[here])+len(m.cuts[back]) > 0
			require.Equal(rt, cut || down, state == doorRefusing)
		}
	})
}

func TestOverlappingCuts(t *testing.T) {
	n := newNetwork(t, 2)
	one, two := n.connect(1, 2)
	require.NoError(t, n.Cut(t.Context(), 1, link(1, 2), history.Drop))
	require.NoError(t, n.Cut(t.Context(), 2, append(link(1, 2), link(2, 1)...), history.Drop))
	one.says("held")
	require.NoError(t, n.Heal(t.Context(), 1))
	two.hearsNothing()
	require.NoError(t, n.Heal(t.Context(), 2))
	two.hears("held")
}

func TestAMemberThatIsDownRefuses(t *testing.T) {
	n := newNetwork(t, 2)
	require.NoError(t, n.Running(t.Context(), 2, false))
	n.refuses(n.plan.Proxy(1, 2, Quorum))
	n.refuses(n.plan.ClientProxy(2))
	// A cut network cannot tell that the member is down.
	require.NoError(t, n.Cut(t.Context(), 1, link(1, 2), history.Drop))
	n.hangs(n.plan.Proxy(1, 2, Quorum))
	require.NoError(t, n.Heal(t.Context(), 1))
	n.refuses(n.plan.Proxy(1, 2, Quorum))
}

func TestACallerIsHeldUntilTheMemberListens(t *testing.T) {
	n := newNetwork(t, 2)
	caller := newPeer(t, n.dial(n.plan.Proxy(1, 2, Quorum)))
	caller.says("are you there?")
	listener := n.listen(n.plan.Direct(2, Quorum))
	accepted, err := listener.Accept()
	require.NoError(t, err)
	newPeer(t, accepted).hears("are you there?")
}

func TestACallerIsResetIfTheMemberNeverListens(t *testing.T) {
	n := newNetwork(t, 2)
	newPeer(t, n.dial(n.plan.Proxy(1, 2, Quorum))).hearsEnd(syscall.ECONNRESET)
}

func TestClientCuts(t *testing.T) {
	for _, mode := range []history.CutMode{history.Drop, history.Reset} {
		t.Run(string(mode), func(t *testing.T) {
			n := newNetwork(t, 2)
			listener := n.listen(n.plan.ClientDirect(1))
			client := newPeer(t, n.dial(n.plan.ClientProxy(1)))
			accepted, err := listener.Accept()
			require.NoError(t, err)
			member := newPeer(t, accepted)

			require.NoError(t, n.CutClients(t.Context(), 1, []int{1}, mode))
			require.NoError(t, n.Pass(t.Context(), n.Links()), "links between members are not concerned")
			probe := n.dial(n.plan.ClientDirect(1))
			require.NoError(t, probe.Close(), "the harness still gets through")
			if mode == history.Reset {
				client.hearsEnd(syscall.ECONNRESET)
				member.hearsEnd(syscall.ECONNRESET)
				n.refuses(n.plan.ClientProxy(1))
			} else {
				client.says("held")
				member.says("held")
				member.hearsNothing()
				client.hearsNothing()
				n.hangs(n.plan.ClientProxy(1))
			}
			require.NoError(t, n.Heal(t.Context(), 1))
			if mode == history.Drop {
				member.hears("held")
				client.hears("held")
			}
			require.NoError(t, n.dial(n.plan.ClientProxy(1)).Close())
		})
	}
}

// handshake is what a caller of an election port sends first.
func handshake(version int64, sid int64, address string) []byte {
	bytes := binary.BigEndian.AppendUint64(nil, uint64(version))
	bytes = binary.BigEndian.AppendUint64(bytes, uint64(sid))
	bytes = binary.BigEndian.AppendUint32(bytes, uint32(len(address)))
	return append(bytes, address...)
}

func TestTheElectionHandshakeNamesTheWayBackThroughTheMesh(t *testing.T) {
	n := newNetwork(t, 3)
	listener := n.listen(n.plan.Direct(2, Election))
	for name, test := range map[string]struct{ sent, want []byte }{
		"one address":       {handshake(-65536, 3, "127.0.0.1:3888"), handshake(-65536, 3, n.plan.Proxy(2, 3, Election))},
		"several addresses": {handshake(-65535, 3, "a:1|b:2"), handshake(-65535, 3, n.plan.Proxy(2, 3, Election))},
		"a bare id":         {binary.BigEndian.AppendUint64(nil, 3), binary.BigEndian.AppendUint64(nil, 3)},
		"no address":        {handshake(-65536, 3, ""), handshake(-65536, 3, "")},
		"another protocol":  {[]byte("GET / HTTP/1.1\r\n"), []byte("GET / HTTP/1.1\r\n")},
		"negative length":   {append(handshake(-65536, 3, "")[:16], 0xff, 0xff, 0xff, 0xff), append(handshake(-65536, 3, "")[:16], 0xff, 0xff, 0xff, 0xff)},
	} {
		t.Run(name, func(t *testing.T) {
			caller := n.dial(n.plan.Proxy(3, 2, Election))
			defer caller.Close()
			_, err := caller.Write(append(test.sent, " and then a notification"...))
			require.NoError(t, err)
			require.NoError(t, caller.(*net.TCPConn).CloseWrite())
			called, err := listener.Accept()
			require.NoError(t, err)
			defer called.Close()
			heard, err := io.ReadAll(called)
			require.NoError(t, err)
			require.Equal(t, string(test.want)+" and then a notification", string(heard))
		})
	}
}

func FuzzReadHandshake(f *testing.F) {
	f.Add(handshake(-65536, 3, "127.0.0.1:3888"))
	f.Add(handshake(-65535, 1, "a:1|b:2"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, sent []byte) {
		header, err := readHandshake(newByteReader(sent), "127.1.2.3:3888")
		if err == nil {
			require.LessOrEqual(t, len(header), 20+maxAddressBytes)
			require.Equal(t, sent[:8], header[:8])
		}
	})
}

func newByteReader(bytes []byte) io.Reader { return bufio.NewReader(&byteReader{bytes}) }

type byteReader struct{ bytes []byte }

func (r *byteReader) Read(into []byte) (int, error) {
	if len(r.bytes) == 0 {
		return 0, io.EOF
	}
	into[0], r.bytes = r.bytes[0], r.bytes[1:]
	return 1, nil
}

func TestBadCutsAreRefused(t *testing.T) {
	n := newNetwork(t, 2)
	require.ErrorContains(t, n.Cut(t.Context(), 1, link(1, 3), history.Drop), "no link 1→3: members are [1 2]")
	require.ErrorContains(t, n.Cut(t.Context(), 1, link(1, 2), "slow"), `unknown mode "slow" of a cut: known are drop and reset`)
	require.ErrorContains(t, n.CutClients(t.Context(), 1, []int{3}, history.Drop), "no member 3")
	require.NoError(t, n.Pass(t.Context(), n.Links()))
}

func TestAnAddressInUseIsNamed(t *testing.T) {
	n := newNetwork(t, 2)
	_, err := Open(n.plan)
	require.ErrorIs(t, err, unix.EADDRINUSE)
	require.ErrorContains(t, err, "listen on 127.")
}

func TestAfterCloseNothingHangs(t *testing.T) {
	n := newNetwork(t, 2)
	one, two := n.connect(1, 2)
	require.NoError(t, n.Cut(t.Context(), 1, link(1, 2), history.Drop))
	one.says("held")
	require.NoError(t, n.Close())
	two.hearsEnd(syscall.ECONNRESET)
	require.ErrorIs(t, n.Heal(context.Background(), 1), net.ErrClosed)
	require.NoError(t, n.Close())
}
