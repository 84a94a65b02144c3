package server

import (
	"crypto"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/sasl"
)

const (
	saslProviderLine = "authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\n"
	jaasOfServer     = `Server { org.apache.zookeeper.server.auth.DigestLoginModule required user_bob="secret" user_super="x"; };`
)

// TestAuthenticationSettings: what was asked for holds, wherever it was asked for, or the server does not start.
func TestAuthenticationSettings(t *testing.T) {
	jaas := writeFile(t, filepath.Join(t.TempDir(), "jaas.conf"), jaasOfServer)
	users := sasl.Users{"bob": "secret", "super": "x"}
	with := func(pairs ...string) map[string]string {
		properties := map[string]string{"java.security.auth.login.config": jaas}
		for i := 0; i < len(pairs); i += 2 {
			properties[pairs[i]] = pairs[i+1]
		}
		return properties
	}
	for _, c := range []struct {
		name       string
		lines      string
		properties map[string]string
		users      sasl.Users
		required   []string
	}{
		{"nothing", "", nil, nil, nil},
		{"switched off", "sessionRequireClientSASLAuth=false\nenforce.auth.enabled=false\nenforce.auth.schemes=digest\n", nil, nil, nil},
		{"users", "", with(), users, nil},
		{"another section", "", with("zookeeper.sasl.serverconfig", "Other"), sasl.Users{}, nil},
		{"the super user's password", "", with("zookeeper.SASLAuthenticationProvider.superPassword", "y"), sasl.Users{"bob": "secret", "super": "y"}, nil},
		{"SASL is required", saslProviderLine + "sessionRequireClientSASLAuth=true\n", with(), users, []string{"sasl"}},
		{"SASL is required by a property", saslProviderLine, with("zookeeper.sessionRequireClientSASLAuth", "true"), users, []string{"sasl"}},
		{"some scheme is required", saslProviderLine + "enforce.auth.enabled=true\nenforce.auth.schemes=sasl, digest\n", with(), users, []string{"sasl", "digest"}},
		{"a scheme is required by properties", "", map[string]string{"zookeeper.enforce.auth.enabled": "true", "zookeeper.enforce.auth.schemes": "x509"}, nil, []string{"x509"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, _, err := load(t, standaloneText+c.lines, c.properties)
			require.NoError(t, err)
			require.Equal(t, c.users, config.authentication.SASLUsers)
			require.Equal(t, c.required, config.authentication.Required)
			require.Equal(t, c.lines != "" && c.users != nil, config.authentication.SASLScheme)
			require.NotEqual(t, config.authentication.SASLNonce(), config.authentication.SASLNonce())
		})
	}
	for name, algorithm := range map[string]crypto.Hash{"": crypto.SHA1, "SHA1": crypto.SHA1, "SHA-256": crypto.SHA256, "sha-512": crypto.SHA512} {
		properties := map[string]string{}
		if name != "" {
			properties["zookeeper.DigestAuthenticationProvider.digestAlg"] = name
		}
		config, _, err := load(t, standaloneText, properties)
		require.NoError(t, err)
		require.Equal(t, algorithm, config.authentication.DigestAlgorithm, name)
	}
	kerberos := writeFile(t, filepath.Join(t.TempDir(), "jaas.conf"), "Server { com.sun.security.auth.module.Krb5LoginModule required; };")
	broken := writeFile(t, filepath.Join(t.TempDir(), "jaas.conf"), "Server {")
	for _, c := range []struct {
		lines      string
		properties map[string]string
		want       string
	}{
		{"", map[string]string{"java.security.auth.login.config": "/none"}, "java.security.auth.login.config: open /none"},
		{"", map[string]string{"java.security.auth.login.config": broken}, "the file ends"},
		{"", map[string]string{"java.security.auth.login.config": kerberos}, "Krb5LoginModule is not supported"},
		{"", map[string]string{"zookeeper.sessionRequireClientSASLAuth": "true"}, "set authProvider.1="},
		{saslProviderLine + "sessionRequireClientSASLAuth=true\n", nil, "name users in a JAAS file"},
		{"sessionRequireClientSASLAuth=perhaps\n", nil, "want yes or no"},
		{"enforce.auth.enabled=true\n", nil, "needs enforce.auth.schemes"},
		{"enforce.auth.enabled=perhaps\n", nil, "want yes or no"},
		{"enforce.auth.enabled=true\nenforce.auth.schemes=digest,host\n", nil, `no scheme "host"`},
		{"authProvider.2=org.example.Provider\n", nil, "authProvider.2=org.example.Provider"},
		{"allowSaslFailedClients=perhaps\n", nil, "want yes or no"},
		{"", map[string]string{"zookeeper.DigestAuthenticationProvider.digestAlg": "MD5"}, "digestAlg=MD5 is not supported"},
		{"", map[string]string{"zookeeper.DigestAuthenticationProvider.enabled": "false"}, "DigestAuthenticationProvider.enabled=false is not supported"},
		{"", map[string]string{"zookeeper.multiAddress.enabled": "true"}, "multiAddress.enabled=true is not supported"},
		{"", map[string]string{"quorum.auth.enableSasl": "true"}, "quorum.auth.enableSasl=true is not supported"},
		{"admin.forceHttps=true\n", nil, "admin.forceHttps=true is not supported"},
		{"audit.enable=true\n", nil, "audit.enable=true is not supported"},
		{"letAnySaslUserDoX=bob\n", nil, "letAnySaslUserDoX is not supported"},
	} {
		_, _, err := load(t, standaloneText+c.lines, c.properties)
		require.ErrorContains(t, err, c.want)
	}
}
