package history

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// draw fills any value of the history's types: fields are set or left, strings are plain or awkward.
func draw(r *rapid.T, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			draw(r, v.Field(i), depth)
		}
	case reflect.Pointer:
		if rapid.Bool().Draw(r, "set") {
			v.Set(reflect.New(v.Type().Elem()))
			draw(r, v.Elem(), depth)
		}
	case reflect.Slice:
		if depth == 0 {
			return
		}
		for range rapid.IntRange(0, 3).Draw(r, "length") {
			element := reflect.New(v.Type().Elem()).Elem()
			draw(r, element, depth-1)
			v.Set(reflect.Append(v, element))
		}
	case reflect.String:
		v.SetString(rapid.OneOf(
			rapid.Just(""), rapid.StringMatching(`[ -~]{0,20}`), rapid.String(), rapid.Just("<&>\u2028\"\\\x00\xff"),
		).Draw(r, "string"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(r, "bool"))
	case reflect.Int, reflect.Int32, reflect.Int64:
		n := rapid.Int64().Draw(r, "int")
		if v.OverflowInt(n) {
			n = int64(int32(n))
		}
		v.SetInt(n)
	default:
		panic("draw " + v.Kind().String())
	}
}

func drawEvent(r *rapid.T) Event {
	var e Event
	draw(r, reflect.ValueOf(&e).Elem(), 2)
	return e
}

// A field added to a type of the history and forgotten in AppendEvent fails here.
func TestAppendEventWritesWhatEncodingJSONWrites(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		e := drawEvent(r)
		want, err := json.Marshal(e)
		require.NoError(t, err)
		require.Equal(t, string(want), string(AppendEvent(nil, &e)))
	})
}

func TestDecodeReadsWhatEncodingJSONReads(t *testing.T) {
	d := new(decoder)
	rapid.Check(t, func(r *rapid.T) {
		e := drawEvent(r)
		line := AppendEvent(nil, &e)
		var want Event
		require.NoError(t, json.Unmarshal(line, &want))
		got, err := d.decode(line)
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

func TestDecodeTakesTheFastPathForWhatWorkloadsWrite(t *testing.T) {
	d := new(decoder)
	for _, e := range typical() {
		got, err := d.decode(AppendEvent(nil, &e))
		require.NoError(t, err)
		require.Equal(t, e, got)
		require.False(t, d.unusual, "%+v", e)
	}
}

func TestDecodeReadsOtherJSONToo(t *testing.T) {
	got, err := new(decoder).decode([]byte(`{ "e": "note", "text": "caf\u00e9", "t": 1e3, "unheard": [of] }`))
	require.ErrorContains(t, err, "not an event")
	require.Zero(t, got)
	got, err = new(decoder).decode([]byte(`{ "e": "note", "text": "caf\u00e9", "t": 1000, "unheard": ["of"] }`))
	require.NoError(t, err)
	require.Equal(t, Event{Time: 1000, Kind: Note, Text: "café"}, got)
}

// Lines may be anything: they are refused, or read as an event that is written and read alike.
func FuzzDecode(f *testing.F) {
	for _, e := range typical() {
		f.Add(AppendEvent(nil, &e))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		first, err := new(decoder).decode(line)
		if err != nil {
			return
		}
		written := AppendEvent(nil, &first)
		second, err := new(decoder).decode(written)
		require.NoError(t, err)
		require.Equal(t, string(written), string(AppendEvent(nil, &second)))
	})
}

// typical returns events as clients record them.
func typical() []Event {
	request := &Request{Kind: Set, Path: "/ordeal-register/r0-1-2-k1", Value: "c3-17", Version: 4}
	stat := &Stat{Czxid: 4294967299, Mzxid: 4294967315, Pzxid: 4294967299, Version: 5}
	return []Event{
		{Time: 1234567890, Kind: Call, Operation: 4711, Client: 3, Workload: "register", Member: 2, SessionID: "0x200012345670000", Request: request},
		{Time: 1234967890, Kind: Return, Operation: 4711, Client: 3, Workload: "register", Member: 2, SessionID: "0x200012345670000",
			Result: &Result{Outcome: OK, Answered: true, Zxid: 4294967315, Xid: 12, Stat: stat}},
		{Time: 3 * time.Second, Kind: Return, Operation: 9, Result: &Result{Outcome: OK, Answered: true, Children: []string{"a", "b"},
			Parts: []Result{{Outcome: Failed, Error: "BadVersion"}, {Outcome: OK, Path: "/a"}}}},
		{Time: 4 * time.Second, Kind: Call, Operation: 10, Request: &Request{Kind: Multi, Parts: []Request{*request, {Kind: Create, Path: "/x", Ephemeral: true, Sequential: true, Watch: true}}}},
		{Time: 5 * time.Second, Kind: WatchFired, Client: 1, Watch: &Watch{Type: "changed", Path: "/a"}},
		{Time: 6 * time.Second, Kind: Session, Client: 1, State: Disconnected, Zxid: 77, Count: 4000, Text: "broken"},
		{Time: 7 * time.Second, Kind: Znode, Member: 1, Node: &Node{Path: "/a", Value: "v", Stat: *stat}},
		{Time: 8 * time.Second, Kind: Final, Member: 1, Digest: "123", Count: 5, Epoch: 2, Served: 9},
	}
}

func BenchmarkAppendEvent(b *testing.B) {
	events := typical()[:2]
	var buffer []byte
	for b.Loop() {
		for i := range events {
			buffer = AppendEvent(buffer[:0], &events[i])
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	var lines [][]byte
	for _, e := range typical()[:2] {
		lines = append(lines, AppendEvent(nil, &e))
	}
	d := new(decoder)
	b.ReportAllocs()
	for b.Loop() {
		for _, line := range lines {
			if _, err := d.decode(line); err != nil {
				b.Fatal(err)
			}
		}
	}
}
