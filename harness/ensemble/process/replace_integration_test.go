//go:build integration

package process

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"ordeal/harness/ensemble"
	"ordeal/node/store"
	"ordeal/results/history"
)

func TestIntegrationRollingReplacementByKill(t *testing.T) { rollingReplacement(t, history.Kill) }

func TestIntegrationRollingReplacementInOrder(t *testing.T) { rollingReplacement(t, history.Stop) }

// rollingReplacement replaces Apache's servers by ours and back on the same data directories, one after the other and
// the leader last, each after this kind of fault has ended it, while clients write all the time. Nothing that was
// acknowledged may be missing anywhere.
func rollingReplacement(t *testing.T, end history.FaultKind) {
	r := startApache(t, 3, 0)
	r.spec.Binary = buildOrdeal(t)
	runs := map[int]ensemble.Implementation{1: ensemble.Apache, 2: ensemble.Apache, 3: ensemble.Apache}
	led := map[ensemble.Implementation]bool{} // by whom a mixed ensemble was led while writes went on
	r.leads()
	writing := startWriters(r, 3)
	fault := 0
	for _, implementation := range []ensemble.Implementation{ensemble.Node, ensemble.Apache} {
		leader := r.leads()
		for _, id := range append(r.others(leader), leader) {
			fault++
			away := history.Fault{ID: fault, Kind: end, Members: []int{id}}
			require.ErrorContains(t, r.Replace(id, implementation), "runs")
			r.inject(away)
			require.NoError(t, r.Replace(id, implementation))
			runs[id] = implementation
			r.heal(away)
			leads := r.leads()
			acknowledged := writing.count()
			require.Eventually(t, func() bool { return writing.count() > acknowledged+20 }, patience, 10*time.Millisecond)
			if id != leader {
				led[runs[leads]] = true
			}
			t.Logf("member %d runs %s; member %d leads, which runs %s", id, implementation, leads, runs[leads])
		}
	}
	require.Len(t, led, 2, "each implementation leads the other")
	acknowledged := writing.end()
	r.leads()
	for id := 1; id <= r.Size(); id++ {
		conn := r.client(id)
		_, err := conn.Sync("/load")
		require.NoError(t, err)
		for path, value := range acknowledged {
			data, _, err := conn.Get(path)
			require.NoError(t, err, "%s on member %d", path, id)
			require.Equal(t, value, string(data))
		}
		conn.Close()
	}
	require.NoError(t, r.Stop(t.Context()))
	require.Empty(t, r.crashes())
	r.holdOnDisk(acknowledged)
	t.Logf("%d writes were acknowledged, none is lost", len(acknowledged))
}

// holdOnDisk requires that every write that was acknowledged is on the disks of a majority, and that members whose logs
// are in order hold the same znodes. An Apache server that loses its leader while entries are on their way to its disk
// may leave a log with repetitions or a hole (ZOOKEEPER-4712).
func (r *recorded) holdOnDisk(acknowledged map[string]string) {
	t := r.t
	var digests []int64
	disks := map[string]int{} // by path, how many hold it
	for id := 1; id <= r.Size(); id++ {
		state, err := store.ReadDir(filepath.Join(r.spec.Dir, strconv.Itoa(id), ensemble.DataDirName), "")
		if disorder := (*store.DisorderError)(nil); errors.As(err, &disorder) {
			t.Logf("member %d, which runs Apache: %v", id, disorder)
		} else {
			require.NoError(t, err)
			digests = append(digests, state.Tree.Digest()) // the last zxids may differ by the ends of sessions, which change no znode
		}
		for path, value := range acknowledged {
			if data, _, exists := state.Tree.GetData(path); exists {
				require.Equal(t, value, string(data), "%s on the disk of member %d", path, id)
				disks[path]++
			}
		}
	}
	require.LessOrEqual(t, len(slices.Compact(digests)), 1, "digests of the disks: %v", digests)
	for path := range acknowledged {
		require.Greater(t, 2*disks[path], r.Size(), "%s is on %d disks only", path, disks[path])
	}
}

// writers create znodes, each one after the other, and keep what was acknowledged.
type writers struct {
	running sync.WaitGroup
	mutex   sync.Mutex
	ended   bool
	written map[string]string
}

func startWriters(r *recorded, number int) *writers {
	w := &writers{written: map[string]string{}}
	root := r.client(1, 2, 3)
	require.Eventually(r.t, func() bool {
		_, err := root.Create("/load", nil, 0, zk.WorldACL(zk.PermAll))
		return err == nil || err == zk.ErrNodeExists
	}, patience, 20*time.Millisecond)
	root.Close()
	for number := range number {
		conn := r.client(1, 2, 3)
		w.running.Go(func() {
			defer conn.Close()
			for i := 0; w.write(conn, fmt.Sprintf("/load/%d-%d", number, i)); i++ {
			}
		})
	}
	return w
}

// write tries one write, and tells whether to go on.
func (w *writers) write(conn *zk.Conn, path string) bool {
	value := path + strings.Repeat(" and more", 20)
	_, err := conn.Create(path, []byte(value), 0, zk.WorldACL(zk.PermAll))
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if err == nil {
		w.written[path] = value
	}
	return !w.ended
}

func (w *writers) count() int {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return len(w.written)
}

func (w *writers) end() map[string]string {
	w.mutex.Lock()
	w.ended = true
	w.mutex.Unlock()
	w.running.Wait()
	return w.written
}
