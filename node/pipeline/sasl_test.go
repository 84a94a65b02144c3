package pipeline

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
	"ordeal/node/sasl"
)

func withSASL(change func(*Authentication)) func(*Config) {
	return func(c *Config) {
		c.Authentication = Authentication{
			SASLUsers: sasl.Users{"bob": "secret", "root": "toor"}, SASLNonce: func() string { return "NONCE" },
			SASLScheme: true, SASLSuperUser: "root",
		}
		change(&c.Authentication)
	}
}

// What clients answer to the nonce above, and what the server answers to bob.
const (
	bobResponse  = "f51158df92f765f34d0f68db80493ed2"
	rootResponse = "56836bc930f59febbbd695e783490b3b"
	bobAnswer    = "rspauth=cef036a766ad26b3b2ca895c165c2c13"
)

// authenticate goes through a SASL exchange.
func (c *testClient) authenticate(user, response string) (token []byte, code jute.Code) {
	c.w.t.Helper()
	var answer jute.SetSASLResponse
	require.Equal(c.w.t, jute.Ok, c.ask(jute.OpSASL, jute.GetSASLRequest{}, &answer))
	require.Contains(c.w.t, string(answer.Token), `nonce="NONCE"`)
	c.send(jute.OpSASL, jute.GetSASLRequest{Token: fmt.Appendf(nil,
		`username="%s",realm="zk-sasl-md5",nonce="NONCE",cnonce="C",nc=00000001,digest-uri="zookeeper/zk-sasl-md5",response=%s`, user, response)})
	reply := c.receive()[0]
	require.NoError(c.w.t, jute.Unmarshal(reply.body, &answer))
	require.Zero(c.w.t, reply.header.Zxid)
	return answer.Token, reply.header.Err
}

func (c *testClient) whoAmI() []jute.ClientInfo {
	c.w.t.Helper()
	var response jute.WhoAmIResponse
	require.Equal(c.w.t, jute.Ok, c.ask(jute.OpWhoAmI, nil, &response))
	return response.ClientInfo
}

// TestSASLUsers: who has proven to be one has what is his, and what is the super user's if he is that.
func TestSASLUsers(t *testing.T) {
	w := newWorld(t, withSASL(func(*Authentication) {}))
	bob, eve, root := w.connect(), w.connect(), w.connect()
	token, code := bob.authenticate("bob", bobResponse)
	require.Equal(t, jute.Ok, code)
	require.Equal(t, bobAnswer, string(token))
	require.Contains(t, bob.whoAmI(), jute.ClientInfo{AuthScheme: "sasl", User: "bob"})

	his := []jute.ACL{{Perms: jute.PermAll, Id: jute.Id{Scheme: "auth"}}}
	require.Equal(t, jute.Ok, bob.ask(jute.OpCreate, jute.CreateRequest{Path: "/his", ACL: his}, &jute.CreateResponse{}))
	var acl jute.GetACLResponse
	require.Equal(t, jute.Ok, bob.ask(jute.OpGetACL, jute.GetACLRequest{Path: "/his"}, &acl))
	require.Equal(t, []jute.ACL{{Perms: jute.PermAll, Id: jute.Id{Scheme: "sasl", ID: "bob"}}}, acl.ACL)
	read := func(c *testClient) jute.Code {
		return c.ask(jute.OpGetData, jute.GetDataRequest{Path: "/his"}, &jute.GetDataResponse{})
	}
	require.Equal(t, jute.Ok, read(bob))
	require.Equal(t, jute.NoAuth, read(eve))
	_, code = root.authenticate("root", rootResponse)
	require.Equal(t, jute.Ok, code)
	require.Equal(t, jute.Ok, read(root))
}

// TestSASLFailures end the connection, unless they may be survived.
func TestSASLFailures(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Authentication)
		want   jute.Code
		closed bool
	}{
		{"as usual", func(*Authentication) {}, jute.AuthFailed, true},
		{"only SASL will do", func(a *Authentication) { a.Required = []string{"sasl"} }, jute.SessionClosedRequireSaslAuth, true},
		{"SASL is one of several ways", func(a *Authentication) { a.Required = []string{"sasl", "digest"} }, jute.AuthFailed, true},
		{"who fails may stay", func(a *Authentication) { a.SASLFailedStay = true }, jute.Ok, false},
		{"who fails may stay, but would not be served", func(a *Authentication) { a.SASLFailedStay, a.Required = true, []string{"sasl"} }, jute.SessionClosedRequireSaslAuth, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, withSASL(c.change))
			client := w.connect()
			token, code := client.authenticate("bob", rootResponse)
			require.Equal(t, c.want, code)
			require.Nil(t, token)
			require.Equal(t, c.closed, client.isClosed())
			if !c.closed {
				require.NotContains(t, client.whoAmI(), jute.ClientInfo{AuthScheme: "sasl", User: "bob"})
			}
		})
	}
	w := newWorld(t, withSASL(func(*Authentication) {}))
	c := w.connect()
	c.send(jute.OpSASL, nil)
	require.True(t, c.isClosed(), "a token that cannot be read")
}

// TestAuthenticationThatIsRequired comes before anything else.
func TestAuthenticationThatIsRequired(t *testing.T) {
	required := func(schemes ...string) func(*Config) {
		return withSASL(func(a *Authentication) { a.Required = schemes })
	}
	for op, body := range map[jute.OpCode]jute.Record{
		jute.OpGetData: jute.GetDataRequest{Path: "/"}, jute.OpCreate: createOf("/a", 0), jute.OpPing: nil, jute.OpCloseSession: nil,
	} {
		w := newWorld(t, required("sasl", "digest"))
		c := w.connect()
		_, now := w.server.ReadNow(c.conn, requestFrame(1, op, body))
		require.False(t, now)
		xid := c.send(op, body)
		replies := c.receive()
		require.Len(t, replies, 1)
		require.Equal(t, jute.ReplyHeader{Xid: xid, Err: jute.SessionClosedRequireSaslAuth}, replies[0].header)
		require.True(t, c.isClosed())
		require.True(t, w.tree.HasSession(c.session), "the session goes on, for who authenticates")
	}
	for scheme, prove := range map[string]func(*testClient){
		"sasl":   func(c *testClient) { c.authenticate("bob", bobResponse) },
		"digest": func(c *testClient) { c.ask(jute.OpAuth, jute.AuthPacket{Scheme: "digest", Auth: []byte("a:b")}, nil) },
		"ip":     func(*testClient) {},
	} {
		w := newWorld(t, required("x509", scheme))
		c := w.connect()
		prove(c)
		c.mustCreate("/a", 0)
	}
}
