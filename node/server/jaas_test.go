package server

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseJAAS(t *testing.T) {
	sections, err := parseJAAS(`
// Who may come in.
Server {
    org.apache.zookeeper.server.auth.DigestLoginModule required /* one
    module */ user_bob="secret" user_eve='x'
    user_quotes="say \"a\\b\"; {=}";
};
# What a client says.
Client { other.Module optional a=b; second.Module SUFFICIENT; };
Empty {};`)
	require.NoError(t, err)
	require.Equal(t, map[string][]jaasEntry{
		"Server": {{"org.apache.zookeeper.server.auth.DigestLoginModule", map[string]string{
			"user_bob": "secret", "user_eve": "'x'", "user_quotes": `say "a\b"; {=}`,
		}}},
		"Client": {{"other.Module", map[string]string{"a": "b"}}, {"second.Module", map[string]string{}}},
		"Empty":  {},
	}, sections)
	for text, want := range map[string]string{
		"Server":                           "the file ends where { should be",
		"Server {\n m required a=b }":      `line 2: "}" where a name or a value should be`,
		"Server {\n m required a b; };":    `line 2: "b" where = should be`,
		"Server { m required a=; };":       `line 1: ";" where a name or a value should be`,
		"Server { m maybe; };":             `module m is "maybe"`,
		"Server { m required; }":           "the file ends where ; should be",
		"Server { m required a=\"b\n\"; }": "line 1: a quote without an end",
		"/* Server":                        "a comment without an end",
		"S {}; S {};":                      "section S is there twice",
		`"{" { m required; } Server`:       `"Server" where ; should be`,
	} {
		_, err := parseJAAS(text)
		require.ErrorContains(t, err, want, text)
	}
}
