package container

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/client"
	"github.com/stretchr/testify/require"
	"github.com/testcontainers/testcontainers-go"

	"ordeal/harness/ensemble"
	"ordeal/results/history"
)

// inspected are the answers of an engine that is asked for the state of a container, in turn; the last one
// is given for ever. Nil is none.
type inspected []map[string]any

func (i *inspected) ServeHTTP(out http.ResponseWriter, request *http.Request) {
	out.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasSuffix(request.URL.Path, "/wait"):
		_, _ = out.Write([]byte(`{"StatusCode":0}`))
	case strings.HasSuffix(request.URL.Path, "/json"):
		answer := (*i)[0]
		if len(*i) > 1 {
			*i = (*i)[1:]
		}
		if answer == nil {
			out.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(out).Encode(map[string]any{"Id": "x", "State": answer})
	default:
		out.WriteHeader(http.StatusServiceUnavailable) // no log
	}
}

var (
	runs = map[string]any{"Running": true}
	ends = map[string]any{"Running": false, "ExitCode": 137}
)

// lived is what an ensemble tells whose only container ends as an engine says.
type lived struct {
	states []history.State
	failed []string
}

func live(t *testing.T, engine inspected, attend func(*member)) lived {
	server := httptest.NewServer(&engine)
	t.Cleanup(server.Close)
	docker, err := client.New(client.WithHost("tcp://"+server.Listener.Addr().String()), client.WithAPIVersion("1.51"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = docker.Close() })
	var told lived
	e := &Ensemble{engine: &testcontainers.DockerClient{Client: docker}, spec: ensemble.Spec{
		Notify: func(event history.Event) {
			if event.Kind == history.Member {
				told.states = append(told.states, event.State)
			}
		},
		Failed: func(err error) { told.failed = append(told.failed, err.Error()) },
	}}
	e.open, e.shut = context.WithCancel(t.Context())
	t.Cleanup(e.shut)
	log, err := openLog(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = log.close() })
	id := &testcontainers.DockerContainer{ID: "x"}
	attend(&member{id: 2, implementation: ensemble.Node, ensemble: e, agent: id, server: id, log: log})
	return told
}

// A member that ends by itself has crashed. What ends with the engine, or because a helper of the
// harness does, has not.
func TestWhoIsToBlameForAnEnd(t *testing.T) {
	seenOut := func(m *member) { m.seeOut(&life{ended: make(chan struct{})}) }
	for name, c := range map[string]struct {
		engine inspected
		attend func(*member)
		want   lived
	}{
		"a member ends": {inspected{runs, ends}, seenOut, lived{states: []history.State{history.Crashed}}},
		"the engine was away, and the member ran on": {inspected{nil, runs, ends}, seenOut,
			lived{states: []history.State{history.Crashed}}},
		"the engine was away, and the member is gone": {inspected{runs, nil, ends}, seenOut,
			lived{states: []history.State{history.Exited}, failed: []string{"member 2 ended (exit status 137) while the Docker engine did not answer"}}},
		"an agent ends": {inspected{ends}, (*member).attendAgent,
			lived{failed: []string{"the agent that holds the network of member 2 ended: exit status 137"}}},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, live(t, c.engine, c.attend)) })
	}
}
