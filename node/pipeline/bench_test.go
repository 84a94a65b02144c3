package pipeline

import (
	"testing"

	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/tree"
)

// idle takes what a server says and forgets it. Its disk is as fast as thought.
type idle struct{ next disk.Ticket }

func (idle) Send(Conn, []byte)       {}
func (idle) SendEvent(Conn, []byte)  {}
func (idle) Close(Conn)              {}
func (idle) PauseReading(Conn, bool) {}
func (idle) Append(disk.Entry)       {}
func (idle) Applied(disk.Entry)      {}
func (i *idle) Sync() disk.Ticket {
	i.next++
	return i.next
}

// BenchmarkStandalone is what the core itself costs, without sockets and files.
func BenchmarkStandalone(b *testing.B) {
	data := make([]byte, 1024)
	for _, bench := range []struct {
		name string
		op   jute.OpCode
		body jute.Record
	}{
		{"setData", jute.OpSetData, jute.SetDataRequest{Path: "/node", Data: data, Version: -1}},
		{"create", jute.OpCreate, jute.CreateRequest{Path: "/node/n-", Data: data, ACL: jute.OpenACL(), Flags: 2}},
		{"getData", jute.OpGetData, jute.GetDataRequest{Path: "/node"}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			outputs := &idle{}
			config := testConfig(Standalone)
			now := Now{Wall: 1_700_000_000_000}
			s := New(config, tree.New(tree.Options{DigestEnabled: true}), now, Outputs{Clients: outputs, Log: outputs})
			s.ClientConnected(1, "127.0.0.1")
			s.ClientFrame(1, jute.Marshal(jute.ConnectRequest{TimeOut: 30_000}))
			s.Synced(outputs.next)
			s.ClientFrame(1, requestFrame(1, jute.OpCreate, jute.CreateRequest{Path: "/node", Data: data, ACL: jute.OpenACL()}))
			s.Synced(outputs.next)
			frame := requestFrame(2, bench.op, bench.body)
			b.ReportAllocs()
			for b.Loop() {
				s.ClientFrame(1, frame)
				s.Synced(outputs.next)
			}
		})
	}
}
