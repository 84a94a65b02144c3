package tree

import (
	"slices"
	"sort"
)

// chunkNamesMax bounds one chunk of a names set, and with it what an insertion has to move.
const chunkNamesMax = 512

// names is a sorted set of strings: the children of a znode, the ephemerals of a session. It is one
// slice while it is small. A large one is a list of slices, so that a change in the middle of a
// million moves a few kilobytes and not all.
type names struct {
	chunks [][]string // sorted throughout, none of them empty
	size   int
	bytes  int // of all names
}

// find returns where name is, or where it belongs.
func (n *names) find(name string) (chunk, index int, found bool) {
	if len(n.chunks) == 0 {
		return 0, 0, false
	}
	chunk = sort.Search(len(n.chunks), func(i int) bool { return n.chunks[i][0] > name })
	chunk = max(chunk-1, 0)
	index, found = slices.BinarySearch(n.chunks[chunk], name)
	return chunk, index, found
}

// has tells whether name is in the set. The nil set is empty.
func (n *names) has(name string) bool {
	if n == nil {
		return false
	}
	_, _, found := n.find(name)
	return found
}

// len is the number of names.
func (n *names) len() int {
	if n == nil {
		return 0
	}
	return n.size
}

// add puts name into the set and tells whether it is new there.
func (n *names) add(name string) bool {
	chunk, index, found := n.find(name)
	if found {
		return false
	}
	n.size++
	n.bytes += len(name)
	if len(n.chunks) == 0 {
		n.chunks = [][]string{{name}}
		return true
	}
	full := slices.Insert(n.chunks[chunk], index, name)
	n.chunks[chunk] = full
	if len(full) > chunkNamesMax {
		n.split(chunk)
	}
	return true
}

// split halves a chunk that has grown too large. A chunk that grew at its end, as sequential names
// make it, stays full, so that it needs no room to grow.
func (n *names) split(chunk int) {
	full := n.chunks[chunk]
	middle := len(full) / 2
	if chunk == len(n.chunks)-1 {
		middle = len(full) - 1
	}
	upper := slices.Clone(full[middle:])
	clear(full[middle:])
	n.chunks[chunk] = full[:middle]
	n.chunks = slices.Insert(n.chunks, chunk+1, upper)
}

// remove takes name out of the set and tells whether it was there.
func (n *names) remove(name string) bool {
	chunk, index, found := n.find(name)
	if !found {
		return false
	}
	n.size--
	n.bytes -= len(name)
	n.chunks[chunk] = slices.Delete(n.chunks[chunk], index, index+1)
	if len(n.chunks[chunk]) == 0 {
		n.chunks = slices.Delete(n.chunks, chunk, chunk+1)
	}
	return true
}

// next returns the first name after the given one.
func (n *names) next(after string) (string, bool) {
	if n.len() == 0 {
		return "", false
	}
	chunk, index, found := n.find(after)
	if found {
		index++
	}
	if index == len(n.chunks[chunk]) {
		chunk, index = chunk+1, 0
	}
	if chunk == len(n.chunks) {
		return "", false
	}
	return n.chunks[chunk][index], true
}

// last returns the greatest name, "" if there is none.
func (n *names) last() string {
	if n.len() == 0 {
		return ""
	}
	chunk := n.chunks[len(n.chunks)-1]
	return chunk[len(chunk)-1]
}

// all returns a copy of the names in order; never nil.
func (n *names) all() []string {
	list := make([]string, 0, n.len())
	if n != nil {
		for _, chunk := range n.chunks {
			list = append(list, chunk...)
		}
	}
	return list
}
