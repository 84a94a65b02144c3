package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"ordeal/node/server"
)

// profileTimeout bounds the wait for a member's profile after the load.
const profileTimeout = 10 * time.Second

// profiled runs a load while the members record where their processor time goes. Each one's profile gets the
// name of the load, the round and the member's role.
func (o *Options) profiled(ctx context.Context, s *servers, l load, round int) (Measured, error) {
	leader, err := s.leader(ctx)
	if err != nil {
		return Measured{}, err
	}
	if err := s.signal(server.ProfileSignal); err != nil {
		return Measured{}, err
	}
	m, err := l.run(ctx, s, o.Duration)
	if err != nil {
		return m, err
	}
	if err := s.signal(server.ProfileSignal); err != nil {
		return m, err
	}
	for id := 1; id <= s.Size(); id++ {
		role := "follower"
		if id == leader {
			role = "leader"
		}
		name := fmt.Sprintf("%s-round-%d-member-%d-%s.pprof", l.short, round+1, id, role)
		if err := moveOnceThere(ctx, server.ProfileName(o.ProfileDir, int64(id)), filepath.Join(o.ProfileDir, name)); err != nil {
			return m, fmt.Errorf("bench: profile of member %d: %w", id, err)
		}
	}
	return m, nil
}

// signal sends all members a signal.
func (s *servers) signal(signal syscall.Signal) error {
	for id := 1; id <= s.Size(); id++ {
		pid, running := s.Pid(id)
		if !running {
			return fmt.Errorf("bench: member %d is not running", id)
		}
		if err := syscall.Kill(pid, signal); err != nil {
			return fmt.Errorf("bench: signal %v to member %d: %w", signal, id, err)
		}
	}
	return nil
}

// moveOnceThere renames a file as soon as it exists.
func moveOnceThere(ctx context.Context, from, to string) error {
	ctx, cancel := context.WithTimeout(ctx, profileTimeout)
	defer cancel()
	for {
		err := os.Rename(from, to)
		if !os.IsNotExist(err) || !pause(ctx, tryPause) {
			return err
		}
	}
}

// printProfiles says how to read the profiles.
func (r *Result) printProfiles(out io.Writer) error {
	dir := r.Options.ProfileDir
	if dir == "" {
		return nil
	}
	_, err := fmt.Fprintf(out, "\nProfiles of our node's members, one for each load, round and member, are in %s; read them, several at once if you like, by: go tool pprof -top %s %s\n",
		dir, r.Options.Binary, filepath.Join(dir, "*-leader.pprof"))
	return err
}
