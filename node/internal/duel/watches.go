package duel

import (
	"path"
	"slices"

	"ordeal/node/jute"
)

// watchBook is which watches a connection has: for every path the kinds jute.WatcherData, WatcherChildren,
// WatcherPersistent and WatcherPersistentRecursive. It is drawn up from what the client asked and heard.
type watchBook map[string]map[int32]bool

func (b watchBook) add(path string, kind int32) {
	if b[path] == nil {
		b[path] = map[int32]bool{}
	}
	b[path][kind] = true
}

// drop removes watches of a kind, which may be jute.WatcherAny.
func (b watchBook) drop(path string, kind int32) {
	if kind == jute.WatcherAny {
		delete(b, path)
		return
	}
	delete(b[path], kind)
}

// holds tells whether there is a watch of a kind, which may be jute.WatcherAny.
func (b watchBook) holds(path string, kind int32) bool {
	if kind == jute.WatcherAny {
		return len(b[path]) > 0
	}
	return b[path][kind]
}

// covers tells whether there is a watch on a path, or a recursive one above it.
func (b watchBook) covers(of string) bool {
	if len(b[of]) > 0 {
		return true
	}
	for of != "/" {
		of = path.Dir(of)
		if b[of][jute.WatcherPersistentRecursive] {
			return true
		}
	}
	return false
}

// fired removes the watches that fire once and were heard of.
func (b watchBook) fired(answers []heard) {
	for _, one := range answers {
		b.happened(one.event)
	}
}

// happened removes the watches that fire once and that an event fires, whether or not the client may hear of it.
func (b watchBook) happened(event jute.WatcherEvent) {
	switch event.Type {
	case jute.EventNodeCreated, jute.EventNodeDataChanged:
		b.drop(event.Path, jute.WatcherData)
	case jute.EventNodeDeleted:
		b.drop(event.Path, jute.WatcherData)
		b.drop(event.Path, jute.WatcherChildren)
	case jute.EventNodeChildrenChanged:
		b.drop(event.Path, jute.WatcherChildren)
	}
}

// asked notes the watches that a request has set or removed. The request is nil if it could not be read.
func (b watchBook) asked(request jute.Record, answers [sides][]heard) {
	code := last(answers[ours]).header.Err
	if code == jute.Ok {
		code = last(answers[apache]).header.Err
	}
	switch request := request.(type) {
	case *jute.SetWatches:
		b.taken(&jute.SetWatches2{DataWatches: request.DataWatches, ExistWatches: request.ExistWatches, ChildWatches: request.ChildWatches}, answers[apache])
		return
	case *jute.SetWatches2:
		b.taken(request, answers[apache])
		return
	}
	b.fired(answers[apache])
	switch request := request.(type) {
	case *jute.ExistsRequest:
		if request.Watch && (code == jute.Ok || code == jute.NoNode) {
			b.add(request.Path, jute.WatcherData)
		}
	case *jute.GetDataRequest:
		if request.Watch && code == jute.Ok {
			b.add(request.Path, jute.WatcherData)
		}
	case *jute.GetChildrenRequest:
		if request.Watch && code == jute.Ok {
			b.add(request.Path, jute.WatcherChildren)
		}
	case *jute.GetChildren2Request:
		if request.Watch && code == jute.Ok {
			b.add(request.Path, jute.WatcherChildren)
		}
	case *jute.AddWatchRequest:
		kinds := map[int32]int32{jute.AddWatchPersistent: jute.WatcherPersistent, jute.AddWatchPersistentRecursive: jute.WatcherPersistentRecursive}
		if kind, known := kinds[request.Mode]; known && code == jute.Ok {
			b.add(request.Path, kind)
		}
	case *jute.RemoveWatchesRequest:
		if code == jute.Ok {
			b.drop(request.Path, request.Type)
		}
	}
}

// taken notes what a SetWatches2 has set: all that it did not answer with an event at once.
func (b watchBook) taken(request *jute.SetWatches2, answers []heard) {
	if last(answers).header.Err != jute.Ok || last(answers).closed {
		return
	}
	missed := func(path string, types ...jute.EventType) bool {
		return slices.ContainsFunc(answers, func(one heard) bool {
			return one.event.Path == path && slices.Contains(types, one.event.Type)
		})
	}
	for _, path := range request.DataWatches {
		if !missed(path, jute.EventNodeDeleted, jute.EventNodeDataChanged) {
			b.add(path, jute.WatcherData)
		}
	}
	for _, path := range request.ExistWatches {
		if !missed(path, jute.EventNodeCreated) {
			b.add(path, jute.WatcherData)
		}
	}
	for _, path := range request.ChildWatches {
		if !missed(path, jute.EventNodeDeleted, jute.EventNodeChildrenChanged) {
			b.add(path, jute.WatcherChildren)
		}
	}
	for _, path := range request.PersistentWatches {
		b.add(path, jute.WatcherPersistent)
	}
	for _, path := range request.PersistentRecursiveWatches {
		b.add(path, jute.WatcherPersistentRecursive)
	}
}
