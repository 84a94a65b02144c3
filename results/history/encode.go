package history

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// AppendEvent appends the event as one JSON object, without a newline. The bytes are those that
// encoding/json gives; writing them by hand costs a tenth, and a history takes tens of thousands of
// events a second from the same two cores that run the ensemble.
func AppendEvent(b []byte, e *Event) []byte {
	b = append(b, `{"t":`...)
	b = strconv.AppendInt(b, int64(e.Time), 10)
	b = append(b, `,"e":`...)
	b = appendString(b, string(e.Kind))
	b = appendInt(b, `,"began":`, int64(e.Began))
	b = appendInt(b, `,"op":`, e.Operation)
	b = appendInt(b, `,"client":`, int64(e.Client))
	b = appendText(b, `,"workload":`, e.Workload)
	b = appendInt(b, `,"member":`, int64(e.Member))
	b = appendText(b, `,"session":`, e.SessionID)
	if e.Request != nil {
		b = append(b, `,"request":`...)
		b = appendRequest(b, e.Request)
	}
	if e.Result != nil {
		b = append(b, `,"result":`...)
		b = appendResult(b, e.Result)
	}
	if e.Watch != nil {
		b = append(b, `,"watch":{"type":`...)
		b = appendString(b, e.Watch.Type)
		b = append(b, `,"path":`...)
		b = appendString(b, e.Watch.Path)
		b = append(b, '}')
	}
	if e.Fault != nil {
		b = append(b, `,"fault":`...)
		b = appendRare(b, e.Fault)
	}
	if e.Node != nil {
		b = append(b, `,"node":{"path":`...)
		b = appendString(b, e.Node.Path)
		b = append(b, `,"value":`...)
		b = appendString(b, e.Node.Value)
		b = append(b, `,"stat":`...)
		b = appendStat(b, &e.Node.Stat)
		b = append(b, '}')
	}
	b = appendText(b, `,"state":`, string(e.State))
	b = appendInt(b, `,"epoch":`, e.Epoch)
	b = appendInt(b, `,"zxid":`, e.Zxid)
	b = appendInt(b, `,"served":`, e.Served)
	b = appendText(b, `,"digest":`, e.Digest)
	b = appendInt(b, `,"count":`, int64(e.Count))
	b = appendText(b, `,"text":`, e.Text)
	return append(b, '}')
}

func appendRequest(b []byte, r *Request) []byte {
	b = append(b, `{"kind":`...)
	b = appendString(b, string(r.Kind))
	b = appendText(b, `,"path":`, r.Path)
	b = appendText(b, `,"value":`, r.Value)
	b = appendInt(b, `,"version":`, int64(r.Version))
	b = appendTrue(b, `,"ephemeral":true`, r.Ephemeral)
	b = appendTrue(b, `,"sequential":true`, r.Sequential)
	b = appendTrue(b, `,"watch":true`, r.Watch)
	if len(r.Parts) > 0 {
		b = append(b, `,"parts":[`...)
		for i := range r.Parts {
			b = appendComma(b, i)
			b = appendRequest(b, &r.Parts[i])
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func appendResult(b []byte, r *Result) []byte {
	b = append(b, `{"outcome":`...)
	b = appendString(b, string(r.Outcome))
	b = appendText(b, `,"error":`, r.Error)
	b = appendTrue(b, `,"answered":true`, r.Answered)
	b = appendInt(b, `,"zxid":`, r.Zxid)
	b = appendInt(b, `,"xid":`, int64(r.Xid))
	b = appendText(b, `,"path":`, r.Path)
	b = appendText(b, `,"value":`, r.Value)
	if r.Stat != nil {
		b = append(b, `,"stat":`...)
		b = appendStat(b, r.Stat)
	}
	if len(r.Children) > 0 {
		b = append(b, `,"children":[`...)
		for i, child := range r.Children {
			b = appendComma(b, i)
			b = appendString(b, child)
		}
		b = append(b, ']')
	}
	if len(r.Parts) > 0 {
		b = append(b, `,"parts":[`...)
		for i := range r.Parts {
			b = appendComma(b, i)
			b = appendResult(b, &r.Parts[i])
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func appendStat(b []byte, s *Stat) []byte {
	b = append(b, `{"czxid":`...)
	b = strconv.AppendInt(b, s.Czxid, 10)
	b = append(b, `,"mzxid":`...)
	b = strconv.AppendInt(b, s.Mzxid, 10)
	b = append(b, `,"pzxid":`...)
	b = strconv.AppendInt(b, s.Pzxid, 10)
	b = append(b, `,"version":`...)
	b = strconv.AppendInt(b, int64(s.Version), 10)
	b = append(b, `,"cversion":`...)
	b = strconv.AppendInt(b, int64(s.Cversion), 10)
	b = appendInt(b, `,"owner":`, s.EphemeralOwner)
	b = appendInt(b, `,"children":`, int64(s.NumChildren))
	return append(b, '}')
}

func appendComma(b []byte, index int) []byte {
	if index == 0 {
		return b
	}
	return append(b, ',')
}

// appendInt appends a field unless it is 0.
func appendInt(b []byte, key string, v int64) []byte {
	if v == 0 {
		return b
	}
	return strconv.AppendInt(append(b, key...), v, 10)
}

// appendTrue appends a field if it is true.
func appendTrue(b []byte, field string, v bool) []byte {
	if !v {
		return b
	}
	return append(b, field...)
}

// appendText appends a field unless it is empty.
func appendText(b []byte, key, v string) []byte {
	if v == "" {
		return b
	}
	return appendString(append(b, key...), v)
}

// appendString appends a JSON string. Plain ASCII, which is all that workloads write, is copied;
// anything that needs escaping is left to encoding/json.
func appendString(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return appendRare(b, s)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// appendRare appends what encoding/json makes of v: for values that are rare enough.
func appendRare(b []byte, v any) []byte {
	encoded, err := json.Marshal(v)
	if err != nil {
		panic("history: a value without a JSON form: " + err.Error())
	}
	return append(b, encoded...)
}
