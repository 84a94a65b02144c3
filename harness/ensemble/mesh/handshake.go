package mesh

import (
	"encoding/binary"
	"io"
)

// The election handshake (protocol.md 6.1): a version, the caller's id, and the length and text of
// the caller's own election address.
const (
	protocolVersion1 = -65536
	protocolVersion2 = -65535 // several addresses, joined by '|'
	maxAddressBytes  = 2048
)

// readHandshake reads what the caller sends first, and returns it with the caller's address replaced.
// What is not a handshake as we know it is returned as it is: to judge it is the member's task.
func readHandshake(caller io.Reader, announce string) ([]byte, error) {
	header := make([]byte, 8, 20+maxAddressBytes)
	if _, err := io.ReadFull(caller, header); err != nil {
		return nil, err
	}
	switch int64(binary.BigEndian.Uint64(header)) {
	case protocolVersion1, protocolVersion2:
	default:
		return header, nil
	}
	header = header[:20]
	if _, err := io.ReadFull(caller, header[8:]); err != nil {
		return nil, err
	}
	length := int32(binary.BigEndian.Uint32(header[16:]))
	if length < 1 || length > maxAddressBytes {
		return header, nil
	}
	if _, err := io.CopyN(io.Discard, caller, int64(length)); err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint32(header[16:], uint32(len(announce)))
	return append(header, announce...), nil
}
