// Package sasl is the server's side of SASL's mechanism DIGEST-MD5 (RFC 2831), by which a client proves that it knows
// a user's password without telling it. It is the mechanism that Apache's DigestLoginModule stands for; Kerberos, the
// other one that ZooKeeper knows, is not supported.
//
// The exchange is the client's first token, empty, the server's challenge, the client's response to it, and the server's
// own proof that it knows the password too. Integrity and privacy of what follows (qop auth-int and auth-conf) are not
// offered, as Apache does not: that is what TLS is for.
package sasl
