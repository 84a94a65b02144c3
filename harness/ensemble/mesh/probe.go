package mesh

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

const (
	// probeBytes is what a probe sends to and fro: a nonce.
	probeBytes = 8
	// probeSource is the address from which the mesh tests itself, by which it knows its own probes on
	// any port. All of 127/8 is this machine's; members and clients call from 127.0.0.1, as Linux lets
	// who does not ask for another source.
	probeSource = "127.79.114.100"
)

func isProbe(conn net.Conn) bool {
	caller, ok := conn.RemoteAddr().(*net.TCPAddr)
	return ok && caller.IP.String() == probeSource
}

// echo answers a probe in the member's place, through the gates that the member's bytes pass.
func (p *proxy) echo(c *pair) {
	defer c.caller.Close()
	nonce := make([]byte, probeBytes)
	if _, err := io.ReadFull(c.caller, nonce); err != nil {
		return
	}
	if p.forward.pass(p.ctx) != nil || p.back.pass(p.ctx) != nil {
		return
	}
	c.caller.Write(nonce)
}

// probe proves that the address accepts connections and that bytes pass the gates there and back.
func probe(ctx context.Context, address string) error {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(probeSource)}}
	conn, err := dialer.DialContext(ctx, "tcp4", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	nonce := binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano()))
	if _, err := conn.Write(nonce); err != nil {
		return err
	}
	answer := make([]byte, probeBytes)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return fmt.Errorf("no echo: %w", err)
	}
	if string(answer) != string(nonce) {
		return fmt.Errorf("echo of %x was %x", nonce, answer)
	}
	return nil
}
