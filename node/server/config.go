package server

import (
	"fmt"
	"math"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ordeal/node/defect"
	"ordeal/node/jute"
	"ordeal/node/pipeline"
	"ordeal/node/quorum"
	"ordeal/node/store"
	"ordeal/node/zab"
)

// Config is a server's whole configuration: what zoo.cfg, myid and the -D properties say, checked. It
// is made by LoadConfig.
type Config struct {
	// Path is the file it was read from.
	Path string
	Text string // what it holds

	DataDir    string // snapshots, epoch files and myid
	DataLogDir string // transaction logs; DataDir if not set

	// MyID is the content of DataDir/myid; 0 for a standalone server, as Apache shows it.
	MyID       int64
	Membership *quorum.Config
	// LastSeen is the membership that was proposed last, if a reconfiguration was under way.
	LastSeen          *quorum.Config
	Reconfig          bool // reconfigEnabled
	StandaloneEnabled bool // standaloneEnabled
	// Standalone is true for one server without an ensemble.
	Standalone bool

	ClientHost string // address that clients connect to; "" for all
	ClientPort int    // 0 for none, beside SecureClientPort
	// SecureClientPort is where clients with TLS connect to; 0 for none.
	SecureClientHost string
	SecureClientPort int
	// QuorumTLS is sslQuorum: the servers talk to one another over TLS. With PortUnification they
	// also take connections without.
	QuorumTLS, PortUnification bool
	// ClientBacklog is clientPortListenBacklog: how many connections may wait to be accepted; below 1:
	// what the system allows.
	ClientBacklog int

	TickTime          time.Duration
	InitLimit         int // in ticks
	SyncLimit         int // in ticks
	ConnectLimit      int // connectToLearnerMasterLimit, in ticks; 0: InitLimit
	SessionTimeoutMin time.Duration
	SessionTimeoutMax time.Duration

	ClientConnectionsMax   int // per client address; 0 for no bound
	QuorumListenOnAllIPs   bool
	LocalSessions          bool          // localSessionsEnabled
	LocalSessionsUpgrading bool          // localSessionsUpgradingEnabled
	SnapshotsRetained      int           // autopurge.snapRetainCount
	PurgeInterval          time.Duration // 0: never

	// Warnings are what the reader of the configuration should be told, but can live with.
	Warnings []string

	// Properties are the system properties: those of the command line, and unknown keys of zoo.cfg
	// with "zookeeper." in front.
	Properties Properties

	// FS is the file system that the data directories are in; nil stands for the operating system's.
	FS store.FS

	// FlushLog is called before a panic ends the process; nil for nothing. See LogWriter.
	FlushLog func()

	tuning         tuning
	authentication pipeline.Authentication
}

// Apache's defaults (protocol.md 11).
const (
	tickTimeDefault             = 3000 * time.Millisecond
	clientConnectionsMaxDefault = 60
	snapshotsRetainedMin        = 3
	fsyncWarningDefault         = time.Second
	sessionTimeoutMinTicks      = 2
	sessionTimeoutMaxTicks      = 20
)

// Properties are Java-style system properties.
type Properties map[string]string

// get returns a property by the first of its names that is set. Names without "zookeeper." in front
// are also found with it, since that is what a key of zoo.cfg becomes.
func (p Properties) get(names ...string) (string, bool) {
	for _, name := range names {
		if value, set := p[name]; set {
			return value, true
		}
		if value, set := p["zookeeper."+name]; set {
			return value, true
		}
	}
	return "", false
}

// text returns a property's value or "".
func (p Properties) text(name string) string {
	value, _ := p.get(name)
	return value
}

// flag is true for the words that switch something on.
func (p Properties) flag(name string, otherwise bool) (bool, error) {
	value, set := p.get(name)
	if !set {
		return otherwise, nil
	}
	switch strings.ToLower(value) {
	case "true", "yes", "on", "1", "":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, fmt.Errorf("property %s=%s: want yes or no", name, value)
}

// number is a whole number within bounds.
func (p Properties) number(name string, otherwise, least int64) (int64, error) {
	value, set := p.get(name)
	if !set {
		return otherwise, nil
	}
	number, err := strconv.ParseInt(strings.TrimSpace(value), 0, 64)
	if err != nil || number < least {
		return 0, fmt.Errorf("property %s=%s: want a whole number of at least %d", name, value, least)
	}
	return number, nil
}

// fraction is any number.
func (p Properties) fraction(name string, otherwise float64) (float64, error) {
	value, set := p.get(name)
	if !set {
		return otherwise, nil
	}
	number, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil || math.IsNaN(number) {
		return 0, fmt.Errorf("property %s=%s: want a number", name, value)
	}
	return number, nil
}

// tuning is what the properties say, checked.
type tuning struct {
	snapCount          int64
	snapSizeBytes      int64
	snapshotSizeFactor float64
	commitLogCount     int64
	outstandingMax     int64
	throttleMax        int64
	throttleDropStale  bool
	throttledOpWait    time.Duration
	connectionThrottle pipeline.ConnectionThrottle
	sessionsMax        int64
	allConnectionsMax  int64 // zookeeper.maxCnxns
	requestBytesMax    int   // of all clients
	backlogBytesMax    int   // for the disk
	maxBuffer          int64
	fieldMax           int64 // between servers and on disk
	logPrealloc        int64
	logSizeMax         int64
	fsyncWarning       time.Duration // of which length on an fsync is told
	containers         pipeline.Containers
	forceSync          bool
	leaderServes       bool
	firstCounter       int64
	syncByQuorum       bool
	extendedTypes      bool
	digestEnabled      bool
	enforceQuota       bool
	skipACL            bool
	superDigest        string
	compression        string
	trustEmpty         bool
	autocreate         bool
	clientSecurity     *security // nil for none
	clientUnified      bool      // clientPort takes both
	quorumSecurity     *security // nil for none
	x509SuperUser      string
	admin              httpPort
	adminURL           string
	metrics            httpPort
	readOnlyMode       bool
	words              string // 4lw.commands.whitelist
	sessionlessTimeout time.Duration
	connectTimeout     time.Duration
	notificationMin    time.Duration // zookeeper.fastleader.minNotificationInterval; 0: Apache's default
	notificationMax    time.Duration
	holdUnsynced       bool
	profileDir         string // empty for no profiles
	defects            defect.Set
}

// httpPort is one of the ports for those who watch over the server.
type httpPort struct {
	enabled bool
	host    string
	port    int64
}

// address is where to listen.
func (p httpPort) address() string { return net.JoinHostPort(p.host, strconv.FormatInt(p.port, 10)) }

// Apache's ports (JettyAdminServer, PrometheusMetricsProvider).
const (
	adminPortDefault   = 8080
	adminURLDefault    = "/commands"
	metricsPortDefault = 7000
)

// tune reads the properties that the server knows. Others are kept and have no effect (see unknown).
func (p Properties) tune() (tuning, error) {
	var t tuning
	var firstErr error
	keep := func(err error) {
		if firstErr == nil {
			firstErr = err
		}
	}
	number := func(name string, otherwise, least int64) int64 {
		value, err := p.number(name, otherwise, least)
		keep(err)
		return value
	}
	flag := func(name string, otherwise bool) bool {
		value, err := p.flag(name, otherwise)
		keep(err)
		return value
	}
	fraction := func(name string, otherwise float64) float64 {
		value, err := p.fraction(name, otherwise)
		keep(err)
		return value
	}
	milliseconds := func(name string, otherwise time.Duration) time.Duration {
		return time.Duration(number(name, otherwise.Milliseconds(), 1)) * time.Millisecond
	}
	const kib = 1024
	t.snapCount = max(2, number("zookeeper.snapCount", 100_000, 1))
	t.snapSizeBytes = number("zookeeper.snapSizeLimitInKb", 4194304, 0) * kib
	t.snapshotSizeFactor = fraction("zookeeper.snapshotSizeFactor", 0.33)
	t.commitLogCount = max(500, number("zookeeper.commitLogCount", 500, 1))
	t.outstandingMax = number("zookeeper.globalOutstandingLimit", 1000, 1)
	t.throttleMax = number("zookeeper.request_throttle_max_requests", 0, 0)
	t.throttleDropStale = flag("zookeeper.request_throttle_drop_stale", true)
	t.throttledOpWait = time.Duration(number("zookeeper.throttled_op_wait_time", 0, 0)) * time.Millisecond
	t.connectionThrottle = pipeline.ConnectionThrottle{
		Tokens:        int(number("zookeeper.connection_throttle_tokens", 0, 0)),
		FillTime:      milliseconds("zookeeper.connection_throttle_fill_time", time.Millisecond),
		FillCount:     int(number("zookeeper.connection_throttle_fill_count", 1, 1)),
		DropIncrease:  fraction("zookeeper.connection_throttle_drop_increase", 0.02),
		DropDecrease:  fraction("zookeeper.connection_throttle_drop_decrease", 0.002),
		DecreaseRatio: fraction("zookeeper.connection_throttle_decrease_ratio", 0),
	}
	if freeze := number("zookeeper.connection_throttle_freeze_time", -1, -1); freeze >= 0 {
		t.connectionThrottle.FreezeTime = max(time.Duration(freeze)*time.Millisecond, 1)
	}
	weights := pipeline.SessionWeights{
		Global:  int(number("zookeeper.connection_throttle_global_session_weight", 3, 1)),
		Local:   int(number("zookeeper.connection_throttle_local_session_weight", 1, 1)),
		Renewed: int(number("zookeeper.connection_throttle_renew_session_weight", 2, 1)),
	}
	if flag("zookeeper.connection_throttle_weight_enabled", false) {
		t.connectionThrottle = t.connectionThrottle.Weighted(weights)
	}
	t.sessionsMax = number("ordeal.sessionsMax", pipeline.SessionsMaxDefault, 1)
	t.allConnectionsMax = number("zookeeper.maxCnxns", 0, 0)
	t.requestBytesMax, t.backlogBytesMax = requestBytesMax, backlogBytesMax
	t.maxBuffer = number("jute.maxbuffer", jute.MaxBufferDefault, kib)
	t.fieldMax = t.maxBuffer + max(kib, number("zookeeper.jute.maxbuffer.extrasize", t.maxBuffer, 0))
	t.logPrealloc = number("zookeeper.preAllocSize", 65536, 0) * kib
	t.logSizeMax = max(0, number("zookeeper.txnLogSizeLimitInKb", -1, math.MinInt64)) * kib
	t.fsyncWarning = milliseconds("fsync.warningthresholdms", fsyncWarningDefault)
	t.containers = pipeline.Containers{
		CheckInterval: milliseconds("znode.container.checkIntervalMs", 0),
		PerMinuteMax:  int(number("znode.container.maxPerMinute", 0, 1)),
		NeverUsedMax:  time.Duration(number("znode.container.maxNeverUsedIntervalMs", 0, 0)) * time.Millisecond,
	}
	t.forceSync = flag("zookeeper.forceSync", true)
	t.firstCounter = number("zookeeper.testingonly.initialZxid", 0, 0)
	if t.firstCounter != 0 && (t.firstCounter < zab.LateStart || t.firstCounter > math.MaxUint32-2) {
		keep(fmt.Errorf("property zookeeper.testingonly.initialZxid=%d: want a counter from %d to %d", t.firstCounter, zab.LateStart, math.MaxUint32-2))
	}
	t.leaderServes = flag("zookeeper.leaderServes", true)
	t.syncByQuorum = flag("ordeal.syncByQuorum", true)
	t.extendedTypes = flag("zookeeper.extendedTypesEnabled", false)
	t.digestEnabled = flag("zookeeper.digest.enabled", true)
	t.enforceQuota = flag("zookeeper.enforceQuota", false)
	t.skipACL = flag("zookeeper.skipACL", false)
	t.superDigest = p.text("zookeeper.DigestAuthenticationProvider.superDigest")
	t.compression = p.text("zookeeper.snapshot.compression.method")
	t.trustEmpty = flag("zookeeper.snapshot.trust.empty", false)
	t.autocreate = flag("zookeeper.db.autocreate", true)
	t.admin = httpPort{
		enabled: flag("zookeeper.admin.enableServer", true), host: p.text("zookeeper.admin.serverAddress"),
		port: number("zookeeper.admin.serverPort", adminPortDefault, 0),
	}
	t.adminURL = adminURLDefault
	if url, set := p.get("zookeeper.admin.commandURL"); set {
		t.adminURL = "/" + strings.Trim(url, "/")
	}
	_, hasPort := p.get("metricsProvider.httpPort")
	t.metrics = httpPort{
		enabled: hasPort || strings.HasSuffix(p.text("metricsProvider.className"), "PrometheusMetricsProvider"),
		host:    p.text("metricsProvider.httpHost"), port: number("metricsProvider.httpPort", metricsPortDefault, 0),
	}
	t.readOnlyMode = flag("readonlymode.enabled", false)
	t.words = p.text("zookeeper.4lw.commands.whitelist")
	t.sessionlessTimeout = milliseconds("zookeeper.nio.sessionlessCnxnTimeout", sessionlessTimeoutDefault)
	t.connectTimeout = milliseconds("zookeeper.cnxTimeout", connectTimeoutDefault)
	t.notificationMin = milliseconds("zookeeper.fastleader.minNotificationInterval", 0)
	t.notificationMax = milliseconds("zookeeper.fastleader.maxNotificationInterval", 0)
	t.holdUnsynced = flag("ordeal.holdUnsynced", false)
	t.profileDir = p.text("ordeal.profile")
	defects, err := defect.Parse(p.text("ordeal.defect"))
	keep(err)
	t.defects = defects
	return t, firstErr
}

// snapshotDir and logDir are where the files really are: in the directory of their format's version.
func (c *Config) snapshotDir() string { return filepath.Join(c.DataDir, versionDir) }
func (c *Config) logDir() string      { return filepath.Join(c.DataLogDir, versionDir) }

const versionDir = "version-2"

// self is this server's own line of the membership. A standalone server may have one too, whatever
// its number.
func (c *Config) self() quorum.Server {
	if c.Standalone && len(c.Membership.Servers) == 1 {
		return c.Membership.Servers[0]
	}
	server, _ := c.Membership.Server(c.MyID)
	return server
}
