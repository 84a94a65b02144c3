package pipeline

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/disk"
	"ordeal/node/jute"
)

var rewrite = flag.Bool("rewrite", false, "write what the servers say into testdata/*.txt")

// TestTranscripts plays the conversations in testdata. A line that starts with "> " is told to the
// server, the indented lines after it are all that the server then says, in order. Lines without
// either are for the reader.
//
//	role NAME              a new server: standalone, leader, follower, observer
//	CLIENT connects        a client's first frame; clients are single letters
//	CLIENT create|delete|set|get|exists|children|sync|close PATH [watch] [flags=N]
//	disk                   the sync that was asked for first is done
//	commit ZXID            (hexadecimal) ZAB has committed a proposal
//	confirmed TICKET       the leader's sync is confirmed
//	learner N create PATH  a learner forwards a request; also "sync" and "session"
//	proposal ZXID session  what a learner hears from its leader: also "create PATH xid=N", "error xid=N",
//	                       "elsewhere PATH" for another server's client; likewise adopt and inform
//	synced                 the leader's SYNC
//	ends                   the server leaves its role
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			var got strings.Builder
			s := &scene{t: t}
			for _, line := range strings.Split(strings.TrimSuffix(string(want), "\n"), "\n") {
				if strings.HasPrefix(line, "    ") {
					continue
				}
				got.WriteString(line + "\n")
				if command, ok := strings.CutPrefix(line, "> "); ok {
					for _, said := range s.play(strings.Fields(command)) {
						got.WriteString("    " + said + "\n")
					}
				}
			}
			if *rewrite {
				require.NoError(t, os.WriteFile(file, []byte(got.String()), 0o644))
				return
			}
			require.Equal(t, string(want), got.String(), "run with -rewrite if the new conversation is right")
		})
	}
}

// scene is the server of a transcript and its clients. It listens by wrapping the world's outputs.
type scene struct {
	t       *testing.T
	w       *world
	clients map[string]*testClient
	said    []string
}

func (s *scene) note(format string, args ...any) {
	s.said = append(s.said, fmt.Sprintf(format, args...))
}

func (s *scene) Append(entry disk.Entry)  { s.note("append %s", describe(entry)) }
func (s *scene) Applied(entry disk.Entry) { s.note("applied %#x", entry.Zxid) }
func (s *scene) PauseReading(conn Conn, pause bool) {
	s.note("client %d: pause reading: %v", conn, pause)
}
func (s *scene) Sync() disk.Ticket {
	s.note("sync")
	return s.w.Sync()
}

func (s *scene) Close(conn Conn) {
	s.w.Close(conn)
	s.note("close %s", s.nameOf(conn))
}

func (s *scene) Send(conn Conn, frame []byte) {
	name := s.nameOf(conn)
	if s.clients[name].session == 0 {
		var response jute.ConnectResponse
		require.NoError(s.t, jute.Unmarshal(frame, &response))
		s.clients[name].session = response.SessionID
		s.note("to %s: session with timeout %d", name, response.TimeOut)
		return
	}
	d := jute.NewDecoder(frame)
	var header jute.ReplyHeader
	header.Decode(d)
	s.note("to %s: xid %d zxid %#x %s", name, header.Xid, header.Zxid, header.Err)
}

func (s *scene) SendEvent(conn Conn, frame []byte) {
	d := jute.NewDecoder(frame)
	var header jute.ReplyHeader
	header.Decode(d)
	var event jute.WatcherEvent
	event.Decode(d)
	s.note("to %s: event %s %s", s.nameOf(conn), event.Type, event.Path)
}

func (s *scene) nameOf(conn Conn) string {
	for name, c := range s.clients {
		if c.conn == conn {
			return name
		}
	}
	return "?"
}

type sceneLeading struct {
	*scene
	steadyMembership
}

func (s sceneLeading) Propose(entry disk.Entry) { s.note("propose %s", describe(entry)) }
func (s sceneLeading) Acknowledge(zxid int64)   { s.note("acknowledge %#x", zxid) }
func (s sceneLeading) Sync(ticket SyncTicket)   { s.note("confirm leadership, ticket %d", ticket) }
func (s sceneLeading) SendSync(learner Origin)  { s.note("SYNC to learner %d", learner) }
func (s sceneLeading) Resign(reason string)     { s.note("resign: %s", reason) }

type sceneLearner struct{ *scene }

func (s sceneLearner) Forward(r Forwarded)     { s.note("REQUEST %s xid %d", r.Type, r.Cxid) }
func (s sceneLearner) Acknowledge(zxid int64)  { s.note("ACK %#x", zxid) }
func (s sceneLearner) Revalidate(int64, int32) { s.note("REVALIDATE") }

// describe names a transaction.
func describe(entry disk.Entry) string {
	header, txn, _, err := jute.DecodePayload(entry.Payload)
	if err != nil {
		return err.Error()
	}
	if failure, ok := txn.(*jute.ErrorTxn); ok {
		return fmt.Sprintf("%#x %s %s", header.Zxid, header.Type, failure.Err)
	}
	return fmt.Sprintf("%#x %s", header.Zxid, header.Type)
}

// play carries out one command and returns what the server said to it.
func (s *scene) play(words []string) []string {
	s.said = nil
	server := func() *Server { return s.w.server }
	switch words[0] {
	case "role":
		s.begin(words[1])
	case "disk":
		ticket := s.w.tickets[0]
		s.w.tickets = s.w.tickets[1:]
		server().Synced(ticket)
	case "commit":
		if err := server().Commit(s.number(words[1])); err != nil {
			s.note("error: %v", err)
		}
	case "confirmed":
		server().SyncDone(SyncTicket(s.number(words[1])))
	case "learner":
		s.forward(words[1:])
	case "proposal":
		require.NoError(s.t, server().Proposal(s.entry(words[1:])))
	case "adopt":
		require.NoError(s.t, server().Adopt(s.entry(words[1:])))
	case "inform":
		require.NoError(s.t, server().Inform(s.entry(words[1:])))
	case "synced":
		server().SyncReceived()
	case "ends":
		for _, entry := range server().Shutdown() {
			s.note("left over: %s", describe(entry))
		}
	default:
		s.client(words)
	}
	return s.said
}

func (s *scene) begin(role string) {
	roles := map[string]Role{"standalone": Standalone, "leader": Leader, "follower": Follower, "observer": Observer}
	w, config := emptyWorld(s.t, withRole(roles[role]), func(c *Config) { c.SyncByQuorum = true })
	w.slowDisk = true
	s.w, s.clients = w, map[string]*testClient{}
	w.start(config, Outputs{Clients: s, Log: s, Leading: sceneLeading{scene: s}, Learner: sceneLearner{s}})
}

func (s *scene) number(word string) int64 {
	var n int64
	_, err := fmt.Sscanf(word, "%v", &n)
	require.NoError(s.t, err, word)
	return n
}

// entry makes a transaction of the client a's session, or of a client elsewhere.
func (s *scene) entry(words []string) disk.Entry {
	header := jute.TxnHeader{Zxid: s.number(words[0])}
	var txn jute.Txn
	if a := s.clients["a"]; a != nil {
		header.ClientID = s.w.server.connections[a.conn].session
	}
	if xid, ok := strings.CutPrefix(words[len(words)-1], "xid="); ok {
		header.Cxid = int32(s.number(xid))
	}
	switch words[1] {
	case "session":
		header.Type, header.Cxid, txn = jute.OpCreateSession, 0, &jute.CreateSessionTxn{TimeOut: 10_000}
	case "create":
		header.Type, txn = jute.OpCreate, &jute.CreateTxn{Path: words[2], ACL: jute.OpenACL(), ParentCVersion: -1}
	case "error":
		header.Type, txn = jute.OpError, &jute.ErrorTxn{Err: jute.NoNode}
	case "elsewhere":
		header.Type, header.ClientID, txn = jute.OpCreate, 99, &jute.CreateTxn{Path: words[2], ACL: jute.OpenACL(), ParentCVersion: -1}
	}
	require.NotNil(s.t, txn, words)
	return disk.Entry{Zxid: header.Zxid, Payload: jute.EncodePayload(header, txn, nil)}
}

func (s *scene) forward(words []string) {
	origin := Origin(s.number(words[0]))
	request := Forwarded{Session: 1000 + int64(origin), Cxid: 1}
	switch words[1] {
	case "session":
		request.Type, request.Cxid, request.Body = jute.OpCreateSession, 0, jute.Marshal(jute.CreateSessionRequest{TimeOut: 10_000})
	case "create":
		request.Type, request.Body = jute.OpCreate, jute.Marshal(createOf(words[2], 0))
	case "sync":
		request.Type, request.Body = jute.OpSync, jute.Marshal(jute.SyncRequest{Path: "/"})
	}
	s.w.server.LearnerRequest(origin, request)
}

func (s *scene) client(words []string) {
	name := words[0]
	if words[1] == "connects" {
		s.w.conns++
		s.clients[name] = &testClient{w: s.w, conn: s.w.conns}
		s.w.server.ClientConnected(s.w.conns, "127.0.0.1")
		s.clients[name].sendFrame(jute.Marshal(jute.ConnectRequest{TimeOut: 10_000}))
		return
	}
	path, watch, flags := "/", false, int32(0)
	for _, word := range words[2:] {
		switch {
		case word == "watch":
			watch = true
		case strings.HasPrefix(word, "flags="):
			flags = int32(s.number(word[len("flags="):]))
		default:
			path = word
		}
	}
	requests := map[string]struct {
		op   jute.OpCode
		body jute.Record
	}{
		"create":   {jute.OpCreate, createOf(path, flags)},
		"delete":   {jute.OpDelete, jute.DeleteRequest{Path: path, Version: -1}},
		"set":      {jute.OpSetData, jute.SetDataRequest{Path: path, Version: -1}},
		"get":      {jute.OpGetData, jute.GetDataRequest{Path: path, Watch: watch}},
		"exists":   {jute.OpExists, jute.ExistsRequest{Path: path, Watch: watch}},
		"children": {jute.OpGetChildren, jute.GetChildrenRequest{Path: path, Watch: watch}},
		"sync":     {jute.OpSync, jute.SyncRequest{Path: path}},
		"close":    {jute.OpCloseSession, nil},
	}
	request, known := requests[words[1]]
	require.True(s.t, known, words)
	s.clients[name].send(request.op, request.body)
}
