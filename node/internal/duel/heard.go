package duel

import (
	"fmt"
	"slices"
	"strings"

	"ordeal/node/jute"
)

// The two sides, as indices.
const (
	OfApache = iota
	Ours
	sides

	apache = OfApache
	ours   = Ours
)

// names are those of the sides.
var names = [sides]string{"Apache", "ours"}

// heard is one thing that a client heard: a reply, a watch event, or the end of the connection.
type heard struct {
	header jute.ReplyHeader // its zxid without the epoch
	event  jute.WatcherEvent
	body   string
	closed bool // the connection has ended, after this reply if there is one
}

func (h heard) isEvent() bool { return h.header.Xid == jute.XidNotification }

func last(answers []heard) heard { return answers[len(answers)-1] }

// segment is what a client heard at one server because of one of its requests, or before the answer to it: events,
// and the answer, or the end of the connection instead of that.
type segment struct {
	events []heard
	header jute.ReplyHeader
	body   []byte // of the reply
	closed bool   // the connection has ended, after the reply if there is one
	silent bool   // there was no reply
}

// cut reads what comes for requests with these xids that were sent together. Answers have to come in the order of the
// requests, but for those to auth: a server gives them when it reads the packet, while requests before it are
// under way. Where an event stands against such an answer says nothing, so it is put before the next one.
// There are fewer segments than requests if the connection has ended.
func cut(next func() []byte, xids []int32) []segment {
	segments := make([]segment, len(xids))
	answered := make([]bool, len(xids))
	var events []heard
	for i, xid := range xids {
		for !answered[i] {
			frame := next()
			if frame == nil {
				segments[i] = segment{events: events, closed: true, silent: true}
				return segments[:i+1]
			}
			decoder := jute.NewDecoder(frame)
			var header jute.ReplyHeader
			header.Decode(decoder)
			if header.Xid == jute.XidNotification {
				one := heard{header: header}
				one.event.Decode(decoder)
				one.body = fmt.Sprintf("%x", decoder.Rest())
				events = append(events, one)
				continue
			}
			to := i
			if header.Xid == jute.XidAuth && xid != jute.XidAuth {
				to = earlyAuth(xids, answered, i)
			}
			segments[to].header, segments[to].body = header, decoder.Rest()
			answered[to] = true
		}
		if xid != jute.XidAuth || i == len(xids)-1 {
			segments[i].events, events = events, nil
		}
	}
	return segments
}

// earlyAuth is the request that an answer to auth belongs to which came for the request i, or i if there is
// none.
func earlyAuth(xids []int32, answered []bool, i int) int {
	for j := i + 1; j < len(xids); j++ {
		if xids[j] == jute.XidAuth && !answered[j] {
			return j
		}
	}
	return i
}

// alikeButForDeletions tells whether two sides heard the same, but for the order of events from the first on that
// differs: the ephemerals of a session that ends are deleted in the order of a hash table by Apache's server. Those
// events come last, and are of deletions.
func alikeButForDeletions(theirs, mine []heard) bool {
	if len(theirs) != len(mine) {
		return false
	}
	for len(theirs) > 0 && theirs[0] == mine[0] {
		theirs, mine = theirs[1:], mine[1:]
	}
	deletion := func(h heard) bool {
		return h.isEvent() && (h.event.Type == jute.EventNodeDeleted || h.event.Type == jute.EventNodeChildrenChanged)
	}
	for len(theirs) > 0 && !deletion(last(theirs)) && last(theirs) == last(mine) { // the reply behind them
		theirs, mine = theirs[:len(theirs)-1], mine[:len(mine)-1]
	}
	if slices.ContainsFunc(theirs, func(h heard) bool { return !deletion(h) }) {
		return false
	}
	sorted := func(events []heard) []heard {
		return slices.SortedFunc(slices.Values(events), func(a, b heard) int {
			return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
		})
	}
	return slices.Equal(sorted(theirs), sorted(mine))
}
