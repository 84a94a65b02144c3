// Package ensemble runs the servers under test. Drivers (process, container) stand behind one
// interface: they start members, apply faults and take them back, tell where clients connect, and
// bring home logs and data. The simulator is no driver: its servers have no addresses, and its clients
// no time of their own.
//
// The package knows faults as the history names them. It must not know workloads, checkers, or why a
// fault is applied.
package ensemble

import (
	"context"
	"log/slog"
	"time"

	"ordeal/results/history"
)

// Implementation is what a member runs.
type Implementation string

// The implementations; an image is "image:REF".
const (
	Node   Implementation = "node"   // the server of this project
	Apache Implementation = "apache" // Apache ZooKeeper from the machine's Debian packages
)

// Spec is the ensemble to start.
type Spec struct {
	// Run names this run; everything that a driver leaves on the machine carries it.
	Run string
	// Implementations has one entry for each member, observers last.
	Implementations []Implementation
	Observers       int // how many of the members, the last ones, observe
	TickTime        time.Duration
	InitLimit       int // in ticks
	SyncLimit       int // in ticks
	// Dir is where members keep configuration, data and logs: Dir/<id>/.
	Dir string
	// Binary is the ordeal program that members of implementation Node run.
	Binary string
	// Defect is switched on inside every member of implementation Node; empty for none.
	Defect string
	// HoldUnsynced makes members of implementation Node keep bytes back from the file until they
	// are synced, so that a power loss can lose them.
	HoldUnsynced bool
	// ProfileDir is where members of implementation Node write a profile of their processor time for every
	// two server.ProfileSignals; empty for nowhere.
	ProfileDir string
	// Properties are added to every member's zoo.cfg.
	Properties map[string]string
	// Direct lets members and clients reach each other without anything in between, where speed is
	// measured. Links can't be cut then. Only the process driver knows it.
	Direct bool
	// JavaFlags replace the flags with which java runs Apache ZooKeeper, which are chosen so that it
	// starts fast; nil leaves those. Only the process driver knows it.
	JavaFlags []string
	Log       *slog.Logger
	// Notify is told what happens to members by itself or by faults (started, exited, crashed). It
	// may be called from any goroutine, and must not block.
	Notify func(history.Event)
	// Failed is told what broke that is not under test: the driver's own helpers, or the engine that
	// runs the members. No member is to blame, and the run can't be trusted any more. The same holds as
	// for Notify.
	Failed func(error)
}

// Ensemble is a running ensemble. Its methods may be called from several goroutines.
type Ensemble interface {
	// Driver is "process" or "container".
	Driver() string
	// Size is the number of members; they are numbered from 1.
	Size() int
	// ClientAddress is where clients of this member connect: "host:port". Client cuts apply there.
	ClientAddress(member int) string
	// ProbeAddress is where the harness asks a member for its state. Client cuts do not apply.
	ProbeAddress(member int) string
	// Refuses says for each kind of fault that this ensemble cannot give, why.
	Refuses() map[history.FaultKind]string
	// Spares says for kinds of faults that it can give which members they can't be given to, and why.
	Spares() map[history.FaultKind]Spared
	// Inject applies a fault and returns when it is on. When it fails it has taken back what was done;
	// what it could not take back stays on until Heal does.
	Inject(ctx context.Context, fault history.Fault) error
	// Heal takes a fault back and returns when it is off: links pass, processes were started. A
	// member that was started need not serve yet. A fault that is not on is off already, which is no
	// error: who does not know how far a failed injection came can heal. When it fails, it can be
	// tried again.
	Heal(ctx context.Context, fault history.Fault) error
	// LinksPass proves that every link between running members carries traffic again. Whether clients
	// get through is seen at their addresses.
	LinksPass(ctx context.Context) error
	// Stop ends all members in order, so that their data directories are at rest.
	Stop(ctx context.Context) error
	// Collect brings logs and data directories into dir/<id>/.
	Collect(ctx context.Context, dir string) error
	// Versions names what ran: implementation versions, image digests.
	Versions() map[string]string
	// Close removes everything that this ensemble made on the machine. It is safe to call twice.
	Close(ctx context.Context) error
}
