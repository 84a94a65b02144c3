package sasl

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// What Apache's servers and clients use, whatever the hosts are called (Apache: SaslServerPrincipal and
// ZooKeeperSaslServer).
const (
	realm     = "zk-sasl-md5"
	digestURI = "zookeeper/zk-sasl-md5"
)

// tokenMax bounds a client's response in bytes (RFC 2831, 2.1.2).
const tokenMax = 4096

// Users are the passwords of those who may authenticate, by name.
type Users map[string]string

// Server is the server's side of one exchange.
type Server struct {
	users            Users
	nonce            string
	realm, digestURI string
	step             step
	user             string
}

// step is what the server waits for.
type step uint8

const (
	start      step = iota // the client's first token, which says nothing
	challenged             // the response
	succeeded
	failed
)

// NewServer begins an exchange. The nonce must be new, and such that nobody can guess it; it is sent as it is and holds
// neither quotes nor backslashes.
func NewServer(users Users, nonce string) *Server {
	return &Server{users: users, nonce: nonce, realm: realm, digestURI: digestURI}
}

// User is the name of who the client has proven to be; ok is false before it has.
func (s *Server) User() (name string, ok bool) { return s.user, s.step == succeeded }

// Evaluate takes a token of the client and returns the answer to it. After an error the exchange is over. The error is
// for the server's log: it says what is wrong in more detail than a client should learn.
func (s *Server) Evaluate(token []byte) (answer []byte, err error) {
	before := s.step
	s.step = failed
	switch {
	case before == start: // whatever the client begins with: a proof from an earlier exchange does not spare it this one
		s.step = challenged
		return fmt.Appendf(nil, `realm="%s",nonce="%s",charset=utf-8,algorithm=md5-sess`, s.realm, s.nonce), nil
	case before != challenged:
		return nil, errors.New("sasl: a token after the end of the exchange")
	case len(token) > tokenMax:
		return nil, fmt.Errorf("sasl: a response of %d bytes: want at most %d", len(token), tokenMax)
	}
	response, err := parseDirectives(token)
	if err != nil {
		return nil, err
	}
	if answer, err = s.verify(response); err != nil {
		return nil, err
	}
	s.step = succeeded
	return answer, nil
}

// verify checks a response and returns the server's own proof.
func (s *Server) verify(response directives) ([]byte, error) {
	for _, name := range []string{"username", "cnonce", "response"} {
		if _, given := response[name]; !given {
			return nil, fmt.Errorf("sasl: the response lacks %s", name)
		}
	}
	for _, wanted := range []struct {
		name, value string
		optional    bool
	}{
		{"realm", s.realm, false},
		{"nonce", s.nonce, false},
		{"nc", "00000001", false},
		{"digest-uri", s.digestURI, false},
		{"qop", "auth", true},
		{"charset", "utf-8", true},
	} {
		value, given := response[wanted.name]
		if value != wanted.value && (given || !wanted.optional) {
			return nil, fmt.Errorf("sasl: the response has %s=%q: want %q", wanted.name, value, wanted.value)
		}
	}
	user := response["username"]
	if _, unicode := response["charset"]; !unicode {
		user = fromLatin1(user)
	}
	if identity, given := response["authzid"]; given && identity != "" && identity != user {
		return nil, fmt.Errorf("sasl: user %q asks to act as %q", user, identity)
	}
	password, known := s.users[user]
	proof := s.proof("AUTHENTICATE:", user, password, response)
	if subtle.ConstantTimeCompare([]byte(proof), []byte(response["response"])) != 1 || !known {
		return nil, fmt.Errorf("sasl: wrong password, or no user %q", user)
	}
	s.user = user
	return []byte("rspauth=" + s.proof(":", user, password, response)), nil
}

// proof is the value that shows that somebody knows the password: the client's if a2 begins with AUTHENTICATE:, else
// the server's (RFC 2831, 2.1.2.1 and 2.1.3).
func (s *Server) proof(a2, user, password string, response directives) string {
	secret := md5.Sum([]byte(toLatin1(user) + ":" + toLatin1(s.realm) + ":" + toLatin1(password)))
	a1 := string(secret[:]) + ":" + s.nonce + ":" + response["cnonce"]
	if identity, given := response["authzid"]; given {
		a1 += ":" + identity
	}
	return hexMD5(strings.Join([]string{
		hexMD5(a1), s.nonce, response["nc"], response["cnonce"], "auth", hexMD5(a2 + response["digest-uri"]),
	}, ":"))
}

func hexMD5(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// toLatin1 encodes in ISO 8859-1 what can be, as is done before hashing; other text stays UTF-8.
func toLatin1(text string) string {
	encoded := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return text
		}
		encoded = append(encoded, byte(r))
	}
	return string(encoded)
}

// fromLatin1 decodes ISO 8859-1.
func fromLatin1(text string) string {
	var decoded strings.Builder
	for i := range len(text) {
		decoded.WriteRune(rune(text[i]))
	}
	return decoded.String()
}
