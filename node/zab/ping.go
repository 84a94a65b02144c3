package zab

import (
	"fmt"
	"time"

	"ordeal/node/jute"
	"ordeal/node/rare"
)

// pingAll sends PING to every learner that was sent UPTODATE, and drops those that have left a
// proposal unacknowledged for longer than syncLimit. Earlier a learner does not answer.
func (l *Leader) pingAll() {
	for _, h := range l.handlers {
		if h.state != following {
			continue
		}
		if h.unacked != 0 && l.now-h.unackedAt >= l.syncTime() {
			l.drop(h, "proposal %#x is not acknowledged", h.unacked)
			continue
		}
		switch {
		case l.config.Rare.Take(rare.DropLearner):
			l.drop(h, "its queue seems to be full")
		case !l.config.Rare.Take(rare.SkipPing):
			l.ping(h)
		}
	}
}

func (l *Leader) ping(h *learnerHandler) {
	h.pingsSent++
	l.send(h, l.packet(jute.PacketPing, l.broadcast.lastProposed, nil))
	if _, asked := l.syncs.wanted[h.link]; !asked && !h.observer {
		// The first ping since the round of syncs began, if one is under way: the answer counts.
		l.syncs.wanted[h.link] = h.pingsSent
	}
}

// pingAnswer takes a learner's PING with the sessions that it heard of.
func (l *Leader) pingAnswer(h *learnerHandler, packet *jute.QuorumPacket) error {
	var touches jute.PingTouches
	d := jute.NewDecoder(packet.Data)
	touches.Decode(d)
	if err := d.Finish(); err != nil {
		return fmt.Errorf("%v: %w", packet, err)
	}
	h.pingsAnswered++
	if l.phase != broadcasting {
		return nil
	}
	if len(touches) > 0 {
		l.host.Touch(touches)
	}
	l.confirmSyncs()
	return nil
}

// noteProposal remembers when a proposal was sent, if no older one is being watched.
func (h *learnerHandler) noteProposal(zxid int64, now time.Duration) {
	if h.unacked == 0 {
		h.unacked, h.unackedAt = zxid, now
		return
	}
	h.next, h.nextAt = zxid, now
}

// noteAck moves on to the newest proposal that was sent when the acknowledged one was still watched.
func (h *learnerHandler) noteAck(zxid int64) {
	if h.unacked == 0 || zxid < h.unacked {
		return
	}
	h.unacked = 0
	if h.next > zxid {
		h.unacked, h.unackedAt = h.next, h.nextAt
	}
	h.next = 0
}
