package server

import (
	"sync"

	"ordeal/node/disk"
)

// The bounds of what may wait for the disk before clients' writes have to wait.
const (
	backlogBytesMax      = 64 << 20
	backlogOperationsMax = 16 << 10
)

// backlogFull is how many times as much may wait before the core takes no more in from anybody. What makes the disk
// work then comes from other servers mostly, among their pings and acknowledgements, and who does not read those for
// long loses its role. A disk so far behind serves nobody.
const backlogFull = 4

// backlog counts what was queued for the disk and is not done yet. Only operations with a ticket are
// reported, so each ticket stands for all operations since the one before it.
type backlog struct {
	bytesMax int

	lock       sync.Mutex
	unreported share
	tickets    map[disk.Ticket]share
	total      share
}

type share struct{ operations, bytes int }

func (s *share) add(other share) {
	s.operations += other.operations
	s.bytes += other.bytes
}

func (b *backlog) add(operations []disk.Operation) {
	b.lock.Lock()
	defer b.lock.Unlock()
	if b.tickets == nil {
		b.tickets = map[disk.Ticket]share{}
	}
	for _, operation := range operations {
		if operation.Kind == disk.TakeSnapshot {
			continue // goes on beside the others
		}
		one := share{operations: 1, bytes: len(operation.Entry.Payload)}
		b.unreported.add(one)
		b.total.add(one)
		if operation.Ticket != 0 {
			b.tickets[operation.Ticket] = b.unreported
			b.unreported = share{}
		}
	}
}

func (b *backlog) remove(ticket disk.Ticket) {
	b.lock.Lock()
	defer b.lock.Unlock()
	done := b.tickets[ticket]
	delete(b.tickets, ticket)
	b.total.add(share{operations: -done.operations, bytes: -done.bytes})
}

// busy tells that clients' writes have to wait.
func (b *backlog) busy() bool { return b.exceeds(1) }

// full tells that everybody has to wait.
func (b *backlog) full() bool { return b.exceeds(backlogFull) }

func (b *backlog) exceeds(times int) bool {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.total.bytes > times*b.bytesMax || b.total.operations > times*backlogOperationsMax
}
