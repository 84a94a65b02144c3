package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

// TLS on the client port and between members, with Apache's properties (X509Util).

const (
	// handshakeTimeout bounds a TLS handshake. It is long because Apache's server looks its caller's
	// name up in the middle of it, and takes no other caller meanwhile: to give up and call again
	// would only put more in its way.
	handshakeTimeout = 20 * time.Second
	// tlsHandshake is the first byte of a TLS connection.
	tlsHandshake = 0x16
)

// security makes connections secure. A nil one leaves them as they are.
type security struct {
	server, client *tls.Config
	// unify takes connections without TLS too, for the time in which an ensemble is changed over.
	unify bool
	// plain calls others without TLS, although it takes TLS.
	plain bool
	// checkCaller wants the certificate of who calls to name the address that it calls from.
	checkCaller bool
}

// secure reads the properties that begin with prefix, "zookeeper.ssl." or "zookeeper.ssl.quorum.".
func (p Properties) secure(prefix string) (*security, error) {
	text := func(name string) string { return p.text(prefix + name) }
	for _, name := range []string{"crl", "ocsp", "fips-mode"} {
		if on, err := p.flag(prefix+name, false); err != nil || on {
			return nil, errors.Join(err, fmt.Errorf("property %s%s is not supported by this server", prefix, name))
		}
	}
	certificate, err := loadKeyStore(text("keyStore.location"))
	if err != nil {
		return nil, fmt.Errorf("property %skeyStore.location: %w", prefix, err)
	}
	roots, err := loadTrustStore(text("trustStore.location"))
	if err != nil {
		return nil, fmt.Errorf("property %strustStore.location: %w", prefix, err)
	}
	least, most, err := tlsVersions(text("enabledProtocols"), text("protocol"))
	if err != nil {
		return nil, fmt.Errorf("property %senabledProtocols: %w", prefix, err)
	}
	suites, err := cipherSuites(text("ciphersuites"))
	if err != nil {
		return nil, fmt.Errorf("property %sciphersuites: %w", prefix, err)
	}
	verifyHost, err := p.flag(prefix+"hostnameVerification", true)
	if err != nil {
		return nil, err
	}
	s := &security{
		server:      &tls.Config{Certificates: []tls.Certificate{certificate}, ClientCAs: roots, MinVersion: least, MaxVersion: most, CipherSuites: suites},
		client:      &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: roots, MinVersion: least, MaxVersion: most, CipherSuites: suites},
		checkCaller: verifyHost,
	}
	switch mode := strings.ToLower(text("clientAuth")); mode {
	case "", "need":
		s.server.ClientAuth = tls.RequireAndVerifyClientCert
	case "want":
		s.server.ClientAuth = tls.VerifyClientCertIfGiven
	case "none":
		s.server.ClientAuth = tls.NoClientCert
	default:
		return nil, fmt.Errorf("property %sclientAuth=%s: want need, want or none", prefix, mode)
	}
	if roots == nil && s.server.ClientAuth != tls.NoClientCert {
		return nil, fmt.Errorf("property %strustStore.location is not set: clients cannot be told apart without it; set %sclientAuth=none to take anybody", prefix, prefix)
	}
	if !verifyHost {
		// The chain is still checked, only the name in it is not.
		s.client.InsecureSkipVerify = true
		s.client.VerifyConnection = verifyChain(roots)
	}
	return s, nil
}

// verifyChain checks a server's certificate without its name.
func verifyChain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, certificate := range state.PeerCertificates[1:] {
			options.Intermediates.AddCert(certificate)
		}
		_, err := state.PeerCertificates[0].Verify(options)
		return err
	}
}

// secureConn is a TLS connection that closes at once. What crypto/tls does, to say goodbye first, may
// wait for a peer that does not read.
type secureConn struct{ *tls.Conn }

// Close closes the connection.
func (c secureConn) Close() error { return c.NetConn().Close() }

// welcome secures a connection that somebody else made. It ends with ctx, whatever the other side does.
func (s *security) welcome(ctx context.Context, conn net.Conn) (net.Conn, error) {
	if s == nil {
		return conn, nil
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	secured, err := s.greet(ctx, conn)
	if !stop() {
		return nil, context.Cause(ctx)
	}
	return secured, err
}

// greet is welcome but for one thing: a caller that says nothing is waited for, even if ctx is done.
func (s *security) greet(ctx context.Context, conn net.Conn) (net.Conn, error) {
	conn.SetDeadline(time.Now().Add(handshakeTimeout))
	defer conn.SetDeadline(time.Time{})
	if s.unify {
		var first [1]byte
		if _, err := conn.Read(first[:]); err != nil {
			return nil, err
		}
		conn = &startedConn{Conn: conn, start: first[:]}
		if first[0] != tlsHandshake {
			return conn, nil
		}
	}
	secured := secureConn{tls.Server(conn, s.server)}
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	if s.checkCaller {
		if err := checkCaller(ctx, secured); err != nil {
			return nil, err
		}
	}
	return secured, nil
}

// checkCaller compares the caller's certificate with its address, or with the names that this has.
func checkCaller(ctx context.Context, conn secureConn) error {
	certificates := conn.ConnectionState().PeerCertificates
	if len(certificates) == 0 {
		return nil // clientAuth allows it
	}
	address := addressOf(conn)
	err := certificates[0].VerifyHostname(address)
	if err == nil {
		return nil
	}
	names, _ := net.DefaultResolver.LookupAddr(ctx, address) // without names the address's error stands
	for _, name := range names {
		if certificates[0].VerifyHostname(strings.TrimSuffix(name, ".")) == nil {
			return nil
		}
	}
	return fmt.Errorf("the certificate is not for its owner's address: %w", err)
}

// call secures a connection that this server made to address.
func (s *security) call(ctx context.Context, conn net.Conn, address string) (net.Conn, error) {
	if s == nil || s.plain {
		return conn, nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	config := s.client.Clone()
	config.ServerName = host
	secured := secureConn{tls.Client(conn, config)}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS handshake with %s: %w", address, err)
	}
	return secured, nil
}

// startedConn is a connection of which something was read already.
type startedConn struct {
	net.Conn
	start []byte
}

// Read returns what was read already, and then what comes.
func (c *startedConn) Read(buffer []byte) (int, error) {
	if len(c.start) == 0 {
		return c.Conn.Read(buffer)
	}
	n := copy(buffer, c.start)
	c.start = c.start[n:]
	return n, nil
}

// NetConn is the connection itself.
func (c *startedConn) NetConn() net.Conn { return c.Conn }

// socketOf is what a connection goes over.
func socketOf(conn net.Conn) net.Conn {
	for {
		wrapped, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn
		}
		conn = wrapped.NetConn()
	}
}

// storeHint is for those who have their keys in Java's formats.
const storeHint = "convert it with: keytool -importkeystore -srckeystore STORE -destkeystore store.p12 -deststoretype PKCS12 && openssl pkcs12 -in store.p12 -nodes -out store.pem"

// readStore returns the PEM blocks of a key store or trust store.
func readStore(path string) ([]*pem.Block, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var blocks []*pem.Block
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		blocks = append(blocks, block)
	}
	if len(blocks) == 0 {
		return nil, fmt.Errorf("%s is not a PEM file, which is what this server reads; %s", path, storeHint)
	}
	return blocks, nil
}

// loadKeyStore reads a private key and its certificates, the server's own first.
func loadKeyStore(path string) (tls.Certificate, error) {
	if path == "" {
		return tls.Certificate{}, errors.New("it is not set")
	}
	blocks, err := readStore(path)
	if err != nil {
		return tls.Certificate{}, err
	}
	var key, chain bytes.Buffer
	for _, block := range blocks {
		switch {
		case block.Type == "CERTIFICATE":
			pem.Encode(&chain, &pem.Block{Type: block.Type, Bytes: block.Bytes})
		case strings.HasPrefix(block.Type, "ENCRYPTED") || block.Headers["DEK-Info"] != "":
			return tls.Certificate{}, fmt.Errorf("%s: the private key is encrypted, which this server does not read; decrypt it with: openssl pkey -in KEY -out KEY.pem", path)
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			pem.Encode(&key, &pem.Block{Type: block.Type, Bytes: block.Bytes})
		}
	}
	certificate, err := tls.X509KeyPair(chain.Bytes(), key.Bytes())
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s: %w", path, err)
	}
	return certificate, nil
}

// loadTrustStore reads the certificates of authorities; nil if there is no trust store.
func loadTrustStore(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	blocks, err := readStore(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, block := range blocks {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		pool.AddCert(certificate)
	}
	return pool, nil
}

// tlsVersions reads a list of versions; without one everything from TLS 1.2 on is taken.
func tlsVersions(list, single string) (least, most uint16, err error) {
	known := map[string]uint16{"TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}
	if list == "" {
		list = single
	}
	if list == "" || list == "TLS" {
		return tls.VersionTLS12, 0, nil
	}
	var versions []uint16
	for _, name := range strings.Split(list, ",") {
		version, found := known[strings.TrimSpace(name)]
		if !found {
			return 0, 0, fmt.Errorf("%q: want TLSv1.2 or TLSv1.3", name)
		}
		versions = append(versions, version)
	}
	return slices.Min(versions), slices.Max(versions), nil
}

// cipherSuites reads a list of their names, for TLS 1.2; nil stands for Go's own choice.
func cipherSuites(list string) ([]uint16, error) {
	if list == "" {
		return nil, nil
	}
	var suites []uint16
	for _, name := range strings.Split(list, ",") {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(tls.CipherSuites(), func(s *tls.CipherSuite) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("unknown or unsafe cipher suite %q", name)
		}
		suites = append(suites, tls.CipherSuites()[i].ID)
	}
	return suites, nil
}
