package peer

import (
	"slices"
	"time"

	"ordeal/node/election"
)

// earlyMax is how old a vote may be that is kept for the next search: whoever still looks has repeated his by then.
const earlyMax = election.NotificationIntervalMin

// earlyVote is what a server that looks for a leader said while this one did not look yet.
type earlyVote struct {
	from    int64
	message election.Notification
	at      time.Duration
}

// keepEarly keeps the newest vote of each member for the search that may be near. All lose their leader at about
// the same time, but each finishes with its disk in its own: who is ready first tells his vote once, and would
// repeat it only after as long as the whole search takes.
func (p *Peer) keepEarly(from int64, message election.Notification) {
	p.early = slices.DeleteFunc(p.early, func(e earlyVote) bool { return e.from == from })
	_, present := p.membership.Server(from)
	_, next := p.lastSeen.Server(from)
	if message.State == election.Looking && (present || next) {
		p.early = append(p.early, earlyVote{from, message, p.now.Elapsed})
	}
}

// hearEarly takes the votes that came early, as if they had been on their way until now.
func (p *Peer) hearEarly() {
	early := p.early
	p.early = nil
	for _, e := range early {
		if p.now.Elapsed-e.at < earlyMax {
			p.hear(e.from, e.message)
		}
	}
}
