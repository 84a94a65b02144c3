package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/freeport"
)

// TestASignalStopsTheServerInOrder: the role first, which closes the clients' connections, then the rest, and the program
// succeeds.
func TestASignalStopsTheServerInOrder(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			dir, port := t.TempDir(), freeport.Take(t)
			config := filepath.Join(dir, "zoo.cfg")
			text := fmt.Sprintf("tickTime=500\ndataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n", dir, port)
			require.NoError(t, os.WriteFile(config, []byte(text), 0o600))
			program := exec.Command("ordeal", "node", config)
			output, err := program.StderrPipe()
			require.NoError(t, err)
			require.NoError(t, program.Start())
			t.Cleanup(func() { _ = program.Process.Kill() })
			log := bufio.NewScanner(output)
			await := func(message string) {
				t.Helper()
				for log.Scan() {
					if strings.Contains(log.Text(), message) {
						return
					}
				}
				require.Fail(t, "the log ends", "before it says %q", message)
			}

			await("msg=serving")
			client, err := net.DialTimeout("tcp", fmt.Sprint("127.0.0.1:", port), time.Minute)
			require.NoError(t, err)
			defer client.Close()
			require.NoError(t, program.Process.Signal(signal))
			await(`msg="leaving the role" member=0 role=standalone reason="the server stops"`)
			await("msg=stopped")
			require.False(t, log.Scan(), "nothing comes behind it: %s", log.Text())
			_, err = client.Read(make([]byte, 1))
			require.Error(t, err, "the connection is closed")
			require.NoError(t, program.Wait())
		})
	}
}
