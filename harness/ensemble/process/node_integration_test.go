//go:build integration

package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/harness/ensemble"
	"ordeal/results/history"
)

// built is the program that runs our node, built once for all tests.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "ordeal-test-")
	if err != nil {
		return "", err
	}
	cleanups = append(cleanups, func() { os.RemoveAll(dir) })
	binary := filepath.Join(dir, "ordeal")
	build := exec.Command("go", "build", "-o", binary, "ordeal/harness/cmd/ordeal")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, output)
	}
	return binary, nil
})

func buildOrdeal(t *testing.T) string {
	t.Helper()
	binary, err := built()
	require.NoError(t, err)
	return binary
}

// startNodes starts members of our node, which can lose power, and waits until they serve.
func startNodes(t *testing.T, members, observers int) (r *recorded, leader int) {
	t.Helper()
	spec := fakeSpec(t.TempDir(), members)
	spec.Run, spec.Binary, spec.Observers, spec.HoldUnsynced = t.Name(), buildOrdeal(t), observers, true
	begin := time.Now()
	r = startRecorded(t, spec)
	leader = r.leads()
	t.Logf("served after %v", time.Since(begin))
	return r, leader
}

func TestIntegrationNodesUnderFaults(t *testing.T) {
	underFaults(t, func() (*recorded, int) { return startNodes(t, 3, 0) })
}

func TestIntegrationNodesWithAnObserver(t *testing.T) {
	r, _ := startNodes(t, 4, 1)
	require.Equal(t, "observer", r.mode(4))
	conn := r.client(4)
	defer conn.Close()
	r.writes(conn)
}

func TestIntegrationNodesKeepWhatWasAcknowledgedThroughAPowerLoss(t *testing.T) {
	r, _ := startNodes(t, 3, 0)
	conn := r.client(1, 2, 3)
	defer conn.Close()
	for i := range 5 {
		written := r.writes(conn)
		loss := history.Fault{ID: 1 + i, Kind: history.PowerLoss, Members: []int{1, 2, 3}}
		r.inject(loss)
		r.heal(loss)
		r.leads()
		require.Eventually(t, func() bool {
			exists, _, err := conn.Exists(written)
			return err == nil && exists
		}, patience, 20*time.Millisecond, written)
	}
	require.NoError(t, r.Stop(t.Context()))
	require.Empty(t, r.crashes())
}

// TestIntegrationMixedMembers proves that both implementations elect one another through the mesh.
func TestIntegrationMixedMembers(t *testing.T) {
	needApache(t)
	spec := fakeSpec(t.TempDir(), 3)
	spec.Run, spec.Binary = t.Name(), buildOrdeal(t)
	spec.Implementations[1], spec.HoldUnsynced = ensemble.Apache, true
	r := startRecorded(t, spec)
	r.leads()
	conn := r.client(1, 2, 3)
	defer conn.Close()
	r.writes(conn)
	require.NoError(t, r.LinksPass(t.Context()))
	loss := history.Fault{ID: 1, Kind: history.PowerLoss, Members: []int{1, 2}}
	require.ErrorContains(t, r.Inject(t.Context(), loss), "member 2 is spared", "Apache cannot lose what the kernel keeps")
	written := r.writes(conn)
	loss.Members = []int{1, 3}
	r.inject(loss)
	r.heal(loss)
	r.leads()
	require.Eventually(t, func() bool {
		exists, _, err := conn.Exists(written)
		return err == nil && exists
	}, patience, 20*time.Millisecond, written)
}
