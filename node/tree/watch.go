package tree

import (
	"cmp"
	"slices"

	"ordeal/node/defect"
	"ordeal/node/jute"
)

// Event is a watch that fired, on its way to the connection that asked for it.
type Event struct {
	Watcher int64 // the connection
	Type    jute.EventType
	Path    string
	// ACL is that of the znode whose change is told. A connection that it does not let read must not
	// be told (ZOOKEEPER-4799).
	ACL []jute.ACL
}

// watchMode says how long a watch lasts and what it covers. A connection may have several modes on
// one path, which do not disturb one another (as since 3.9, ZOOKEEPER-4466).
type watchMode uint8

const (
	watchOnce       watchMode = 1 << iota // gone once it has fired
	watchPersistent                       // stays
	watchRecursive                        // stays, and covers everything below the path
	watchAnyMode    = watchOnce | watchPersistent | watchRecursive
)

// watches are a server's two tables: what happens to znodes, and to lists of children.
type watches struct {
	data, child watchTable
}

func newWatches() watches { return watches{data: newWatchTable(), child: newWatchTable()} }

// watchTable keeps the watches on each path in the order in which they were set, so that they fire
// in the same order in every run.
type watchTable struct {
	watchers  map[string][]watch
	paths     map[int64]map[string]bool // by watcher, to remove them with it
	bytes     map[int64]int             // by watcher, what its watches take
	allBytes  int                       // what all take
	recursive int                       // watches of mode watchRecursive
}

// watchOverhead is what a watch takes beside its path, in bytes, about.
const watchOverhead = 128

type watch struct {
	watcher int64
	modes   watchMode
}

func newWatchTable() watchTable {
	return watchTable{watchers: map[string][]watch{}, paths: map[int64]map[string]bool{}, bytes: map[int64]int{}}
}

func (w *watchTable) add(path string, watcher int64, mode watchMode) {
	list := w.watchers[path]
	i := slices.IndexFunc(list, func(other watch) bool { return other.watcher == watcher })
	if i < 0 {
		i = len(list)
		list = append(list, watch{watcher: watcher})
		w.watchers[path] = list
		if w.paths[watcher] == nil {
			w.paths[watcher] = map[string]bool{}
		}
		w.paths[watcher][path] = true
		w.weigh(watcher, len(path)+watchOverhead)
	}
	if mode&^list[i].modes&watchRecursive != 0 {
		w.recursive++
	}
	list[i].modes |= mode
}

// remove takes modes away from one watcher's watch and tells whether it had one of them.
func (w *watchTable) remove(path string, watcher int64, modes watchMode) bool {
	list := w.watchers[path]
	i := slices.IndexFunc(list, func(other watch) bool { return other.watcher == watcher })
	if i < 0 || list[i].modes&modes == 0 {
		return false
	}
	if list[i].modes&modes&watchRecursive != 0 {
		w.recursive--
	}
	list[i].modes &^= modes
	if list[i].modes == 0 {
		w.set(path, slices.Delete(list, i, i+1))
		w.unlist(watcher, path)
	}
	return true
}

func (w *watchTable) set(path string, list []watch) {
	if len(list) == 0 {
		delete(w.watchers, path)
		return
	}
	w.watchers[path] = list
}

// weigh counts so many bytes more.
func (w *watchTable) weigh(watcher int64, bytes int) {
	w.bytes[watcher] += bytes
	w.allBytes += bytes
}

func (w *watchTable) unlist(watcher int64, path string) {
	delete(w.paths[watcher], path)
	w.weigh(watcher, -len(path)-watchOverhead)
	if len(w.paths[watcher]) == 0 {
		delete(w.paths, watcher)
		delete(w.bytes, watcher)
	}
}

func (w *watchTable) has(path string, watcher int64, modes watchMode) bool {
	return slices.ContainsFunc(w.watchers[path], func(other watch) bool {
		return other.watcher == watcher && other.modes&modes != 0
	})
}

func (w *watchTable) removeWatcher(watcher int64) {
	for path := range w.paths[watcher] { // any order: each is removed by itself
		w.remove(path, watcher, watchAnyMode)
	}
}

// fire takes out the watches that last once and returns the watchers to be told: those on the path
// first, in the order in which they came, then recursive ones on its ancestors.
func (w *watchTable) fire(path string, event jute.EventType) []int64 {
	var fired []int64
	// A recursive watch sees each child come and go, and needs no word of the list's change.
	recursiveToo := event != jute.EventNodeChildrenChanged
	if list, found := w.watchers[path]; found {
		kept := list[:0]
		for _, one := range list {
			if recursiveToo || one.modes&^watchRecursive != 0 {
				fired = append(fired, one.watcher)
			}
			one.modes &^= watchOnce
			if one.modes != 0 {
				kept = append(kept, one)
			} else {
				w.unlist(one.watcher, path)
			}
		}
		clear(list[len(kept):])
		w.set(path, kept)
	}
	if !recursiveToo || w.recursive == 0 {
		return fired
	}
	for path != "/" {
		path = Parent(path)
		for _, one := range w.watchers[path] {
			if one.modes&watchRecursive != 0 && !slices.Contains(fired, one.watcher) {
				fired = append(fired, one.watcher)
			}
		}
	}
	return fired
}

func (w *watchTable) count() int {
	count := 0
	for _, list := range w.watchers { // any order: it adds up
		count += len(list)
	}
	return count
}

// The paths of watch tables are the client's: the root is "/".

func (t *Tree) fireCreated(path, parentPath string, n, parent *node) {
	t.notify(t.watches.data.fire(path, jute.EventNodeCreated), jute.EventNodeCreated, path, n.acl)
	t.fireChildren(clientPath(parentPath), parent)
}

func (t *Tree) fireChanged(path string, n *node) {
	t.notify(t.watches.data.fire(path, jute.EventNodeDataChanged), jute.EventNodeDataChanged, path, n.acl)
}

// fireDeleted tells a watcher of both the znode and its children only once.
func (t *Tree) fireDeleted(path, parentPath string, acl []jute.ACL, parent *node) {
	fired := t.watches.data.fire(path, jute.EventNodeDeleted)
	told := make(map[int64]bool, len(fired))
	for _, watcher := range fired {
		told[watcher] = true
	}
	for _, watcher := range t.watches.child.fire(path, jute.EventNodeDeleted) {
		if !told[watcher] {
			fired = append(fired, watcher)
		}
	}
	for _, watcher := range fired {
		t.events = append(t.events, Event{Watcher: watcher, Type: jute.EventNodeDeleted, Path: path, ACL: acl})
	}
	t.fireChildren(clientPath(parentPath), parent)
}

func (t *Tree) fireChildren(path string, n *node) {
	t.notify(t.watches.child.fire(path, jute.EventNodeChildrenChanged), jute.EventNodeChildrenChanged, path, n.acl)
}

func (t *Tree) notify(watchers []int64, event jute.EventType, path string, acl int64) {
	if len(watchers) == 0 {
		return
	}
	list := t.acls.list(acl)
	for _, watcher := range watchers {
		t.events = append(t.events, Event{Watcher: watcher, Type: event, Path: path, ACL: list})
	}
}

// WatchData sets a one-shot watch on a znode, there or not: for getData and exists.
func (t *Tree) WatchData(path string, watcher int64) { t.watches.data.add(path, watcher, watchOnce) }

// WatchChildren sets a one-shot watch on a znode's list of children.
func (t *Tree) WatchChildren(path string, watcher int64) {
	t.watches.child.add(path, watcher, watchOnce)
}

// AddWatch sets a watch that stays, of mode jute.AddWatchPersistent or AddWatchPersistentRecursive.
// Another mode is BadArguments.
func (t *Tree) AddWatch(path string, watcher int64, mode int32) jute.Code {
	switch mode {
	case jute.AddWatchPersistent:
		t.watches.data.add(path, watcher, watchPersistent)
		t.watches.child.add(path, watcher, watchPersistent)
	case jute.AddWatchPersistentRecursive:
		t.watches.data.add(path, watcher, watchRecursive)
	default:
		return jute.BadArguments
	}
	return jute.Ok
}

// SetWatches takes over the watches of a client that comes back from another connection. What the
// client has missed since request.RelativeZxid is returned as events, to be sent before the reply;
// all other watches are set (protocol.md 2.11).
func (t *Tree) SetWatches(watcher int64, request *jute.SetWatches2) []Event {
	t.events = nil
	lost := t.options.Defects.On(defect.LostWatch)
	for _, path := range request.DataWatches {
		n := t.nodes[key(path)]
		switch {
		case lost:
			t.WatchData(path, watcher)
		case n == nil:
			t.missed(watcher, jute.EventNodeDeleted, path, nil)
		case n.stat.Mzxid > request.RelativeZxid:
			t.missed(watcher, jute.EventNodeDataChanged, path, n)
		default:
			t.WatchData(path, watcher)
		}
	}
	for _, path := range request.ExistWatches {
		if n := t.nodes[key(path)]; n != nil && !lost {
			t.missed(watcher, jute.EventNodeCreated, path, n)
		} else {
			t.WatchData(path, watcher)
		}
	}
	for _, path := range request.ChildWatches {
		n := t.nodes[key(path)]
		switch {
		case lost:
			t.WatchChildren(path, watcher)
		case n == nil:
			t.missed(watcher, jute.EventNodeDeleted, path, nil)
		case n.stat.Pzxid > request.RelativeZxid:
			t.missed(watcher, jute.EventNodeChildrenChanged, path, n)
		default:
			t.WatchChildren(path, watcher)
		}
	}
	for _, path := range request.PersistentWatches {
		t.AddWatch(path, watcher, jute.AddWatchPersistent)
	}
	for _, path := range request.PersistentRecursiveWatches {
		t.AddWatch(path, watcher, jute.AddWatchPersistentRecursive)
	}
	events := t.events
	t.events = nil
	return events
}

// missed notes an event that happened while its client was away. The ACL of a znode that is gone is
// not known; the client once could read it.
func (t *Tree) missed(watcher int64, event jute.EventType, path string, n *node) {
	e := Event{Watcher: watcher, Type: event, Path: path}
	if n != nil {
		e.ACL = t.acls.list(n.acl)
	}
	t.events = append(t.events, e)
}

// HasWatch tells whether a connection has a watch of this kind (jute.WatcherData, …) on the path.
func (t *Tree) HasWatch(path string, watcher int64, kind int32) bool {
	data, child := watchKind(kind)
	return t.watches.data.has(path, watcher, data) || t.watches.child.has(path, watcher, child)
}

// RemoveWatch removes a connection's watches of this kind (jute.WatcherData, …) on the path, and
// tells whether there was one.
func (t *Tree) RemoveWatch(path string, watcher int64, kind int32) bool {
	data, child := watchKind(kind)
	fromData := t.watches.data.remove(path, watcher, data)
	fromChild := t.watches.child.remove(path, watcher, child)
	return fromData || fromChild
}

// watchKind returns which modes a kind of watches means in each table.
func watchKind(kind int32) (data, child watchMode) {
	switch kind {
	case jute.WatcherChildren:
		return 0, watchOnce
	case jute.WatcherData:
		return watchOnce, 0
	case jute.WatcherAny:
		return watchAnyMode, watchAnyMode
	case jute.WatcherPersistent:
		return watchPersistent, watchPersistent
	case jute.WatcherPersistentRecursive:
		return watchRecursive, 0
	}
	return 0, 0
}

// RemoveWatcher removes all watches of a connection that has ended.
func (t *Tree) RemoveWatcher(watcher int64) {
	t.watches.data.removeWatcher(watcher)
	t.watches.child.removeWatcher(watcher)
}

// WatchCount is the number of watches in both tables.
func (t *Tree) WatchCount() int { return t.watches.data.count() + t.watches.child.count() }

// WatchBytes is how much memory a connection's watches take, about.
func (t *Tree) WatchBytes(watcher int64) int {
	return t.watches.data.bytes[watcher] + t.watches.child.bytes[watcher]
}

// AllWatchBytes is how much memory all connections' watches take, about.
func (t *Tree) AllWatchBytes() int { return t.watches.data.allBytes + t.watches.child.allBytes }

// PathWatches is a path and the connections that watch it.
type PathWatches struct {
	Path     string
	Watchers []int64
}

// DataWatches lists the watches on znodes, which are those that the four-letter words show, by
// ascending path.
func (t *Tree) DataWatches() []PathWatches {
	list := make([]PathWatches, 0, len(t.watches.data.watchers))
	for path, set := range t.watches.data.watchers { // any order: they are sorted below
		one := PathWatches{Path: path}
		for _, w := range set {
			one.Watchers = append(one.Watchers, w.watcher)
		}
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b PathWatches) int { return cmp.Compare(a.Path, b.Path) })
	return list
}
