package duel

import (
	"strings"
	"unicode/utf8"

	"ordeal/node/jute"
)

// What our server answers otherwise than Apache 3.8.0 on purpose. Not asked at all are: check alone, of which
// Apache makes a transaction that nobody can read (ZOOKEEPER-2623); createTTL with the flags of a
// container, which takes Apache down; a reconfig that cannot be read, for which it logs a zxid twice; createSession
// and deleteContainer from a client; null lists in setWatches; getAllChildrenNumber of "", where Apache counts the root twice;
// a write to a znode, or below it, while a setACL of that znode is under way, which Apache checks against the old list;
// anything while a multi is under way that has a plain create of a TTL node, whose other changes Apache forgets to take back.
const (
	// existsWithoutRead: exists shows a znode's stat to who may not read it (ZOOKEEPER-2590).
	existsWithoutRead = "ZOOKEEPER-2590"
	// create2InMulti: a create2 in a multi is answered as a create, without a stat (ZOOKEEPER-4026).
	create2InMulti = "ZOOKEEPER-4026"
	// othersWatches: checkWatches finds any connection's watch, not only one's own (ZOOKEEPER-4472).
	// One's own watches that stay count as well, whatever kind was asked for.
	othersWatches = "ZOOKEEPER-4472"
	// pathWithoutSlash: checkWatches of what is no path stumbles, if there are recursive watches.
	pathWithoutSlash = "checkWatches of a path without a slash"
	// notUTF8: sync echoes a path, and what is not UTF-8 in it is replaced by Java.
	notUTF8 = "sync of a path that is not UTF-8"
	// eventWithoutRead: setWatches tells of znodes that one may not read (ZOOKEEPER-4799, whose mending left
	// that out).
	eventWithoutRead = "ZOOKEEPER-4799"
)

// asker is the client whose request was answered differently.
type asker struct {
	// own are its connection's watches, and all are those of every connection to the same
	// member that there is.
	own watchBook
	all []watchBook
	// unreadable tells whether Apache's server itself refuses the client this znode's data now.
	unreadable func(path string) bool
}

// allowed names the difference if it is one of those that are meant to be. The request is nil if it could not be
// read.
func (a asker) allowed(request jute.Record, answers [sides][]heard) (name string, ok bool) {
	switch request := request.(type) {
	case *jute.SetWatches, *jute.SetWatches2:
		return eventWithoutRead, a.onlyUnreadableLeftOut(answers)
	case *jute.ExistsRequest:
		return existsWithoutRead, onlyCodes(answers, jute.Ok, jute.NoAuth) && a.unreadable(request.Path)
	case *jute.CheckWatchesRequest:
		if !strings.HasPrefix(request.Path, "/") {
			return pathWithoutSlash, onlyCodes(answers, jute.MarshallingError, jute.NoWatcher)
		}
		return othersWatches, onlyCodes(answers, jute.Ok, jute.NoWatcher) && !a.own.holds(request.Path, request.Type) && a.anyWatches(request.Path)
	case *jute.SyncRequest:
		return notUTF8, onlyCodes(answers, jute.Ok, jute.Ok) && !utf8.ValidString(request.Path)
	}
	return "", false
}

// onlyCodes tells whether there is one reply from each, and they are alike but for what stands behind the header, and
// for these codes.
func onlyCodes(answers [sides][]heard, theirs, mine jute.Code) bool {
	if len(answers[apache]) != 1 || len(answers[ours]) != 1 {
		return false
	}
	a, o := answers[apache][0], answers[ours][0]
	if a.closed || o.closed || a.header.Err != theirs || o.header.Err != mine {
		return false
	}
	a.header.Err = o.header.Err
	return a.header == o.header
}

// onlyUnreadableLeftOut tells whether our server has only left out events of znodes that the client may not read.
func (a asker) onlyUnreadableLeftOut(answers [sides][]heard) bool {
	rest := answers[ours]
	for _, theirs := range answers[apache] {
		switch {
		case len(rest) > 0 && rest[0] == theirs:
			rest = rest[1:]
		case theirs.header.Xid != jute.XidNotification || !a.unreadable(theirs.event.Path):
			return false
		}
	}
	return len(rest) == 0
}

// anyWatches tells whether any connection has a watch that Apache's server may find for a path.
func (a asker) anyWatches(path string) bool {
	for _, book := range a.all {
		if book.covers(path) {
			return true
		}
	}
	return false
}

// asCreate is the result of a create2 without what only our server tells.
func asCreate(result jute.MultiResult) jute.MultiResult {
	if body, with := result.Body.(*jute.Create2Response); with {
		return jute.MultiResult{Type: jute.OpCreate, Err: result.Err, Body: &jute.CreateResponse{Path: body.Path}}
	}
	return result
}
