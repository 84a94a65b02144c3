package mesh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A door is a listening socket that can treat those who knock as a network would, without root:
//
//   - open: connections are accepted.
//   - hanging: connection requests get no answer at all, as if the network dropped them. The socket's
//     queue is made as short as it can be and is filled with one connection of our own; Linux drops
//     the requests that find a full queue. The caller's kernel repeats its request (after 1, 3, 7 …
//     seconds), so that a caller with enough patience gets through after the door opened again.
//   - refusing: the socket keeps its address, so that nobody else can take it, but listens no more;
//     the kernel answers connection requests with a reset.
//
// One goroutine accepts and changes the state, so that nothing is accepted once a change is done.
type door struct {
	listener *net.TCPListener
	changes  chan change
	accept   func(*net.TCPConn)
	ended    chan struct{} // closed when serve returned

	// Used by the serving goroutine only.
	state doorState
	dummy *net.TCPConn // fills the queue while hanging
}

type doorState int

const (
	doorOpen doorState = iota
	doorHanging
	doorRefusing
)

type change struct {
	to   doorState
	done chan error
}

// queueLength bounds the connections that wait to be accepted.
const queueLength = 128

// openDoor listens on the address. Its port must be given: Linux keeps a port while the door refuses
// only if it was asked for by number. The door accepts nothing until serve runs.
func openDoor(address string, accept func(*net.TCPConn)) (*door, error) {
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	listener, err := config.Listen(context.Background(), "tcp4", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return &door{
		listener: listener.(*net.TCPListener),
		changes:  make(chan change, 1),
		accept:   accept,
		ended:    make(chan struct{}),
	}, nil
}

// set changes the state and returns when the change is done.
func (d *door) set(ctx context.Context, to doorState) error {
	request := change{to: to, done: make(chan error, 1)}
	select {
	case d.changes <- request:
	case <-d.ended:
		return net.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	// A serving goroutine that is waiting in Accept is woken by a deadline in the past.
	if err := d.listener.SetDeadline(time.Unix(1, 0)); err != nil {
		return fmt.Errorf("door %s: %w", d.listener.Addr(), err)
	}
	select {
	case err := <-request.done:
		return err
	case <-d.ended:
		return net.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// serve accepts connections until the context ends, then closes the socket.
func (d *door) serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { d.listener.Close() })
	defer func() {
		stop()
		d.listener.Close()
		if d.dummy != nil {
			d.dummy.Close()
		}
		close(d.ended)
	}()
	for {
		if d.state != doorOpen {
			select {
			case request := <-d.changes:
				request.done <- d.change(request.to)
			case <-ctx.Done():
				return nil
			}
			continue
		}
		conn, err := d.listener.AcceptTCP()
		switch {
		case err == nil:
			if d.isDummy(conn) {
				conn.Close()
				continue
			}
			d.accept(conn)
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			// The deadline is taken back before the request is looked for: a request that comes
			// later sets it again.
			if err := d.listener.SetDeadline(time.Time{}); err != nil {
				return fmt.Errorf("door %s: %w", d.listener.Addr(), err)
			}
			select {
			case request := <-d.changes:
				request.done <- d.change(request.to)
			default:
			}
		case errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE):
			return fmt.Errorf("door %s: %w: raise the limit of open files (ulimit -n)", d.listener.Addr(), err)
		case errors.Is(err, unix.ECONNABORTED):
		default:
			return fmt.Errorf("door %s: %w", d.listener.Addr(), err)
		}
	}
}

func (d *door) isDummy(conn *net.TCPConn) bool {
	if d.dummy == nil || conn.RemoteAddr().String() != d.dummy.LocalAddr().String() {
		return false
	}
	d.dummy.Close()
	d.dummy = nil
	return true
}

func (d *door) change(to doorState) error {
	if to == d.state {
		return nil
	}
	err := d.enter(to)
	if err != nil {
		return fmt.Errorf("door %s: %w", d.listener.Addr(), err)
	}
	d.state = to
	return nil
}

func (d *door) enter(to doorState) error {
	switch to {
	case doorOpen:
		return errors.Join(d.listen(queueLength), d.listener.SetDeadline(time.Time{}))
	case doorHanging:
		if err := d.listen(queueLength); err != nil {
			return err
		}
		if d.dummy == nil {
			conn, err := net.DialTimeout("tcp4", d.listener.Addr().String(), 5*time.Second)
			if err != nil {
				return err
			}
			d.dummy = conn.(*net.TCPConn)
		}
		return d.listen(0)
	case doorRefusing:
		if d.dummy != nil {
			d.dummy.Close()
			d.dummy = nil
		}
		// Go asked for the address to be shareable among sockets that do not listen. Now that this one
		// is such a socket, another run could take the address: it is shared no more.
		return d.control(func(fd int) error {
			return errors.Join(unix.Shutdown(fd, unix.SHUT_RD), shareable(fd, 0))
		})
	}
	panic(fmt.Sprintf("door: expected a known state, found %d", to))
}

// listen makes the socket listen, or changes the length of its queue if it does already.
func (d *door) listen(queue int) error {
	return d.control(func(fd int) error {
		// The connections that were accepted before have the address too.
		if err := shareable(fd, 1); err != nil {
			return err
		}
		return unix.Listen(fd, queue)
	})
}

// shareable says whether sockets that do not listen may have the same address.
func shareable(fd, yes int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, yes)
}

func (d *door) control(f func(fd int) error) error {
	raw, err := d.listener.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) { inner = f(int(fd)) })
	return errors.Join(err, inner)
}
