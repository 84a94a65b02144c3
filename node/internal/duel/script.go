package duel

import "ordeal/node/jute"

func createOf(path string, flags int32) *jute.CreateRequest {
	return &jute.CreateRequest{Path: path, Data: []byte("d"), ACL: jute.OpenACL(), Flags: flags}
}

// multiOf takes op codes and bodies in turn.
func multiOf(operations ...any) jute.MultiRequest {
	var m jute.MultiRequest
	for i := 0; i < len(operations); i += 2 {
		m.Ops = append(m.Ops, jute.MultiOp{Type: operations[i].(jute.OpCode), Request: operations[i+1].(jute.Message)})
	}
	return m
}

// Script plays what a random stream would rarely meet.
func (d *Duel) Script() {
	a, b := d.Connect(0), d.Connect(0)
	create := func(path string, flags int32) { d.t.Helper(); a.ask(jute.OpCreate, createOf(path, flags)) }

	// Paths and flags.
	for _, path := range []string{"", "a", "/", "//", "/a/", "/a//b", "/.", "/..", "/a/.", "/a\x00", "/\x01", "/\u007f", "/\ufffd", "/\uf000", "/\U0001f600", "/ä", "/a", "/a", "/a/b/c", "/zookeeper", "/zookeeper/x", "/zookeeper/quota"} {
		create(path, 0)
		create(path, 2)
		a.ask(jute.OpExists, jute.ExistsRequest{Path: path})
		a.ask(jute.OpGetData, jute.GetDataRequest{Path: path})
		a.ask(jute.OpGetChildren, jute.GetChildrenRequest{Path: path})
		a.ask(jute.OpGetChildren2, jute.GetChildren2Request{Path: path})
		a.ask(jute.OpGetACL, jute.GetACLRequest{Path: path})
		a.ask(jute.OpSetData, jute.SetDataRequest{Path: path, Version: -1})
		a.ask(jute.OpSetACL, jute.SetACLRequest{Path: path, ACL: jute.OpenACL(), Version: 7})
		a.ask(jute.OpDelete, jute.DeleteRequest{Path: path, Version: 3})
		if path != "" && path != "/\U0001f600" { // Apache counts itself for "", and answers in CESU-8
			a.ask(jute.OpSync, jute.SyncRequest{Path: path})
			a.ask(jute.OpGetAllChildrenNumber, jute.GetAllChildrenNumberRequest{Path: path})
		}
		a.ask(jute.OpMulti, multiOf(jute.OpCheck, &jute.CheckVersionRequest{Path: path, Version: 0}))
	}
	for flags := int32(-1); flags < 9; flags++ {
		create("/flags", flags)
		a.ask(jute.OpCreate2, createOf("/flags2", flags))
		a.ask(jute.OpExists, jute.ExistsRequest{Path: "/flags"})
	}
	a.ask(jute.OpCreateContainer, createOf("/container", jute.FlagContainer))
	a.ask(jute.OpCreateContainer, createOf("/container/c", jute.FlagContainer))
	for _, ttl := range []int64{-1, 0, 1, 1000, 0xffffffffff, 0x10000000000} {
		for flags := int32(5); flags < 7; flags++ {
			request := createOf("/ttl", flags)
			a.ask(jute.OpCreateTTL, jute.CreateTTLRequest{Path: request.Path, Data: request.Data, ACL: request.ACL, Flags: flags, TTL: ttl})
		}
	}
	// Ephemerals have no children; sequences count deletions too.
	create("/e", 1)
	create("/e/child", 0)
	create("/s", 0)
	for range 3 {
		create("/s/n-", 2)
		create("/s/", 3)
	}
	a.ask(jute.OpGetChildren2, jute.GetChildren2Request{Path: "/s"})
	a.ask(jute.OpDelete, jute.DeleteRequest{Path: "/s/n-0000000000", Version: -1})
	create("/s/n-", 2)
	a.ask(jute.OpDelete, jute.DeleteRequest{Path: "/s", Version: -1})
	a.ask(jute.OpGetEphemerals, jute.GetEphemeralsRequest{PrefixPath: "/s"})

	// Identities and ACLs.
	acl := func(perms int32, scheme, id string) []jute.ACL {
		return []jute.ACL{{Perms: perms, Id: jute.Id{Scheme: scheme, ID: id}}}
	}
	create("/acl", 0)
	for i, list := range [][]jute.ACL{
		nil, {}, acl(31, "world", "everyone"), acl(31, "auth", ""), acl(31, "digest", "u"), acl(31, "digest", "u:"),
		acl(31, "digest", ":x"), acl(31, "digest", "u:x:y"), acl(31, "ip", "1.2.3"), acl(31, "ip", "1.2.3.4/33"),
		acl(31, "ip", "127.0.0.0/8"), acl(31, "ip", "127.0.0.1/0"), acl(31, "sasl", "u"), acl(31, "x", "u"), acl(31, "super", ""),
		append(jute.OpenACL(), jute.OpenACL()...), append(acl(31, "auth", ""), jute.OpenACL()...),
	} {
		if i == 8 {
			a.ask(jute.OpWhoAmI, nil)
			a.ask(jute.OpAuth, jute.AuthPacket{Scheme: "digest", Auth: []byte("user:secret")})
			a.ask(jute.OpAuth, jute.AuthPacket{Scheme: "digest", Auth: []byte("user:secret")})
			a.ask(jute.OpAuth, jute.AuthPacket{Scheme: "digest", Auth: []byte("nocolon")})
			a.ask(jute.OpAuth, jute.AuthPacket{Scheme: "ip", Auth: nil})
			a.ask(jute.OpWhoAmI, nil)
		}
		a.ask(jute.OpSetACL, jute.SetACLRequest{Path: "/acl", ACL: list, Version: -1})
		a.ask(jute.OpGetACL, jute.GetACLRequest{Path: "/acl"})
		b.ask(jute.OpGetACL, jute.GetACLRequest{Path: "/acl"})
		b.ask(jute.OpGetData, jute.GetDataRequest{Path: "/acl"})
		a.ask(jute.OpCreate, jute.CreateRequest{Path: "/acl/child-", ACL: list, Flags: 2})
	}
	a.ask(jute.OpSetACL, jute.SetACLRequest{Path: "/acl", ACL: append(acl(31, "auth", ""), acl(1, "world", "anyone")...), Version: -1})
	for _, path := range []string{"/acl", "/acl/x"} {
		b.ask(jute.OpGetACL, jute.GetACLRequest{Path: path})
		b.ask(jute.OpSetACL, jute.SetACLRequest{Path: path, ACL: jute.OpenACL(), Version: -1})
		b.ask(jute.OpSetData, jute.SetDataRequest{Path: path, Version: -1})
		b.ask(jute.OpCreate, createOf(path, 0))
		b.ask(jute.OpDelete, jute.DeleteRequest{Path: path, Version: -1})
		b.ask(jute.OpGetChildren2, jute.GetChildren2Request{Path: path})
		b.ask(jute.OpGetAllChildrenNumber, jute.GetAllChildrenNumberRequest{Path: path})
	}

	// Multis.
	create("/m", 0)
	check := func(path string, version int32) *jute.CheckVersionRequest {
		return &jute.CheckVersionRequest{Path: path, Version: version}
	}
	for _, request := range []jute.MultiRequest{
		{},
		multiOf(jute.OpCreate, createOf("/m/1", 0), jute.OpSetData, &jute.SetDataRequest{Path: "/m/1", Version: 0}, jute.OpDelete, &jute.DeleteRequest{Path: "/m/1", Version: 1}),
		multiOf(jute.OpCreate, createOf("/m/s-", 2), jute.OpCreate, createOf("/m/s-", 3), jute.OpCheck, check("/m", 0)),
		multiOf(jute.OpCreate, createOf("/m/2", 0), jute.OpCheck, check("/m", 1), jute.OpCreate, createOf("/m/3", 0)),
		multiOf(jute.OpCheck, check("/none", 0), jute.OpCreate, createOf("/m/3", 0)),
		multiOf(jute.OpCreate, createOf("/m/4", 1), jute.OpCreate, createOf("/m/4/5", 0)),
		multiOf(jute.OpDelete, &jute.DeleteRequest{Path: "/m", Version: -1}),
		multiOf(jute.OpCreate, createOf("/m/b", 9)),
		multiOf(jute.OpGetData, &jute.GetDataRequest{Path: "/m"}),
		multiOf(jute.OpCreate, createOf("/m/c", 0), jute.OpGetData, &jute.GetDataRequest{Path: "/m"}),
		multiOf(jute.OpCreateContainer, createOf("/m/container", 4)),
	} {
		a.ask(jute.OpMulti, request)
		a.ask(jute.OpGetChildren2, jute.GetChildren2Request{Path: "/m"})
		a.ask(jute.OpMultiRead, request)
	}
	a.ask(jute.OpMultiRead, multiOf(jute.OpGetData, &jute.GetDataRequest{Path: "/m", Watch: true}, jute.OpGetChildren, &jute.GetChildrenRequest{Path: "/m"}, jute.OpGetData, &jute.GetDataRequest{Path: "/none"}))

	// Watches.
	for _, path := range []string{"/w", "/w/c", "/", "/m"} {
		b.ask(jute.OpExists, jute.ExistsRequest{Path: path, Watch: true})
		b.ask(jute.OpGetData, jute.GetDataRequest{Path: path, Watch: true})
		b.ask(jute.OpGetChildren, jute.GetChildrenRequest{Path: path, Watch: true})
		a.ask(jute.OpGetChildren2, jute.GetChildren2Request{Path: path, Watch: true})
		for _, kind := range []int32{0, 1, 2, 3, 4} {
			b.ask(jute.OpCheckWatches, jute.CheckWatchesRequest{Path: path, Type: kind})
		}
		b.ask(jute.OpCheckWatches, jute.CheckWatchesRequest{Path: "/nowhere", Type: 2})
		create(path, 0)
		a.ask(jute.OpSetData, jute.SetDataRequest{Path: path, Version: -1})
		a.ask(jute.OpSetACL, jute.SetACLRequest{Path: path, ACL: jute.OpenACL(), Version: -1})
	}
	b.ask(jute.OpGetData, jute.GetDataRequest{Path: "/w/c", Watch: true})
	b.ask(jute.OpGetChildren, jute.GetChildrenRequest{Path: "/w/c", Watch: true})
	a.ask(jute.OpDelete, jute.DeleteRequest{Path: "/w/c", Version: -1})
	b.ask(jute.OpAddWatch, jute.AddWatchRequest{Path: "/w", Mode: 0})
	b.ask(jute.OpAddWatch, jute.AddWatchRequest{Path: "/deep", Mode: 1})
	b.ask(jute.OpAddWatch, jute.AddWatchRequest{Path: "/deep", Mode: 2})
	create("/w/c", 0)
	create("/deep", 0)
	create("/deep/a", 0)
	create("/deep/a/b", 0)
	a.ask(jute.OpSetData, jute.SetDataRequest{Path: "/deep/a/b", Version: -1})
	a.ask(jute.OpDelete, jute.DeleteRequest{Path: "/deep/a/b", Version: -1})
	a.ask(jute.OpDelete, jute.DeleteRequest{Path: "/w/c", Version: -1})
	b.ask(jute.OpRemoveWatches, jute.RemoveWatchesRequest{Path: "/w", Type: 3})
	b.ask(jute.OpRemoveWatches, jute.RemoveWatchesRequest{Path: "/w", Type: 3})
	b.ask(jute.OpRemoveWatches, jute.RemoveWatchesRequest{Path: "/deep", Type: 3})
	a.ask(jute.OpSetData, jute.SetDataRequest{Path: "/w", Version: -1})

	// Sessions: an end that takes ephemerals along, a wrong password, a return, a future that is not here.
	e := d.Connect(0)
	e.ask(jute.OpCreate, createOf("/eph", 1))
	e.ask(jute.OpCreate, createOf("/m/eph-", 3))
	b.ask(jute.OpExists, jute.ExistsRequest{Path: "/eph", Watch: true})
	b.ask(jute.OpGetChildren, jute.GetChildrenRequest{Path: "/m", Watch: true})
	again := d.Open(0)
	d.clients = append(d.clients, again)
	e.dead = true
	again.handshake(e.id, e.pass, 1, 40)
	again.ask(jute.OpGetEphemerals, jute.GetEphemeralsRequest{})
	again.ask(jute.OpSetWatches, jute.SetWatches{
		RelativeZxid: 3, DataWatches: []string{"/", "/m", "/gone", "/s"}, ExistWatches: []string{"/m", "/none2"}, ChildWatches: []string{"/m", "/gone2", "/deep"},
	})
	a.ask(jute.OpSetData, jute.SetDataRequest{Path: "/s", Version: -1})
	a.ask(jute.OpSetData, jute.SetDataRequest{Path: "/m", Version: -1})
	create("/none2", 0)
	create("/deep/again", 0)
	again.ask(jute.OpSetWatches2, jute.SetWatches2{
		RelativeZxid: 1 << 40, DataWatches: []string{"/", "/m", "/gone"}, ExistWatches: []string{}, ChildWatches: []string{"/m"}, PersistentWatches: []string{"/p"}, PersistentRecursiveWatches: []string{"/q"},
	})
	create("/p", 0)
	create("/q", 0)
	create("/q/r", 0)
	again.ask(jute.OpCloseSession, nil)
	late := d.Open(0)
	late.handshake(again.id, again.pass, 0, sessionTimeout)
	wrong := d.Open(0)
	wrong.handshake(a.id, [sides][]byte{make([]byte, 16), make([]byte, 16)}, 0, sessionTimeout)
	a.dead = true
	future := d.Open(0)
	future.handshake([sides]int64{}, [sides][]byte{{}, {}}, 1<<60, sessionTimeout)
	short := d.Open(0)
	short.handshake([sides]int64{}, [sides][]byte{nil, nil}, 0, -5)

	// Nonsense.
	for _, op := range []jute.OpCode{0, -1, 10, 23, 99, 1000, 13} {
		if op == jute.OpCheck {
			continue // ZOOKEEPER-2623: Apache 3.8.0 makes a transaction of it that it cannot read back
		}
		d.Connect(0).ask(op, nil)
	}
	d.Connect(0).ask(jute.OpReconfig, jute.ReconfigRequest{JoiningServers: "server.9=x:1:2;3"})
	// Without reconfig: one that cannot be read makes Apache log a zxid for the second time.
	for _, op := range []jute.OpCode{1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15, 17, 18, 19, 21, 22, 101, 103, 104, 105, 106, 107} {
		c := d.Connect(0)
		c.ask(op, nil)
		c.play(requestOf(77, op, append(requestFrame(77, op, nil), 0, 0, 0, 2, 'a')))
	}
	for _, packet := range []jute.AuthPacket{{Scheme: "digest"}, {Scheme: "world", Auth: []byte("anyone")}, {Scheme: "sasl"}, {Scheme: ""}} {
		d.Connect(0).ask(jute.OpAuth, packet)
	}
	d.Connect(0).ask(jute.OpSASL, jute.GetSASLRequest{Token: []byte{}})
}
