package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"ordeal/node/election"
)

// What no server can do without, whatever it is written in: targets that are missed are held against that.

const (
	// roundTrips is how many are measured.
	roundTrips = 2000
	// hopsOfWrite are the messages that must follow one another before a client of a follower has its answer:
	// request, REQUEST, PROPOSAL, ACK, COMMIT, reply.
	hopsOfWrite = 6
)

// writeFloor is the least time for one write: its messages one after the other, and one fdatasync.
func (r *Result) writeFloor() time.Duration { return hopsOfWrite/2*r.RoundTrip + r.Fdatasync }

// gapFloor is the least time without a write after a leader's end: every election waits so long for a better vote.
const gapFloor = election.FinalizeWait

// roundTrip measures a message of one value over the loopback interface, and its answer.
func roundTrip(ctx context.Context) (time.Duration, error) {
	took, err := echo(ctx)
	if err != nil {
		return 0, fmt.Errorf("bench: measure a message and its answer: %w", err)
	}
	return took, nil
}

// echo lets two threads talk that wait in the kernel, as two programs would: no scheduler of Go's takes part.
func echo(ctx context.Context) (time.Duration, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	var dialer net.Dialer
	dialled, err := dialer.DialContext(ctx, "tcp", listener.Addr().String())
	if err != nil {
		return 0, err
	}
	asking, err := waitingInKernel(dialled)
	if err != nil {
		return 0, err
	}
	accepted, err := listener.Accept()
	if err != nil {
		asking.Close()
		return 0, err
	}
	answering, err := waitingInKernel(accepted)
	if err != nil {
		asking.Close()
		return 0, err
	}
	var answers errgroup.Group
	answers.Go(func() error {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer answering.Close()
		_, err := io.CopyBuffer(struct{ io.Writer }{answering}, struct{ io.Reader }{answering}, make([]byte, valueBytes))
		return err
	})
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all []time.Duration
	answer := make([]byte, valueBytes)
	for len(all) < roundTrips && err == nil {
		start := time.Now()
		if _, err = asking.Write(value); err == nil {
			_, err = io.ReadFull(asking, answer)
		}
		all = append(all, time.Since(start))
	}
	if err = errors.Join(err, asking.Close(), answers.Wait()); err != nil {
		return 0, err
	}
	return median(all), nil
}

// waitingInKernel takes a connection out of the hands of Go's poller.
func waitingInKernel(conn net.Conn) (*os.File, error) {
	defer conn.Close()
	file, err := conn.(*net.TCPConn).File()
	if err == nil {
		file.Fd() // makes it one whose reads wait
	}
	return file, err
}

// printFloors says what no server can do without.
func (r *Result) printFloors(out io.Writer) error {
	_, err := fmt.Fprintf(out, "A message of one value over the loopback interface and its answer (median): %.3f ms. One write at a time is %d messages one after the other and one fdatasync, %.3f ms or %.0f operations/s, before any server does anything; and %v of the time without a write after a leader's end are what every election waits for a better vote (finalizeWait).\n",
		milliseconds(r.RoundTrip), hopsOfWrite, milliseconds(r.writeFloor()), 1/r.writeFloor().Seconds(), gapFloor)
	return err
}
