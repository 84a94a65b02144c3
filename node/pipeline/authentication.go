package pipeline

import (
	"cmp"
	"crypto"
	_ "crypto/sha1" // Authentication.DigestAlgorithm
	"slices"
	"strings"

	"ordeal/node/jute"
	"ordeal/node/tree"
)

// authenticate returns the ids that a client proves by an auth packet (protocol.md 2.12), or ok=false.
func (s *Server) authenticate(c *connection, packet *jute.AuthPacket) (ids []jute.Id, ok bool) {
	switch {
	case packet.Scheme == tree.SchemeDigest && packet.Auth != nil:
		return tree.DigestIDs(packet.Auth, cmp.Or(s.config.Authentication.DigestAlgorithm, crypto.SHA1), s.config.SuperDigest), true
	case packet.Scheme == tree.SchemeIP:
		return []jute.Id{{Scheme: tree.SchemeIP, ID: c.remoteIP}}, true
	case packet.Scheme == tree.SchemeX509:
		// What the connection proved when it was made.
		return nil, slices.ContainsFunc(c.authinfo, func(id jute.Id) bool { return id.Scheme == tree.SchemeX509 })
	}
	return nil, false
}

// mayDo tells whether somebody with these ids may do what needs one of perms on a node with this ACL.
func (s *Server) mayDo(perms int32, acl []jute.ACL, ids []jute.Id) bool {
	return s.config.SkipACL || tree.CheckACL(acl, perms, ids) == jute.Ok
}

// clientInfos is who a connection is, as whoAmI tells it: without secrets.
func clientInfos(ids []jute.Id) []jute.ClientInfo {
	infos := make([]jute.ClientInfo, 0, len(ids))
	for _, id := range ids {
		user := id.ID
		if id.Scheme == tree.SchemeDigest {
			user, _, _ = strings.Cut(user, ":")
		}
		infos = append(infos, jute.ClientInfo{AuthScheme: id.Scheme, User: user})
	}
	return infos
}
