package server

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"net"
	"strings"

	"ordeal/node/jute"
)

// x509Ids is who a client is by its certificate: scheme x509 with the certificate's subject, and the
// super user if that is the one that superUser names (protocol.md 2.12, Apache:
// X509AuthenticationProvider).
func x509Ids(conn net.Conn, superUser string) []jute.Id {
	secured, ok := conn.(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		return nil
	}
	chains := secured.ConnectionState().VerifiedChains
	if len(chains) == 0 {
		return nil
	}
	subject := subjectName(chains[0][0])
	var ids []jute.Id
	if superUser != "" && subject == superUser {
		ids = append(ids, jute.Id{Scheme: "super", ID: subject})
	}
	return append(ids, jute.Id{Scheme: "x509", ID: subject})
}

// attributeNames are those for which RFC 2253 has a short name, as Java has them.
var attributeNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.9": "STREET",
	"0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
}

// subjectName is a certificate's subject in the form of RFC 2253, as Java's X500Principal.getName
// gives it: last part first, no spaces.
func subjectName(certificate *x509.Certificate) string {
	var sequence pkix.RDNSequence
	if _, err := asn1.Unmarshal(certificate.RawSubject, &sequence); err != nil {
		return "" // x509 has parsed it before
	}
	var parts []string
	for i := len(sequence) - 1; i >= 0; i-- {
		var attributes []string
		for _, attribute := range sequence[i] {
			attributes = append(attributes, attributeText(attribute))
		}
		parts = append(parts, strings.Join(attributes, "+"))
	}
	return strings.Join(parts, ",")
}

func attributeText(attribute pkix.AttributeTypeAndValue) string {
	oid := attribute.Type.String()
	name, known := attributeNames[oid]
	value, isText := attribute.Value.(string)
	if !known || !isText {
		der, err := asn1.Marshal(attribute.Value)
		if err != nil {
			return fmt.Sprintf("%s=%v", oid, attribute.Value)
		}
		return oid + "=#" + hex.EncodeToString(der)
	}
	var escaped strings.Builder
	for i, r := range value {
		if strings.ContainsRune(`,+"\<>;`, r) || (i == 0 && (r == ' ' || r == '#')) || (i == len(value)-1 && r == ' ') {
			escaped.WriteByte('\\')
		}
		escaped.WriteRune(r)
	}
	return name + "=" + escaped.String()
}
