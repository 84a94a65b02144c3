package sasl

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestExamples are the exchanges of RFC 2831, section 4.
func TestExamples(t *testing.T) {
	for _, c := range []struct{ nonce, uri, response, answer string }{
		{
			"OA6MG9tEQGm2hh", "imap/elwood.innosoft.com",
			`charset=utf-8,username="chris",realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",nc=00000001,cnonce="OA6MHXh6VqTrRk",` +
				`digest-uri="imap/elwood.innosoft.com",response=d388dad90d4bbd760a152321f2143af7,qop=auth`,
			"rspauth=ea40f60335c427b5527b84dbabcdfffd",
		},
		{
			"OA9BSXrbuRhWay", "acap/elwood.innosoft.com",
			`charset=utf-8,username="chris",realm="elwood.innosoft.com",nonce="OA9BSXrbuRhWay",nc=00000001,cnonce="OA9BSuZWMSpW8m",` +
				`digest-uri="acap/elwood.innosoft.com",response=6084c6db3fede7352c551284490fd0fc,qop=auth`,
			"rspauth=2f0b3d7c3c2e486600ef710726aa2eae",
		},
	} {
		s := NewServer(Users{"chris": "secret"}, c.nonce)
		s.realm, s.digestURI = "elwood.innosoft.com", c.uri
		_, err := s.Evaluate(nil)
		require.NoError(t, err)
		answer, err := s.Evaluate([]byte(c.response))
		require.NoError(t, err)
		require.Equal(t, c.answer, string(answer))
		user, ok := s.User()
		require.True(t, ok)
		require.Equal(t, "chris", user)
	}
}

const testNonce = "NONCE"

// respond makes a client's response; changes replace a directive, or remove it where they are empty.
func respond(users Users, user string, changes map[string]string) string {
	values := map[string]string{
		"username": user, "realm": realm, "nonce": testNonce, "cnonce": "C", "nc": "00000001", "qop": "auth", "digest-uri": digestURI, "charset": "utf-8",
	}
	for name, value := range changes {
		values[name] = value
		if value == "" {
			delete(values, name)
		}
	}
	if _, given := changes["response"]; !given {
		values["response"] = NewServer(nil, testNonce).proof("AUTHENTICATE:", user, users[user], values)
	}
	var parts []string
	for name, value := range values {
		parts = append(parts, fmt.Sprintf(`%s="%s"`, name, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)))
	}
	return strings.Join(parts, ", ")
}

var testUsers = Users{"bob": "secret", `b"o\b`: "s", "zoé": "é", "赵": "密码"}

func TestUsersWhoKnowTheirPasswords(t *testing.T) {
	for _, c := range []struct {
		name, user string
		changes    map[string]string
	}{
		{"plain", "bob", nil},
		{"quotes and backslashes", `b"o\b`, nil},
		{"ISO 8859-1", "zoé", nil},
		{"other letters", "赵", nil},
		{"as oneself", "bob", map[string]string{"authzid": "bob"}},
		{"without what has a default", "bob", map[string]string{"qop": "", "charset": ""}},
		{"with what says nothing here", "bob", map[string]string{"maxbuf": "65536", "cipher": "rc4"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewServer(testUsers, testNonce)
			challenge, err := s.Evaluate([]byte{})
			require.NoError(t, err)
			require.Equal(t, `realm="zk-sasl-md5",nonce="NONCE",charset=utf-8,algorithm=md5-sess`, string(challenge))
			_, ok := s.User()
			require.False(t, ok)
			_, err = s.Evaluate([]byte(respond(testUsers, c.user, c.changes)))
			require.NoError(t, err)
			user, ok := s.User()
			require.True(t, ok)
			require.Equal(t, c.user, user)
			_, err = s.Evaluate(nil)
			require.ErrorContains(t, err, "after the end")
		})
	}
}

// TestNamesInISO88591 are those of a client that does not say utf-8.
func TestNamesInISO88591(t *testing.T) {
	s := NewServer(testUsers, testNonce)
	_, err := s.Evaluate(nil)
	require.NoError(t, err)
	response := respond(testUsers, "zoé", map[string]string{"charset": ""})
	_, err = s.Evaluate([]byte(strings.Replace(response, "zoé", "zo\xe9", 1)))
	require.NoError(t, err)
	user, _ := s.User()
	require.Equal(t, "zoé", user)
}

func TestWhoIsRefused(t *testing.T) {
	for _, c := range []struct{ name, token, want string }{
		{"wrong password", respond(Users{"bob": "Secret"}, "bob", nil), "wrong password"},
		{"nobody of that name", respond(testUsers, "eve", nil), "wrong password"},
		{"nobody with an empty password", respond(Users{"eve": ""}, "eve", nil), "wrong password"},
		{"somebody who would be another", respond(testUsers, "bob", map[string]string{"authzid": "zoé"}), "act as"},
		{"proof of another exchange", respond(testUsers, "bob", map[string]string{"nonce": "OTHER"}), "nonce"},
		{"replayed", respond(testUsers, "bob", map[string]string{"nc": "00000002"}), "nc"},
		{"another service", respond(testUsers, "bob", map[string]string{"digest-uri": "imap/host"}), "digest-uri"},
		{"another realm", respond(testUsers, "bob", map[string]string{"realm": "r"}), "realm"},
		{"no realm", respond(testUsers, "bob", map[string]string{"realm": ""}), "realm"},
		{"more than authentication", respond(testUsers, "bob", map[string]string{"qop": "auth-conf"}), "qop"},
		{"no proof", respond(testUsers, "bob", map[string]string{"response": ""}), "lacks response"},
		{"no cnonce", respond(testUsers, "bob", map[string]string{"cnonce": ""}), "lacks cnonce"},
		{"twice", respond(testUsers, "bob", nil) + ",qop=auth", "twice"},
		{"no pairs", "bob secret", "name=value"},
		{"no comma", `username="bob" realm="r"`, "comma"},
		{"no end", `username="bob`, "without an end"},
		{"no end after a backslash", `username="bob\`, "without an end"},
		{"too long", strings.Repeat(" ", tokenMax+1), "at most"},
		{"nothing", "", "lacks"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewServer(testUsers, testNonce)
			_, err := s.Evaluate(nil)
			require.NoError(t, err)
			_, err = s.Evaluate([]byte(c.token))
			require.ErrorContains(t, err, c.want)
			_, ok := s.User()
			require.False(t, ok)
			_, err = s.Evaluate([]byte(respond(testUsers, "bob", nil)))
			require.ErrorContains(t, err, "after the end", "there is one try")
		})
	}
	s := NewServer(testUsers, testNonce)
	challenge, err := s.Evaluate([]byte(respond(testUsers, "bob", nil)))
	require.NoError(t, err)
	require.Contains(t, string(challenge), "realm", "a proof that comes first is answered with the challenge")
	_, ok := s.User()
	require.False(t, ok)
}

func FuzzEvaluate(f *testing.F) {
	f.Add([]byte(respond(testUsers, "bob", nil)))
	f.Add([]byte(`username="\`))
	f.Fuzz(func(t *testing.T, token []byte) {
		s := NewServer(Users{"bob": "a password that nobody guesses"}, testNonce)
		_, err := s.Evaluate(nil)
		require.NoError(t, err)
		_, err = s.Evaluate(token)
		require.Error(t, err)
	})
}
