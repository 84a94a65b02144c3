package duel

import (
	"fmt"
	"maps"
	"strings"

	"ordeal/node/jute"
)

// firing is an event that a transaction has for those who watch.
type firing struct {
	zxid  int64
	event jute.WatcherEvent
}

// inOrder tells what is wrong with the order in which a connection heard of transactions at one server. The last zxid
// that a reply shows says which transactions had been applied: an event of one of those comes before the reply,
// and an event of a later one after it. So zxids never go back, and a write's is greater than what came before it.
//
// The firings are those below every top-level znode in their order. Each event is taken for the first that it may be: a
// watch that fires once fires then, and one that stays is told of each, unless its client may not read the znode.
func inOrder(connection []segment, writes []bool, firings map[string][]firing) error {
	firings = maps.Clone(firings)
	shown := int64(0)
	for i, one := range connection {
		if one.silent {
			return nil
		}
		zxid := withoutEpoch(one.header.Zxid)
		auth := one.header.Xid == jute.XidAuth // its zxid is 0
		switch {
		case auth:
			zxid = shown
		case zxid < shown:
			return fmt.Errorf("reply %d shows zxid %#x, an earlier one %#x", i, zxid, shown)
		case writes[i] && zxid == shown:
			return fmt.Errorf("reply %d is a write's, and a reply before it showed its zxid %#x", i, zxid)
		}
		for _, event := range one.events {
			within, cause := topOf(event.event.Path), int64(0)
			rest := firings[within]
			for cause == 0 && len(rest) > 0 {
				first := rest[0]
				if first.zxid > shown && first.event.Type == event.event.Type && first.event.Path == event.event.Path {
					cause = first.zxid
				}
				rest = rest[1:]
			}
			firings[within] = rest
			switch {
			case cause == 0:
				return fmt.Errorf("%v came after a reply that showed zxid %#x, and no later transaction fires it", event.event, shown)
			case cause > zxid && !auth:
				return fmt.Errorf("%v of transaction %#x came before a reply that shows zxid %#x only", event.event, cause, zxid)
			}
		}
		shown = zxid
	}
	return nil
}

// topOf is the first name of a path, with the slash before it.
func topOf(path string) string {
	if end := strings.Index(path[min(1, len(path)):], "/"); end >= 0 {
		return path[:end+1]
	}
	return path
}
