package zab

import (
	"fmt"

	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/quorum"
)

// Dynamic reconfiguration (protocol.md 5.6; Apache: Leader.getDesignatedLeader and tryToCommit). A new
// membership is a transaction like any other, but from its proposal on everything needs a quorum of the
// old membership and one of the new. Its commit tells everybody who leads from there on.

// setMemberships tells the present membership and the one that may replace it.
func (l *Leader) setMemberships(present, lastSeen *quorum.Config) {
	l.config.Membership, l.config.LastSeen = present, lastSeen
	if !present.Precedes(lastSeen) {
		l.config.LastSeen = present
	}
	l.verifier = quorum.JointVerifier(present, l.config.LastSeen)
}

// nameMembership gives a version to a membership that comes from a static file, once it is known which
// epoch it begins with. It then counts for more than what other servers may have in their files, those
// that join above all (ZOOKEEPER-1783).
func (l *Leader) nameMembership() {
	if l.config.Reconfig && l.config.LastSeen.Version == 0 {
		named := l.config.Membership.WithVersion(EpochStart(l.epoch))
		l.host.SeeMembership(named)
		l.setMemberships(l.config.Membership, named)
	}
}

// establishing is the membership for NEWLEADER: the one that this leader begins with. Later it is the present
// one, since a learner makes it its own at UPTODATE; one that is only proposed reaches learners as a
// proposal. (Apache's leader sends that one here too.)
func (l *Leader) establishing() *quorum.Config {
	if l.phase == broadcasting {
		return l.config.Membership
	}
	return l.config.LastSeen
}

// Memberships are the present membership and the last one that was proposed, which is the same if
// none is under way.
func (l *Leader) Memberships() (present, lastSeen *quorum.Config) {
	return l.config.Membership, l.config.LastSeen
}

// QuorumSynced tells whether enough servers of a membership follow to make up a quorum of it. One that has just
// become an observer does not count, though it may not have left yet: it would acknowledge nothing.
func (l *Leader) QuorumSynced(membership *quorum.Config) bool {
	l.counted = append(l.counted[:0], l.config.MyID)
	for _, h := range l.handlers {
		server, named := l.config.Membership.Server(h.sid)
		leaves := named && server.Role == quorum.Observer
		if h.state == following && !h.observer && !leaves {
			l.counted.Add(h.sid)
		}
	}
	return membership.Verifier().ContainsQuorum(l.counted)
}

// ProposeReconfig is Propose for a transaction that replaces the membership.
func (l *Leader) ProposeReconfig(entry disk.Entry, next *quorum.Config) { l.propose(entry, next) }

// activate makes a membership the present one, and names its leader.
func (l *Leader) activate(membership *quorum.Config, acks quorum.Set) (leader int64) {
	leader = l.designate(membership, acks)
	l.setMemberships(membership, membership)
	// What was proposed while both counted may wait for servers that do not vote any more, and leave for
	// that very reason. The new membership is enough: it cannot be undone.
	for _, p := range l.broadcast.outstanding {
		p.verifier = l.verifier
	}
	l.deposed = leader != l.config.MyID
	if l.deposed {
		l.config.Log.Info("the new membership has another leader", "leader", leader)
	}
	l.host.Activate(membership, leader)
	return leader
}

// designate chooses the leader of a new membership: this server if it still votes, else one that has
// acknowledged the reconfiguration and as much as possible of what came behind it, so that little is lost.
func (l *Leader) designate(next *quorum.Config, acks quorum.Set) int64 {
	before, _ := l.config.Membership.Server(l.config.MyID)
	self, stays := next.Server(l.config.MyID)
	if stays && self.Role == quorum.Participant && self.QuorumAddress() == before.QuorumAddress() {
		return l.config.MyID
	}
	best := l.config.MyID
	var candidates []int64
	for _, id := range next.Voters() {
		if id != l.config.MyID && acks.Has(id) {
			candidates = append(candidates, id)
		}
	}
	for _, p := range l.broadcast.outstanding {
		if len(candidates) == 0 {
			return best
		}
		best = candidates[0]
		var remaining []int64
		for _, id := range candidates {
			if p.acks.Has(id) {
				remaining = append(remaining, id)
			}
		}
		candidates = remaining
	}
	if len(candidates) > 0 {
		best = candidates[0]
	}
	return best
}

// reconfiguration is a membership that a learner has been proposed.
type reconfiguration struct {
	zxid       int64
	membership *quorum.Config
}

// membershipOf reads the membership out of the transaction that replaces it.
func membershipOf(txn jute.Txn) (*quorum.Config, error) {
	setData, ok := txn.(*jute.SetDataTxn)
	if !ok {
		return nil, fmt.Errorf("a reconfiguration carries %T", txn)
	}
	membership, err := quorum.Parse(string(setData.Data))
	if err != nil {
		return nil, fmt.Errorf("a reconfiguration carries a membership that cannot be read: %w", err)
	}
	return membership, nil
}

// see takes a proposal that replaces the membership. It may come at any time, also while this server
// is being synchronised (ZOOKEEPER-2172).
func (l *Learner) see(entry disk.Entry, membership *quorum.Config) {
	if membership != nil {
		l.reconfigurations = append(l.reconfigurations, reconfiguration{entry.Zxid, membership})
		l.host.SeeMembership(membership)
	}
}

// activate takes the commit of a proposed membership. It answers whether this server has to leave.
func (l *Learner) activate(zxid, leader int64) (changed bool, err error) {
	l.forgetReconfigurations(zxid - 1)
	if len(l.reconfigurations) == 0 || l.reconfigurations[0].zxid != zxid {
		return false, fmt.Errorf("COMMITANDACTIVATE of %#x, which is no reconfiguration that was proposed", zxid)
	}
	membership := l.reconfigurations[0].membership
	l.reconfigurations = l.reconfigurations[1:]
	return l.host.Activate(membership, leader), nil
}

// forgetReconfigurations takes the commit of a transaction: no membership up to it is only proposed any more.
func (l *Learner) forgetReconfigurations(zxid int64) {
	for len(l.reconfigurations) > 0 && l.reconfigurations[0].zxid <= zxid {
		l.reconfigurations = l.reconfigurations[1:]
	}
}

// activateNewLeader makes the membership of NEWLEADER the present one, unless it is one that is still only
// proposed: an Apache leader sends that, and its commit will follow.
func (l *Learner) activateNewLeader() (changed bool) {
	if l.newLeader == nil {
		return false
	}
	for _, pending := range l.reconfigurations {
		if pending.zxid == l.newLeader.Version {
			return false
		}
	}
	return l.host.Activate(l.newLeader, NoLeader)
}

// commitAndActivate takes COMMITANDACTIVATE. Before this server serves commit is receiveCommit.
func (l *Learner) commitAndActivate(packet *jute.QuorumPacket, commit func(zxid int64) error) error {
	var designated jute.CommitAndActivate
	if err := jute.Unmarshal(packet.Data, &designated); err != nil {
		return fmt.Errorf("%v: %w", packet, err)
	}
	changed, err := l.activate(packet.Zxid, designated.DesignatedLeader)
	if err == nil {
		err = commit(packet.Zxid)
	}
	if err == nil && changed {
		l.leaveFor(packet)
	}
	return err
}

// informAndActivate takes INFORMANDACTIVATE; inform is what is done with an INFORM at this time.
func (l *Learner) informAndActivate(packet *jute.QuorumPacket, inform func(*jute.QuorumPacket) error) error {
	var data jute.InformAndActivate
	if err := jute.Unmarshal(packet.Data, &data); err != nil {
		return fmt.Errorf("%v: %w", packet, err)
	}
	plain := &jute.QuorumPacket{Type: jute.PacketInform, Zxid: packet.Zxid, Data: data.Payload}
	_, membership, err := entryOf(plain)
	if err != nil {
		return err
	}
	if membership == nil {
		return fmt.Errorf("%v carries no membership", packet)
	}
	changed := l.host.Activate(membership, data.DesignatedLeader)
	if err := inform(plain); err != nil {
		return err
	}
	if changed {
		l.leaveFor(packet)
	}
	return nil
}

// seeNewLeader takes the membership that NEWLEADER carries: the one that this leader is about to make the
// present one.
func (l *Learner) seeNewLeader(packet *jute.QuorumPacket) {
	membership, err := quorum.Parse(string(packet.Data))
	if err != nil {
		l.config.Log.Warn("NEWLEADER carries no membership", "error", err)
		return
	}
	l.newLeader = membership
	l.host.SeeMembership(membership)
}

// leaveFor ends the bond with this leader because the membership has changed.
func (l *Learner) leaveFor(packet *jute.QuorumPacket) {
	l.giveUp("%v gives this server another role or another leader", packet)
}
