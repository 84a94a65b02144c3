package pipeline

import (
	"crypto"
	"errors"
	"slices"

	"ordeal/node/jute"
	"ordeal/node/sasl"
	"ordeal/node/tree"
)

// Authentication is what clients can prove about themselves by SASL, and what they have to prove by whatever scheme
// (protocol.md 2.12).
type Authentication struct {
	// DigestAlgorithm is DigestAuthenticationProvider.digestAlg, which must be linked; 0: SHA-1.
	DigestAlgorithm crypto.Hash
	// SASLUsers are who may authenticate by SASL; without any, no exchange begins.
	SASLUsers sasl.Users
	// SASLNonce returns a value without quotes and backslashes that was never used before and that nobody can guess. It
	// must be there if there are users.
	SASLNonce func() string
	// SASLScheme lets ACLs name SASL users: authProvider.N=…SASLAuthenticationProvider.
	SASLScheme bool
	// SASLSuperUser is zookeeper.superUser, who may do everything, or "".
	SASLSuperUser string
	// SASLFailedStay is zookeeper.allowSaslFailedClients: who fails to authenticate goes on without.
	SASLFailedStay bool
	// Required are schemes (enforce.auth.schemes) of which a client must have proven one before it is served; empty if
	// none is.
	Required []string
}

// requiresSASL tells whether SASL is the only way to be served.
func (a *Authentication) requiresSASL() bool {
	return len(a.Required) == 1 && a.Required[0] == tree.SchemeSASL
}

// processSASL takes a token of a client's SASL exchange. Like auth packets it is answered at once.
func (s *Server) processSASL(c *connection, xid int32, decoder *jute.Decoder) {
	var request jute.GetSASLRequest
	if request.Decode(decoder); decoder.Err() != nil {
		s.closeConnection(c)
		return
	}
	config := &s.config.Authentication
	if len(config.SASLUsers) == 0 {
		// The answer is an empty token, which clients take for a refusal.
		s.reply(c, jute.ReplyHeader{Xid: xid}, jute.SetSASLResponse{})
		return
	}
	if c.sasl == nil {
		c.sasl = sasl.NewServer(config.SASLUsers, config.SASLNonce())
	}
	answer, err := c.sasl.Evaluate(request.Token)
	switch user, done := c.sasl.User(); {
	case err == nil && done && !c.addAuth(config.idsOf(user), s.config.MaxBuffer):
		err = errTooManyIdentities
	case err == nil:
		s.reply(c, jute.ReplyHeader{Xid: xid}, jute.SetSASLResponse{Token: answer})
		return
	}
	s.measured(AuthFailed, 1)
	s.config.Log.Warn("SASL authentication failed", "client", c.remoteIP, "session", hex(c.session), "error", err)
	failure := jute.ReplyHeader{Xid: xid, Err: jute.AuthFailed}
	stays := false
	switch {
	case config.requiresSASL():
		failure.Err = jute.SessionClosedRequireSaslAuth
	case config.SASLFailedStay:
		failure.Err, stays = jute.Ok, true
	}
	s.reply(c, failure, jute.SetSASLResponse{})
	if !stays {
		s.closeConnection(c)
	}
}

var errTooManyIdentities = errors.New("the client has too many identities")

// idsOf is who a SASL user is.
func (a *Authentication) idsOf(user string) []jute.Id {
	ids := []jute.Id{{Scheme: tree.SchemeSASL, ID: user}}
	if user == a.SASLSuperUser {
		ids = append(ids, jute.Id{Scheme: tree.SchemeSuper})
	}
	return ids
}

// hasProvenEnough tells whether a client has authenticated by one of the schemes that are required.
func (s *Server) hasProvenEnough(c *connection) bool {
	required := s.config.Authentication.Required
	return len(required) == 0 || slices.ContainsFunc(c.authinfo, func(id jute.Id) bool { return slices.Contains(required, id.Scheme) })
}

// refuseUnproven ends the session of a client that has not.
func (s *Server) refuseUnproven(c *connection, xid int32) {
	s.config.Log.Warn("closing a connection that has not authenticated as it must", "client", c.remoteIP, "session", hex(c.session), "schemes", s.config.Authentication.Required)
	s.reply(c, jute.ReplyHeader{Xid: xid, Err: jute.SessionClosedRequireSaslAuth}, nil)
	s.closeConnection(c)
}
