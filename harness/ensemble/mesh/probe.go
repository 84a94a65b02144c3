package mesh

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

// probeBytes is what a probe sends to and fro: a nonce.
const probeBytes = 8

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
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp4", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var version int64 = probeVersion
	message := binary.BigEndian.AppendUint64(nil, uint64(version))
	message = binary.BigEndian.AppendUint64(message, uint64(time.Now().UnixNano()))
	if _, err := conn.Write(message); err != nil {
		return err
	}
	answer := make([]byte, probeBytes)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return fmt.Errorf("no echo: %w", err)
	}
	if string(answer) != string(message[8:]) {
		return fmt.Errorf("echo of %x was %x", message[8:], answer)
	}
	return nil
}
