//go:build integration

package server

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// saslMembers starts three servers, with more lines in their zoo.cfg, that know bob by the password secret.
func saslMembers(t *testing.T, more ...string) (addresses string) {
	t.Helper()
	jaas := writeFile(t, filepath.Join(t.TempDir(), "jaas.conf"), jaasOfServer)
	_, addresses = members(t, append(more, saslProviderLine, "java.security.auth.login.config="+jaas)...)
	return addresses
}

// TestIntegrationSASLOfApachesClient authenticates Apache's own client by its JAAS file, to servers that serve nobody
// else.
func TestIntegrationSASLOfApachesClient(t *testing.T) {
	const zkCli = "/usr/share/zookeeper/bin/zkCli.sh"
	needs(t, "zookeeper openjdk-17-jre-headless", zkCli, "java")
	addresses := saslMembers(t, "sessionRequireClientSASLAuth=true")
	clientWith := func(password string) {
		jaas := writeFile(t, filepath.Join(t.TempDir(), "jaas.conf"),
			`Client { org.apache.zookeeper.server.auth.DigestLoginModule required username="bob" password="`+password+`"; };`)
		t.Setenv("CLIENT_JVMFLAGS", "-Djava.security.auth.login.config="+jaas)
	}
	clientWith("secret")
	said := runs(t, strings.Join([]string{
		"create /his one sasl:bob:cdrwa", "getAcl /his", "create /hers two sasl:eve:cdrwa", "get /hers", "create /mine three auth::r", "getAcl /mine", "whoami",
	}, "\n")+"\nquit\n", zkCli, "-server", addresses)
	for _, expected := range []string{"SaslAuthenticated", "Created /his", "'sasl,'bob\n: cdrwa", "Insufficient permission : /hers", "'sasl,'bob\n: r\n", "sasl: bob"} {
		require.Contains(t, said, expected)
	}

	clientWith("guess")
	ctx, cancel := context.WithTimeout(t.Context(), clientPatience)
	defer cancel()
	output, err := exec.CommandContext(ctx, zkCli, "-server", addresses, "get", "/his").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(output), "AuthFailed for /his")
}

// TestIntegrationSASLOfKazoo: kazoo does not know the code by which a server that requires SASL refuses somebody.
func TestIntegrationSASLOfKazoo(t *testing.T) {
	const python, kazoo, puresasl = "/usr/bin/python3", "/usr/lib/python3/dist-packages/kazoo/client.py", "/usr/lib/python3/dist-packages/puresasl/client.py"
	needs(t, "python3-kazoo python3-pure-sasl", python, kazoo, puresasl)
	said := runs(t, "", python, filepath.Join("testdata", "clients", "kazoo_sasl.py"), saslMembers(t))
	require.Contains(t, said, "ok no_password")
}
