package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// httpIdle bounds how long a connection to one of the HTTP ports may be silent, and httpRequest
	// the time for a request's header and for its answer.
	httpIdle    = 30 * time.Second
	httpRequest = 10 * time.Second
	// httpHeaderMax bounds a request's header in bytes, and httpConnectionsMax the connections.
	httpHeaderMax      = 16 << 10
	httpConnectionsMax = 100
)

// adminServer answers commands over HTTP as JSON (protocol.md 10, Apache: JettyAdminServer).
type adminServer struct {
	words *words
	url   string // admin.commandURL
}

// ServeHTTP answers GET <commandURL>/<name> with a JSON object, and GET <commandURL> with a list of
// links.
func (a *adminServer) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	name, below := strings.CutPrefix(request.URL.Path, a.url)
	if !below || (name != "" && name[0] != '/') {
		http.NotFound(response, request)
		return
	}
	if request.Method != http.MethodGet && request.Method != http.MethodHead {
		response.Header().Set("Allow", "GET, HEAD")
		http.Error(response, "only GET is known here", http.StatusMethodNotAllowed)
		return
	}
	name = strings.TrimPrefix(name, "/")
	if name == "" {
		response.Header().Set("Content-Type", "text/html; charset=utf-8")
		for _, primary := range adminNames() {
			fmt.Fprintf(response, "<a href=\"%s/%s\">%s</a>\n<br/>\n", a.url, primary, primary)
		}
		return
	}
	response.Header().Set("Content-Type", "application/json")
	content, err := json.MarshalIndent(a.words.command(name, request.URL.Query()), "", "  ")
	if err != nil {
		content = []byte(`{"error": "Exception writing command response to JSON"}`) // Apache's words
	}
	response.Write(content)
}

// adminNames are the first names of all commands, sorted.
func adminNames() []string {
	var names []string
	for _, command := range adminCommands {
		names = append(names, command.names[0])
	}
	slices.Sort(names)
	return names
}

// object is a JSON object whose fields keep their order.
type object []field

type field struct {
	name  string
	value any
}

// MarshalJSON renders the fields in their order.
func (o object) MarshalJSON() ([]byte, error) {
	var buffer bytes.Buffer
	buffer.WriteByte('{')
	for i, f := range o {
		if i > 0 {
			buffer.WriteByte(',')
		}
		buffer.WriteString(strconv.Quote(f.name))
		buffer.WriteByte(':')
		value, err := json.Marshal(f.value)
		if err != nil {
			return nil, err
		}
		buffer.Write(value)
	}
	buffer.WriteByte('}')
	return buffer.Bytes(), nil
}

// has tells whether there is a field of this name.
func (o object) has(name string) bool {
	return slices.ContainsFunc(o, func(f field) bool { return f.name == name })
}

// serveHTTP serves a handler until ctx is done. It does not return before all requests are answered
// or given up.
func serveHTTP(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler: handler, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: httpRequest, ReadTimeout: httpRequest, WriteTimeout: httpRequest, IdleTimeout: httpIdle,
		MaxHeaderBytes: httpHeaderMax,
	}
	var serving errgroup.Group
	serving.Go(func() error { return server.Serve(limited(listener, httpConnectionsMax)) })
	<-ctx.Done()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if server.Shutdown(grace) != nil {
		server.Close()
	}
	if err := serving.Wait(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// limitedListener closes connections over its bound at once.
type limitedListener struct {
	net.Listener
	free chan struct{}
}

func limited(listener net.Listener, most int) net.Listener {
	return &limitedListener{Listener: listener, free: make(chan struct{}, most)}
}

// Accept returns the next connection within the bound.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.free <- struct{}{}:
			return &limitedConn{Conn: conn, free: l.free}, nil
		default:
			conn.Close()
		}
	}
}

type limitedConn struct {
	net.Conn
	free   chan struct{}
	closed sync.Once
}

// Close makes room for another connection.
func (c *limitedConn) Close() error {
	c.closed.Do(func() { <-c.free })
	return c.Conn.Close()
}
