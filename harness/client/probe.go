package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// ErrNotServing says that a member answers, but does not serve clients now: it has no leader, or is
// not synchronised with it yet.
var ErrNotServing = errors.New("the member does not serve clients now")

// Status is what a member says of itself.
type Status struct {
	Version   string
	Mode      string // leader, follower, observer, standalone or read-only
	Zxid      int64  // the last that it has applied; on a leader the last of its proposals
	NodeCount int
}

// Epoch is the epoch of the leader under which the member's last transaction was made.
func (s Status) Epoch() int64 { return s.Zxid >> 32 }

// Leads says whether the member leads, be it an ensemble or itself alone.
func (s Status) Leads() bool { return s.Mode == "leader" || s.Mode == "standalone" }

// probeTimeout bounds one probe. A member that is just starting may accept a connection and never
// answer on it (seen with Apache 3.8.0); asking again helps.
const probeTimeout = 2 * time.Second

// statusBytesMax bounds what is read of an answer to a four-letter word.
const statusBytesMax = 64 << 10

// Probe asks a member for its state by the four-letter word srvr, which servers answer unless they
// are told not to (protocol.md section 9). It takes two seconds at most.
func Probe(ctx context.Context, address string) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	text, err := fourLetterWord(ctx, address, "srvr")
	if err != nil {
		return Status{}, fmt.Errorf("probe %s: %w", address, err)
	}
	status, err := parseStatus(text)
	if err != nil {
		return Status{}, fmt.Errorf("probe %s: %w", address, err)
	}
	return status, nil
}

func fourLetterWord(ctx context.Context, address, word string) (string, error) {
	var dialer net.Dialer
	socket, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer socket.Close()
	// A socket knows deadlines but no contexts: when the context ends, close it.
	defer context.AfterFunc(ctx, func() { _ = socket.Close() })()
	if _, err := io.WriteString(socket, word); err != nil {
		return "", errors.Join(ctx.Err(), err)
	}
	text, err := io.ReadAll(io.LimitReader(socket, statusBytesMax))
	if err != nil && len(text) == 0 {
		return "", errors.Join(ctx.Err(), err)
	}
	return string(text), nil
}

func parseStatus(text string) (Status, error) {
	if text == "" || strings.Contains(text, "not currently serving requests") {
		return Status{}, ErrNotServing
	}
	var status Status
	var err error
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "Zookeeper version":
			status.Version, _, _ = strings.Cut(value, ",")
		case "Zxid":
			status.Zxid, err = strconv.ParseInt(value, 0, 64)
		case "Mode":
			status.Mode = value
		case "Node count":
			status.NodeCount, err = strconv.Atoi(value)
		}
		if err != nil {
			return Status{}, fmt.Errorf("answer to srvr: %w", err)
		}
	}
	if status.Mode == "" {
		return Status{}, fmt.Errorf("answer to srvr without a mode: %.100q", text)
	}
	return status, nil
}
