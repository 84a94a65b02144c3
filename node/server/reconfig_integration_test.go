//go:build integration

package server

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"ordeal/node/apachetest"
	"ordeal/node/freeport"
	"ordeal/node/internal/duel"
)

// growing is an ensemble of five servers, of which three belong to it at first.
type growing struct {
	t       *testing.T
	lines   []string // of the membership, by place
	clients []string // addresses
	paths   []string // of zoo.cfg
	admin   *zk.Conn
}

func (g *growing) line(id int, role string) string {
	return strings.Replace(g.lines[id-1], "participant", role, 1)
}

// startGrowing starts servers, "node" or "apache" each. Those beyond the third have themselves in their files too.
func startGrowing(t *testing.T, kinds []string) *growing {
	g := &growing{t: t}
	for id := 1; id <= len(kinds); id++ {
		client := freeport.Take(t)
		g.clients = append(g.clients, net.JoinHostPort("127.0.0.1", strconv.Itoa(client)))
		g.lines = append(g.lines, fmt.Sprintf("server.%d=127.0.0.1:%d:%d:participant;127.0.0.1:%d", id, freeport.Take(t), freeport.Take(t), client))
	}
	for i, kind := range kinds {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "myid"), strconv.Itoa(i+1))
		lines := append([]string{
			"dataDir=" + dir, "tickTime=500", "initLimit=20", "syncLimit=10", "reconfigEnabled=true", "standaloneEnabled=false",
			"4lw.commands.whitelist=*", "admin.enableServer=false", "DigestAuthenticationProvider.superDigest=" + duel.SuperDigest,
		}, g.lines[:3]...)
		if i >= 3 {
			lines = append(lines, g.lines[i])
		}
		path := writeFile(t, filepath.Join(dir, "zoo.cfg"), strings.Join(lines, "\n")+"\n")
		g.paths = append(g.paths, path)
		if kind == "node" {
			config, err := LoadConfig(path, nil)
			require.NoError(t, err)
			start(t, config)
			continue
		}
		apachetest.Run(t, path, "-Dzookeeper.DigestAuthenticationProvider.superDigest="+duel.SuperDigest)
	}
	g.eventually(func() bool {
		for _, address := range g.clients {
			if duel.Mode(address) == "" {
				return false
			}
		}
		return true
	}, "all serve, those too that want to join")
	g.admin = g.connect()
	require.NoError(t, g.admin.AddAuth("digest", []byte("super:secret")))
	return g
}

func (g *growing) eventually(condition func() bool, message string) {
	g.t.Helper()
	require.Eventually(g.t, condition, time.Minute, 50*time.Millisecond, message)
}

// quiet drops the client's log.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

func (g *growing) connect(addresses ...string) *zk.Conn {
	if len(addresses) == 0 {
		addresses = g.clients
	}
	conn, _, err := zk.Connect(addresses, 10*time.Second, zk.WithLogger(quiet{}))
	require.NoError(g.t, err)
	g.t.Cleanup(conn.Close)
	return conn
}

// reconfig changes the membership, and waits until the text says so. A change is tried again while a leader is
// missing or a server is still on its way from one role to another.
func (g *growing) reconfig(joining, leaving []string, want ...string) {
	g.t.Helper()
	has := func() bool {
		text, _, err := g.admin.Get("/zookeeper/config")
		if err != nil || strings.Count(string(text), "server.") != len(want) {
			return false
		}
		for _, line := range want {
			if !strings.Contains(string(text), line) {
				return false
			}
		}
		return true
	}
	g.eventually(func() bool {
		if has() {
			return true
		}
		_, err := g.admin.IncrementalReconfig(joining, leaving, -1)
		return err == nil && has()
	}, fmt.Sprintf("membership %q", want))
}

func (g *growing) leader() int {
	leader := 0
	g.eventually(func() bool {
		for i, address := range g.clients {
			if duel.Mode(address) == "leader" {
				leader = i + 1
				return true
			}
		}
		return false
	}, "a leader")
	return leader
}

// TestIntegrationReconfig grows an ensemble from three members to five under load, takes the vote and then the
// membership from its leader, and shrinks it to three: among our own servers, and among Apache's.
func TestIntegrationReconfig(t *testing.T) {
	for name, kinds := range map[string][]string{
		"node":  {"node", "node", "node", "node", "node"},
		"mixed": {"apache", "node", "node", "apache", "node"},
	} {
		t.Run(name, func(t *testing.T) {
			g := startGrowing(t, kinds)
			all := func(change map[int]string) []string {
				var lines []string
				for id := 1; id <= 5; id++ {
					switch role, changed := change[id]; {
					case !changed:
						lines = append(lines, g.line(id, "participant"))
					case role != "":
						lines = append(lines, g.line(id, role))
					}
				}
				return lines
			}
			load := g.connect()
			_, err := load.Create("/load", nil, 0, zk.WorldACL(zk.PermAll))
			require.NoError(t, err)
			var over atomic.Bool
			var acknowledged []string
			var group errgroup.Group
			group.Go(func() error {
				for n := 0; !over.Load(); n++ {
					path := fmt.Sprintf("/load/%d", n)
					if _, err := load.Create(path, nil, 0, zk.WorldACL(zk.PermAll)); err == nil {
						acknowledged = append(acknowledged, path)
					}
				}
				return nil
			})

			g.reconfig([]string{g.line(4, "participant")}, nil, all(map[int]string{5: ""})...)
			g.reconfig([]string{g.line(5, "observer")}, nil, all(map[int]string{5: "observer"})...)
			g.eventually(func() bool { return duel.Mode(g.clients[4]) == "observer" }, "an observer")
			g.reconfig([]string{g.line(5, "participant")}, nil, all(nil)...)
			g.eventually(func() bool { return duel.Mode(g.clients[4]) == "follower" }, "a fifth voter")
			first := g.leader()
			g.reconfig([]string{g.line(first, "observer")}, nil, all(map[int]string{first: "observer"})...)
			g.eventually(func() bool { return duel.Mode(g.clients[first-1]) == "observer" }, "the leader observes")
			second := g.leader()
			left := all(map[int]string{first: "observer", second: ""})
			g.reconfig(nil, []string{strconv.Itoa(second)}, left...)
			g.eventually(func() bool { mode := g.leader(); return mode != second }, "another leader")

			over.Store(true)
			require.NoError(t, group.Wait())
			require.NotEmpty(t, acknowledged)
			for id := 1; id <= 5; id++ {
				g.eventually(func() bool { return id == second || duel.Mode(g.clients[id-1]) != "" }, "all serve that have not left")
			}
			for id := 1; id <= 5; id++ {
				if id == second {
					continue
				}
				conn := g.connect(g.clients[id-1])
				_, err := conn.Sync("/load")
				require.NoError(t, err)
				children, _, err := conn.Children("/load")
				require.NoError(t, err)
				there := map[string]bool{}
				for _, child := range children {
					there["/load/"+child] = true
				}
				for _, path := range acknowledged {
					require.True(t, there[path], "%s was acknowledged and is not at member %d", path, id)
				}
				if kinds[id-1] == "node" {
					config, err := LoadConfig(g.paths[id-1], nil)
					require.NoError(t, err, "a member starts again from the files that it has written")
					require.Equal(t, len(left), len(config.Membership.Servers))
					require.Nil(t, config.LastSeen)
				}
			}
		})
	}
}
