package server

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
	"ordeal/node/peer"
	"ordeal/node/pipeline"
)

// frame puts the length in front.
func frame(parts ...[]byte) []byte {
	body := concat(parts...)
	return concat(integer(int32(len(body))), body)
}

func connectRequest(timeout int32) []byte {
	return frame(jute.Marshal(&jute.ConnectRequest{TimeOut: timeout, Passwd: make([]byte, 16)}))
}

func readFrame(t *testing.T, tcp net.Conn) []byte {
	t.Helper()
	var length [4]byte
	_, err := io.ReadFull(tcp, length[:])
	require.NoError(t, err)
	body := make([]byte, binary.BigEndian.Uint32(length[:]))
	_, err = io.ReadFull(tcp, body)
	require.NoError(t, err)
	return body
}

// connect opens a session over a raw socket.
func connect(t *testing.T, r *running) net.Conn {
	t.Helper()
	return connectFor(t, r, 30_000)
}

// connectFor asks for a session with a timeout in milliseconds.
func connectFor(t *testing.T, r *running, timeout int32) net.Conn {
	t.Helper()
	tcp := r.dial(r.clientAddress())
	write(t, tcp, connectRequest(timeout))
	response := readFrame(t, tcp)
	require.Positive(t, int32(binary.BigEndian.Uint32(response[4:])), "the session's timeout")
	return tcp
}

func ask(xid int32, op jute.OpCode, body []byte) []byte {
	return frame(integer(xid), integer(int32(op)), body)
}

// pathAndWatch is the body of exists, getData and getChildren.
func pathAndWatch(path string, watch byte) []byte {
	return concat(integer(int32(len(path))), []byte(path), []byte{watch})
}

func TestWords(t *testing.T) {
	r := start(t, standaloneConfig(t, "", nil))
	tcp := connect(t, r)
	write(t, tcp, ask(1, jute.OpGetData, pathAndWatch("/zookeeper", 0)))
	readFrame(t, tcp)

	const versionLine = `Zookeeper version: 3\.8\.0-[0-9a-f]{40}, built on \d\d/\d\d/\d{4} \d\d:\d\d UTC\n`
	const serverLines = `Latency min/avg/max: \d+/\d+\.\d+/\d+\nReceived: \d+\nSent: \d+\nConnections: \d+\nOutstanding: \d+\nZxid: 0x1\nMode: standalone\nNode count: 5\n`
	brief := regexp.QuoteMeta(" /"+tcp.LocalAddr().String()) + `\[1\]\(queued=0,recved=2,sent=2`
	dir := regexp.QuoteMeta(r.config.DataDir)
	for word, want := range map[string]string{
		"ruok": `imok`,
		"isro": `rw`,
		"srvr": versionLine + serverLines,
		"stat": versionLine + `Clients:\n` + brief + `\)\n( /127.0.0.1:\d+\[0\]\(queued=0,recved=1,sent=0\)\n)+\n` + serverLines,
		"cons": brief + `,sid=0x[0-9a-f]+,lop=GETD,est=\d+,to=4000,lcxid=0x1,lzxid=0x1,lresp=\d+,llat=\d+,minlat=\d+,avglat=\d+,maxlat=\d+\)\n( /127.0.0.1:\d+\[0\]\(queued=0,recved=1,sent=0\)\n)+\n`,
		"conf": fmt.Sprintf(`clientPort=%d\nsecureClientPort=-1\ndataDir=%s/version-2\ndataDirSize=\d+\ndataLogDir=%s/version-2\ndataLogSize=\d+\ntickTime=200\nmaxClientCnxns=60\nminSessionTimeout=400\nmaxSessionTimeout=4000\nclientPortListenBacklog=-1\nserverId=0\n`, r.config.ClientPort, dir, dir),
		"dirs": `datadir_size: \d+\nlogdir_size: \d+\n`,
		"envi": `Environment:\nzookeeper.version=3\.8\.0-.*\nhost.name=.*\n(?s:.*)`,
		"mntr": `(zk_[a-z0-9_]+\t.*\n)+`,
	} {
		t.Run(word, func(t *testing.T) {
			require.Regexp(t, "^"+want+"$", r.word(word))
		})
	}
	require.Contains(t, r.word("mntr"), "zk_server_state\tstandalone\n")
	require.Equal(t, "Server stats reset.\n", r.word("srst"))
	require.Contains(t, r.word("srvr"), "Received: 1\n", "the word itself")
	require.Equal(t, "Connection stats reset.\n", r.word("crst"))
	require.Contains(t, r.word("stat"), tcp.LocalAddr().String()+"[1](queued=0,recved=0,sent=0)")
	require.Equal(t, "imok", r.word("ruok\n"), "a newline may follow")
}

func TestConfOfAMember(t *testing.T) {
	config := ensembleConfigs(t, 3)[1]
	w := words{config: config}
	self := config.self()
	require.Regexp(t, fmt.Sprintf(`\nserverId=2\ninitLimit=25\nsyncLimit=10\nelectionAlg=3\nelectionPort=%d\nquorumPort=%d\npeerType=0\nmembership: \n%s$`,
		self.ElectionPort, self.QuorumPort, regexp.QuoteMeta(config.Membership.String())), w.conf(peer.State{}))
}

func TestWhitelist(t *testing.T) {
	config := standaloneConfig(t, "", nil)
	config.tuning.words = " ruok , conf"
	r := start(t, config)
	require.Equal(t, "imok", r.word("ruok"))
	require.Contains(t, r.word("srvr"), "Mode: standalone", "srvr is always allowed")
	require.Equal(t, "stat is not executed because it is not in the whitelist.\n", r.word("stat"))
	require.Equal(t, "isro is not executed because it is not in the whitelist.\n", r.word("isro"))
}

func TestWordsWhileNotServing(t *testing.T) {
	r := start(t, ensembleConfigs(t, 3)[1])
	for word, want := range map[string]string{
		"ruok": "imok", "isro": "null", "srvr": notServing, "stat": notServing, "mntr": notServing, "conf": notServing,
		"cons": notServing, "crst": notServing, "srst": notServing,
	} {
		require.Equal(t, want, r.word(word), word)
	}
}

// Bad bytes end the connection that they came by, and hurt nothing else.
func TestHostileClients(t *testing.T) {
	r := start(t, standaloneConfig(t, "", map[string]string{"jute.maxbuffer": "4096"}))
	good := connect(t, r)
	session := connectRequest(1000)
	for _, test := range []struct {
		name  string
		bytes []byte
	}{
		{"a negative length", integer(-1)},
		{"a length over jute.maxbuffer", integer(4097)},
		{"an unknown word", []byte("quit")},
		{"HTTP", []byte("GET / HTTP/1.1\r\n\r\n")},
		{"TLS", []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")},
		{"an empty frame for a session", frame()},
		{"a ConnectRequest that ends early", frame(make([]byte, 20))},
		{"a password of absurd length", frame(make([]byte, 24), integer(1<<30))},
		{"a request before the session", ask(1, jute.OpGetData, pathAndWatch("/", 0))},
		{"a request without a header", concat(session, frame([]byte{1}))},
		{"a length over the bound later", concat(session, integer(1<<30))},
		{"an unknown operation", concat(session, ask(1, 4711, nil))},
		{"a notification from a client", concat(session, ask(1, 0, nil))},
		{"an internal operation", concat(session, ask(1, jute.OpCreateSession, integer(5)))},
	} {
		t.Run(test.name, func(t *testing.T) {
			tcp := r.dial(r.clientAddress())
			write(t, tcp, test.bytes)
			_, err := io.Copy(io.Discard, tcp)
			if err != nil {
				require.ErrorContains(t, err, "reset")
			}
			write(t, good, ask(7, jute.OpExists, pathAndWatch("/", 0)))
			require.EqualValues(t, 7, binary.BigEndian.Uint32(readFrame(t, good)))
		})
	}
	require.Contains(t, r.log.String(), "at most 4096 (jute.maxbuffer) are allowed")
}

// Garbage of every kind on an open session: whatever happens to it, others go on.
func TestGarbageBodies(t *testing.T) {
	r := start(t, standaloneConfig(t, "maxClientCnxns=0\n", nil))
	good := connect(t, r)
	for op := jute.OpCode(-12); op < 110; op++ {
		tcp := connect(t, r)
		write(t, tcp, ask(1, op, nil), ask(2, op, []byte{0xff, 0xff, 0xff}), ask(3, op, make([]byte, 40)),
			ask(4, op, []byte("\x7f\xff\xff\xff\x00\x00\x00\x01/")))
		require.NoError(t, tcp.(*net.TCPConn).CloseWrite())
		io.Copy(io.Discard, tcp)
		tcp.Close()
	}
	write(t, good, ask(7, jute.OpExists, pathAndWatch("/", 0)))
	require.EqualValues(t, 7, binary.BigEndian.Uint32(readFrame(t, good)))
}

func TestConnectionsPerAddress(t *testing.T) {
	r := start(t, standaloneConfig(t, "maxClientCnxns=2\n", nil))
	first, second := connect(t, r), connect(t, r)
	requireClosed(t, r.dial(r.clientAddress()))
	r.logs("too many connections from one address")
	first.Close()
	r.eventually(func() bool {
		third := r.dial(r.clientAddress())
		defer third.Close()
		third.Write([]byte("ruok"))
		answer, err := io.ReadAll(third)
		return err == nil && string(answer) == "imok"
	}, "room for another")
	second.Close()
}

func TestConnectionWithoutSession(t *testing.T) {
	r := start(t, standaloneConfig(t, "", map[string]string{"zookeeper.nio.sessionlessCnxnTimeout": "1000"}))
	with := connect(t, r)
	requireClosed(t, r.dial(r.clientAddress()))
	r.logs("no session was asked for in time")
	write(t, with, ask(1, jute.OpExists, pathAndWatch("/", 0)))
	readFrame(t, with)
}

// A client that asks and does not read is not read from any more, and a session that only reads
// stays alive.
func TestPipelinedReads(t *testing.T) {
	r := start(t, standaloneConfig(t, "", nil))
	tcp := connect(t, r)
	const count = 20_000
	go func() {
		for xid := range int32(count) {
			if _, err := tcp.Write(ask(xid+1, jute.OpGetData, pathAndWatch("/zookeeper/config", byte(xid%97/96)))); err != nil {
				return
			}
		}
	}()
	last := int32(0)
	for last < count {
		reply := readFrame(t, tcp)
		xid := int32(binary.BigEndian.Uint32(reply))
		require.Equal(t, last+1, xid, "replies come in the order of the requests")
		last = xid
	}
}

// A client that does not read what it asks for is not read from any more: the server keeps a bounded
// part of the answers, others are served, and nothing is lost.
func TestClientThatDoesNotRead(t *testing.T) {
	r := start(t, standaloneConfig(t, "maxSessionTimeout=30000\n", nil))
	good, slow := connect(t, r), connect(t, r)
	data := make([]byte, 200_000)
	acl := concat(integer(1), integer(31), integer(5), []byte("world"), integer(6), []byte("anyone"))
	write(t, good, ask(1, jute.OpCreate, concat(integer(4), []byte("/big"), integer(int32(len(data))), data, acl, integer(0))))
	require.EqualValues(t, 1, binary.BigEndian.Uint32(readFrame(t, good)))

	const count = 500
	for xid := range int32(count) {
		write(t, slow, ask(xid+1, jute.OpGetData, pathAndWatch("/big", byte(xid%2))))
	}
	write(t, good, ask(2, jute.OpExists, pathAndWatch("/big", 0)))
	require.EqualValues(t, 2, binary.BigEndian.Uint32(readFrame(t, good)))
	for xid := range uint32(count) {
		reply := readFrame(t, slow)
		require.Equal(t, xid+1, binary.BigEndian.Uint32(reply))
		require.Len(t, reply, 16+4+len(data)+68)
	}
}

// A client that does not read cannot hold its place either: once its session has expired, the connection goes,
// whatever waits to be written.
func TestClientThatNeverReadsLosesItsConnection(t *testing.T) {
	r := start(t, standaloneConfig(t, "", nil))
	good, slow := connect(t, r), connectFor(t, r, 400)
	data := make([]byte, 200_000)
	write(t, good, ask(1, jute.OpCreate, jute.Marshal(jute.CreateRequest{Path: "/big", Data: data, ACL: jute.OpenACL()})))
	require.EqualValues(t, 1, binary.BigEndian.Uint32(readFrame(t, good)))
	for xid := range int32(500) {
		write(t, slow, ask(xid+1, jute.OpGetData, pathAndWatch("/big", 0)))
	}
	r.logs("session expired")
	r.eventually(func() bool { return !strings.Contains(r.word("cons"), slow.LocalAddr().String()) }, "the connection's end")
}

// A reply is one whatever xid the client gave its request, be it that of watch events.
func TestRequestsWithTheXidOfEvents(t *testing.T) {
	r := start(t, standaloneConfig(t, "", nil))
	tcp := connect(t, r)
	const count = 2 * clientOutstandingMax
	go func() {
		for range count {
			if _, err := tcp.Write(ask(jute.XidNotification, jute.OpSync, jute.Marshal(jute.SyncRequest{Path: "/"}))); err != nil {
				return
			}
		}
	}()
	for range count {
		require.EqualValues(t, jute.XidNotification, int32(binary.BigEndian.Uint32(readFrame(t, tcp))))
	}
	write(t, tcp, ask(1, jute.OpExists, pathAndWatch("/", 1)), ask(2, jute.OpSetData, jute.Marshal(jute.SetDataRequest{Path: "/", Version: -1})))
	for _, xid := range []int32{1, jute.XidNotification, 2} {
		require.EqualValues(t, xid, int32(binary.BigEndian.Uint32(readFrame(t, tcp))))
	}
	require.Contains(t, r.word("cons"), "queued=0")
}

// A connection answers its plain reads by itself, past the core, which keeps the sessions alive: so
// now and then one goes through the core, several times in the shortest timeout that there is.
func TestSessionThatOnlyReadsIsHeardOf(t *testing.T) {
	for _, more := range []string{"", "minSessionTimeout=100\n", "minSessionTimeout=3000\n"} {
		config := standaloneConfig(t, more, nil)
		port := &clientPort{touchInterval: touchIntervalFor(config)}
		require.False(t, port.mustTouch(0))
		require.True(t, port.mustTouch(config.SessionTimeoutMin/4))
		require.True(t, port.mustTouch(config.TickTime/4))
	}
	r := start(t, standaloneConfig(t, "", nil))
	tcp := connect(t, r)
	for xid := range int32(3) {
		write(t, tcp, ask(xid, jute.OpExists, pathAndWatch("/", 0)))
		require.EqualValues(t, xid, binary.BigEndian.Uint32(readFrame(t, tcp)))
	}
}

// A client that reads what it has asked for is not cut off, however large the replies are that may wait.
func TestLargeRepliesFitIntoTheQueue(t *testing.T) {
	largest := request{op: jute.OpMultiRead}.room()
	require.Equal(t, pipeline.MultiReadMax, largest)
	require.Less(t, (clientReadsMax-1+largest)*jute.MaxBufferDefault, clientQueueMax)
}

// Many short items take more memory than their bytes.
func TestFlowOfShortItemsBreaks(t *testing.T) {
	f := newFlow(10 * flowItemOverhead)
	for range 10 {
		require.True(t, f.put(flowItem{data: []byte{1}}))
	}
	require.False(t, f.put(flowItem{data: []byte{1}}))
}

func TestFlowThatIsNotDrainedBreaks(t *testing.T) {
	f := newFlow(10)
	require.True(t, f.put(flowItem{data: make([]byte, 10)}))
	require.False(t, f.put(flowItem{data: make([]byte, 1)}))
	require.True(t, f.put(flowItem{}), "it is said once")
	require.True(t, f.take())
	require.Empty(t, f.emptied)
}

// A length costs its sender nothing, so it must not cost the server memory.
func TestRoomIsMadeForWhatComesOnly(t *testing.T) {
	data, err := readFull(bytes.NewReader(make([]byte, 1000)), 100<<20)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Len(t, data, claimMax)
	whole := bytes.Repeat([]byte("x"), 5*claimMax+7)
	data, err = readFull(bytes.NewReader(whole), len(whole))
	require.NoError(t, err)
	require.Equal(t, whole, data)
	data, err = readFull(bytes.NewReader(nil), 0)
	require.NoError(t, err)
	require.Empty(t, data)
}

// Whole floods of connections, half of them silent and half with a claim of a large frame: the server
// closes those that are too many, goes on serving others, and ends in order.
func TestFloodOfConnections(t *testing.T) {
	config := standaloneConfig(t, "maxClientCnxns=100\n", nil)
	r := start(t, config)
	good := connect(t, r)
	for i := range 300 {
		tcp := r.dial(r.clientAddress())
		if i%2 == 0 {
			tcp.Write(integer(int32(config.tuning.maxBuffer))) // it may be closed already
		}
	}
	r.logs("too many connections from one address")
	write(t, good, ask(7, jute.OpExists, pathAndWatch("/", 0)))
	require.EqualValues(t, 7, binary.BigEndian.Uint32(readFrame(t, good)))
	require.NoError(t, r.stop())
}

func TestConnectionsOfAllAddresses(t *testing.T) {
	r := start(t, standaloneConfig(t, "maxCnxns=2\n", nil))
	connect(t, r)
	connect(t, r)
	requireClosed(t, r.dial(r.clientAddress()))
	r.logs("too many connections")
}

func TestFloodOfSessions(t *testing.T) {
	for name, test := range map[string]struct {
		lines      string
		properties map[string]string
		log, mntr  string
	}{
		"by their rate": {lines: "connection_throttle_tokens=2\nconnection_throttle_fill_time=3600000\n", log: "faster than connection_throttle_tokens allow"},
		"at random": {
			lines: "connection_throttle_tokens=2\nconnection_throttle_fill_time=3600000\nconnection_throttle_freeze_time=0\n" +
				"connection_throttle_drop_increase=0.5\n",
			log: "faster than connection_throttle_tokens allow", mntr: "zk_connection_drop_probability\t0.5\n",
		},
		"by their number": {properties: map[string]string{"ordeal.sessionsMax": "2"}, log: "new sessions were refused"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, standaloneConfig(t, test.lines, test.properties))
			connect(t, r)
			connect(t, r)
			third := r.dial(r.clientAddress())
			write(t, third, connectRequest(30_000))
			requireClosed(t, third)
			r.logs(test.log)
			require.Contains(t, r.word("mntr"), test.mntr)
		})
	}
}

// A client that sets watches without end is cut off before they fill the memory; others keep theirs.
func TestFloodOfWatches(t *testing.T) {
	// The one that keeps its watch sends no pings meanwhile, and the race detector is slow.
	r := start(t, standaloneConfig(t, "maxSessionTimeout=60000\n", nil))
	good, flooding := connect(t, r), connect(t, r)
	write(t, good, ask(1, jute.OpExists, pathAndWatch("/mine", 1)))
	readFrame(t, good)
	for xid := int32(1); ; xid++ {
		path := fmt.Sprintf("/%d%s", xid, strings.Repeat("x", 900_000))
		if _, err := flooding.Write(ask(xid, jute.OpExists, pathAndWatch(path, 1))); err != nil {
			break
		}
		var length [4]byte
		if _, err := io.ReadFull(flooding, length[:]); err != nil {
			break
		}
		_, err := io.CopyN(io.Discard, flooding, int64(binary.BigEndian.Uint32(length[:])))
		require.NoError(t, err)
		require.Less(t, xid, int32(200), "the client is never cut off")
	}
	r.logs("watches too much")
	r.eventually(func() bool { return r.word("wchs") == "1 connections watching 1 paths\nTotal watches:1\n" }, "what it held is free")
}
