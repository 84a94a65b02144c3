package duel

import (
	"fmt"
	"maps"
	"slices"
)

// clockBook is when the transactions of one server were, as far as stats have shown. Times of two servers cannot
// be compared, but how they hang together can: a transaction has one time, wherever it is shown, and
// a newer transaction is not earlier.
type clockBook struct {
	at map[int64]int64 // milliseconds, by zxid
	// newest is the newest transaction that is known, and latest its time.
	newest, latest int64
}

func newClockBook() clockBook { return clockBook{at: map[int64]int64{}} }

// note takes a transaction and its time from a stat. Zxids that are none are passed over.
func (b *clockBook) note(zxid, time int64) error {
	if zxid <= 0 {
		return nil
	}
	if known, is := b.at[zxid]; is && known != time {
		return fmt.Errorf("transaction %#x was at %d before, and is at %d now", zxid, known, time)
	}
	b.at[zxid] = time
	if zxid <= b.newest {
		return nil
	}
	if time < b.latest {
		return fmt.Errorf("transaction %#x is at %d, but the older one %#x was at %d", zxid, time, b.newest, b.latest)
	}
	b.newest, b.latest = zxid, time
	return nil
}

// inOrder looks at all transactions at once: note compares with the newest of them only.
func (b *clockBook) inOrder() error {
	before := int64(0)
	for _, zxid := range slices.Sorted(maps.Keys(b.at)) {
		if b.at[zxid] < b.at[before] {
			return fmt.Errorf("transaction %#x is at %d, but the older one %#x was at %d", zxid, b.at[zxid], before, b.at[before])
		}
		before = zxid
	}
	return nil
}
