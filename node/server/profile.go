package server

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	ossignal "os/signal"
	"path/filepath"
	"runtime/pprof"
	"syscall"
)

// ProfileSignal begins a profile of the processor time, and ends it the next time, where the property
// ordeal.profile names a directory.
const ProfileSignal = syscall.SIGUSR1

// ProfileName is the file in that directory that a server writes. It gets its name when it is whole, and
// replaces that of the profile before.
func ProfileName(dir string, id int64) string {
	return filepath.Join(dir, fmt.Sprintf("member-%d.pprof", id))
}

// profile writes profiles until ctx is done.
func (s *shell) profile(ctx context.Context, dir string) {
	signals := make(chan os.Signal, 1)
	ossignal.Notify(signals, ProfileSignal)
	defer ossignal.Stop(signals)
	profileOn(ctx, signals, ProfileName(dir, s.config.MyID), s.log)
}

// profileOn writes a profile for every two signals. One that cannot be written is told, and the server goes on.
func profileOn(ctx context.Context, signals <-chan os.Signal, name string, log *slog.Logger) {
	var recorded bytes.Buffer
	running := false
	for {
		select {
		case <-ctx.Done():
			if running {
				pprof.StopCPUProfile()
			}
			return
		case <-signals:
		}
		if running {
			running = false
			pprof.StopCPUProfile()
			if err := writeWhole(name, recorded.Bytes()); err != nil {
				log.Warn("the profile cannot be written", "error", err)
			}
			continue
		}
		recorded.Reset()
		if err := pprof.StartCPUProfile(&recorded); err != nil {
			log.Warn("no profile begins", "error", err)
			continue
		}
		running = true
	}
}

// writeWhole writes a file that nobody sees before it is whole.
func writeWhole(name string, data []byte) error {
	unfinished := name + ".unfinished"
	if err := os.WriteFile(unfinished, data, 0o600); err != nil {
		return err
	}
	return os.Rename(unfinished, name)
}
