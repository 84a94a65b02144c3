package checkers

import (
	"cmp"
	"hash/maphash"
	"strings"
)

// prints seeds the fingerprints by which states are compared. It must be one for a whole search.
var prints = maphash.MakeSeed()

// versioned is a map that never changes: with returns a new one that shares all but a few entries
// with the old. A search through orders of operations keeps many states at once, and goes back to
// them. It is a treap whose shape depends on its content alone.
type versioned[V comparable] struct {
	root *treap[V]
}

type treap[V comparable] struct {
	key         string
	hash        uint64 // of key; orders the tree and ranks its nodes
	value       V
	print       uint64 // of key and value
	sum         uint64 // of the prints of this node and all below
	count       int    // of this node and all below
	left, right *treap[V]
}

func (m versioned[V]) get(key string) (V, bool) {
	hash := maphash.String(prints, key)
	for n := m.root; n != nil; {
		switch c := n.compare(hash, key); {
		case c < 0:
			n = n.left
		case c > 0:
			n = n.right
		default:
			return n.value, true
		}
	}
	var none V
	return none, false
}

// with returns the map in which key has this value.
func (m versioned[V]) with(key string, value V) versioned[V] {
	if present, known := m.get(key); known && present == value {
		return m
	}
	n := &treap[V]{key: key, hash: maphash.String(prints, key), value: value}
	n.print = maphash.Comparable(prints, entryPrint[V]{key, value})
	return versioned[V]{m.root.put(n)}
}

// each calls visit for every entry, in no order that means anything.
func (m versioned[V]) each(visit func(key string, value V)) { m.root.each(visit) }

// print is a fingerprint of the content. That two contents have the same one by chance is expected
// once in 2^64 comparisons.
func (m versioned[V]) print() uint64 {
	sum, _ := m.root.totals()
	return sum
}

func (m versioned[V]) len() int {
	_, count := m.root.totals()
	return count
}

type entryPrint[V comparable] struct {
	key   string
	value V
}

func (n *treap[V]) compare(hash uint64, key string) int {
	return cmp.Or(cmp.Compare(hash, n.hash), strings.Compare(key, n.key))
}

// rank decides which of two nodes stands above the other.
func (n *treap[V]) rank() uint64 { return n.hash * 0x9e3779b97f4a7c15 }

func (n *treap[V]) totals() (sum uint64, count int) {
	if n == nil {
		return 0, 0
	}
	return n.sum, n.count
}

// between returns a copy of n with these subtrees.
func (n *treap[V]) between(left, right *treap[V]) *treap[V] {
	c := *n
	return c.over(left, right)
}

// over gives n, which nobody else has yet, these subtrees.
func (n *treap[V]) over(left, right *treap[V]) *treap[V] {
	n.left, n.right = left, right
	leftSum, leftCount := left.totals()
	rightSum, rightCount := right.totals()
	n.sum, n.count = n.print+leftSum+rightSum, 1+leftCount+rightCount
	return n
}

// put returns the tree with e in it. E and the root of what is returned are nobody else's.
func (n *treap[V]) put(e *treap[V]) *treap[V] {
	if n == nil {
		return e.over(nil, nil)
	}
	switch c := n.compare(e.hash, e.key); {
	case c == 0:
		return e.over(n.left, n.right)
	case c < 0:
		l := n.left.put(e)
		if l.rank() > n.rank() {
			return l.over(l.left, n.between(l.right, n.right))
		}
		return n.between(l, n.right)
	default:
		r := n.right.put(e)
		if r.rank() > n.rank() {
			return r.over(n.between(n.left, r.left), r.right)
		}
		return n.between(n.left, r)
	}
}

func (n *treap[V]) each(visit func(string, V)) {
	if n != nil {
		n.left.each(visit)
		visit(n.key, n.value)
		n.right.each(visit)
	}
}
