package ensemble

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// maxAnswerBytes bounds the answer to a four-letter word that is taken in.
const maxAnswerBytes = 1 << 20

// FourLetterWord asks a member by one of ZooKeeper's four-letter words (protocol.md 9), as long as
// the context lasts.
func FourLetterWord(ctx context.Context, address, word string) (string, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", fmt.Errorf("ask %s by %s: %w", address, word, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := io.WriteString(conn, word); err != nil {
		return "", fmt.Errorf("ask %s by %s: %w", address, word, err)
	}
	answer, err := io.ReadAll(io.LimitReader(conn, maxAnswerBytes))
	if err != nil {
		return "", fmt.Errorf("ask %s by %s: %w", address, word, err)
	}
	return string(answer), nil
}

// ServerVersion asks a member which version it runs, as srvr tells it.
func ServerVersion(ctx context.Context, address string) (string, error) {
	answer, err := FourLetterWord(ctx, address, "srvr")
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(answer, "\n")
	version, found := strings.CutPrefix(line, "Zookeeper version: ")
	if !found {
		return "", fmt.Errorf("member at %s does not tell its version: %q", address, line)
	}
	return version, nil
}
