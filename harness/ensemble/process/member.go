package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ordeal/harness/ensemble"
	"ordeal/results/history"
)

// A member is one server of the ensemble, running or not.
type member struct {
	id             int
	dir            string
	implementation ensemble.Implementation
	program        string
	arguments      []string
	ensemble       *Ensemble

	mutex sync.Mutex
	child *child       // the last process; nil before the first start
	down  map[int]bool // faults that want this member not to run
}

// A child is one process of a member, from start to exit.
type child struct {
	command *exec.Cmd
	logFrom int64 // where its output begins in the log file
	// asked is set before a signal that ends the process: its exit is then no crash.
	asked  bool
	exited chan struct{} // closed when it is gone and everybody knows
}

func (c *child) running() bool {
	if c == nil {
		return false
	}
	select {
	case <-c.exited:
		return false
	default:
		return true
	}
}

// runs sets what the member runs when it is started.
func (m *member) runs(implementation ensemble.Implementation) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.child.running() {
		return fmt.Errorf("member %d runs: it cannot become another implementation before it has ended", m.id)
	}
	e := m.ensemble
	var version string
	switch implementation {
	case ensemble.Node:
		binary, err := filepath.Abs(e.spec.Binary)
		if err == nil {
			version, err = ensemble.NodeVersion(binary)
		}
		if err != nil {
			return fmt.Errorf("program of member %d: %w", m.id, err)
		}
		m.program, m.arguments = binary, ensemble.NodeArguments(e.spec, filepath.Join(m.dir, ensemble.ZooCfgName))
	case ensemble.Apache:
		apache, err := ensemble.FindApache()
		if err != nil {
			return fmt.Errorf("program of member %d: %w", m.id, err)
		}
		version = apache.String()
		m.program, m.arguments = apache.Java, ensemble.ApacheArguments(e.spec.JavaFlags, apache.ClassPath, m.dir)
	default:
		return fmt.Errorf("member %d: the process driver runs %s and %s, not %q: use the container driver for images",
			m.id, ensemble.Node, ensemble.Apache, implementation)
	}
	m.implementation = implementation
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.versions[string(implementation)] = version
	return nil
}

func (m *member) logPath() string { return filepath.Join(m.dir, ensemble.LogName) }

// start runs the member's program, unless it runs already or a fault wants it down.
func (m *member) start(ctx context.Context) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.child.running() || len(m.down) > 0 {
		return nil
	}
	output, err := os.OpenFile(m.logPath(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("log of member %d: %w", m.id, err)
	}
	defer output.Close() // the child has a descriptor of its own
	info, err := output.Stat()
	if err != nil {
		return fmt.Errorf("log of member %d: %w", m.id, err)
	}
	command := exec.Command(m.program, m.arguments...)
	command.Dir = m.dir
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := m.ensemble.starter.start(command); err != nil {
		return fmt.Errorf("start member %d: %w", m.id, err)
	}
	c := &child{command: command, logFrom: info.Size(), exited: make(chan struct{})}
	m.child = c
	m.ensemble.notify(history.Event{Kind: history.Member, Member: m.id, State: history.Started})
	recordError := m.ensemble.runFile.add(command.Process.Pid)
	if errors.Is(recordError, os.ErrProcessDone) {
		recordError = nil // it ended at once, which wait will tell
	}
	meshError := m.ensemble.mesh.Running(ctx, m.id, true)
	m.ensemble.waiters.Go(func() { m.wait(c) })
	return errors.Join(recordError, meshError)
}

// wait sees a process out.
func (m *member) wait(c *child) {
	exit := c.command.Wait()
	problems := []error{
		m.ensemble.mesh.Running(context.Background(), m.id, false),
		m.ensemble.runFile.drop(c.command.Process.Pid),
	}
	m.mutex.Lock()
	asked := c.asked
	m.mutex.Unlock()

	end := ensemble.End{
		Member: m.id, Implementation: m.implementation, How: describe(exit), Asked: asked, Log: m.logPath(), LogFrom: c.logFrom,
	}
	events, err := end.Events()
	problems = append(problems, err)
	for _, event := range events {
		m.ensemble.notify(event)
	}
	if err := errors.Join(problems...); err != nil {
		m.ensemble.log.Warn("after the end of a member", "member", m.id, "error", err)
	}
	close(c.exited)
}

func describe(exit error) string {
	if exit == nil {
		return "exit status 0"
	}
	return exit.Error()
}

// signal sends a signal to the member's process group. Asked says that the signal ends the process.
func (m *member) signal(signal unix.Signal, asked bool) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if !m.child.running() {
		return fmt.Errorf("member %d is not running", m.id)
	}
	m.child.asked = m.child.asked || asked
	// The process is our child and was not waited for as long as exited is open or its wait is just
	// returning; then the group is gone, which is what the caller wants.
	err := unix.Kill(-m.child.command.Process.Pid, signal)
	if err != nil && !(asked && errors.Is(err, unix.ESRCH)) {
		return fmt.Errorf("%s to member %d: %w", unix.SignalName(signal), m.id, err)
	}
	return nil
}

// ended waits until the member's last process is gone.
func (m *member) ended(ctx context.Context) error {
	m.mutex.Lock()
	c := m.child
	m.mutex.Unlock()
	if c == nil {
		return nil
	}
	select {
	case <-c.exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("member %d does not end: %w", m.id, ctx.Err())
	}
}

func (m *member) isRunning() bool {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.child.running()
}

// hold keeps the member down for a fault, release lets it run as far as this fault is concerned.
func (m *member) hold(fault int) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.down[fault] = true
}

func (m *member) release(fault int) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	delete(m.down, fault)
}

// standsStill waits until every thread of a process that was sent SIGSTOP has stopped.
func (m *member) standsStill(ctx context.Context) error {
	m.mutex.Lock()
	c := m.child
	m.mutex.Unlock()
	for {
		state, _, err := stat(c.command.Process.Pid)
		if err != nil {
			return fmt.Errorf("pause member %d: %w", m.id, err)
		}
		if state == "T" {
			return nil
		}
		select {
		case <-c.exited:
			return fmt.Errorf("member %d ended while it was paused", m.id)
		case <-ctx.Done():
			return fmt.Errorf("member %d does not stand still: %w", m.id, ctx.Err())
		case <-time.After(gonePoll):
		}
	}
}

// stopPatience is how long a member may take to end after SIGTERM.
const stopPatience = 10 * time.Second

// stop ends members in order, all at the same time. A member that takes too long is killed, and the
// error names it.
func stop(ctx context.Context, members []*member) error {
	var failures []error
	for _, m := range members {
		if m.isRunning() {
			failures = append(failures, m.signal(unix.SIGTERM, true))
			// A paused process gets the signal when it goes on.
			failures = append(failures, m.signal(unix.SIGCONT, true))
		}
	}
	patience, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	for _, m := range members {
		if m.ended(patience) == nil {
			continue
		}
		failures = append(failures, fmt.Errorf("member %d did not stop within %v of SIGTERM, and was killed: see %s", m.id, stopPatience, m.logPath()))
		failures = append(failures, kill(ctx, []*member{m}))
	}
	return errors.Join(failures...)
}

// killPatience bounds the wait for a killed process, which is only as long as the kernel needs to take
// its memory back. It does not end with the caller's context: members half dead help nobody.
const killPatience = 10 * time.Second

// kill ends members by SIGKILL, all at the same moment, and waits until they are gone.
func kill(ctx context.Context, members []*member) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killPatience)
	defer cancel()
	var failures []error
	for _, m := range members {
		if m.isRunning() {
			failures = append(failures, m.signal(unix.SIGKILL, true))
		}
	}
	for _, m := range members {
		failures = append(failures, m.ended(ctx))
	}
	return errors.Join(failures...)
}
