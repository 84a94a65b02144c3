package duel

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"ordeal/node/jute"
)

func pick[T any](s *stream, from ...T) T { return from[s.random.IntN(len(from))] }

// plainPath is one of a few, up to three deep, so that requests meet.
func (s *stream) plainPath() string {
	path, deeper := fmt.Sprintf("/%c", 'a'+s.random.IntN(4)), s.random.IntN(3)
	if s.within != "" {
		path, deeper = s.within, 1+s.random.IntN(2)
	}
	for range deeper {
		path += fmt.Sprintf("/%c", 'a'+s.random.IntN(3))
	}
	return path
}

func (s *stream) path() string {
	if s.oneIn(oddPathEvery) {
		if s.within != "" {
			return s.within + pick(s, "/", "//a", "/a/", "/.", "/a/..", "/a\x00", "/\u007f", "/ä", "/a/b/c", "/a/b/c/d", "/a b")
		}
		return pick(s, "a", "/", "//", "/a/", "/a//b", "/.", "/a/..", "/a/./b", "/a\x00", "/\x01", "/\u007f", "/\u009f", "/\ufffd", "/\uf000", "/\ud7ff",
			"/ä", "/a/ä", "/zookeeper", "/zookeeper/x", "/zookeeper/quota", "/a/b/c/d", "/ ", "/a b")
	}
	return s.plainPath()
}

func (s *stream) version() int32 {
	if s.oneIn(30) {
		return pick[int32](s, -2, 1<<31-1, -1<<31)
	}
	return pick[int32](s, -1, -1, 0, 1, 2)
}

func (s *stream) data() []byte {
	switch s.random.IntN(10) {
	case 0:
		return nil
	case 1:
		return []byte{}
	case 2:
		return make([]byte, s.random.IntN(3000))
	}
	return fmt.Appendf(nil, "%d", s.random.IntN(1000))
}

// isPublic tells whether every list that is set for a path lets everybody read.
func isPublic(path string) bool { return strings.HasPrefix(path, "/a") }

// acl is open most of the time: a tree that nobody may change teaches nothing.
func (s *stream) acl(path string) []jute.ACL {
	one := func(perms int32, scheme, id string) jute.ACL {
		return jute.ACL{Perms: perms, Id: jute.Id{Scheme: scheme, ID: id}}
	}
	kind := s.random.IntN(24)
	if isPublic(path) {
		switch kind {
		case 0, 1:
			return []jute.ACL{one(31, "auth", ""), one(1|int32(s.random.IntN(16)), "world", "anyone")}
		case 2:
			return []jute.ACL{one(31, "ip", pick(s, "127.0.0.1", "10.0.0.0/8", "1.2.3")), one(1, "world", "anyone")}
		case 3, 4:
			kind = 24
		}
	}
	switch kind {
	case 0:
		return []jute.ACL{one(31, "auth", ""), one(int32(s.random.IntN(16)), "world", "anyone")}
	case 1:
		return []jute.ACL{one(31, "auth", ""), one(13, "ip", "127.0.0.0/8")}
	case 2:
		return []jute.ACL{one(31, "ip", pick(s, "127.0.0.1", "127.0.0.1/24", "10.0.0.0/8", "1.2.3", "1.2.3.4/33", "::1"))}
	case 3:
		return []jute.ACL{one(31, "world", "anyone"), one(31, "digest", pick(s, "user:x", "u", "u:", ":x", "u:x:y"))}
	case 4:
		return []jute.ACL{one(pick[int32](s, 0, 1, 2, 4, 8, 16, 32, -1), "world", pick(s, "anyone", "anyone", "nobody"))}
	case 5:
		return pick(s, nil, []jute.ACL{}, []jute.ACL{one(31, "sasl", "u")}, []jute.ACL{one(31, "x", "y")}, []jute.ACL{one(31, "super", "")}, append(jute.OpenACL(), jute.OpenACL()...))
	}
	return jute.OpenACL()
}

func (s *stream) create(flags int32) *jute.CreateRequest {
	path := s.path()
	return &jute.CreateRequest{Path: path, Data: s.data(), ACL: s.acl(path), Flags: flags}
}

// quota sets a quota, changes its limits, looks at its stats, or takes it away: in the order of zkCli.sh, so that there
// are no stats without limits. Apache's server lets those grow old.
func (s *stream) quota(c *Client) (requests []request) {
	base := "/zookeeper/quota" + pick(s, "/a", "/b", "/a/b")
	limits, stats := base+"/zookeeper_limits", base+"/zookeeper_stats"
	text := []byte(pick(s, "count=3,bytes=100", "count=-1,bytes=-1=;byteHardLimit=2000;countHardLimit=9", "count=5,bytes=-1",
		"count=-1,bytes=-1=;byteHardLimit=9000;countHardLimit=-1"))
	ask := func(op jute.OpCode, body jute.Record) { requests = append(requests, c.request(op, body)) }
	create := func(path string, data []byte) {
		ask(jute.OpCreate, jute.CreateRequest{Path: path, Data: data, ACL: jute.OpenACL()})
	}
	switch s.random.IntN(5) {
	case 0, 1:
		create(base, nil)
		create(limits, text)
		create(stats, []byte("count=0,bytes=0"))
	case 2:
		ask(jute.OpSetData, jute.SetDataRequest{Path: limits, Data: text, Version: -1})
	case 3:
		ask(jute.OpDelete, jute.DeleteRequest{Path: stats, Version: -1})
		ask(jute.OpDelete, jute.DeleteRequest{Path: limits, Version: -1})
		ask(jute.OpDelete, jute.DeleteRequest{Path: base, Version: -1})
	}
	ask(jute.OpGetData, jute.GetDataRequest{Path: stats})
	return requests
}

// flags are those of a create. A container's are not among them: of a plain create with those Apache's server makes a
// znode that persists, and foretells the digest of one that does not.
func (s *stream) flags() int32 {
	if s.oneIn(40) {
		return pick[int32](s, -2, -1, 5, 6, 7, 8)
	}
	return int32(s.random.IntN(4))
}

// containerPath is where containers are: nothing is created below them, for an empty one that was used would go
// away when each server thinks it is time.
func (s *stream) containerPath() string {
	if s.within != "" {
		return s.plainPath() // nobody makes one there
	}
	return fmt.Sprintf("/container-%d", s.random.IntN(3))
}

// request draws a request of a client whose watches stay, or fire once.
func (s *stream) request(persistent bool) (jute.OpCode, jute.Record) {
	watch := !persistent && s.oneIn(3)
	switch s.random.IntN(30) {
	case 0, 1, 2, 3:
		return jute.OpCreate, s.create(s.flags())
	case 4, 5:
		return jute.OpCreate2, s.create(s.flags())
	case 6:
		if s.within != "" {
			return jute.OpCreate2, s.create(0)
		}
		path := s.containerPath()
		return jute.OpCreateContainer, &jute.CreateRequest{Path: path, Data: s.data(), ACL: s.acl(path), Flags: jute.FlagContainer}
	case 7:
		r := s.create(0)
		ttl := pick[int64](s, 3_600_000, 3_600_000, 0xffffffffff, 0, -1, 0x10000000000)
		return jute.OpCreateTTL, jute.CreateTTLRequest{Path: r.Path, Data: r.Data, ACL: r.ACL, Flags: pick[int32](s, 5, 6), TTL: ttl}
	case 8, 9, 10, 11:
		return jute.OpDelete, jute.DeleteRequest{Path: pick(s, s.path(), s.path(), s.path(), s.containerPath()), Version: s.version()}
	case 12, 13, 14:
		return jute.OpSetData, jute.SetDataRequest{Path: s.path(), Data: s.data(), Version: s.version()}
	case 15:
		path := s.path()
		return jute.OpSetACL, jute.SetACLRequest{Path: path, ACL: s.acl(path), Version: s.version()}
	case 16, 17:
		return jute.OpGetData, jute.GetDataRequest{Path: s.path(), Watch: watch}
	case 18:
		return jute.OpExists, jute.ExistsRequest{Path: s.path(), Watch: watch}
	case 19:
		return jute.OpGetChildren2, jute.GetChildren2Request{Path: s.path(), Watch: watch}
	case 20:
		return jute.OpGetChildren, jute.GetChildrenRequest{Path: s.path(), Watch: watch}
	case 21:
		return jute.OpGetACL, jute.GetACLRequest{Path: s.path()}
	case 22:
		return pick(s, jute.OpSync, jute.OpGetAllChildrenNumber), jute.SyncRequest{Path: s.path()}
	case 23:
		if s.oneIn(2) {
			return jute.OpWhoAmI, nil
		}
		return jute.OpGetEphemerals, jute.GetEphemeralsRequest{PrefixPath: s.path()}
	case 24:
		path := s.path()
		if persistent && !s.oneIn(10) {
			return jute.OpAddWatch, jute.AddWatchRequest{Path: path, Mode: mode(path)}
		}
		return jute.OpAddWatch, jute.AddWatchRequest{Path: path, Mode: pick[int32](s, 2, -1)}
	case 25:
		kind := pick(s, jute.WatcherAny, jute.WatcherChildren, jute.WatcherData, 0)
		if persistent {
			kind = jute.WatcherAny // Apache's other kinds mean one of the two tables, whatever the mode
		}
		return jute.OpRemoveWatches, jute.RemoveWatchesRequest{Path: s.path(), Type: kind}
	case 26:
		return jute.OpCheckWatches, jute.CheckWatchesRequest{Path: s.path(), Type: pick[int32](s, 1, 2, 3, 0, 4)}
	case 27:
		return jute.OpMultiRead, s.multiRead()
	}
	return jute.OpMulti, s.multi()
}

func (s *stream) multi() jute.MultiRequest {
	var request jute.MultiRequest
	for range s.random.IntN(5) {
		var op jute.MultiOp
		kind := s.random.IntN(16)
		if kind == 9 && s.within != "" {
			kind = 15
		}
		switch kind {
		case 0, 1, 2:
			op = jute.MultiOp{Type: jute.OpDelete, Request: &jute.DeleteRequest{Path: s.path(), Version: s.version()}}
		case 3, 4, 5:
			op = jute.MultiOp{Type: jute.OpSetData, Request: &jute.SetDataRequest{Path: s.path(), Data: s.data(), Version: s.version()}}
		case 6, 7:
			op = jute.MultiOp{Type: jute.OpCheck, Request: &jute.CheckVersionRequest{Path: s.path(), Version: s.version()}}
		case 8:
			op = jute.MultiOp{Type: jute.OpCreate2, Request: s.create(s.flags())}
		case 9:
			path := s.containerPath()
			op = jute.MultiOp{Type: jute.OpCreateContainer, Request: &jute.CreateRequest{Path: path, ACL: s.acl(path), Flags: jute.FlagContainer}}
		case 10:
			path := s.path()
			op = jute.MultiOp{Type: jute.OpCreateTTL, Request: &jute.CreateTTLRequest{Path: path, ACL: s.acl(path), Flags: pick[int32](s, 5, 6), TTL: pick[int64](s, 3_600_000, 0)}}
		default:
			op = jute.MultiOp{Type: jute.OpCreate, Request: s.create(s.flags())}
		}
		request.Ops = append(request.Ops, op)
	}
	return request
}

func (s *stream) multiRead() jute.MultiRequest {
	var request jute.MultiRequest
	for range s.random.IntN(4) {
		op := jute.MultiOp{Type: jute.OpGetData, Request: &jute.GetDataRequest{Path: s.path(), Watch: s.oneIn(2)}}
		if s.oneIn(2) {
			op = jute.MultiOp{Type: jute.OpGetChildren, Request: &jute.GetChildrenRequest{Path: s.path(), Watch: s.oneIn(2)}}
		}
		request.Ops = append(request.Ops, op)
	}
	return request
}

// identity is a packet that is accepted.
func (s *stream) identity() jute.AuthPacket {
	return pick(s, jute.AuthPacket{Scheme: "digest", Auth: []byte("user:secret")}, jute.AuthPacket{Scheme: "digest", Auth: []byte("other:word")},
		jute.AuthPacket{Scheme: "ip"})
}

func (s *stream) authPacket() jute.AuthPacket {
	return pick(s,
		jute.AuthPacket{Scheme: "digest", Auth: []byte("user:secret")}, jute.AuthPacket{Scheme: "digest", Auth: []byte("other:word")},
		jute.AuthPacket{Scheme: "digest", Auth: []byte("nocolon")}, jute.AuthPacket{Scheme: "digest", Auth: []byte{}},
		jute.AuthPacket{Scheme: "ip", Auth: []byte("1.2.3.4")}, jute.AuthPacket{Scheme: "world", Auth: []byte("anyone")}, jute.AuthPacket{Scheme: "none"})
}

// streamOps are the op codes that are given other requests' bodies. Reconfig is not among them, see allowed.go, nor
// are those that set watches that stay.
var streamOps = []jute.OpCode{1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15, 17, 18, 19, 21, 22, 101, 103, 104, 107}

// nullPathless are the op codes that are not asked with null for a path: there Apache's server answers with
// null again, or watches null.
var nullPathless = []jute.OpCode{jute.OpSync, jute.OpCheckWatches, jute.OpRemoveWatches, jute.OpAddWatch}

// nonsense is what no client would send. It is not to be sent if it is not ok.
func (s *stream) nonsense(c *Client) (r request, ok bool) {
	op, body := s.request(s.persistent(c))
	xid := c.nextXid()
	frame := requestFrame(xid, op, body)
	kind := s.random.IntN(6)
	if (s.persistent(c) || s.within != "") && (kind == 2 || kind == 3) { // it might set a watch that fires once, or leave the subtree
		kind = 0
	}
	switch kind {
	case 0: // too short
		frame = frame[:8+s.random.IntN(len(frame)-7)]
	case 1: // too long
		frame = append(frame, make([]byte, 1+s.random.IntN(8))...)
	case 2: // a byte changed in the first field, which is a length or a number
		if len(frame) > 12 {
			frame[8+s.random.IntN(4)] ^= 1 << s.random.IntN(8)
		}
	case 3: // another's body
		op = pick(s, streamOps...)
		frame = append(requestFrame(xid, op, nil), frame[8:]...)
	case 4:
		op = pick[jute.OpCode](s, 0, -1, 10, 23, 99, 1000, -5, 108)
		frame = append(requestFrame(xid, op, nil), frame[8:]...)
	case 5:
		if s.oneIn(reconfigEvery / nonsenseEvery) {
			op, body = jute.OpReconfig, jute.ReconfigRequest{JoiningServers: "server.9=x:1:2;3", CurConfigID: -1}
			frame = requestFrame(xid, op, body)
		}
	}
	if op == jute.OpGetAllChildrenNumber && len(frame) >= 12 && binary.BigEndian.Uint32(frame[8:]) == 0 {
		return request{}, false
	}
	if slices.Contains(nullPathless, op) && len(frame) >= 12 && int32(binary.BigEndian.Uint32(frame[8:])) == -1 {
		return request{}, false
	}
	return requestOf(xid, op, frame), true
}
