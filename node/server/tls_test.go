package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"ordeal/node/freeport"
)

// authority signs certificates in a directory of its own.
type authority struct {
	t           *testing.T
	dir         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	trust       string // the path of its trust store
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.certificate, a.key = a.sign(pkix.Name{CommonName: "authority"}, true)
	a.trust = filepath.Join(a.dir, "trust.pem")
	a.write(a.trust, &pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
	return a
}

func (a *authority) sign(name pkix.Name, self bool, addresses ...net.IP) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: name, IPAddresses: addresses,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: self, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := template, key
	if !self {
		parent, signer = a.certificate, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	require.NoError(a.t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(a.t, err)
	return certificate, key
}

func (a *authority) write(path string, blocks ...*pem.Block) {
	a.t.Helper()
	text := ""
	for _, block := range blocks {
		text += string(pem.EncodeToMemory(block))
	}
	require.NoError(a.t, os.WriteFile(path, []byte(text), 0o600))
}

// store makes a key store for somebody at these addresses.
func (a *authority) store(name pkix.Name, addresses ...net.IP) (path string) {
	a.t.Helper()
	certificate, key := a.sign(name, false, addresses...)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(a.t, err)
	path = filepath.Join(a.dir, fmt.Sprintf("%d.pem", certificate.SerialNumber))
	a.write(path, &pem.Block{Type: "PRIVATE KEY", Bytes: der}, &pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
	return path
}

// lines are the keys of zoo.cfg for a key store, "ssl" or "ssl.quorum".
func (a *authority) lines(prefix, store string) string {
	return fmt.Sprintf("%s.keyStore.location=%s\n%s.trustStore.location=%s\n", prefix, store, prefix, a.trust)
}

// client is how a client connects that has this key store, "" for none.
func (a *authority) client(store string) *tls.Config {
	a.t.Helper()
	roots, err := loadTrustStore(a.trust)
	require.NoError(a.t, err)
	config := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
	if store != "" {
		certificate, err := loadKeyStore(store)
		require.NoError(a.t, err)
		config.Certificates = []tls.Certificate{certificate}
	}
	return config
}

var here = net.IPv4(127, 0, 0, 1)

func secureConfig(t *testing.T, a *authority, more string) (config *Config, address string) {
	t.Helper()
	port := freeport.Take(t)
	config = standaloneConfig(t, fmt.Sprintf("secureClientPort=%d\nsecureClientPortAddress=127.0.0.1\n%s%s",
		port, a.lines("ssl", a.store(pkix.Name{CommonName: "server"}, here)), more), nil)
	return config, fmt.Sprintf("127.0.0.1:%d", port)
}

// zkOver is an independent client over TLS.
func zkOver(t *testing.T, address string, config *tls.Config) *zk.Conn {
	t.Helper()
	c, _, err := zk.Connect([]string{address}, 4*time.Second, zk.WithLogger(silent{}), zk.WithDialer(
		func(network, address string, timeout time.Duration) (net.Conn, error) {
			return tls.DialWithDialer(&net.Dialer{Timeout: timeout}, network, address, config)
		}))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func TestClientsOverTLS(t *testing.T) {
	a := newAuthority(t)
	config, address := secureConfig(t, a, "")
	r := start(t, config)
	plain := client(t, r)
	alice := zkOver(t, address, a.client(a.store(pkix.Name{CommonName: "alice", Organization: []string{"A, B"}, Country: []string{"DE"}})))
	bob := zkOver(t, address, a.client(a.store(pkix.Name{CommonName: "bob"})))

	// Who a client is stands in its certificate.
	const subject = `CN=alice,O=A\, B,C=DE`
	retry(t, func() error {
		_, err := alice.Create("/hers", []byte("secret"), 0, []zk.ACL{{Perms: zk.PermAll, Scheme: "auth"}})
		return err
	})
	acl, _, err := alice.GetACL("/hers")
	require.NoError(t, err)
	require.Equal(t, []zk.ACL{{Perms: zk.PermAll, Scheme: "x509", ID: subject}}, acl)
	_, _, err = alice.Get("/hers")
	require.NoError(t, err)
	for _, other := range []*zk.Conn{plain, bob} {
		retry(t, func() error {
			_, _, err := other.Get("/hers")
			if err == zk.ErrNoAuth {
				return nil
			}
			require.Error(t, err)
			return err
		})
	}
	_, err = alice.Create("/bad", nil, 0, []zk.ACL{{Perms: zk.PermAll, Scheme: "x509", ID: "nonsense"}})
	require.Equal(t, zk.ErrInvalidACL, err)
	require.Contains(t, r.word("conf"), "secureClientPort="+strings.TrimPrefix(address, "127.0.0.1:"))

	// Four-letter words are answered there too.
	secured, err := tls.Dial("tcp", address, a.client(a.store(pkix.Name{CommonName: "carol"})))
	require.NoError(t, err)
	defer secured.Close()
	_, err = secured.Write([]byte("ruok"))
	require.NoError(t, err)
	answer, err := io.ReadAll(secured)
	require.NoError(t, err)
	require.Equal(t, "imok", string(answer))
}

func TestSuperUserByCertificate(t *testing.T) {
	a := newAuthority(t)
	config, address := secureConfig(t, a, "X509AuthenticationProvider.superUser=CN=root\n")
	start(t, config)
	alice := zkOver(t, address, a.client(a.store(pkix.Name{CommonName: "alice"})))
	root := zkOver(t, address, a.client(a.store(pkix.Name{CommonName: "root"})))
	retry(t, func() error {
		_, err := alice.Create("/hers", nil, 0, []zk.ACL{{Perms: zk.PermAll, Scheme: "auth"}})
		return err
	})
	retry(t, func() error { return root.Delete("/hers", -1) })
}

// Whoever is not trusted is refused, and hurts nobody.
func TestStrangersAtTheSecurePort(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	config, address := secureConfig(t, a, "")
	r := start(t, config)
	good := zkOver(t, address, a.client(a.store(pkix.Name{CommonName: "good"})))
	retry(t, func() error { _, _, err := good.Exists("/"); return err })
	for name, config := range map[string]*tls.Config{
		"without a certificate":       a.client(""),
		"of another authority":        {InsecureSkipVerify: true, Certificates: other.client(other.store(pkix.Name{CommonName: "x"})).Certificates},
		"with an old protocol":        {InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11},
		"who does not trust us":       other.client(""),
		"with a suite that is unsafe": {InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_RC4_128_SHA}},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := tls.Dial("tcp", address, config)
			if err == nil { // with TLS 1.3 the refusal comes behind the handshake
				defer conn.Close()
				_, err = io.ReadAll(conn)
			}
			require.Error(t, err)
		})
	}
	for _, bytes := range [][]byte{connectRequest(1000), []byte("ruok"), {tlsHandshake, 3, 1, 0xff, 0xff}} {
		tcp := r.dial(address)
		write(t, tcp, bytes)
		require.NoError(t, tcp.(*net.TCPConn).CloseWrite())
		io.Copy(io.Discard, tcp)
	}
	_, _, err := good.Exists("/")
	require.NoError(t, err)
	// A client sees its connection end before the server has counted it.
	require.Eventually(t, func() bool { return strings.Contains(r.word("mntr"), "zk_unsuccessful_handshake\t8\n") },
		10*time.Second, 10*time.Millisecond)
}

func TestClientPortThatTakesBoth(t *testing.T) {
	a := newAuthority(t)
	config := standaloneConfig(t, "client.portUnification=true\nssl.clientAuth=none\n"+a.lines("ssl", a.store(pkix.Name{CommonName: "server"}, here)), nil)
	r := start(t, config)
	require.Equal(t, "imok", r.word("ruok"))
	secured := zkOver(t, r.clientAddress(), a.client(""))
	retry(t, func() error { _, _, err := secured.Exists("/"); return err })
	retry(t, func() error { _, _, err := client(t, r).Exists("/"); return err })
}

// A caller that says nothing does not keep the server from stopping.
func TestSilentCallerWhereBothAreTaken(t *testing.T) {
	near, _ := socketPair(t)
	ctx, cancel := context.WithCancel(t.Context())
	welcomed := make(chan error, 1)
	go func() {
		_, err := (&security{unify: true}).welcome(ctx, near)
		welcomed <- err
	}()
	cancel()
	require.ErrorIs(t, <-welcomed, context.Canceled, "not only the end of its patience")
}

// secureEnsemble is three members that talk over TLS.
func secureEnsemble(t *testing.T, a *authority, more string) []*Config {
	t.Helper()
	var configs []*Config
	for _, config := range ensembleConfigs(t, 3) {
		path := writeFile(t, filepath.Join(t.TempDir(), "zoo.cfg"), config.Text+more+
			a.lines("ssl.quorum", a.store(pkix.Name{CommonName: fmt.Sprint("member ", config.MyID)}, here)))
		loaded, err := LoadConfig(path, nil)
		require.NoError(t, err)
		configs = append(configs, loaded)
	}
	return configs
}

func TestMembersOverTLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	var members []*running
	for _, config := range secureEnsemble(t, a, "sslQuorum=true\n") {
		members = append(members, start(t, config))
	}
	c := client(t, members...)
	retry(t, func() error {
		_, err := c.Create("/shared", nil, 0, open)
		return err
	})
	// Without TLS, or with a certificate for elsewhere, nobody gets in.
	for _, address := range []string{members[0].config.self().ElectionAddress()} {
		tcp := members[0].dial(address)
		write(t, tcp, header(3, "h:1"))
		_, err := io.ReadAll(tcp)
		if err != nil {
			require.ErrorContains(t, err, "reset")
		}
		elsewhere := a.client(a.store(pkix.Name{CommonName: "x"}, net.IPv4(10, 1, 2, 3)))
		conn, err := tls.Dial("tcp", address, elsewhere)
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.ReadAll(conn)
		if err != nil {
			require.ErrorContains(t, err, "reset")
		}
		members[0].logs("the certificate is not for its owner's address")
	}
	require.NotContains(t, members[0].log.String(), "panic")
}

// An ensemble changes over to TLS member by member.
func TestMembersThatTakeBoth(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	configs := secureEnsemble(t, a, "portUnification=true\n")
	configs[1].QuorumTLS = true
	configs[1].tuning.quorumSecurity.plain = false
	var members []*running
	for _, config := range configs {
		members = append(members, start(t, config))
	}
	for _, r := range members {
		r.eventually(func() bool { return r.mode() == "leader" || r.mode() == "follower" }, "a role")
	}
}

func TestTLSConfiguration(t *testing.T) {
	a := newAuthority(t)
	store := a.store(pkix.Name{CommonName: "server"}, here)
	jks := writeFile(t, filepath.Join(t.TempDir(), "store.jks"), string(binary.BigEndian.AppendUint32(nil, 0xfeedfeed)))
	for more, want := range map[string]string{
		"secureClientPort=1\n": "ssl.keyStore.location: it is not set",
		"secureClientPort=1\nssl.keyStore.location=" + store + "\n":                    "ssl.trustStore.location is not set: clients cannot be told apart",
		"secureClientPort=1\nssl.keyStore.location=" + jks + "\n":                      "is not a PEM file, which is what this server reads; convert it with",
		"secureClientPort=1\nssl.keyStore.location=/none\n":                            "no such file",
		"secureClientPortAddress=h\n":                                                  "secureClientPort is not",
		"sslQuorum=true\n":                                                             "this server is alone",
		"secureClientPort=1\nssl.clientAuth=maybe\n" + a.lines("ssl", store):           "want need, want or none",
		"secureClientPort=1\nssl.enabledProtocols=SSLv3\n" + a.lines("ssl", store):     "want TLSv1.2 or TLSv1.3",
		"secureClientPort=1\nssl.ciphersuites=TLS_NONE\n" + a.lines("ssl", store):      "unknown or unsafe cipher suite",
		"secureClientPort=1\nssl.crl=true\n" + a.lines("ssl", store):                   "zookeeper.ssl.crl is not supported",
		"secureClientPort=1\nssl.hostnameVerification=maybe\n" + a.lines("ssl", store): "want yes or no",
		"secureClientPort=1\nssl.keyStore.location=" + a.trust + "\n":                  "failed to find any PEM data in key input",
	} {
		dir := t.TempDir()
		path := writeFile(t, filepath.Join(dir, "zoo.cfg"), "dataDir="+dir+"\nclientPort=2181\n"+more)
		_, err := LoadConfig(path, nil)
		require.ErrorContains(t, err, want, more)
	}
	dir := t.TempDir()
	config, err := LoadConfig(writeFile(t, filepath.Join(dir, "zoo.cfg"), "dataDir="+dir+"\nsecureClientPort=2281\nssl.enabledProtocols=TLSv1.3,TLSv1.2\n"+a.lines("ssl", store)), nil)
	require.NoError(t, err, "without a plain port")
	require.EqualValues(t, tls.VersionTLS12, config.tuning.clientSecurity.server.MinVersion)
	require.EqualValues(t, tls.VersionTLS13, config.tuning.clientSecurity.server.MaxVersion)
}
