package zab

import (
	"fmt"
	"slices"
	"sort"

	"ordeal/node/disk"
)

// History is the newest transactions that a server has applied (Apache: committedLog). It has no
// holes. At most limit entries are kept, and at least those are while there are as many.
type History struct {
	entries []disk.Entry
	last    int64
	limit   int
}

// NewHistory returns a history that ends at last. Of entries, oldest first, it takes the longest run
// without a hole that ends at last, and none if there is no such run.
func NewHistory(limit int, entries []disk.Entry, last int64) *History {
	h := &History{limit: max(limit, 1), last: last}
	first := len(entries)
	if first == 0 || entries[first-1].Zxid != last {
		return h
	}
	for first--; first > 0 && Follows(entries[first].Zxid, entries[first-1].Zxid); first-- {
	}
	h.entries = append(h.entries, entries[first:]...)
	h.trim()
	return h
}

// Last is the zxid of the newest transaction, also when no entry is kept.
func (h *History) Last() int64 { return h.last }

// Min is the zxid of the oldest entry, or Last if there is none.
func (h *History) Min() int64 {
	if len(h.entries) == 0 {
		return h.last
	}
	return h.entries[0].Zxid
}

// Len is the number of entries.
func (h *History) Len() int { return len(h.entries) }

// Add puts an entry behind the newest one. It panics if that would leave a hole.
func (h *History) Add(entry disk.Entry) {
	if !Follows(entry.Zxid, h.last) {
		panic(fmt.Sprintf("zab: transaction %#x cannot follow %#x in the history", entry.Zxid, h.last))
	}
	h.entries = append(h.entries, entry)
	h.last = entry.Zxid
	h.trim()
}

// With is the history with entries behind it, which must follow it without a hole. The receiver stays as
// it is.
func (h *History) With(entries []disk.Entry) *History {
	if len(entries) == 0 {
		return h
	}
	return &History{entries: append(slices.Clip(h.entries), entries...), last: entries[len(entries)-1].Zxid, limit: h.limit}
}

// Forget leaves the newest entry out, as if it had never been added: defect.HoleInHistory.
func (h *History) Forget() {
	if len(h.entries) > 0 {
		h.entries = h.entries[:len(h.entries)-1]
	}
}

// Trim keeps no more entries than it must.
func (h *History) Trim() {
	if extra := len(h.entries) - h.limit; extra > 0 {
		h.entries = append([]disk.Entry(nil), h.entries[extra:]...)
	}
}

// trim drops the oldest entries, many at a time so that it costs little.
func (h *History) trim() {
	if len(h.entries) >= 2*h.limit {
		h.Trim()
	}
}

// After returns the entries with a greater zxid, oldest first. The caller must not change them.
func (h *History) After(zxid int64) []disk.Entry {
	first := sort.Search(len(h.entries), func(i int) bool { return h.entries[i].Zxid > zxid })
	return h.entries[first:]
}
