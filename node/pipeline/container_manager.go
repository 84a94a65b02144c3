package pipeline

import (
	"cmp"
	"slices"
	"time"

	"ordeal/node/jute"
	"ordeal/node/tree"
)

// Apache's defaults.
const (
	containerCheckInterval = time.Minute
	containersPerMinuteMax = 10_000
)

// Containers says how znodes are found and removed that nobody needs any more.
type Containers struct {
	CheckInterval time.Duration // znode.container.checkIntervalMs; 0: a minute
	PerMinuteMax  int           // znode.container.maxPerMinute; 0: ten thousand
	// NeverUsedMax is znode.container.maxNeverUsedIntervalMs: how long a container may wait for its first
	// child; 0: for ever.
	NeverUsedMax time.Duration
}

func (c Containers) withDefaults() Containers {
	c.CheckInterval = cmp.Or(c.CheckInterval, containerCheckInterval)
	c.PerMinuteMax = cmp.Or(c.PerMinuteMax, containersPerMinuteMax)
	return c
}

// perCheckMax is how many may go at once, so that no more go in a minute than may.
func (c Containers) perCheckMax() int {
	return max(1, int(float64(c.PerMinuteMax)*c.CheckInterval.Minutes()))
}

// containerManager removes containers that are empty again and znodes whose time to live is over, on a
// leader or a standalone server (protocol.md 2.10).
type containerManager struct {
	server  *Server
	checkAt time.Duration
}

func (m *containerManager) tick(now Now) {
	if now.Elapsed < m.checkAt {
		return
	}
	m.checkAt = now.Elapsed + m.server.config.Containers.CheckInterval
	for _, path := range m.candidates(now.Wall) {
		m.server.submit(&request{op: jute.OpDeleteContainer, body: jute.Marshal(jute.DeleteContainerRequest{Path: path})})
	}
}

// candidates are the znodes that may go. The PrepRequestProcessor looks again, at what is under way.
func (m *containerManager) candidates(wallMs int64) []string {
	var paths []string
	t := m.server.tree
	for _, path := range slices.Concat(t.Containers(), t.TTLs()) {
		if node, _ := t.Node(path); node.NumChildren == 0 && m.server.hasServed(node.Stat, wallMs) {
			paths = append(paths, path)
		}
	}
	return paths[:min(len(paths), m.server.config.Containers.perCheckMax())]
}

// hasServed tells whether a znode without children is of no use any more: it is a container that has had some, or that
// has waited for one too long, or its time to live is over.
func (s *Server) hasServed(stat jute.StatPersisted, wallMs int64) bool {
	if stat.EphemeralOwner == tree.ContainerOwner {
		neverUsed := s.config.Containers.NeverUsedMax.Milliseconds()
		return stat.Cversion > 0 || neverUsed > 0 && wallMs-stat.Mtime > neverUsed
	}
	ttl, limited := s.tree.TTL(stat.EphemeralOwner)
	return limited && wallMs-stat.Mtime > ttl
}
