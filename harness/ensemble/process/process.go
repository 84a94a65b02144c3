package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"ordeal/harness/ensemble"
	"ordeal/harness/ensemble/mesh"
	"ordeal/results/history"
)

// Ensemble is an ensemble of child processes.
type Ensemble struct {
	spec      ensemble.Spec
	log       *slog.Logger
	addresses addresses
	mesh      *mesh.Mesh
	starter   *starter
	runFile   *runFile
	members   []*member
	waiters   sync.WaitGroup

	mutex    sync.Mutex
	versions map[string]string
	faults   map[int]history.Fault // those that are on, by ID

	closeOnce  sync.Once
	closeError error
}

var _ ensemble.Ensemble = (*Ensemble)(nil)

// Start starts all members and returns when their processes run; they need not serve yet. When it
// fails it leaves nothing behind.
func Start(ctx context.Context, spec ensemble.Spec) (*Ensemble, error) {
	if err := spec.Check(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(spec.Dir)
	if err != nil {
		return nil, fmt.Errorf("directory of the ensemble: %w", err)
	}
	spec.Dir = dir
	e := &Ensemble{spec: spec, log: spec.Log, versions: map[string]string{}, faults: map[int]history.Fault{}}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if err := e.plan(); err != nil {
		return nil, err
	}
	size := len(spec.Implementations)
	if e.addresses, e.mesh, err = take(size, e.log); err != nil {
		return nil, err
	}
	e.starter = newStarter()
	if err := e.launch(ctx); err != nil {
		return nil, errors.Join(err, e.Close(context.WithoutCancel(ctx)))
	}
	return e, nil
}

// plan finds the program of every member.
func (e *Ensemble) plan() error {
	for i, implementation := range e.spec.Implementations {
		m := &member{id: i + 1, dir: filepath.Join(e.spec.Dir, strconv.Itoa(i+1)), ensemble: e, down: map[int]bool{}}
		if err := m.runs(implementation); err != nil {
			return err
		}
		e.members = append(e.members, m)
	}
	return nil
}

// Replace lets a member run another implementation from its next start on, over the same data. The member must
// not run.
func (e *Ensemble) Replace(id int, implementation ensemble.Implementation) error {
	members, err := e.find(history.Fault{Members: []int{id}})
	if err != nil {
		return err
	}
	return members[0].runs(implementation)
}

func (e *Ensemble) launch(ctx context.Context) error {
	var err error
	if e.runFile, err = newRunFile(e.spec.Run); err != nil {
		return err
	}
	for _, m := range e.members {
		err := ensemble.WriteMember(m.dir, e.spec, ensemble.MemberConfig{
			ID:         m.id,
			Servers:    e.servers(m.id),
			DataDir:    filepath.Join(m.dir, ensemble.DataDirName),
			ClientHost: e.addresses.host(m.id, m.id),
			ClientPort: e.addresses.client,
		})
		if err != nil {
			return err
		}
	}
	for _, m := range e.members {
		if err := m.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// servers are the members as one of them reaches them.
func (e *Ensemble) servers(self int) []ensemble.Server {
	servers := e.addresses.servers(self, len(e.members), e.spec.Observers)
	if e.spec.Direct {
		for i := range servers {
			servers[i].Host = e.addresses.host(servers[i].ID, servers[i].ID)
		}
	}
	return servers
}

func (e *Ensemble) notify(event history.Event) {
	if e.spec.Notify != nil {
		e.spec.Notify(event)
	}
}

// Driver is "process".
func (e *Ensemble) Driver() string { return "process" }

// Size is the number of members.
func (e *Ensemble) Size() int { return len(e.members) }

// ClientAddress is the proxy in front of a member, or the member itself where nothing is in between.
func (e *Ensemble) ClientAddress(member int) string {
	if e.spec.Direct {
		return e.addresses.clientDirect(member)
	}
	return e.addresses.clientProxy(member)
}

// Pid is the member's process, if it runs.
func (e *Ensemble) Pid(member int) (pid int, running bool) {
	m := e.members[member-1]
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if !m.child.running() {
		return 0, false
	}
	return m.child.command.Process.Pid, true
}

// ProbeAddress is the member's own client port.
func (e *Ensemble) ProbeAddress(member int) string { return e.addresses.clientDirect(member) }

// Versions names the implementations that run.
func (e *Ensemble) Versions() map[string]string {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return maps.Clone(e.versions)
}

// LinksPass proves that every link between running members carries traffic: no cut is on it, and on
// each port probes go to and fro through the proxy that members' connections use and through the gates
// of both directions, answered by the mesh in the place of the member called, which is not disturbed.
// What this leaves out, that the member itself listens, is seen by asking it for its state.
func (e *Ensemble) LinksPass(ctx context.Context) error {
	var links []history.Link
	for _, link := range e.mesh.Links() {
		if e.members[link.From-1].isRunning() && e.members[link.To-1].isRunning() {
			links = append(links, link)
		}
	}
	return e.mesh.Pass(ctx, links)
}

// Stop ends all members by SIGTERM, the paused ones too.
func (e *Ensemble) Stop(ctx context.Context) error { return stop(ctx, e.members) }

// Collect brings every member's directory to dir/<id>. If the ensemble keeps them there anyway,
// nothing is done. Directories of members at rest are moved where that is possible.
func (e *Ensemble) Collect(ctx context.Context, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("collect members: %w", err)
	}
	if dir == e.spec.Dir {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("collect members: %w", err)
	}
	for _, m := range e.members {
		if err := ctx.Err(); err != nil {
			return err
		}
		target := filepath.Join(dir, strconv.Itoa(m.id))
		if !m.isRunning() && os.Rename(m.dir, target) == nil {
			m.dir = target
			continue
		}
		if err := os.CopyFS(target, os.DirFS(m.dir)); err != nil {
			return fmt.Errorf("collect member %d: %w", m.id, err)
		}
	}
	return nil
}

// Close kills what still runs, and frees addresses and the run file. Directories stay.
func (e *Ensemble) Close(ctx context.Context) error {
	e.closeOnce.Do(func() {
		failures := []error{kill(ctx, e.members)}
		e.waiters.Wait()
		e.starter.close()
		failures = append(failures, e.mesh.Close())
		if e.runFile != nil {
			failures = append(failures, e.runFile.remove())
		}
		e.closeError = errors.Join(failures...)
	})
	return e.closeError
}

// find returns the members of a fault.
func (e *Ensemble) find(fault history.Fault) ([]*member, error) {
	var members []*member
	for _, id := range fault.Members {
		if id < 1 || id > len(e.members) {
			return nil, fmt.Errorf("no member %d: members are 1 to %d", id, len(e.members))
		}
		members = append(members, e.members[id-1])
	}
	return members, nil
}
