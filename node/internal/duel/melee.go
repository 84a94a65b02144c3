package duel

import (
	"slices"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
)

// part is what one client asks while others ask as well: nothing but what lies below the znode within, which is
// nobody else's.
type part struct {
	client   *Client
	within   string
	requests []request
}

// meleeChunk is how many requests of a client are sent before some of the next one's.
const meleeChunk = 8

// melee lets clients send at the same time. What each is answered is determined, but for zxids: those that one
// server gives to all writes together have to be those of the other one, and they are translated from
// then on. When a client hears of others is not determined, but how that hangs together with zxids is (see
// inOrder).
func (d *Duel) melee(parts []part) {
	d.t.Helper()
	for from, left := 0, true; left; from += meleeChunk {
		left = false
		for _, p := range parts {
			if from >= len(p.requests) {
				continue
			}
			left = true
			chunk := p.requests[from:min(from+meleeChunk, len(p.requests))]
			for i, wire := range p.client.wires {
				wire.Write(framesOf(chunk, i)...)
			}
		}
	}
	all := make([][sides][]segment, len(parts))
	for j, p := range parts {
		for i := range sides {
			all[j][i] = p.client.hear(i, p.requests)
		}
	}
	d.pair(parts, all)
	if d.t.Failed() {
		return
	}
	ends := d.hearAll()
	for i := range sides {
		d.checkOrder(i, parts, all, ends)
	}
	for j, p := range parts {
		var judged [sides][]segment
		for i := range sides {
			for _, one := range all[j][i] {
				one.events = eventsWithin(p.within, one.events)
				one.header.Zxid = 0 // see pair and checkOrder
				judged[i] = append(judged[i], one)
			}
		}
		p.client.judge(p.requests, judged)
	}
	for _, heardOf := range ends {
		d.compareSubtrees(parts, all, heardOf)
	}
}

// consumesZxid tells whether a request is a write. Those that fail are logged as well.
func consumesZxid(op jute.OpCode) bool {
	switch op {
	case jute.OpCreate, jute.OpCreate2, jute.OpCreateContainer, jute.OpCreateTTL, jute.OpDelete, jute.OpSetData, jute.OpSetACL,
		jute.OpMulti, jute.OpReconfig:
		return true
	}
	return false
}

// pair notes which zxid of our server stands for which of Apache's: those of the same write.
func (d *Duel) pair(parts []part, all [][sides][]segment) {
	d.t.Helper()
	var zxids [sides][]int64
	for j, p := range parts {
		for k, r := range p.requests {
			if k >= len(all[j][apache]) || k >= len(all[j][ours]) || !consumesZxid(r.op) {
				continue
			}
			theirs, mine := withoutEpoch(all[j][apache][k].header.Zxid), withoutEpoch(all[j][ours][k].header.Zxid)
			zxids[apache], zxids[ours] = append(zxids[apache], theirs), append(zxids[ours], mine)
			d.renamed[mine] = theirs
			d.settled = max(d.settled, theirs)
		}
	}
	d.zxid = max(d.zxid, d.settled)
	for i := range sides {
		slices.Sort(zxids[i])
		assert.Equal(d.t, slices.Compact(slices.Clone(zxids[i])), zxids[i], "%s: two writes have one zxid", names[i])
	}
	assert.Equal(d.t, zxids[apache], zxids[ours], "the zxids of all writes together: Apache, ours")
}

// zxidAt is what stands for a zxid of one side: its counter at Apache's server.
func (d *Duel) zxidAt(i int, zxid int64) int64 {
	zxid = withoutEpoch(zxid)
	if theirs, is := d.renamed[zxid]; is && i == ours {
		return theirs
	}
	return zxid
}

// checkOrder looks at the order of what every client heard at one server.
func (d *Duel) checkOrder(i int, parts []part, all [][sides][]segment, ends []lastWords) {
	d.t.Helper()
	firings := map[string][]firing{}
	for j, p := range parts {
		for k, one := range all[j][i] {
			if r := p.requests[k]; consumesZxid(r.op) {
				for _, done := range effectsIn(r, one) {
					for _, event := range done.events() {
						firings[p.within] = append(firings[p.within], firing{withoutEpoch(one.header.Zxid), event})
					}
				}
			}
		}
	}
	for n, heardOf := range ends {
		connection := []segment{heardOf.segments[i]}
		writes := []bool{consumesZxid(heardOf.request.op)}
		for j, p := range parts {
			if p.client == heardOf.client {
				connection = append(slices.Clone(all[j][i]), connection...)
				writes = nil
				for _, r := range p.requests {
					writes = append(writes, consumesZxid(r.op))
				}
				writes = append(writes[:len(all[j][i])], consumesZxid(heardOf.request.op))
			}
		}
		require.NoError(d.t, inOrder(connection, writes, firings), "%s: the order in which client %d hears of what clients did at the same time", names[i], n)
	}
}

// compareSubtrees compares the order of all events that a client heard of each subtree, and what ended them.
func (d *Duel) compareSubtrees(parts []part, all [][sides][]segment, heardOf lastWords) {
	d.t.Helper()
	var events [sides][]heard
	for i := range sides {
		for j, p := range parts {
			if p.client == heardOf.client {
				for _, one := range all[j][i] {
					events[i] = append(events[i], one.events...)
				}
			}
		}
		events[i] = append(events[i], heardOf.segments[i].events...)
		heardOf.segments[i].events = nil
	}
	for _, p := range parts {
		theirs, mine := eventsWithin(p.within, events[apache]), eventsWithin(p.within, events[ours])
		assert.Equal(d.t, theirs, mine, "events of what is below %s: Apache, ours", p.within)
		for i := range sides {
			events[i] = slices.DeleteFunc(events[i], func(h heard) bool { return topOf(h.event.Path) == p.within })
		}
	}
	assert.Equal(d.t, events[apache], events[ours], "events of what nobody did: Apache, ours")
	assert.Equal(d.t, heardOf.answer(apache), heardOf.answer(ours), "the answer after a melee: Apache, ours")
}

func eventsWithin(within string, events []heard) []heard {
	var some []heard
	for _, one := range events {
		if topOf(one.event.Path) == within {
			some = append(some, one)
		}
	}
	return some
}
