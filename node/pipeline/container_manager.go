package pipeline

import (
	"time"

	"ordeal/node/jute"
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
	for _, path := range m.server.tree.Containers() {
		node, _ := m.server.tree.Node(path)
		if node.NumChildren == 0 && node.Stat.Cversion > 0 {
			paths = append(paths, path)
		}
	}
	for _, path := range m.server.tree.TTLs() {
		node, _ := m.server.tree.Node(path)
		ttl, _ := m.server.tree.TTL(node.Stat.EphemeralOwner)
		if node.NumChildren == 0 && wallMs-node.Stat.Mtime > ttl {
			paths = append(paths, path)
		}
	}
	return paths[:min(len(paths), containersPerCheckMax)]
}
