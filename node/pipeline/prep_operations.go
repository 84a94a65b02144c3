package pipeline

import (
	"fmt"
	"strings"
	"time"

	"ordeal/node/defect"
	"ordeal/node/jute"
	"ordeal/node/tree"
)

// The operations of the PrepRequestProcessor: for each, what it has to fulfil, in the order in which
// a client learns what is wrong (protocol.md 2.7), and what it changes.

// createMode is what the flags of a create ask for.
type createMode struct {
	ephemeral, sequential, container, ttl bool
}

var createModes = map[int32]createMode{
	jute.FlagPersistent:              {},
	jute.FlagEphemeral:               {ephemeral: true},
	jute.FlagPersistentSequential:    {sequential: true},
	jute.FlagEphemeralSequential:     {ephemeral: true, sequential: true},
	jute.FlagContainer:               {container: true},
	jute.FlagPersistentTTL:           {ttl: true},
	jute.FlagPersistentSequentialTTL: {sequential: true, ttl: true},
}

func (p *prepRequestProcessor) create(r *request, op jute.OpCode, request jute.CreateTTLRequest) (jute.Txn, jute.Code) {
	mode, known := createModes[request.Flags]
	switch {
	case !known:
		return nil, jute.BadArguments
	case mode.ttl && !p.server.config.ExtendedTypes:
		return nil, jute.Unimplemented
	case mode.ttl && (request.TTL < 1 || request.TTL > tree.TTLMax), !mode.ttl && request.TTL >= 0,
		op == jute.OpCreateTTL && !mode.ttl:
		return nil, jute.BadArguments
	}
	code := p.checkSession(r)
	if mode.ephemeral {
		if code = p.server.checkGlobalSession(r.session, r.origin); r.refusedHere != jute.Ok {
			code = r.refusedHere
		}
	}
	if code != jute.Ok {
		return nil, code
	}
	path := request.Path
	parentPath, ok := parentOf(path)
	if !ok {
		return nil, jute.BadArguments
	}
	acl, code := tree.FixupACL(request.ACL, r.authinfo, p.server.config.Authentication.SASLScheme)
	if code != jute.Ok {
		return nil, code
	}
	parent, ok := p.changes.lookup(parentPath)
	switch {
	case !ok:
		return nil, jute.NoNode
	case !p.server.mayDo(jute.PermCreate, parent.acl, r.authinfo):
		return nil, jute.NoAuth
	}
	if mode.sequential {
		path += p.sequenceSuffix(&parent)
	}
	if tree.ValidatePath(path) != nil {
		return nil, jute.BadArguments
	}
	if _, exists := p.changes.lookup(path); exists {
		return nil, jute.NodeExists
	}
	if p.server.tree.IsEphemeral(parent.stat.EphemeralOwner) {
		return nil, jute.NoChildrenForEphemerals
	}
	switch {
	case p.exceedsQuota(path, len(request.Data), 1),
		mode.ephemeral && p.changes.ephemeralsSize(r.session)+pathSize(path) > p.ephemeralsMax:
		return nil, jute.QuotaExceeded
	}

	txn, owner := createTransaction(r.session, op, mode, path, request, acl, parent.stat.Cversion+1)
	zxid := r.header.Zxid
	parent.childCount++
	parent.stat.Cversion++
	parent.stat.Pzxid = zxid
	p.changes.put(parent, zxid)
	p.changes.put(changeRecord{path: path, data: request.Data, acl: acl, stat: jute.StatPersisted{
		Czxid: zxid, Mzxid: zxid, Pzxid: zxid, Ctime: r.header.Time, Mtime: r.header.Time, EphemeralOwner: owner,
	}}, zxid)
	return txn, jute.Ok
}

// inMulti returns what an operation of a multi means: there the flags say what is created, and not the op code (Op
// of Apache's client library, which its server uses too). Flags of a TTL without a TTL cannot be read.
func inMulti(operation jute.MultiOp) (jute.MultiOp, jute.Code) {
	var request jute.CreateRequest
	switch body := operation.Request.(type) {
	case *jute.CreateTTLRequest:
		if createModes[body.Flags].ttl {
			return operation, jute.Ok
		}
		request = jute.CreateRequest{Path: body.Path, Data: body.Data, ACL: body.ACL, Flags: body.Flags}
	case *jute.CreateRequest:
		request = *body
	default:
		return operation, jute.Ok
	}
	op := operation.Type
	switch mode := createModes[request.Flags]; {
	case mode.ttl:
		return operation, jute.MarshallingError
	case mode.container:
		op = jute.OpCreateContainer
	case op != jute.OpCreate2:
		op = jute.OpCreate
	}
	return jute.MultiOp{Type: op, Request: &request}, jute.Ok
}

// createTransaction returns the transaction and the ephemeral owner that the znode will have.
func createTransaction(session int64, op jute.OpCode, mode createMode, path string, request jute.CreateTTLRequest, acl []jute.ACL, parentCVersion int32) (jute.Txn, int64) {
	switch {
	case op == jute.OpCreateContainer:
		return &jute.CreateContainerTxn{Path: path, Data: request.Data, ACL: acl, ParentCVersion: parentCVersion}, tree.ContainerOwner
	case op == jute.OpCreateTTL:
		return &jute.CreateTTLTxn{
			Path: path, Data: request.Data, ACL: acl, ParentCVersion: parentCVersion, TTL: request.TTL,
		}, tree.TTLOwner(request.TTL)
	}
	owner := int64(0)
	if mode.ephemeral {
		owner = session
	}
	return &jute.CreateTxn{
		Path: path, Data: request.Data, ACL: acl, Ephemeral: mode.ephemeral, ParentCVersion: parentCVersion,
	}, owner
}

// sequenceSuffix is the number that a sequential znode's name ends with: how many children its
// parent has ever had.
func (p *prepRequestProcessor) sequenceSuffix(parent *changeRecord) string {
	if p.server.config.Defects.On(defect.DuplicateSequence) {
		return fmt.Sprintf("%010d", parent.childCount)
	}
	return fmt.Sprintf("%010d", parent.stat.Cversion)
}

func (p *prepRequestProcessor) delete(r *request, request *jute.DeleteRequest) (jute.Txn, jute.Code) {
	if code := p.checkSession(r); code != jute.Ok {
		return nil, code
	}
	parentPath, ok := parentOf(request.Path)
	if !ok || tree.IsReserved(request.Path) {
		return nil, jute.BadArguments
	}
	parent, ok := p.changes.lookup(parentPath)
	switch {
	case !ok:
		return nil, jute.NoNode
	case !p.server.mayDo(jute.PermDelete, parent.acl, r.authinfo):
		return nil, jute.NoAuth
	}
	node, ok := p.changes.lookup(request.Path)
	switch {
	case !ok:
		return nil, jute.NoNode
	case request.Version != -1 && request.Version != node.stat.Version:
		return nil, jute.BadVersion
	case node.childCount > 0:
		return nil, jute.NotEmpty
	}
	p.remove(node, r.header.Zxid)
	return &jute.DeleteTxn{Path: request.Path}, jute.Ok
}

// deleteContainer removes a container or TTL node that nobody needs any more. The server itself asks
// for it, so that neither session nor ACL is checked.
func (p *prepRequestProcessor) deleteContainer(r *request, request *jute.DeleteContainerRequest) (jute.Txn, jute.Code) {
	if _, ok := parentOf(request.Path); !ok || tree.IsReserved(request.Path) {
		return nil, jute.BadArguments
	}
	node, ok := p.changes.lookup(request.Path)
	switch {
	case !ok:
		return nil, jute.NoNode
	case node.childCount > 0:
		return nil, jute.NotEmpty
	case !p.server.hasServed(node.stat, r.header.Time):
		return nil, jute.BadVersion // another znode has taken the path, or it has been of use again
	}
	p.remove(node, r.header.Zxid)
	return &jute.DeleteTxn{Path: request.Path}, jute.Ok
}

// remove notes that a znode goes.
func (p *prepRequestProcessor) remove(node changeRecord, zxid int64) {
	parentPath, _ := parentOf(node.path)
	if parent, ok := p.changes.lookup(parentPath); ok {
		parent.childCount--
		parent.stat.Pzxid = zxid
		p.changes.put(parent, zxid)
	}
	p.changes.put(changeRecord{path: node.path, deleted: true}, zxid)
}

func (p *prepRequestProcessor) setData(r *request, request *jute.SetDataRequest) (jute.Txn, jute.Code) {
	node, code := p.target(r, request.Path, jute.PermWrite)
	if code != jute.Ok {
		return nil, code
	}
	switch {
	case p.exceedsQuota(request.Path, len(request.Data)-len(node.data), 0):
		return nil, jute.QuotaExceeded
	case request.Version != -1 && request.Version != node.stat.Version:
		return nil, jute.BadVersion
	}
	node.stat.Version = nextVersion(node.stat.Version)
	node.stat.Mzxid, node.stat.Mtime = r.header.Zxid, r.header.Time
	node.data = request.Data
	p.changes.put(node, r.header.Zxid)
	return &jute.SetDataTxn{Path: request.Path, Data: request.Data, Version: node.stat.Version}, jute.Ok
}

func (p *prepRequestProcessor) setACL(r *request, request *jute.SetACLRequest) (jute.Txn, jute.Code) {
	if code := p.checkSession(r); code != jute.Ok {
		return nil, code
	}
	if tree.ValidatePath(request.Path) != nil {
		return nil, jute.BadArguments
	}
	acl, code := tree.FixupACL(request.ACL, r.authinfo, p.server.config.Authentication.SASLScheme)
	if code != jute.Ok {
		return nil, code
	}
	node, code := p.target(r, request.Path, jute.PermAdmin)
	if code != jute.Ok {
		return nil, code
	}
	if request.Version != -1 && request.Version != node.stat.Aversion {
		return nil, jute.BadVersion
	}
	node.stat.Aversion = nextVersion(node.stat.Aversion)
	node.acl = acl
	p.changes.put(node, r.header.Zxid)
	return &jute.SetACLTxn{Path: request.Path, ACL: acl, Version: node.stat.Aversion}, jute.Ok
}

func (p *prepRequestProcessor) check(r *request, request *jute.CheckVersionRequest) (jute.Txn, jute.Code) {
	node, code := p.target(r, request.Path, jute.PermRead)
	if code != jute.Ok {
		return nil, code
	}
	if request.Version != -1 && request.Version != node.stat.Version {
		return nil, jute.BadVersion
	}
	return &jute.CheckVersionTxn{Path: request.Path, Version: nextVersion(node.stat.Version)}, jute.Ok
}

// target returns the znode that a request is about, if the session may do with it what it asks.
func (p *prepRequestProcessor) target(r *request, path string, perms int32) (changeRecord, jute.Code) {
	if code := p.checkSession(r); code != jute.Ok {
		return changeRecord{}, code
	}
	if tree.ValidatePath(path) != nil {
		return changeRecord{}, jute.BadArguments
	}
	node, ok := p.changes.lookup(path)
	switch {
	case !ok:
		return changeRecord{}, jute.NoNode
	case !p.server.mayDo(perms, node.acl, r.authinfo):
		return changeRecord{}, jute.NoAuth
	}
	return node, jute.Ok
}

func (p *prepRequestProcessor) checkSession(r *request) jute.Code {
	return p.server.checkSession(r.session, r.origin)
}

// nextVersion counts on, past -1, which in a request stands for any version (ZOOKEEPER-4743).
func nextVersion(version int32) int32 {
	if version == -2 {
		return 0
	}
	return version + 1
}

// quotaWarningInterval is how often at most the server says that a soft limit is exceeded.
const quotaWarningInterval = time.Second

// exceedsQuota tells whether a change is refused because of a quota that is enforced. Of one that is only over a soft
// limit the server warns.
func (p *prepRequestProcessor) exceedsQuota(path string, bytes, count int) bool {
	if !p.server.config.EnforceQuota {
		return false
	}
	excess, quota := p.server.tree.CheckQuota(path, int64(bytes), int64(count))
	if now := p.server.now.Elapsed; excess == tree.OverSoftLimit && now >= p.nextQuotaWarning {
		p.nextQuotaWarning = now + quotaWarningInterval
		p.server.config.Log.Warn("a change exceeds the soft limit of a quota", "path", path, "quota", quota)
	}
	return excess == tree.OverHardLimit
}

// parentOf returns the path of a znode's parent. It asks little of the path, since the parent has to
// be found before the path is looked at closely; ok is false if there is no slash in it, or a NUL.
func parentOf(path string) (parent string, ok bool) {
	slash := strings.LastIndexByte(path, '/')
	switch {
	case slash < 0 || strings.IndexByte(path, 0) >= 0:
		return "", false
	case slash == 0:
		return "/", true
	}
	return path[:slash], true
}
