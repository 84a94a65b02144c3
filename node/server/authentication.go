package server

import (
	"crypto"
	"crypto/rand"
	_ "crypto/sha1" // digestAlgorithms
	_ "crypto/sha256"
	_ "crypto/sha512"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"ordeal/node/pipeline"
	"ordeal/node/sasl"
)

// Apache's class names, without their packages.
const (
	saslProvider      = "SASLAuthenticationProvider"
	digestLoginModule = "DigestLoginModule"
)

// authentication reads what clients can prove about themselves by SASL, and what they have to prove by whatever scheme
// (protocol.md 2.12).
func (p Properties) authentication() (pipeline.Authentication, error) {
	a := pipeline.Authentication{SASLNonce: rand.Text, SASLSuperUser: p.text("zookeeper.superUser")}
	var err error
	if a.DigestAlgorithm, err = p.digestAlgorithm(); err != nil {
		return a, err
	}
	if a.SASLScheme, err = p.authProviders(); err != nil {
		return a, err
	}
	if a.SASLFailedStay, err = p.flag("zookeeper.allowSaslFailedClients", false); err != nil {
		return a, err
	}
	if _, set := p.get("zookeeper.letAnySaslUserDoX"); set {
		return a, fmt.Errorf("property zookeeper.letAnySaslUserDoX is not supported by this server")
	}
	if a.SASLUsers, err = p.saslUsers(); err != nil {
		return a, err
	}
	a.Required, err = p.requiredSchemes(a)
	return a, err
}

// digestAlgorithms are Java's names, in capitals, of the algorithms for scheme digest. All members of an ensemble
// must use the same.
var digestAlgorithms = map[string]crypto.Hash{
	"SHA1": crypto.SHA1, "SHA-1": crypto.SHA1, "SHA": crypto.SHA1,
	"SHA-224": crypto.SHA224, "SHA-256": crypto.SHA256, "SHA-384": crypto.SHA384, "SHA-512": crypto.SHA512,
}

func (p Properties) digestAlgorithm() (crypto.Hash, error) {
	const name = "zookeeper.DigestAuthenticationProvider.digestAlg"
	value, set := p.get(name)
	if !set {
		return crypto.SHA1, nil
	}
	algorithm, found := digestAlgorithms[strings.ToUpper(value)]
	if !found {
		return 0, fmt.Errorf("property %s=%s is not supported by this server; it has %s", name, value, strings.Join(slices.Sorted(maps.Keys(digestAlgorithms)), ", "))
	}
	return algorithm, nil
}

// authProviders reads the classes of authProvider.N. Schemes digest, ip and x509 are always there.
func (p Properties) authProviders() (sasl bool, err error) {
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if !strings.HasPrefix(name, "zookeeper.authProvider.") {
			continue
		}
		switch class := p[name][strings.LastIndexByte(p[name], '.')+1:]; class {
		case saslProvider:
			sasl = true
		case "DigestAuthenticationProvider", "IPAuthenticationProvider", "X509AuthenticationProvider":
		default:
			return false, fmt.Errorf("property %s=%s: this server has no such authentication provider", name, p[name])
		}
	}
	return sasl, nil
}

// saslUsers reads the users of the JAAS file's section for servers; none if there is no such file or section, which
// clients alone may use.
func (p Properties) saslUsers() (sasl.Users, error) {
	path, set := p.get("java.security.auth.login.config")
	if !set {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("property java.security.auth.login.config: %w", err)
	}
	sections, err := parseJAAS(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	name := "Server"
	if other, set := p.get("zookeeper.sasl.serverconfig"); set {
		name = other
	}
	users := sasl.Users{}
	for _, entry := range sections[name] {
		if entry.module[strings.LastIndexByte(entry.module, '.')+1:] != digestLoginModule {
			return nil, fmt.Errorf("%s: section %s: login module %s is not supported by this server, only %s is", path, name, entry.module, digestLoginModule)
		}
		for option, value := range entry.options {
			if user, isUser := strings.CutPrefix(option, "user_"); isUser {
				users[user] = value
			}
		}
	}
	if password, set := p.get("zookeeper.SASLAuthenticationProvider.superPassword"); set {
		if _, known := users["super"]; known {
			users["super"] = password
		}
	}
	return users, nil
}

// requiredSchemes reads which schemes a client must have proven one of. What would lock everybody out is an error.
func (p Properties) requiredSchemes(a pipeline.Authentication) ([]string, error) {
	saslOnly, err := p.flag("zookeeper.sessionRequireClientSASLAuth", false)
	if err != nil {
		return nil, err
	}
	enforced, err := p.flag("zookeeper.enforce.auth.enabled", false)
	if err != nil {
		return nil, err
	}
	var schemes []string
	switch {
	case saslOnly:
		schemes = []string{"sasl"}
	case enforced:
		schemes = strings.FieldsFunc(p.text("zookeeper.enforce.auth.schemes"), func(r rune) bool { return r == ',' || r == ' ' })
		if len(schemes) == 0 {
			return nil, fmt.Errorf("enforce.auth.enabled needs enforce.auth.schemes, the schemes that will do")
		}
	}
	for _, scheme := range schemes {
		switch {
		case scheme == "sasl" && !a.SASLScheme:
			return nil, fmt.Errorf("authentication by SASL is required, but the scheme is not there: set authProvider.1=org.apache.zookeeper.server.auth.%s", saslProvider)
		case scheme == "sasl" && len(schemes) == 1 && len(a.SASLUsers) == 0:
			return nil, fmt.Errorf("authentication by SASL is required, but nobody could: name users in a JAAS file, java.security.auth.login.config")
		case !slices.Contains([]string{"sasl", "digest", "ip", "x509"}, scheme):
			return nil, fmt.Errorf("enforce.auth.schemes: this server has no scheme %q", scheme)
		}
	}
	return schemes, nil
}
