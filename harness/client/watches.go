package client

import (
	"fmt"
	"maps"
	"slices"

	"ordeal/node/jute"
	"ordeal/results/history"
)

// setWatchesBytesMax bounds the paths in one setWatches request, as in Apache's ClientCnxn.
const setWatchesBytesMax = 128 << 10

// watchTable remembers the one-shot watches that members hold for this session, so that they can be
// left again on the next connection.
type watchTable struct {
	data, exist, child map[string]struct{}
	// replays counts setWatches requests in flight. Meanwhile a member may tell twice that a znode
	// was deleted, once for its data watch and once for its child watch; deleted has the paths of
	// which it was told once.
	replays int
	deleted map[string]struct{}
}

func newWatchTable() watchTable {
	return watchTable{
		data: map[string]struct{}{}, exist: map[string]struct{}{}, child: map[string]struct{}{},
		deleted: map[string]struct{}{},
	}
}

// register notes the watch that an answered read has left. An exists that finds nothing leaves one
// too; a failed get or children does not.
func (t *watchTable) register(request history.Request, result history.Result) {
	if !request.Watch {
		return
	}
	switch request.Kind {
	case history.Get, history.SyncGet:
		if result.Outcome == history.OK {
			t.data[request.Path] = struct{}{}
		}
	case history.Exists:
		switch {
		case result.Outcome == history.OK:
			t.data[request.Path] = struct{}{}
		case result.Error == jute.NoNode.String():
			t.exist[request.Path] = struct{}{}
		}
	case history.Children, history.SyncChildren:
		if result.Outcome == history.OK {
			t.child[request.Path] = struct{}{}
		}
	}
}

// fired removes the watches that an event uses up, and says whether there was one.
func (t *watchTable) fired(event jute.WatcherEvent) bool {
	takeFrom := func(tables ...map[string]struct{}) bool {
		found := false
		for _, table := range tables {
			if _, ok := table[event.Path]; ok {
				delete(table, event.Path)
				found = true
			}
		}
		return found
	}
	switch event.Type {
	case jute.EventNodeCreated, jute.EventNodeDataChanged:
		return takeFrom(t.data, t.exist)
	case jute.EventNodeDeleted:
		return takeFrom(t.data, t.exist, t.child)
	case jute.EventNodeChildrenChanged:
		return takeFrom(t.child)
	}
	return false
}

// restored notes the reply to a setWatches.
func (t *watchTable) restored() {
	if t.replays--; t.replays == 0 {
		clear(t.deleted)
	}
}

var watchTypes = map[jute.EventType]string{
	jute.EventNodeCreated:         "created",
	jute.EventNodeDeleted:         "deleted",
	jute.EventNodeDataChanged:     "changed",
	jute.EventNodeChildrenChanged: "children",
}

// watchFired records a watch event. One for which no watch was left is recorded too, with a text that
// says so.
func (s *Session) watchFired(header jute.ReplyHeader, event jute.WatcherEvent) {
	name, known := watchTypes[event.Type]
	if !known {
		s.record(history.Event{Kind: history.Note, Member: s.attempt.Member, Text: fmt.Sprintf("watch event %s on %q", event.Type, event.Path)})
		return
	}
	e := history.Event{Kind: history.WatchFired, Member: s.attempt.Member, Watch: &history.Watch{Type: name, Path: event.Path}}
	if header.Zxid > 0 { // from 3.9 on
		e.Zxid = header.Zxid
	}
	registered := s.watches.fired(event)
	if event.Type == jute.EventNodeDeleted && s.watches.replays > 0 {
		if _, twice := s.watches.deleted[event.Path]; twice && !registered {
			return // the child watch's turn; the first event has used up both
		}
		s.watches.deleted[event.Path] = struct{}{}
	}
	if !registered {
		e.Text = "no watch was left for this event"
	}
	s.record(e)
}

// restoreWatches leaves the session's watches on a new connection, ahead of every other request. What
// has happened since zxidSeen fires at once.
func (s *Session) restoreWatches() {
	clear(s.watches.deleted)
	s.watches.replays = 0
	empty := jute.SetWatches{ // Apache cannot read null vectors here
		RelativeZxid: s.zxidSeen, DataWatches: []string{}, ExistWatches: []string{}, ChildWatches: []string{},
	}
	batch, bytes := empty, 0
	flush := func() {
		if bytes == 0 {
			return
		}
		s.send(jute.RequestHeader{Xid: jute.XidSetWatches, Type: jute.OpSetWatches}, &batch)
		s.inFlight = append(s.inFlight, flight{xid: jute.XidSetWatches})
		s.watches.replays++
		batch, bytes = empty, 0
	}
	add := func(table map[string]struct{}, paths *[]string) {
		for _, path := range slices.Sorted(maps.Keys(table)) {
			*paths = append(*paths, path)
			if bytes += len(path); bytes >= setWatchesBytesMax {
				flush()
			}
		}
	}
	add(s.watches.data, &batch.DataWatches)
	add(s.watches.exist, &batch.ExistWatches)
	add(s.watches.child, &batch.ChildWatches)
	flush()
}
