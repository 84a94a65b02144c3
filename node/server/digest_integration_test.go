//go:build integration

package server

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"ordeal/node/internal/duel"
)

// TestIntegrationDigestAlgorithmsAgainstApache: with the same digestAlg both servers write the same ACLs for a password, let
// the same clients in, and know the same super user.
func TestIntegrationDigestAlgorithmsAgainstApache(t *testing.T) {
	for name, algorithm := range map[string]func() hash.Hash{"SHA1": sha1.New, "SHA-256": sha256.New, "SHA-512": sha512.New} {
		t.Run(name, func(t *testing.T) {
			identity := func(user, password string) string {
				h := algorithm()
				h.Write([]byte(user + ":" + password))
				return user + ":" + base64.StdEncoding.EncodeToString(h.Sum(nil))
			}
			settings := []string{
				"DigestAuthenticationProvider.digestAlg=" + name,
				"DigestAuthenticationProvider.superDigest=" + identity("super", "power"),
			}
			r := start(t, twinConfig(t, 0, settings[0]+"\n"+settings[1]+"\n"))
			r.eventually(func() bool { return r.mode() == "standalone" }, "serving")
			for server, address := range map[string]string{"Apache's": duel.StartApache(t, settings...).Address, "ours": r.clientAddress()} {
				t.Run(server, func(t *testing.T) { useDigests(t, address, identity) })
			}
		})
	}
}

// useDigests makes znodes that only some may read, and lets them and others try.
func useDigests(t *testing.T, address string, identity func(user, password string) string) {
	as := func(credentials string) *zk.Conn {
		c, _, err := zk.Connect([]string{address}, unpinged, zk.WithLogger(silent{}))
		require.NoError(t, err)
		t.Cleanup(c.Close)
		if credentials != "" {
			require.NoError(t, c.AddAuth("digest", []byte(credentials)))
		}
		return c
	}
	bob := as("bob:secret")
	_, err := bob.Create("/proven", []byte("1"), 0, zk.AuthACL(zk.PermAll))
	require.NoError(t, err)
	acl, _, err := bob.GetACL("/proven")
	require.NoError(t, err)
	require.Equal(t, []zk.ACL{{Perms: zk.PermAll, Scheme: "digest", ID: identity("bob", "secret")}}, acl)
	_, err = as("").Create("/named", []byte("2"), 0, []zk.ACL{{Perms: zk.PermRead, Scheme: "digest", ID: identity("bob", "secret")}})
	require.NoError(t, err)
	for who, want := range map[string]error{
		"bob:secret": nil, "super:power": nil, "": zk.ErrNoAuth, "bob:guess": zk.ErrNoAuth, "eve:secret": zk.ErrNoAuth, "super:secret": zk.ErrNoAuth,
	} {
		c := as(who)
		for _, path := range []string{"/proven", "/named"} {
			_, _, err := c.Get(path)
			require.Equal(t, want, err, "%q reads %s", who, path)
		}
	}
}
