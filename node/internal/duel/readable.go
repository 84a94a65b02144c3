package duel

import "ordeal/node/jute"

// requestHeaderSize is that of an encoded RequestHeader, in bytes.
const requestHeaderSize = 8

// readable is what a request says, as a pointer to the record, or nil if it says nothing. The body is known unless the
// frame holds some bytes that stand for none, or for half of one.
func readable(op jute.OpCode, body jute.Record, frame []byte) jute.Record {
	request := jute.NewRequest(op)
	if request == nil {
		return nil
	}
	if body != nil {
		frame = append(make([]byte, requestHeaderSize), jute.Marshal(body)...)
	}
	decoder := jute.NewDecoder(frame[requestHeaderSize:])
	request.Decode(decoder)
	if decoder.Err() != nil {
		return nil
	}
	return request
}
