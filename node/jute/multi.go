package jute

import "fmt"

// MultiHeader stands before every operation and every result of a multi, and after the last.
type MultiHeader struct {
	Type OpCode
	Done bool
	Err  Code
}

var multiEnd = MultiHeader{Type: OpError, Done: true, Err: -1}

// Encode appends the record.
func (h MultiHeader) Encode(e *Encoder) {
	e.Int(int32(h.Type))
	e.Bool(h.Done)
	e.Int(int32(h.Err))
}

// Decode reads the record.
func (h *MultiHeader) Decode(d *Decoder) {
	h.Type = OpCode(d.Int())
	h.Done = d.Bool()
	h.Err = Code(d.Int())
}

// MultiRequest asks for multi or multiRead (protocol.md 2.9).
type MultiRequest struct {
	Ops []MultiOp
}

// MultiOp is one operation of a multi.
type MultiOp struct {
	Type    OpCode
	Request Message // of the type that NewRequest gives for Type
}

// Encode appends the record.
func (m MultiRequest) Encode(e *Encoder) {
	for _, op := range m.Ops {
		MultiHeader{Type: op.Type, Err: -1}.Encode(e)
		op.Request.Encode(e)
	}
	multiEnd.Encode(e)
}

// Decode reads the record. An operation that may not stand in a multi is an error. Whether those
// that may are mixed rightly is the server's to judge.
func (m *MultiRequest) Decode(d *Decoder) {
	m.Ops = nil
	for header := decodeMultiHeader(d); !header.Done; header = decodeMultiHeader(d) {
		switch header.Type {
		case OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL, OpDelete, OpSetData, OpCheck, OpGetData, OpGetChildren:
			op := MultiOp{Type: header.Type, Request: NewRequest(header.Type)}
			op.Request.Decode(d)
			m.Ops = append(m.Ops, op)
		default:
			d.Fail(fmt.Errorf("jute: %s cannot be part of a multi", header.Type))
		}
	}
}

// MultiResponse answers multi and multiRead.
type MultiResponse struct {
	Results []MultiResult
}

// MultiResult is the outcome of one operation of a multi.
type MultiResult struct {
	// Type is the operation, with createContainer and createTTL told as create2; OpError if it failed
	// or, for a multi, if another one failed.
	Type OpCode
	// Err is the code of a failed operation.
	Err Code
	// Body is a CreateResponse, Create2Response, SetDataResponse, GetDataResponse or
	// GetChildrenResponse; nil for delete, check and OpError.
	Body Message
}

// Size is the length of the encoding in bytes, of a result of a multiRead.
func (r MultiResult) Size() int {
	const headerSize, lengthSize = 9, 4
	switch body := r.Body.(type) {
	case *GetDataResponse:
		return headerSize + lengthSize + len(body.Data) + statSize
	case *GetChildrenResponse:
		size := headerSize + lengthSize
		for _, name := range body.Children {
			size += lengthSize + len(name)
		}
		return size
	}
	const errorSize = 4
	return headerSize + errorSize
}

// Encode appends the record.
func (m MultiResponse) Encode(e *Encoder) {
	for _, result := range m.Results {
		MultiHeader{Type: result.Type, Err: result.Err}.Encode(e)
		switch {
		case result.Type == OpError:
			ErrorResponse{Err: result.Err}.Encode(e)
		case result.Body != nil:
			result.Body.Encode(e)
		}
	}
	multiEnd.Encode(e)
}

// Decode reads the record.
func (m *MultiResponse) Decode(d *Decoder) {
	m.Results = nil
	for header := decodeMultiHeader(d); !header.Done; header = decodeMultiHeader(d) {
		result := MultiResult{Type: header.Type, Err: header.Err}
		switch header.Type {
		case OpCreate:
			result.Body = &CreateResponse{}
		case OpCreate2:
			result.Body = &Create2Response{}
		case OpSetData:
			result.Body = &SetDataResponse{}
		case OpGetData:
			result.Body = &GetDataResponse{}
		case OpGetChildren:
			result.Body = &GetChildrenResponse{}
		case OpDelete, OpCheck:
		case OpError:
			var body ErrorResponse
			body.Decode(d)
			result.Err = body.Err
		default:
			d.Fail(fmt.Errorf("jute: %s cannot be the result of a multi", header.Type))
		}
		if result.Body != nil {
			result.Body.Decode(d)
		}
		m.Results = append(m.Results, result)
	}
}

// decodeMultiHeader reads the next header. It reports the end after an error, so that loops stop.
func decodeMultiHeader(d *Decoder) MultiHeader {
	var header MultiHeader
	header.Decode(d)
	if d.Err() != nil {
		return multiEnd
	}
	return header
}
