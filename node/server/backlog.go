package server

import (
	"sync"

	"ordeal/node/disk"
)

// The bounds of what may wait for the disk before the core takes no more in.
const (
	backlogBytesMax      = 64 << 20
	backlogOperationsMax = 16 << 10
)

// backlog counts what was queued for the disk and is not done yet. Only operations with a ticket are
// reported, so each ticket stands for all operations since the one before it.
type backlog struct {
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

func (b *backlog) busy() bool {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.total.bytes > backlogBytesMax || b.total.operations > backlogOperationsMax
}
