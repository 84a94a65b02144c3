package server

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"ordeal/node/quorum"
)

// LoadConfig reads a zoo.cfg with everything it refers to: the dynamic configuration file and myid.
// properties are those of the command line (-Dname=value); as in Apache, a key of the file that
// nobody knows becomes the property "zookeeper." + key. Errors name the file and, where there is one,
// the line.
func LoadConfig(path string, properties map[string]string) (*Config, error) {
	r := &reader{
		path: path,
		config: &Config{
			Path:                 path,
			ClientBacklog:        -1,
			TickTime:             tickTimeDefault,
			ClientConnectionsMax: clientConnectionsMaxDefault,
			SnapshotsRetained:    snapshotsRetainedMin,
			Properties:           Properties{},
		},
		standaloneEnabled: true,
	}
	for name, value := range properties {
		r.config.Properties[name] = value
	}
	if err := r.read(); err != nil {
		return nil, err
	}
	return r.config, nil
}

// reader collects what a zoo.cfg says until it can be judged as a whole.
type reader struct {
	path              string
	config            *Config
	membership        quorum.Builder
	hasServers        bool
	dynamicFile       string
	peerType          string
	standaloneEnabled bool
	others            []line // that became properties
}

func (r *reader) read() error {
	text, lines, err := readLines(r.path)
	if err != nil {
		return err
	}
	r.config.Text = text
	for _, line := range lines {
		if line.key == "dynamicConfigFile" {
			r.dynamicFile = line.value
		}
	}
	for _, line := range lines {
		if err := r.take(line); err != nil {
			return fmt.Errorf("%s:%d: %w", r.path, line.number, err)
		}
	}
	if r.dynamicFile != "" {
		if err := r.readDynamicFile(); err != nil {
			return err
		}
	}
	if err := r.readNextFile(); err != nil {
		return err
	}
	if r.config.Membership, err = r.membership.Config(); err != nil {
		return fmt.Errorf("%s: %w", r.path, err)
	}
	if err := r.finish(); err != nil {
		return fmt.Errorf("%s: %w", r.path, err)
	}
	return nil
}

// line is one key of a file in the format of Java's properties.
type line struct {
	number     int
	key, value string
}

// readLines reads a file of key=value lines, and returns its text too.
func readLines(path string) (text string, lines []line, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	lines, err = parseLines(path, string(content))
	return string(content), lines, err
}

// parseLines reads key=value lines. Blank lines and lines that begin with # or ! are
// skipped, a backslash at the end joins two lines, and the later of two equal keys counts, as in
// Java's properties; for server lines that is left to the membership, which refuses it.
func parseLines(path, content string) ([]line, error) {
	var lines []line
	pending, first := "", 0
	for i, text := range strings.Split(content, "\n") {
		text = strings.TrimSpace(text)
		if pending == "" {
			first = i + 1
			if text == "" || text[0] == '#' || text[0] == '!' {
				continue
			}
		}
		if joined, more := strings.CutSuffix(text, `\`); more {
			pending += joined
			continue
		}
		text, pending = pending+text, ""
		end := strings.IndexAny(text, "=: \t")
		if end <= 0 {
			return nil, fmt.Errorf("%s:%d: %q is not of the form key=value", path, first, text)
		}
		value := strings.TrimLeft(text[end:], " \t")
		if value != "" && (value[0] == '=' || value[0] == ':') {
			value = strings.TrimSpace(value[1:])
		}
		lines = append(lines, line{number: first, key: text[:end], value: value})
	}
	return lines, nil
}

// notSupported are keys that change what goes over the wires, or who may do what: to ignore them would be
// to serve without the protection that was asked for. Each has a value that asks for nothing.
var notSupported = map[string]string{
	"multiAddress.enabled":                  "false",
	"admin.forceHttps":                      "false",
	"admin.portUnification":                 "false",
	"audit.enable":                          "false",
	"DigestAuthenticationProvider.enabled":  "true",
	"quorum.auth.enableSasl":                "false",
	"quorum.auth.learnerRequireSasl":        "false",
	"quorum.auth.serverRequireSasl":         "false",
	"sslQuorumReloadCertFiles":              "false",
	"oraclePath":                            "",
	"observerMasterPort":                    "",
	"quorum.auth.learner.loginContext":      "QuorumLearner",
	"quorum.auth.server.loginContext":       "QuorumServer",
	"quorum.auth.kerberos.servicePrincipal": "zkquorum/localhost",
}

// refuse is an error if a key asks for what this server cannot do.
func refuse(key, value string) error {
	if harmless, listed := notSupported[key]; listed && !strings.EqualFold(strings.TrimSpace(value), harmless) {
		return fmt.Errorf("%s=%s is not supported by this server", key, value)
	}
	return nil
}

// refuse looks at all properties, wherever they were given.
func (p Properties) refuse() error {
	for _, key := range slices.Sorted(maps.Keys(notSupported)) {
		if value, set := p.get(key); set {
			if err := refuse(key, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// withoutEffect are keys of Apache's that a server may be started with in good faith but that change nothing
// here, with Apache's default and with what this server does.
var withoutEffect = []struct{ key, otherwise, instead string }{
	{"syncEnabled", "true", "an observer always keeps its log"},
	{"observer.syncEnabled", "true", "an observer always keeps its log"},
	{"quorum.cnxn.threads.size", "20", "there is no pool of threads"},
	{"maxBatchSize", "1000", "what arrives during one fsync of the log shares the next"},
	{"flushDelay", "0", "what arrives during one fsync of the log shares the next"},
	{"observer.reconnectDelayMs", "0", "an observer looks for the next leader at once"},
	{"observer.election.DelayMs", "200", "an observer takes part in elections without a delay"},
	{"leader.maxTimeToWaitForEpoch", "-1", "initLimit bounds that too"},
	{"leader.maxConcurrentSnapSyncs", "10", "all learners are synchronised at once"},
	{"leader.maxConcurrentDiffSyncs", "100", "all learners are synchronised at once"},
	{"closeSessionTxn.enabled", "true", "the end of a session always names its ephemeral znodes"},
	{"largeRequestThreshold", "-1", "the bytes of requests under way are always bounded, and clients wait for room"},
}

// unheeded tells of what was set and has no effect.
func (p Properties) unheeded() (warnings []string) {
	for _, one := range withoutEffect {
		if value, set := p.get(one.key); set && !strings.EqualFold(strings.TrimSpace(value), one.otherwise) {
			warnings = append(warnings, fmt.Sprintf("%s=%s has no effect: %s", one.key, value, one.instead))
		}
	}
	return warnings
}

// take handles one line of zoo.cfg.
func (r *reader) take(l line) error {
	c := r.config
	if err := refuse(l.key, l.value); err != nil {
		return err
	}
	switch l.key {
	case "dataDir":
		return setPath(&c.DataDir, l)
	case "dataLogDir":
		return setPath(&c.DataLogDir, l)
	case "clientPort":
		return setNumber(&c.ClientPort, l, 1, 65535)
	case "clientPortAddress":
		c.ClientHost = strings.Trim(l.value, "[]")
		return nil
	case "secureClientPort":
		return setNumber(&c.SecureClientPort, l, 1, 65535)
	case "secureClientPortAddress":
		c.SecureClientHost = strings.Trim(l.value, "[]")
		return nil
	case "sslQuorum":
		return setFlag(&c.QuorumTLS, l)
	case "portUnification":
		return setFlag(&c.PortUnification, l)
	case "clientPortListenBacklog":
		return setNumber(&c.ClientBacklog, l, -1, 1<<20)
	case "maxClientCnxns":
		return setNumber(&c.ClientConnectionsMax, l, 0, 1<<30)
	case "tickTime":
		return setMilliseconds(&c.TickTime, l)
	case "initLimit":
		return setNumber(&c.InitLimit, l, 1, 1<<20)
	case "syncLimit":
		return setNumber(&c.SyncLimit, l, 1, 1<<20)
	case "minSessionTimeout":
		return setSessionTimeout(&c.SessionTimeoutMin, l)
	case "maxSessionTimeout":
		return setSessionTimeout(&c.SessionTimeoutMax, l)
	case "electionAlg":
		algorithm := 0
		return setNumber(&algorithm, l, 3, 3)
	case "peerType":
		r.peerType = strings.ToLower(l.value)
		if r.peerType != "participant" && r.peerType != "observer" {
			return fmt.Errorf("peerType=%s: want participant or observer", l.value)
		}
		return nil
	case "standaloneEnabled":
		return setFlag(&r.standaloneEnabled, l)
	case "quorumListenOnAllIPs":
		return setFlag(&c.QuorumListenOnAllIPs, l)
	case "autopurge.snapRetainCount":
		err := setNumber(&c.SnapshotsRetained, l, 0, 1<<20)
		c.SnapshotsRetained = max(c.SnapshotsRetained, snapshotsRetainedMin)
		return err
	case "autopurge.purgeInterval":
		hours := 0
		err := setNumber(&hours, l, 0, 1<<20)
		c.PurgeInterval = time.Duration(hours) * time.Hour
		return err
	case "localSessionsEnabled":
		return setFlag(&c.LocalSessions, l)
	case "localSessionsUpgradingEnabled":
		return setFlag(&c.LocalSessionsUpgrading, l)
	case "reconfigEnabled":
		return setFlag(&c.Reconfig, l)
	case "connectToLearnerMasterLimit":
		return setNumber(&c.ConnectLimit, l, 0, 1<<20)
	case "dynamicConfigFile":
		return nil
	}
	known, err := r.membership.Add(l.key, l.value)
	if known {
		if r.dynamicFile != "" && l.key != "version" {
			return fmt.Errorf("%s must stand in the dynamic configuration file %s", l.key, r.dynamicFile)
		}
		r.hasServers = r.hasServers || strings.HasPrefix(l.key, "server.")
		return err
	}
	c.Properties["zookeeper."+l.key] = l.value
	r.others = append(r.others, l)
	return nil
}

// readDynamicFile reads the membership from its own file. Its version is the end of its name.
func (r *reader) readDynamicFile() error {
	path := r.dynamicFile
	if !filepath.IsAbs(path) {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			path = filepath.Join(filepath.Dir(r.path), path)
		}
	}
	_, lines, err := readLines(path)
	if err != nil {
		return fmt.Errorf("%s: dynamicConfigFile: %w", r.path, err)
	}
	for _, line := range lines {
		known, err := r.membership.Add(line.key, line.value)
		if err == nil && !known {
			err = fmt.Errorf("unknown key %q; a dynamic configuration has only server.N, group.N, weight.N and version", line.key)
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", path, line.number, err)
		}
		r.hasServers = r.hasServers || strings.HasPrefix(line.key, "server.")
	}
	if _, version, found := strings.Cut(filepath.Base(path), ".dynamic."); found {
		if _, err := r.membership.Add("version", version); err != nil {
			return fmt.Errorf("%s: the name must end in a version in hexadecimal: %w", path, err)
		}
	}
	return nil
}

// readNextFile reads the membership that was proposed when the server stopped.
func (r *reader) readNextFile() error {
	path := r.path + nextMembershipSuffix
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the membership that was proposed cannot be read: %w", err)
	}
	if r.config.LastSeen, err = quorum.Parse(string(text)); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// finish judges the configuration as a whole and fills in defaults.
func (r *reader) finish() error {
	c := r.config
	if c.DataDir == "" {
		return errors.New("dataDir is not set")
	}
	if c.DataLogDir == "" {
		c.DataLogDir = c.DataDir
	}
	if c.SessionTimeoutMin == 0 {
		c.SessionTimeoutMin = sessionTimeoutMinTicks * c.TickTime
	}
	if c.SessionTimeoutMax == 0 {
		c.SessionTimeoutMax = sessionTimeoutMaxTicks * c.TickTime
	}
	if c.SessionTimeoutMin > c.SessionTimeoutMax {
		return fmt.Errorf("minSessionTimeout (%v) must not be larger than maxSessionTimeout (%v)", c.SessionTimeoutMin, c.SessionTimeoutMax)
	}
	c.StandaloneEnabled = r.standaloneEnabled
	voters := len(c.Membership.Voters())
	c.Standalone = voters == 0 || (voters == 1 && r.standaloneEnabled)
	if c.Standalone && len(c.Membership.Observers()) > 0 {
		return errors.New("observers beside a single participant need standaloneEnabled=false")
	}
	if voters == 0 && !r.standaloneEnabled {
		return errors.New("standaloneEnabled=false needs at least one server.N line")
	}
	if !c.Standalone {
		if err := r.finishEnsemble(); err != nil {
			return err
		}
	}
	if err := r.finishClientAddress(); err != nil {
		return err
	}
	if err := c.Properties.refuse(); err != nil {
		return err
	}
	c.Warnings = append(c.Warnings, c.Properties.unheeded()...)
	c.Warnings = append(c.Warnings, c.Properties.unknown(r.path, r.others)...)
	var err error
	if c.tuning, err = c.Properties.tune(); err != nil {
		return err
	}
	if err := c.secureAll(); err != nil {
		return err
	}
	if c.authentication, err = c.Properties.authentication(); err != nil {
		return err
	}
	// The top byte of a session id must not look like that of a TTL node's owner.
	if c.tuning.extendedTypes && c.MyID >= quorum.IDMax {
		return fmt.Errorf("extendedTypesEnabled needs a server id below %d, and this server has %d", quorum.IDMax, c.MyID)
	}
	return nil
}

func (r *reader) finishEnsemble() error {
	c := r.config
	if c.InitLimit == 0 {
		return errors.New("initLimit is not set; an ensemble needs it")
	}
	if c.SyncLimit == 0 {
		return errors.New("syncLimit is not set; an ensemble needs it")
	}
	path := filepath.Join(c.DataDir, "myid")
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("this server's number cannot be read: %w", err)
	}
	if c.MyID, err = strconv.ParseInt(strings.TrimSpace(string(content)), 10, 64); err != nil {
		return fmt.Errorf("%s: %q is not a number", path, strings.TrimSpace(string(content)))
	}
	self, found := c.Membership.Server(c.MyID)
	if !found {
		return fmt.Errorf("%s says that this is server %d, but there is no line server.%d", path, c.MyID, c.MyID)
	}
	if r.peerType != "" && r.peerType != self.Role.String() {
		c.Warnings = append(c.Warnings, fmt.Sprintf("%s: peerType=%s, but server.%d says %s, which counts", r.path, r.peerType, c.MyID, self.Role))
	}
	if voters := len(c.Membership.Voters()); voters%2 == 0 {
		c.Warnings = append(c.Warnings, fmt.Sprintf("%s: %d participants tolerate no more failures than %d would", r.path, voters, voters-1))
	}
	return nil
}

// finishClientAddress brings the static client address and that of the own server line together.
func (r *reader) finishClientAddress() error {
	c := r.config
	if c.ClientHost != "" && c.ClientPort == 0 {
		return errors.New("clientPortAddress is set, but clientPort is not")
	}
	if self := c.self(); self.ClientPort != 0 {
		host := self.ClientHost
		if host == "0.0.0.0" {
			host = ""
		}
		if c.ClientPort != 0 && (c.ClientPort != self.ClientPort || (c.ClientHost != "" && c.ClientHost != self.ClientHost)) {
			return fmt.Errorf("clientPort says %s:%d, but server.%d says %s:%d", c.ClientHost, c.ClientPort, c.MyID, self.ClientHost, self.ClientPort)
		}
		c.ClientHost, c.ClientPort = host, self.ClientPort
	}
	if c.SecureClientHost != "" && c.SecureClientPort == 0 {
		return errors.New("secureClientPortAddress is set, but secureClientPort is not")
	}
	if c.ClientPort == 0 && c.SecureClientPort == 0 {
		return errors.New("clientPort is not set, neither by itself nor in this server's line")
	}
	return nil
}

func setPath(into *string, l line) error {
	if l.value == "" {
		return fmt.Errorf("%s is empty", l.key)
	}
	*into = filepath.Clean(l.value)
	return nil
}

func setNumber(into *int, l line, least, most int) error {
	number, err := strconv.Atoi(l.value)
	if err != nil || number < least || number > most {
		return fmt.Errorf("%s=%s: want a whole number from %d to %d", l.key, l.value, least, most)
	}
	*into = number
	return nil
}

func setMilliseconds(into *time.Duration, l line) error {
	const most = 24 * 60 * 60 * 1000
	milliseconds := 0
	if err := setNumber(&milliseconds, l, 1, most); err != nil {
		return err
	}
	*into = time.Duration(milliseconds) * time.Millisecond
	return nil
}

// setSessionTimeout is setMilliseconds, with -1 for the default.
func setSessionTimeout(into *time.Duration, l line) error {
	if l.value == "-1" {
		return nil
	}
	return setMilliseconds(into, l)
}

func setFlag(into *bool, l line) error {
	switch strings.ToLower(l.value) {
	case "true":
		*into = true
	case "false":
		*into = false
	default:
		return fmt.Errorf("%s=%s: want true or false", l.key, l.value)
	}
	return nil
}
