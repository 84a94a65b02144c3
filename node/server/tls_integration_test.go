//go:build integration

package server

import (
	"crypto/x509/pkix"
	"os/exec"
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"ordeal/node/apachetest"
)

// Apache's own client comes over TLS, with the certificate that says who it is.
func TestIntegrationJavaClientOverTLS(t *testing.T) {
	const jars = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-nop.jar:/usr/share/java/netty-codec.jar:/usr/share/java/netty-resolver.jar"
	java := apachetest.Need(t)
	a := newAuthority(t)
	config, address := secureConfig(t, a, "")
	r := start(t, config)
	require.Equal(t, "standalone", r.mode())
	store := a.store(pkix.Name{CommonName: "java", Organization: []string{"Duke"}})
	output, err := exec.CommandContext(t.Context(), java, "-cp", jars,
		"-Dzookeeper.client.secure=true", "-Dzookeeper.clientCnxnSocket=org.apache.zookeeper.ClientCnxnSocketNetty",
		"-Dzookeeper.ssl.keyStore.location="+store, "-Dzookeeper.ssl.trustStore.location="+a.trust,
		"org.apache.zookeeper.ZooKeeperMain", "-server", address, "create", "/hers", "x", "auth::cdrwa").CombinedOutput()
	require.NoError(t, err, string(output))
	require.Contains(t, string(output), "Created /hers")
	acl, _, err := client(t, r).GetACL("/hers")
	require.Equal(t, zk.ErrNoAuth, err)
	require.Empty(t, acl)
	java2 := zkOver(t, address, a.client(store))
	retry(t, func() error { acl, _, err = java2.GetACL("/hers"); return err })
	require.Equal(t, []zk.ACL{{Perms: zk.PermAll, Scheme: "x509", ID: "CN=java,O=Duke"}}, acl)
}
