package duel

import "ordeal/node/jute"

// requestHeaderSize is that of an encoded RequestHeader, in bytes.
const requestHeaderSize = 8

// readable is what a request says, as a pointer to the record, or nil if it says nothing.
func readable(op jute.OpCode, frame []byte) jute.Record {
	request := jute.NewRequest(op)
	if request == nil {
		return nil
	}
	decoder := jute.NewDecoder(frame[requestHeaderSize:])
	request.Decode(decoder)
	if decoder.Err() != nil {
		return nil
	}
	return request
}
