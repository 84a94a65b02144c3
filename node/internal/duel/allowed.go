//go:build integration

package duel

import (
	"strings"

	"ordeal/node/jute"
)

// What our server answers otherwise than Apache 3.8.0 on purpose. Not asked at all are: check alone, of which
// Apache makes a transaction that nobody can read (ZOOKEEPER-2623); createTTL with the flags of a
// container, which takes Apache down; a reconfig that cannot be read, for which it logs a zxid twice; createSession
// and deleteContainer from a client; null lists in setWatches; getAllChildrenNumber of "", where Apache counts the root twice.
const (
	// existsWithoutRead: exists shows a znode's stat to who may not read it (ZOOKEEPER-2590).
	existsWithoutRead = "ZOOKEEPER-2590"
	// create2InMulti: a create2 in a multi is answered as a create, without a stat (ZOOKEEPER-4026).
	create2InMulti = "ZOOKEEPER-4026"
	// othersWatches: checkWatches finds any connection's watch, not only one's own (ZOOKEEPER-4472).
	othersWatches = "ZOOKEEPER-4472"
	// pathWithoutSlash: checkWatches of what is no path stumbles, if there are recursive watches.
	pathWithoutSlash = "checkWatches of a path without a slash"
	// notUTF8: sync echoes a path, and what is not UTF-8 in it is replaced by Java.
	notUTF8 = "sync of a path that is not UTF-8"
	// eventWithoutRead: setWatches tells of znodes that one may not read (ZOOKEEPER-4799, whose mending left
	// that out).
	eventWithoutRead = "ZOOKEEPER-4799"
)

// allowed names the difference if it is one of those that are meant to be.
func allowed(op jute.OpCode, answers [sides][]string) (name string, ok bool) {
	if (op == jute.OpSetWatches || op == jute.OpSetWatches2) && isPart(answers[ours], answers[apache]) {
		return eventWithoutRead, true
	}
	if len(answers[apache]) != 1 || len(answers[ours]) != 1 {
		return "", false
	}
	if op == jute.OpCheckWatches && strings.Contains(answers[apache][0], "Err:MarshallingError") && strings.Contains(answers[ours][0], "Err:NoWatcher") {
		return pathWithoutSlash, true
	}
	if op == jute.OpSync && strings.Contains(answers[apache][0], "efbfbd") {
		return notUTF8, true
	}
	switch {
	case !strings.Contains(answers[apache][0], "Err:Ok"):
	case op == jute.OpExists && strings.Contains(answers[ours][0], "Err:NoAuth"):
		return existsWithoutRead, true
	case op == jute.OpCheckWatches && strings.Contains(answers[ours][0], "Err:NoWatcher"):
		return othersWatches, true
	}
	return "", false
}

// asCreate is the result of a create2 without what only our server tells.
func asCreate(result jute.MultiResult) jute.MultiResult {
	if body, with := result.Body.(*jute.Create2Response); with {
		return jute.MultiResult{Type: jute.OpCreate, Err: result.Err, Body: &jute.CreateResponse{Path: body.Path}}
	}
	return result
}

// isPart tells whether a list is what is left of another one if some of it is left out.
func isPart(part, of []string) bool {
	for _, word := range of {
		if len(part) > 0 && part[0] == word {
			part = part[1:]
		}
	}
	return len(part) == 0
}
