package history

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// decoder reads events. Lines as AppendEvent writes them take a fast path; any other JSON is left to
// encoding/json, so that a history edited by hand is read too.
type decoder struct {
	line     []byte
	at       int
	unusual  bool
	interned [4096]string // recent strings by hash, so that equal paths share memory
}

// decode reads one line without its newline.
func (d *decoder) decode(line []byte) (Event, error) {
	d.line, d.at, d.unusual = line, 0, false
	e := d.event()
	if !d.unusual && d.at == len(line) {
		return e, nil
	}
	e = Event{}
	if err := json.Unmarshal(line, &e); err != nil {
		return Event{}, fmt.Errorf("not an event: %w", err)
	}
	return e, nil
}

func (d *decoder) event() Event {
	var e Event
	for key := d.open('{'); key; key = d.more('}') {
		switch string(d.key()) {
		case "t":
			e.Time = time.Duration(d.int())
		case "e":
			e.Kind = EventKind(d.string())
		case "began":
			e.Began = time.Duration(d.int())
		case "op":
			e.Operation = d.int()
		case "client":
			e.Client = int(d.int())
		case "workload":
			e.Workload = d.string()
		case "member":
			e.Member = int(d.int())
		case "session":
			e.SessionID = d.string()
		case "request":
			e.Request = new(Request)
			d.request(e.Request)
		case "result":
			e.Result = new(Result)
			d.result(e.Result)
		case "watch":
			e.Watch = d.watch()
		case "node":
			e.Node = d.node()
		case "state":
			e.State = State(d.string())
		case "epoch":
			e.Epoch = d.int()
		case "zxid":
			e.Zxid = d.int()
		case "served":
			e.Served = d.int()
		case "digest":
			e.Digest = d.string()
		case "count":
			e.Count = int(d.int())
		case "text":
			e.Text = d.string()
		default:
			d.unusual = true
		}
	}
	return e
}

func (d *decoder) request(r *Request) {
	for key := d.open('{'); key; key = d.more('}') {
		switch string(d.key()) {
		case "kind":
			r.Kind = OpKind(d.string())
		case "path":
			r.Path = d.string()
		case "value":
			r.Value = d.string()
		case "version":
			r.Version = int32(d.int())
		case "ephemeral":
			r.Ephemeral = d.isTrue()
		case "sequential":
			r.Sequential = d.isTrue()
		case "watch":
			r.Watch = d.isTrue()
		case "parts":
			for part := d.open('['); part; part = d.more(']') {
				r.Parts = append(r.Parts, Request{})
				d.request(&r.Parts[len(r.Parts)-1])
			}
		default:
			d.unusual = true
		}
	}
}

func (d *decoder) result(r *Result) {
	for key := d.open('{'); key; key = d.more('}') {
		switch string(d.key()) {
		case "outcome":
			r.Outcome = Outcome(d.string())
		case "error":
			r.Error = d.string()
		case "answered":
			r.Answered = d.isTrue()
		case "zxid":
			r.Zxid = d.int()
		case "xid":
			r.Xid = int32(d.int())
		case "path":
			r.Path = d.string()
		case "value":
			r.Value = d.string()
		case "stat":
			r.Stat = new(Stat)
			d.stat(r.Stat)
		case "children":
			for child := d.open('['); child; child = d.more(']') {
				r.Children = append(r.Children, d.string())
			}
		case "parts":
			for part := d.open('['); part; part = d.more(']') {
				r.Parts = append(r.Parts, Result{})
				d.result(&r.Parts[len(r.Parts)-1])
			}
		default:
			d.unusual = true
		}
	}
}

func (d *decoder) stat(s *Stat) {
	for key := d.open('{'); key; key = d.more('}') {
		switch string(d.key()) {
		case "czxid":
			s.Czxid = d.int()
		case "mzxid":
			s.Mzxid = d.int()
		case "pzxid":
			s.Pzxid = d.int()
		case "version":
			s.Version = int32(d.int())
		case "cversion":
			s.Cversion = int32(d.int())
		case "owner":
			s.EphemeralOwner = d.int()
		case "children":
			s.NumChildren = int32(d.int())
		default:
			d.unusual = true
		}
	}
}

func (d *decoder) watch() *Watch {
	w := new(Watch)
	for key := d.open('{'); key; key = d.more('}') {
		switch string(d.key()) {
		case "type":
			w.Type = d.string()
		case "path":
			w.Path = d.string()
		default:
			d.unusual = true
		}
	}
	return w
}

func (d *decoder) node() *Node {
	n := new(Node)
	for key := d.open('{'); key; key = d.more('}') {
		switch string(d.key()) {
		case "path":
			n.Path = d.string()
		case "value":
			n.Value = d.string()
		case "stat":
			d.stat(&n.Stat)
		default:
			d.unusual = true
		}
	}
	return n
}

// take consumes one byte if it is c.
func (d *decoder) take(c byte) bool {
	if d.unusual || d.at >= len(d.line) || d.line[d.at] != c {
		return false
	}
	d.at++
	return true
}

func (d *decoder) must(c byte) {
	if !d.take(c) {
		d.unusual = true
	}
}

// open starts an object or array and says whether it has an element.
func (d *decoder) open(bracket byte) bool {
	d.must(bracket)
	if d.take(bracket + 2) { // '}' is '{' + 2, and ']' is '[' + 2
		return false
	}
	return !d.unusual
}

// more ends an element and says whether another follows.
func (d *decoder) more(bracket byte) bool {
	if d.take(',') {
		return true
	}
	d.must(bracket)
	return false
}

// raw reads a string of plain ASCII, with its quotes gone.
func (d *decoder) raw() []byte {
	d.must('"')
	if d.unusual {
		return nil
	}
	start := d.at
	for ; d.at < len(d.line); d.at++ {
		switch c := d.line[d.at]; {
		case c == '"':
			d.at++
			return d.line[start : d.at-1]
		case c == '\\' || c < ' ' || c >= utf8.RuneSelf:
			d.unusual = true
			return nil
		}
	}
	d.unusual = true
	return nil
}

func (d *decoder) key() []byte {
	key := d.raw()
	d.must(':')
	return key
}

func (d *decoder) string() string {
	const internedLengthMax = 64
	b := d.raw()
	if len(b) == 0 {
		return ""
	}
	if len(b) > internedLengthMax {
		return string(b)
	}
	hash := uint32(2166136261) // FNV-1a
	for _, c := range b {
		hash = (hash ^ uint32(c)) * 16777619
	}
	slot := &d.interned[hash%uint32(len(d.interned))]
	if *slot != string(b) {
		*slot = string(b)
	}
	return *slot
}

func (d *decoder) int() int64 {
	negative := d.take('-')
	start := d.at
	var v int64
	for ; d.at < len(d.line); d.at++ {
		c := d.line[d.at] - '0'
		if c > 9 {
			break
		}
		v = v*10 + int64(c)
	}
	const digitsMax = 18 // more may not fit; encoding/json decides
	if digits := d.at - start; digits == 0 || digits > digitsMax {
		d.unusual = true
	}
	if negative {
		return -v
	}
	return v
}

func (d *decoder) isTrue() bool {
	const word = "true"
	if len(d.line)-d.at < len(word) || string(d.line[d.at:d.at+len(word)]) != word {
		d.unusual = true
		return false
	}
	d.at += len(word)
	return true
}
