package tree

import (
	"crypto"
	_ "crypto/sha1"
	"testing"

	"ordeal/node/jute"

	"github.com/stretchr/testify/require"
)

var (
	anyone = jute.Id{Scheme: "world", ID: "anyone"}
	local  = jute.Id{Scheme: "ip", ID: "127.0.0.1"}
	alice  = jute.Id{Scheme: "digest", ID: "alice:hash"}
	bob    = jute.Id{Scheme: "digest", ID: "bob:hash"}
	super  = jute.Id{Scheme: "super"}

	saslBob = jute.Id{Scheme: "sasl", ID: "bob"}
)

func TestCheckACL(t *testing.T) {
	for _, c := range []struct {
		name string
		acl  []jute.ACL
		perm int32
		ids  []jute.Id
		want jute.Code
	}{
		{"no list", nil, jute.PermRead, nil, jute.Ok},
		{"anyone", jute.OpenACL(), jute.PermAdmin, nil, jute.Ok},
		{"anyone, but not that", []jute.ACL{{Perms: jute.PermRead, Id: anyone}}, jute.PermWrite, []jute.Id{alice}, jute.NoAuth},
		{"super may always", []jute.ACL{{Perms: jute.PermRead, Id: bob}}, jute.PermAdmin, []jute.Id{local, super}, jute.Ok},
		{"somebody", []jute.ACL{{Perms: jute.PermAll, Id: alice}}, jute.PermWrite, []jute.Id{local, alice}, jute.Ok},
		{"somebody else", []jute.ACL{{Perms: jute.PermAll, Id: alice}}, jute.PermWrite, []jute.Id{local, bob}, jute.NoAuth},
		{"one of two permissions is enough", []jute.ACL{{Perms: jute.PermRead, Id: anyone}}, jute.PermRead | jute.PermAdmin, nil, jute.Ok},
		{"network", []jute.ACL{{Perms: jute.PermRead, Id: jute.Id{Scheme: "ip", ID: "127.0.0.0/8"}}}, jute.PermRead, []jute.Id{local}, jute.Ok},
		{"other network", []jute.ACL{{Perms: jute.PermRead, Id: jute.Id{Scheme: "ip", ID: "128.0.0.0/8"}}}, jute.PermRead, []jute.Id{local}, jute.NoAuth},
		{"everywhere", []jute.ACL{{Perms: jute.PermRead, Id: jute.Id{Scheme: "ip", ID: "1.2.3.4/0"}}}, jute.PermRead, []jute.Id{local}, jute.Ok},
		{"address", []jute.ACL{{Perms: jute.PermRead, Id: local}}, jute.PermRead, []jute.Id{local}, jute.Ok},
		{"IPv6 matches nothing", []jute.ACL{{Perms: jute.PermRead, Id: jute.Id{Scheme: "ip", ID: "::1"}}}, jute.PermRead, []jute.Id{{Scheme: "ip", ID: "::1"}}, jute.NoAuth},
		{"SASL user", []jute.ACL{{Perms: jute.PermRead, Id: saslBob}}, jute.PermRead, []jute.Id{local, saslBob}, jute.Ok},
		{"other SASL user", []jute.ACL{{Perms: jute.PermRead, Id: saslBob}}, jute.PermRead, []jute.Id{{Scheme: "sasl", ID: "eve"}, bob}, jute.NoAuth},
		{"SASL user super for another", []jute.ACL{{Perms: jute.PermRead, Id: saslBob}}, jute.PermRead, []jute.Id{{Scheme: "sasl", ID: "super"}}, jute.Ok},
		{"SASL user super for what is no SASL user's", []jute.ACL{{Perms: jute.PermRead, Id: bob}}, jute.PermRead, []jute.Id{{Scheme: "sasl", ID: "super"}}, jute.NoAuth},
		{"scheme that nobody knows", []jute.ACL{{Perms: jute.PermRead, Id: jute.Id{Scheme: "host", ID: "x"}}}, jute.PermRead, []jute.Id{{Scheme: "host", ID: "x"}}, jute.NoAuth},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, CheckACL(c.acl, c.perm, c.ids))
		})
	}
}

func TestFixupACL(t *testing.T) {
	grant := func(id jute.Id) jute.ACL { return jute.ACL{Perms: jute.PermRead, Id: id} }
	auth := grant(jute.Id{Scheme: "auth"})
	for _, c := range []struct {
		name string
		acl  []jute.ACL
		ids  []jute.Id
		want []jute.ACL // nil for InvalidACL
	}{
		{"as it is", []jute.ACL{grant(anyone), grant(alice), grant(local)}, nil, []jute.ACL{grant(anyone), grant(alice), grant(local)}},
		{"twice the same", []jute.ACL{grant(anyone), grant(anyone)}, nil, []jute.ACL{grant(anyone)}},
		{"auth is whoever asks", []jute.ACL{auth}, []jute.Id{local, alice, bob}, []jute.ACL{grant(alice), grant(bob)}},
		{"auth of nobody", []jute.ACL{grant(anyone), auth}, []jute.Id{local}, nil},
		{"null", nil, nil, nil},
		{"empty", []jute.ACL{}, nil, nil},
		{"world has one inhabitant", []jute.ACL{grant(jute.Id{Scheme: "world", ID: "someone"})}, nil, nil},
		{"unknown scheme", []jute.ACL{grant(jute.Id{Scheme: "host", ID: "x"})}, nil, nil},
		{"digest without a hash", []jute.ACL{grant(jute.Id{Scheme: "digest", ID: "alice"})}, nil, nil},
		{"digest with an empty hash", []jute.ACL{grant(jute.Id{Scheme: "digest", ID: "alice:"})}, nil, nil},
		{"digest with too many parts", []jute.ACL{grant(jute.Id{Scheme: "digest", ID: "a:b:c"})}, nil, nil},
		{"no address", []jute.ACL{grant(jute.Id{Scheme: "ip", ID: "localhost"})}, nil, nil},
		{"address out of range", []jute.ACL{grant(jute.Id{Scheme: "ip", ID: "1.2.3.256"})}, nil, nil},
		{"too many bits", []jute.ACL{grant(jute.Id{Scheme: "ip", ID: "1.2.3.4/33"})}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			fixed, code := FixupACL(c.acl, c.ids, false)
			require.Equal(t, c.want, fixed)
			require.Equal(t, c.want == nil, code == jute.InvalidACL)
		})
	}
}

// TestFixupACLOfSASL: the scheme is there only if it is switched on.
func TestFixupACLOfSASL(t *testing.T) {
	auth := []jute.ACL{{Perms: jute.PermRead, Id: jute.Id{Scheme: "auth"}}}
	fixed, code := FixupACL(auth, []jute.Id{local, saslBob}, true)
	require.Equal(t, jute.Ok, code)
	require.Equal(t, []jute.ACL{{Perms: jute.PermRead, Id: saslBob}}, fixed)
	_, code = FixupACL(auth, []jute.Id{local, saslBob}, false)
	require.Equal(t, jute.InvalidACL, code)
	for id, valid := range map[string]bool{"bob": true, "bob@REALM": true, "bob/host@REALM": true, "bob/host": true, "a/b/c@R": false, "a@b@c": false, "a@b/c": false} {
		acl := []jute.ACL{{Perms: jute.PermRead, Id: jute.Id{Scheme: "sasl", ID: id}}}
		_, code := FixupACL(acl, nil, true)
		require.Equal(t, valid, code == jute.Ok, id)
		_, code = FixupACL(acl, nil, false)
		require.Equal(t, jute.InvalidACL, code, id)
	}
}

func TestRedactACL(t *testing.T) {
	list := []jute.ACL{{Perms: 1, Id: alice}, {Perms: 2, Id: local}}
	require.Equal(t, []jute.ACL{{Perms: 1, Id: jute.Id{Scheme: "digest", ID: "alice:x"}}, {Perms: 2, Id: local}}, RedactACL(list))
	require.Equal(t, alice, list[0].Id, "the list itself stays")
}

// The hash is the example that ZooKeeper's documentation gives for super:admin's kind of digest.
func TestDigestIDs(t *testing.T) {
	id := jute.Id{Scheme: "digest", ID: "super:xQJmxLMiHGwaqBvst5y6rkB6HQs="}
	require.Equal(t, []jute.Id{id}, DigestIDs([]byte("super:admin"), crypto.SHA1, ""))
	require.Equal(t, []jute.Id{super, id}, DigestIDs([]byte("super:admin"), crypto.SHA1, id.ID))
	require.Equal(t, []jute.Id{id}, DigestIDs([]byte("super:admin"), crypto.SHA1, "super:other"))
}
