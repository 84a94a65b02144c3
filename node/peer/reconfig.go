package peer

import (
	"ordeal/node/election"
	"ordeal/node/quorum"
	"ordeal/node/tree"
	"ordeal/node/zab"
)

// Membership is who belongs to the ensemble, as this server knows it.
type Membership struct {
	Present *quorum.Config
	// Next is a later membership that was proposed and may take the place of the present one, or nil.
	Next *quorum.Config
}

// recoverMemberships takes what the configuration says, and what the log says beyond that: a server that
// has acknowledged a reconfiguration may not forget it, even if its files do.
func (p *Peer) recoverMemberships() {
	p.membership, p.lastSeen = p.config.Membership, p.config.Membership
	if !p.config.Reconfig {
		return
	}
	defer func() { p.election.SetMembership(p.membership, p.lastSeen) }()
	if p.membership.Precedes(p.config.LastSeen) {
		p.lastSeen = p.config.LastSeen
	}
	if p.membership.Version == 0 {
		return // a static file, perhaps written by hand after all else was lost
	}
	text, _, _ := p.tree.GetData(tree.ConfigPath)
	if logged, err := quorum.Parse(string(text)); err == nil && p.lastSeen.Precedes(logged) && len(logged.Servers) > 0 {
		p.lastSeen = logged
	}
}

// seeMembership notes a membership that may be about to replace the present one.
func (p *Peer) seeMembership(next *quorum.Config) {
	if p.config.Reconfig && next.Version != p.lastSeen.Version {
		p.lastSeen = next
		p.membershipChanged()
	}
}

func (p *Peer) membershipChanged() {
	membership := Membership{Present: p.membership}
	if p.membership.Precedes(p.lastSeen) {
		membership.Next = p.lastSeen
	}
	p.ready.Membership = &membership
	p.election.SetMembership(membership.Present, membership.Next)
}

// activate makes a membership the present one. It answers whether this server has another role or
// another leader by it; if the leader is named the server goes there without an election. Clients see the
// membership with its transaction, which tells those that watch it, or when this server begins to serve.
func (p *Peer) activate(membership *quorum.Config, leader int64) (changed bool) {
	if !p.config.Reconfig {
		return false
	}
	before := p.membership
	if before.Precedes(membership) {
		p.membership = membership
		if p.lastSeen.Precedes(membership) {
			p.lastSeen = membership
		}
		p.membershipChanged()
		p.log.Info("the membership has changed", "version", membership.Version, "voters", membership.Voters(), "observers", membership.Observers())
	}
	if !before.Precedes(membership) || before.SameMembers(membership) {
		return false
	}
	changed = p.observes(before) != p.observes(membership)
	if leader == zab.NoLeader {
		then, voted := before.Server(p.leaderID)
		now, votes := membership.Server(p.leaderID)
		stays := voted && votes && now.Role == quorum.Participant && then.QuorumAddress() == now.QuorumAddress()
		return changed || !stays
	}
	changed = changed || leader != p.leaderID
	if changed {
		p.successor = leader
	}
	return changed
}

// observes tells whether a membership says that this server observes.
func (p *Peer) observes(membership *quorum.Config) bool {
	self, found := membership.Server(p.config.MyID)
	return found && self.Role == quorum.Observer
}

// learnMembership takes a later membership out of a notification while this server looks for a leader: those who
// know it will not follow anybody else. It answers whether the election begins anew with it.
func (p *Peer) learnMembership(message election.Notification) bool {
	if p.role != looking || !p.config.Reconfig || message.Config == "" {
		return false
	}
	membership, err := quorum.Parse(message.Config)
	if err != nil || !p.membership.Precedes(membership) {
		return false
	}
	before := p.membership
	p.activate(membership, zab.NoLeader)
	if before.SameMembers(membership) {
		return false
	}
	p.stopServer() // which may serve readers, with the old membership
	p.look()
	return true
}
