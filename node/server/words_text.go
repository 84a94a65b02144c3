package server

import (
	"fmt"
	"math"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ordeal/node/jute"
	"ordeal/node/peer"
	"ordeal/node/quorum"
)

// version is the protocol's version, then the commit and time of the build, in the form that
// monitoring reads: 3.8.0-<hash>, built on MM/DD/YYYY HH:MM UTC.
func version() string {
	revision, built := strings.Repeat("0", 40), time.Unix(0, 0)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			switch setting.Key {
			case "vcs.revision":
				revision = setting.Value
			case "vcs.time":
				if at, err := time.Parse(time.RFC3339, setting.Value); err == nil {
					built = at
				}
			}
		}
	}
	return fmt.Sprintf("3.8.0-%s, built on %s", revision, built.UTC().Format("01/02/2006 15:04 UTC"))
}

func hexadecimal(v int64) string { return fmt.Sprintf("0x%x", uint64(v)) }

// decimal renders an average as Java does: at most four digits after the point, at least one.
func decimal(v float64) string {
	text := strconv.FormatFloat(math.Round(v*10_000)/10_000, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// modes are the words of srvr for the peer's roles.
var modes = map[string]string{"leading": "leader", "following": "follower", "observing": "observer"}

func mode(state peer.State) string {
	if state.ReadOnly {
		return "read-only"
	}
	if word, found := modes[state.Role]; found {
		return word
	}
	return state.Role
}

func (w *words) isro(state peer.State) string {
	if !state.Serving {
		return "null"
	}
	if state.ReadOnly {
		return "ro"
	}
	return "rw"
}

func (w *words) srvr(state peer.State) string {
	return versionLines(state) + w.serverLines(state)
}

func (w *words) stat(state peer.State) string {
	var text strings.Builder
	text.WriteString(versionLines(state) + "Clients:\n")
	for _, c := range w.clients.connections() {
		text.WriteString(c.describe(true) + "\n")
	}
	return text.String() + "\n" + w.serverLines(state)
}

func versionLines(state peer.State) string {
	text := "Zookeeper version: " + version() + "\n"
	if state.ReadOnly {
		text += "READ-ONLY mode; serving only read-only clients\n"
	}
	return text
}

func (w *words) serverLines(state peer.State) string {
	least, average, most := w.stats.latency.get()
	text := fmt.Sprintf("Latency min/avg/max: %d/%s/%d\n", least, decimal(average), most) +
		fmt.Sprintf("Received: %d\nSent: %d\n", w.stats.received.Load(), w.stats.sent.Load()) +
		fmt.Sprintf("Connections: %d\nOutstanding: %d\n", len(w.clients.connections()), state.Outstanding) +
		fmt.Sprintf("Zxid: %s\nMode: %s\nNode count: %d\n", hexadecimal(state.LastZxid), mode(state), state.Nodes)
	if mode(state) == "leader" {
		last, least, most := proposalSizes(state)
		text += fmt.Sprintf("Proposal sizes last/min/max: %d/%d/%d\n", last, least, most)
	}
	return text
}

// proposalSizes are -1 while there was no proposal.
func proposalSizes(state peer.State) (last, least, most int) {
	if state.ProposalLast == 0 {
		return -1, -1, -1
	}
	return state.ProposalLast, state.ProposalMin, state.ProposalMax
}

func (w *words) cons(peer.State) string {
	var text strings.Builder
	for _, c := range w.clients.connections() {
		text.WriteString(c.describe(false) + "\n")
	}
	return text.String() + "\n"
}

// lastOperations are Apache's four letters for what a connection did last.
var lastOperations = map[jute.OpCode]string{
	jute.OpCreateSession: "SESS", jute.OpCloseSession: "CLOS", jute.OpPing: "PING", jute.OpSync: "SYNC",
	jute.OpCreate: "CREA", jute.OpCreate2: "CREA", jute.OpCreateContainer: "CREA", jute.OpCreateTTL: "CREA",
	jute.OpDelete: "DELE", jute.OpExists: "EXIS", jute.OpGetData: "GETD", jute.OpSetData: "SETD",
	jute.OpGetACL: "GETA", jute.OpSetACL: "SETA", jute.OpGetChildren: "GETC", jute.OpGetChildren2: "GETC",
	jute.OpMulti: "MULT", jute.OpMultiRead: "MLTR", jute.OpCheck: "CHEC", jute.OpSetWatches: "SETW",
	jute.OpSetWatches2: "STW2", jute.OpAddWatch: "ADDW", jute.OpCheckWatches: "CHKW", jute.OpRemoveWatches: "REMW",
	jute.OpReconfig: "RECO", jute.OpGetEphemerals: "GETE", jute.OpGetAllChildrenNumber: "GACN", jute.OpWhoAmI: "HOMI",
}

// lastOperation is Apache's word for what the client asked last.
func (c *clientConn) lastOperation() string {
	if operation, found := lastOperations[c.facts.lastOp]; found {
		return operation
	}
	return "NA"
}

// reset forgets what was counted, not who the client is.
func (f *connFacts) reset() {
	*f = connFacts{session: f.session, timeout: f.timeout, answersWord: f.answersWord, lastCxid: -1, lastZxid: -1}
}

// lastResponseMs is 0 while there was no reply.
func (f *connFacts) lastResponseMs() int64 {
	if f.lastResponse.IsZero() {
		return 0
	}
	return f.lastResponse.UnixMilli()
}

// interest is what Apache shows of the events that it waits for: none while it answers a word, or
// else input.
func (c *clientConn) interest() int {
	if c.facts.answersWord {
		return 0
	}
	return 1
}

// describe is a connection's line in stat (brief) and cons.
func (c *clientConn) describe(brief bool) string {
	least, average, most := c.latency.get()
	c.lock.Lock()
	defer c.lock.Unlock()
	text := fmt.Sprintf(" /%s[%d](queued=%d,recved=%d,sent=%d", c.name(), c.interest(), len(c.outstanding), c.facts.received, c.facts.sent)
	if brief || c.facts.session == 0 {
		return text + ")"
	}
	text += fmt.Sprintf(",sid=%s,lop=%s,est=%d,to=%d", hexadecimal(c.facts.session), c.lastOperation(), c.since.UnixMilli(), c.facts.timeout)
	if c.facts.lastCxid >= 0 {
		text += ",lcxid=" + hexadecimal(c.facts.lastCxid)
	}
	return text + fmt.Sprintf(",lzxid=%s,lresp=%d,llat=%d,minlat=%d,avglat=%d,maxlat=%d)",
		hexadecimal(c.facts.lastZxid), c.facts.lastResponseMs(), c.facts.lastLatency, least, int64(average), most)
}

func (w *words) crst(peer.State) string {
	for _, c := range w.clients.connections() {
		c.latency.reset()
		c.lock.Lock()
		c.facts.reset()
		c.lock.Unlock()
	}
	return "Connection stats reset.\n"
}

func (w *words) srst(peer.State) string {
	w.stats.reset()
	return "Server stats reset.\n"
}

// securePort is -1 if there is none.
func (w *words) securePort() int {
	if w.config.SecureClientPort == 0 {
		return -1
	}
	return w.config.SecureClientPort
}

func (w *words) conf(state peer.State) string {
	c := w.config
	var text strings.Builder
	print := func(key string, value any) { fmt.Fprintf(&text, "%s=%v\n", key, value) }
	print("clientPort", w.clientPort(state))
	print("secureClientPort", w.securePort())
	print("dataDir", absolute(c.snapshotDir()))
	print("dataDirSize", directorySize(c.snapshotDir()))
	print("dataLogDir", absolute(c.logDir()))
	print("dataLogSize", directorySize(c.logDir()))
	print("tickTime", c.TickTime.Milliseconds())
	print("maxClientCnxns", c.ClientConnectionsMax)
	print("minSessionTimeout", c.SessionTimeoutMin.Milliseconds())
	print("maxSessionTimeout", c.SessionTimeoutMax.Milliseconds())
	print("clientPortListenBacklog", c.ClientBacklog)
	print("serverId", c.MyID)
	if c.Standalone {
		return text.String()
	}
	self := w.self(state)
	peerType := 0
	if self.Role == quorum.Observer {
		peerType = 1
	}
	print("initLimit", c.InitLimit)
	print("syncLimit", c.SyncLimit)
	print("electionAlg", 3)
	print("electionPort", self.ElectionPort)
	print("quorumPort", self.QuorumPort)
	print("peerType", peerType)
	fmt.Fprintf(&text, "membership: \n%s", w.membership(state))
	return text.String()
}

// dirs is named as it should be; Apache 3.8.0 has the two swapped (ZOOKEEPER-4730).
func (w *words) dirs(peer.State) string {
	return fmt.Sprintf("datadir_size: %d\nlogdir_size: %d\n", directorySize(w.config.snapshotDir()), directorySize(w.config.logDir()))
}

// environment is what is known of the process and its machine, under the names of Java's properties
// where those have a meaning here.
func environment() []setting {
	host, err := os.Hostname()
	if err != nil {
		host = "<NA>"
	}
	list := []setting{
		{"zookeeper.version", version()}, {"host.name", host}, {"go.version", runtime.Version()},
		{"java.io.tmpdir", os.TempDir()}, {"os.name", "Linux"}, {"os.arch", runtime.GOARCH},
	}
	var system unix.Utsname
	if unix.Uname(&system) == nil {
		list = append(list, setting{"os.version", unix.ByteSliceToString(system.Release[:])})
	}
	if self, err := user.Current(); err == nil {
		list = append(list, setting{"user.name", self.Username}, setting{"user.home", self.HomeDir})
	}
	if dir, err := os.Getwd(); err == nil {
		list = append(list, setting{"user.dir", dir})
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	const mib = 1 << 20
	return append(list,
		setting{"os.memory.free", strconv.FormatUint((memory.HeapIdle-memory.HeapReleased)/mib, 10) + "MB"},
		setting{"os.memory.total", strconv.FormatUint(memory.Sys/mib, 10) + "MB"},
	)
}

func environmentText() string {
	var text strings.Builder
	text.WriteString("Environment:\n")
	for _, s := range environment() {
		fmt.Fprintf(&text, "%s=%s\n", s.name, s.value)
	}
	return text.String()
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// directorySize adds up the files in a directory; files that vanish meanwhile count nothing.
func directorySize(dir string) int64 {
	total := int64(0)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
	}
	return total
}

// fileDescriptors are how many are open, and how many may be.
func fileDescriptors() (open int, most uint64) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1, 0
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return len(entries), 0
	}
	return len(entries), limit.Cur
}
