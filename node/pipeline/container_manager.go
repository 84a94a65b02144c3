package pipeline

import (
	"slices"
	"time"

	"ordeal/node/jute"
	"ordeal/node/tree"
)

const (
	// containerCheckInterval is Apache's znode.container.checkIntervalMs.
	containerCheckInterval = time.Minute
	// containersPerCheckMax is Apache's znode.container.maxPerMinute.
	containersPerCheckMax = 10_000
)

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
	m.checkAt = now.Elapsed + containerCheckInterval
	for _, path := range m.candidates(now.Wall) {
		m.server.submit(&request{op: jute.OpDeleteContainer, body: jute.Marshal(jute.DeleteContainerRequest{Path: path})})
	}
}

// candidates are the znodes that may go. The PrepRequestProcessor looks again, at what is under way.
func (m *containerManager) candidates(wallMs int64) []string {
	var paths []string
	t := m.server.tree
	for _, path := range slices.Concat(t.Containers(), t.TTLs()) {
		if node, _ := t.Node(path); node.NumChildren == 0 && hasServed(t, node.Stat, wallMs) {
			paths = append(paths, path)
		}
	}
	return paths[:min(len(paths), containersPerCheckMax)]
}

// hasServed tells whether a znode without children is of no use any more: it is a container that has had some, or its
// time to live is over.
func hasServed(t *tree.Tree, stat jute.StatPersisted, wallMs int64) bool {
	if stat.EphemeralOwner == tree.ContainerOwner {
		return stat.Cversion > 0
	}
	ttl, limited := t.TTL(stat.EphemeralOwner)
	return limited && wallMs-stat.Mtime > ttl
}
