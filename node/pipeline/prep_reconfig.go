package pipeline

import (
	"errors"

	"ordeal/node/jute"
	"ordeal/node/quorum"
	"ordeal/node/tree"
)

// reconfig replaces the membership of the ensemble (protocol.md 5.6): as a whole, or by telling who joins
// and who leaves. The checks come in the order in which Apache's PrepRequestProcessor makes them.
func (p *prepRequestProcessor) reconfig(r *request, request *jute.ReconfigRequest) (jute.Txn, jute.Code) {
	config := &p.server.config
	if !config.Reconfig {
		return nil, jute.ReconfigDisabled
	}
	if code := p.checkSession(r); code != jute.Ok {
		return nil, code
	}
	if config.Role != Leader {
		return nil, jute.Unimplemented
	}
	present, lastSeen := p.server.outputs.Leading.Memberships()
	switch {
	case present.Version != lastSeen.Version:
		return nil, jute.ReconfigInProgress
	case request.CurConfigID != -1 && request.CurConfigID != lastSeen.Version:
		return nil, jute.BadVersion
	}
	next, err := nextMembership(lastSeen, request, r.header.Zxid)
	if err != nil {
		config.Log.Warn("a reconfiguration is refused", "session", hex(r.session), "error", err)
		if errors.Is(err, quorum.ErrNotANumber) {
			return nil, jute.MarshallingError
		}
		return nil, jute.BadArguments
	}
	votersMin := 1
	if config.StandaloneEnabled {
		votersMin = 2
	}
	if len(next.Voters()) < votersMin {
		return nil, jute.BadArguments
	}
	if !p.server.outputs.Leading.QuorumSynced(next) {
		return nil, jute.NewConfigNoQuorum
	}
	node, ok := p.changes.lookup(tree.ConfigPath)
	switch {
	case !ok:
		return nil, jute.NoNode
	case !p.server.mayDo(jute.PermWrite, node.acl, r.authinfo):
		return nil, jute.NoAuth
	}
	r.membership = next
	node.data = []byte(next.String())
	node.stat.Version = -1
	node.stat.Mzxid, node.stat.Mtime = r.header.Zxid, r.header.Time
	p.changes.put(node, r.header.Zxid)
	return &jute.SetDataTxn{Path: tree.ConfigPath, Data: node.data, Version: -1}, jute.Ok
}

// nextMembership reads what a client wants the membership to become.
func nextMembership(present *quorum.Config, request *jute.ReconfigRequest, version int64) (*quorum.Config, error) {
	if request.NewMembers != "" {
		return quorum.Replace(request.NewMembers, version)
	}
	return present.Change(request.JoiningServers, request.LeavingServers, version)
}
