package checkers

import "fmt"

// memory counts roughly what a judge keeps, so that a long history ends in an answer and not in a
// full machine.
type memory struct {
	used, limit int64
	exceeded    bool
}

func newMemory(options Options) memory { return memory{limit: options.MemoryBytes} }

// take accounts for more bytes and tells whether they may be kept.
func (m *memory) take(bytes int) bool {
	if m.used+int64(bytes) > m.limit {
		m.exceeded = true
		return false
	}
	m.used += int64(bytes)
	return true
}

func (m *memory) reason(what string) string {
	return fmt.Sprintf("judging %s needs more than the memory budget of %d MiB", what, m.limit>>20)
}

// memberSet is a small set of member numbers.
type memberSet uint64

// membersMax is how many members a memberSet holds; ZooKeeper ensembles are far smaller.
const membersMax = 63

func (s *memberSet) add(member int) {
	if member < 0 || member > membersMax {
		panic(fmt.Sprintf("checkers: member %d, want 0 to %d", member, membersMax))
	}
	*s |= 1 << member
}

func (s memberSet) has(member int) bool { return s&(1<<member) != 0 }
