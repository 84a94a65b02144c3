package server

import (
	"context"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
	"ordeal/node/store"
)

// gate is an admission with room for so many bytes, and the disk that it asks.
type gate struct {
	*admission
	t    *testing.T
	busy bool
}

func newGate(t *testing.T, bytesMax int) *gate {
	g := &gate{t: t}
	g.admission = &admission{bytesMax: bytesMax, diskBusy: func() bool { return g.busy }}
	return g
}

// ask lets a request wait to be let in; entered gets its name once it has been. It returns when the request is in or
// waits.
func (g *gate) ask(ctx context.Context, name string, bytes int, write bool, entered chan<- string) {
	settled := make(chan struct{})
	var once sync.Once
	settle := func() { once.Do(func() { close(settled) }) }
	go func() {
		wait := func(ready <-chan struct{}) bool {
			settle()
			select {
			case <-ready:
				return true
			case <-ctx.Done():
				return false
			}
		}
		if g.enter(bytes, write, wait) {
			entered <- name
		} else {
			entered <- name + " gave up"
		}
		settle()
	}()
	<-settled
}

// step is a step of the core.
func (g *gate) step(underWay int, taken ...int) {
	for _, bytes := range taken {
		g.take(bytes)
	}
	g.settle(underWay)
}

const large = 10 * smallRequestMax

func TestLargeRequestsWaitForRoomInTheirOrder(t *testing.T) {
	g := newGate(t, 2*large)
	entered := make(chan string, 10)
	for _, name := range []string{"first", "second", "third", "fourth"} {
		g.ask(t.Context(), name, large, true, entered)
	}
	require.ElementsMatch(t, []string{"first", "second"}, []string{<-entered, <-entered})
	g.step(2*large, large, large)
	require.Empty(t, entered, "they are under way still")
	g.ask(t.Context(), "small", smallRequestMax, true, entered)
	require.Equal(t, "small", <-entered, "what is small passes by")
	g.step(large)
	require.Equal(t, "third", <-entered)
	g.step(0, large)
	require.Equal(t, "fourth", <-entered)
	g.leave(large)
	require.Zero(t, g.entering)
}

func TestRequestLargerThanTheBoundGoesAlone(t *testing.T) {
	g := newGate(t, large)
	entered := make(chan string, 10)
	g.ask(t.Context(), "huge", 5*large, true, entered)
	require.Equal(t, "huge", <-entered)
	g.ask(t.Context(), "next", 5*large, true, entered)
	require.Empty(t, entered)
	g.step(5*large, 5*large)
	require.Empty(t, entered)
	g.step(0)
	require.Equal(t, "next", <-entered)
}

func TestWritesWaitForTheDisk(t *testing.T) {
	g := newGate(t, 2*large)
	entered := make(chan string, 10)
	g.busy = true
	g.ask(t.Context(), "small write", 1, true, entered)
	require.Empty(t, entered)
	g.ask(t.Context(), "small read", 1, false, entered)
	require.Equal(t, "small read", <-entered)
	g.step(0)
	require.Empty(t, entered)
	g.busy = false
	g.step(0)
	require.Equal(t, "small write", <-entered)
}

func TestWhoGivesUpMakesRoom(t *testing.T) {
	g := newGate(t, 2*large)
	entered := make(chan string, 10)
	g.ask(t.Context(), "first", large, true, entered)
	require.Equal(t, "first", <-entered)
	ctx, cancel := context.WithCancel(t.Context())
	g.ask(ctx, "second", 2*large, true, entered)
	g.ask(t.Context(), "third", large, true, entered)
	require.Empty(t, entered, "the first to wait comes first")
	cancel()
	require.ElementsMatch(t, []string{"second gave up", "third"}, []string{<-entered, <-entered})
	require.Equal(t, 2*large, g.entering)
}

func TestOnlyWhatIsWrittenDownNeedsTheDisk(t *testing.T) {
	for _, test := range []struct {
		frame     []byte
		hasHeader bool
		needs     bool
	}{
		{jute.Marshal(jute.ConnectRequest{Passwd: make([]byte, 16)}), false, true},
		{jute.Marshal(jute.ConnectRequest{SessionID: 7, Passwd: make([]byte, 16)}), false, false},
		{concat(integer(1), integer(int32(jute.OpSetData))), true, true},
		{concat(integer(1), integer(int32(jute.OpCloseSession))), true, true},
		{concat(integer(1), integer(int32(jute.OpGetData))), true, false},
		{concat(integer(jute.XidPing), integer(int32(jute.OpPing))), true, false},
		{nil, true, true},
	} {
		require.Equal(t, test.needs, needsDisk(requestOf(test.frame, test.hasHeader, time.Now()), test.frame), "%x", test.frame)
	}
}

// stallingFS is the operating system's file system, whose logs can be kept from reaching the disk.
type stallingFS struct {
	store.FS
	lock    sync.Mutex
	stalled chan struct{} // nil: it goes on
}

type stallingFile struct {
	store.File
	fs *stallingFS
}

func (s *stallingFS) Create(name string) (store.File, error) {
	file, err := s.FS.Create(name)
	return stallingFile{file, s}, err
}

func (f stallingFile) Sync() error {
	f.fs.lock.Lock()
	stalled := f.fs.stalled
	f.fs.lock.Unlock()
	if stalled != nil {
		<-stalled
	}
	return f.File.Sync()
}

// stall keeps everything from the disk until the function that it returns is called.
func (s *stallingFS) stall() (goOn func()) {
	s.lock.Lock()
	defer s.lock.Unlock()
	stalled := make(chan struct{})
	s.stalled = stalled
	return sync.OnceFunc(func() {
		s.lock.Lock()
		s.stalled = nil
		s.lock.Unlock()
		close(stalled)
	})
}

// startNarrow starts three members with little room for large requests and for what waits for the disk, and
// returns their leader with its disk, and a follower.
func startNarrow(t *testing.T, syncLimit int) (leader, follower *running, leaderDisk *stallingFS) {
	t.Helper()
	disks := map[*running]*stallingFS{}
	var members []*running
	for _, config := range ensembleConfigs(t, 3) {
		disk := &stallingFS{FS: store.OS()}
		config.FS, config.SessionTimeoutMax, config.SyncLimit = disk, 30*time.Second, syncLimit
		config.tuning.requestBytesMax, config.tuning.backlogBytesMax = 2<<20, 256<<10
		members = append(members, start(t, config))
		disks[members[len(members)-1]] = disk
	}
	for _, r := range members {
		r.eventually(func() bool { return r.mode() == "leader" || r.mode() == "follower" }, "a role")
		if r.mode() == "leader" {
			leader = r
		} else {
			follower = r
		}
	}
	require.NotNil(t, leader)
	return leader, follower, disks[leader]
}

// pipelineWrites sends count writes of size bytes to /data, with xids from first on, without waiting for answers.
func pipelineWrites(tcp interface{ Write([]byte) (int, error) }, first, count, size int) {
	set := jute.Marshal(jute.SetDataRequest{Path: "/data", Data: make([]byte, size), Version: -1})
	for i := range count {
		if _, err := tcp.Write(ask(int32(first+i), jute.OpSetData, set)); err != nil {
			return
		}
	}
}

// One client's large writes wait their turn: the follower that it is connected to forwards them as the leader takes
// them, and keeps its leader.
func TestLargeWritesAtAFollower(t *testing.T) {
	const syncLimit = 100 // so that a disk that others use much is not taken for one that fails
	leader, follower, _ := startNarrow(t, syncLimit)
	tcp := connect(t, follower)
	write(t, tcp, ask(1, jute.OpCreate, jute.Marshal(jute.CreateRequest{Path: "/data", ACL: jute.OpenACL()})))
	require.EqualValues(t, 1, binary.BigEndian.Uint32(readFrame(t, tcp)))
	const count = 8
	go pipelineWrites(tcp, 2, count, 900_000)
	for i := range count {
		reply := readFrame(t, tcp)
		require.EqualValues(t, 2+i, binary.BigEndian.Uint32(reply))
		require.Zero(t, binary.BigEndian.Uint32(reply[12:]), "the error")
	}
	require.Equal(t, "leader", leader.mode())
	require.NotContains(t, follower.log.String(), "leaving the role")
}

// A leader whose disk does nothing goes on hearing its followers, whose disks make a quorum: it leads for longer than
// syncLimit. Its own clients' writes wait for the disk; their reads and pings do not.
func TestLeaderWithAStalledDiskKeepsItsRole(t *testing.T) {
	leader, follower, disk := startNarrow(t, 10)
	own, reader, tcp := connect(t, leader), connect(t, leader), connect(t, follower)
	write(t, tcp, ask(1, jute.OpCreate, jute.Marshal(jute.CreateRequest{Path: "/data", ACL: jute.OpenACL()})))
	require.EqualValues(t, 1, binary.BigEndian.Uint32(readFrame(t, tcp)))
	goOn := disk.stall()
	defer goOn()
	const count, size = 20, 20_000 // more than backlogBytesMax, less than backlogFull times that
	go pipelineWrites(tcp, 2, count, size)
	for i := range count {
		require.EqualValues(t, 2+i, binary.BigEndian.Uint32(readFrame(t, tcp)))
	}
	pipelineWrites(own, 1, 1, 10)

	config := leader.config
	until := time.Now().Add(2 * time.Duration(config.SyncLimit) * config.TickTime)
	for xid := 100; time.Now().Before(until); xid++ {
		if xid%20 == 0 { // few enough for the disk's backlog not to be full
			pipelineWrites(tcp, xid, 1, 10)
			require.EqualValues(t, xid, binary.BigEndian.Uint32(readFrame(t, tcp)), "the ensemble takes writes")
		}
		write(t, reader, ask(int32(xid), jute.OpExists, pathAndWatch("/data", 0)))
		require.EqualValues(t, xid, binary.BigEndian.Uint32(readFrame(t, reader)), "the leader answers reads")
	}
	require.Equal(t, "leader", leader.mode())
	require.NotContains(t, leader.log.String(), "leaving the role")
	goOn()
	require.EqualValues(t, 1, binary.BigEndian.Uint32(readFrame(t, own)), "the write that had to wait")
}

// A client whose write waits for the disk is heard of as long as it sends pings, although nobody reads them meanwhile: it
// keeps its session and its connection. One that falls silent keeps neither.
func TestPingsBehindAWriteThatWaitsKeepTheSession(t *testing.T) {
	leader, follower, disk := startNarrow(t, 100)
	const timeout = 1000 // ms
	awake, silent, tcp := connectFor(t, leader, timeout), connectFor(t, leader, timeout), connect(t, follower)
	write(t, tcp, ask(1, jute.OpCreate, jute.Marshal(jute.CreateRequest{Path: "/data", ACL: jute.OpenACL()})))
	readFrame(t, tcp)
	goOn := disk.stall()
	defer goOn()
	const count, size = 20, 20_000
	go pipelineWrites(tcp, 2, count, size)
	for range count {
		readFrame(t, tcp)
	}
	pipelineWrites(awake, 1, 1, 10)
	pipelineWrites(silent, 1, 1, 10)
	ticker := time.NewTicker(timeout * time.Millisecond / 10)
	defer ticker.Stop()
	for range 40 {
		<-ticker.C
		write(t, awake, ask(jute.XidPing, jute.OpPing, nil))
	}
	requireClosed(t, silent)
	goOn()
	reply := readFrame(t, awake)
	require.EqualValues(t, 1, binary.BigEndian.Uint32(reply), "the write that had to wait")
	require.Zero(t, binary.BigEndian.Uint32(reply[12:]), "the error")
}
