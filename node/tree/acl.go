package tree

import (
	"crypto"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"ordeal/node/jute"
)

// The schemes of an Id that the server knows (protocol.md 2.12).
const (
	SchemeWorld  = "world"
	SchemeAuth   = "auth"
	SchemeDigest = "digest"
	SchemeIP     = "ip"
	SchemeSuper  = "super"
	SchemeX509   = "x509"
	SchemeSASL   = "sasl"
)

// CheckACL tells whether somebody with these identities has one of the permissions: Ok or NoAuth.
func CheckACL(acl []jute.ACL, perm int32, ids []jute.Id) jute.Code {
	if len(acl) == 0 {
		return jute.Ok
	}
	for _, id := range ids {
		if id.Scheme == SchemeSuper {
			return jute.Ok
		}
	}
	for _, entry := range acl {
		if entry.Perms&perm != 0 && matchesAny(entry.Id, ids) {
			return jute.Ok
		}
	}
	return jute.NoAuth
}

func matchesAny(wanted jute.Id, ids []jute.Id) bool {
	if isAnyone(wanted) {
		return true
	}
	return slices.ContainsFunc(ids, func(id jute.Id) bool {
		if id.Scheme != wanted.Scheme {
			return false
		}
		switch id.Scheme {
		case SchemeDigest, SchemeX509:
			return id.ID == wanted.ID
		case SchemeSASL:
			return id.ID == wanted.ID || id.ID == saslSuperUser
		case SchemeIP:
			return matchesIP(id.ID, wanted.ID)
		}
		return false
	})
}

// saslSuperUser is the SASL user who is taken for every other one.
const saslSuperUser = "super"

func isAnyone(id jute.Id) bool { return id.Scheme == SchemeWorld && id.ID == "anyone" }

// FixupACL checks a list that a client gives to a znode, drops what stands in it twice, and puts the
// client's own identities in the place of "auth". Scheme sasl exists where it is switched on only. It returns Ok or
// InvalidACL.
func FixupACL(acl []jute.ACL, ids []jute.Id, sasl bool) ([]jute.ACL, jute.Code) {
	var unique, fixed []jute.ACL
	for _, entry := range acl {
		if !slices.Contains(unique, entry) {
			unique = append(unique, entry)
		}
	}
	for _, entry := range unique {
		switch {
		case isAnyone(entry.Id):
			fixed = append(fixed, entry)
		case entry.Id.Scheme == SchemeAuth:
			before := len(fixed)
			for _, id := range ids {
				if id.Scheme == SchemeDigest || id.Scheme == SchemeX509 || sasl && id.Scheme == SchemeSASL {
					fixed = append(fixed, jute.ACL{Perms: entry.Perms, Id: id})
				}
			}
			if len(fixed) == before {
				return nil, jute.InvalidACL
			}
		case entry.Id.Scheme == SchemeDigest && validDigestID(entry.Id.ID),
			entry.Id.Scheme == SchemeIP && validIP(entry.Id.ID),
			entry.Id.Scheme == SchemeX509 && validSubject(entry.Id.ID),
			sasl && entry.Id.Scheme == SchemeSASL && validPrincipal(entry.Id.ID):
			fixed = append(fixed, entry)
		default:
			return nil, jute.InvalidACL
		}
	}
	if len(fixed) == 0 {
		return nil, jute.InvalidACL
	}
	return fixed, jute.Ok
}

// RedactACL hides the password hashes of a list from those who may not administer the znode.
func RedactACL(acl []jute.ACL) []jute.ACL {
	redacted := slices.Clone(acl)
	for i := range redacted {
		if redacted[i].Id.Scheme == SchemeDigest {
			user, _, _ := strings.Cut(redacted[i].Id.ID, ":")
			redacted[i].Id.ID = user + ":x"
		}
	}
	return redacted
}

// DigestIDs returns the identities of a client that authenticates with "user:password" by scheme
// digest: its own, and the super user's too if it is the one that superDigest names ("" for none). The
// package of the algorithm must be linked.
func DigestIDs(auth []byte, algorithm crypto.Hash, superDigest string) []jute.Id {
	user, _, _ := strings.Cut(string(auth), ":")
	hash := algorithm.New()
	hash.Write(auth)
	id := user + ":" + base64.StdEncoding.EncodeToString(hash.Sum(nil))
	own := jute.Id{Scheme: SchemeDigest, ID: id}
	if superDigest != "" && id == superDigest {
		return []jute.Id{{Scheme: SchemeSuper}, own}
	}
	return []jute.Id{own}
}

// validDigestID wants a user and a hash.
func validDigestID(id string) bool {
	_, hash, found := strings.Cut(id, ":")
	return found && hash != "" && !strings.Contains(strings.TrimRight(hash, ":"), ":")
}

// validSubject wants something of the form of a certificate's subject: NAME=value parts.
func validSubject(id string) bool {
	name, _, found := strings.Cut(id, "=")
	return found && strings.TrimSpace(name) != ""
}

// validPrincipal wants the form of a Kerberos principal: a name, or NAME[/HOST]@REALM.
func validPrincipal(id string) bool {
	name, realm, found := strings.Cut(id, "@")
	return !found || strings.Count(name, "/") < 2 && !strings.ContainsAny(realm, "/@")
}

// parseIP reads a dotted IPv4 address with an optional prefix length, 32 if there is none. IPv6
// addresses match nothing, as in 3.8.
func parseIP(text string) (address uint32, bits int, ok bool) {
	dotted, prefix, hasPrefix := strings.Cut(text, "/")
	parts := strings.Split(dotted, ".")
	if len(parts) != 4 {
		return 0, 0, false
	}
	for _, part := range parts {
		v, err := strconv.Atoi(part)
		if err != nil || v < 0 || v > 255 {
			return 0, 0, false
		}
		address = address<<8 | uint32(v)
	}
	bits = 32
	if hasPrefix {
		var err error
		if bits, err = strconv.Atoi(prefix); err != nil || bits < 0 || bits > 32 {
			return 0, 0, false
		}
	}
	return address, bits, true
}

func validIP(id string) bool {
	_, _, ok := parseIP(id)
	return ok
}

func matchesIP(remote, wanted string) bool {
	remoteAddress, _, remoteOK := parseIP(remote)
	address, bits, ok := parseIP(wanted)
	return remoteOK && ok && (remoteAddress^address)>>(32-bits) == 0
}
