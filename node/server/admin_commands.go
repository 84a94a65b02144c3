package server

import (
	"cmp"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"ordeal/node/jute"
	"ordeal/node/peer"
	"ordeal/node/pipeline"
	"ordeal/node/quorum"
)

// adminCommand is a command of the AdminServer. Its first name is the one that it answers with.
type adminCommand struct {
	names []string
	// serving says that it has no answer while the server serves nobody.
	serving bool
	run     func(w *words, state peer.State, arguments url.Values) object
}

// adminCommands are Apache's (org.apache.zookeeper.server.admin.Commands).
var adminCommands = []adminCommand{
	{[]string{"configuration", "conf", "config"}, true, (*words).adminConfiguration},
	{[]string{"connections", "cons"}, true, (*words).adminConnections},
	{[]string{"connection_stat_reset", "crst"}, true, done((*words).crst)},
	{[]string{"dirs"}, true, (*words).adminDirs},
	{[]string{"dump"}, true, (*words).adminDump},
	{[]string{"environment", "env", "envi"}, false, (*words).adminEnvironment},
	{[]string{"get_trace_mask", "gtmk"}, false, (*words).adminTraceMask},
	{[]string{"hash"}, true, (*words).adminHash},
	{[]string{"initial_configuration", "icfg"}, true, (*words).adminInitialConfiguration},
	{[]string{"is_read_only", "isro"}, true, (*words).adminIsReadOnly},
	{[]string{"last_snapshot", "lsnp"}, true, (*words).adminLastSnapshot},
	{[]string{"leader", "lead"}, true, (*words).adminLeader},
	{[]string{"monitor", "mntr"}, true, (*words).adminMonitor},
	{[]string{"observer_connection_stat_reset", "orst"}, true, (*words).adminNothing},
	{[]string{"observers", "obsr"}, true, (*words).adminObservers},
	{[]string{"ruok"}, true, (*words).adminNothing},
	{[]string{"server_stats", "srvr"}, true, (*words).adminServerStats},
	{[]string{"set_trace_mask", "stmk"}, false, (*words).adminSetTraceMask},
	{[]string{"stats", "stat"}, true, (*words).adminStats},
	{[]string{"stat_reset", "srst"}, true, done((*words).srst)},
	{[]string{"system_properties", "sysp"}, false, (*words).adminSystemProperties},
	{[]string{"voting_view"}, true, (*words).adminVotingView},
	{[]string{"watches", "wchc"}, true, (*words).adminWatches},
	{[]string{"watches_by_path", "wchp"}, true, (*words).adminWatchesByPath},
	{[]string{"watch_summary", "wchs"}, true, (*words).adminWatchSummary},
	{[]string{"zabstate"}, false, (*words).adminZabState},
}

// command answers one command of the AdminServer.
func (w *words) command(name string, arguments url.Values) object {
	i := slices.IndexFunc(adminCommands, func(c adminCommand) bool { return slices.Contains(c.names, name) })
	if i < 0 {
		return object{{"command", name}, {"error", "Unknown command: " + name}}
	}
	command := adminCommands[i]
	state := w.core.state()
	if command.serving && !state.Serving {
		return object{{"command", name}, {"error", strings.TrimSpace(notServing)}}
	}
	answer := command.run(w, state, arguments)
	answer = append(answer, field{"command", command.names[0]})
	if !answer.has("error") {
		answer = append(answer, field{"error", nil})
	}
	return answer
}

// done makes a command of a word whose text says only that it was carried out.
func done(word func(*words, peer.State) string) func(*words, peer.State, url.Values) object {
	return func(w *words, state peer.State, _ url.Values) object {
		word(w, state)
		return object{}
	}
}

func (w *words) adminNothing(peer.State, url.Values) object { return object{} }

func (w *words) adminConfiguration(state peer.State, _ url.Values) object {
	c := w.config
	return object{
		{"client_port", w.clientPort(state)}, {"data_dir", absolute(c.snapshotDir())}, {"data_log_dir", absolute(c.logDir())},
		{"tick_time", c.TickTime.Milliseconds()}, {"max_client_cnxns", c.ClientConnectionsMax},
		{"min_session_timeout", c.SessionTimeoutMin.Milliseconds()}, {"max_session_timeout", c.SessionTimeoutMax.Milliseconds()},
		{"server_id", c.MyID}, {"client_port_listen_backlog", c.ClientBacklog},
	}
}

func (w *words) adminConnections(peer.State, url.Values) object {
	return object{{"connections", w.connectionObjects(false, false)}, {"secure_connections", w.connectionObjects(true, false)}}
}

// connectionObjects are the connections of the port that takes TLS alone, or those of the other one.
func (w *words) connectionObjects(secure, brief bool) []object {
	all := []object{}
	for _, c := range w.clients.connections() {
		if c.securePort() == secure {
			all = append(all, c.object(brief))
		}
	}
	return all
}

// securePort tells whether the connection came to the port that takes TLS alone.
func (c *clientConn) securePort() bool { return c.secured != nil && !c.secured.unify }

// object is what describe says, for the AdminServer.
func (c *clientConn) object(brief bool) object {
	least, average, most := c.latency.get()
	c.lock.Lock()
	defer c.lock.Unlock()
	o := object{
		{"remote_socket_address", c.name()}, {"interest_ops", c.interest()}, {"outstanding_requests", len(c.outstanding)},
		{"packets_received", c.facts.received}, {"packets_sent", c.facts.sent},
	}
	if brief {
		return o
	}
	return append(o, object{
		{"session_id", c.facts.session}, {"last_operation", c.lastOperation()}, {"established", c.since.UnixMilli()},
		{"session_timeout", c.facts.timeout}, {"last_cxid", c.facts.lastCxid}, {"last_zxid", c.facts.lastZxid},
		{"last_response_time", c.facts.lastResponseMs()}, {"last_latency", c.facts.lastLatency},
		{"min_latency", least}, {"avg_latency", int64(average)}, {"max_latency", most},
	}...)
}

func (w *words) adminDirs(peer.State, url.Values) object {
	return object{
		{"datadir_size", directorySize(w.config.snapshotDir())}, {"logdir_size", directorySize(w.config.logDir())},
	}
}

func (w *words) adminDump(peer.State, url.Values) object {
	var buckets []pipeline.ExpiryBucket
	var ephemerals []peer.OwnedPaths
	w.core.look(func(p *peer.Peer) {
		buckets, _ = p.SessionExpiries()
		ephemerals = p.Ephemerals()
	})
	expiries, owners := object{}, object{}
	for _, bucket := range buckets {
		expiries = append(expiries, field{strconv.FormatInt(bucket.At.Milliseconds(), 10), bucket.Sessions})
	}
	for _, owned := range ephemerals {
		owners = append(owners, field{strconv.FormatInt(owned.Session, 10), owned.Paths})
	}
	return object{{"expiry_time_to_session_ids", expiries}, {"session_id_to_ephemeral_paths", owners}}
}

func (w *words) adminEnvironment(peer.State, url.Values) object {
	var o object
	for _, s := range environment() {
		o = append(o, field{s.name, s.value})
	}
	return o
}

func (w *words) adminTraceMask(peer.State, url.Values) object {
	return object{{"tracemask", w.traceMask.Load()}}
}

func (w *words) adminSetTraceMask(_ peer.State, arguments url.Values) object {
	if !arguments.Has("traceMask") {
		return object{{"error", "setTraceMask requires long traceMask argument"}}
	}
	mask, err := strconv.ParseInt(arguments.Get("traceMask"), 10, 64)
	if err != nil {
		return object{{"error", "setTraceMask requires long traceMask argument, got " + arguments.Get("traceMask")}}
	}
	w.traceMask.Store(mask)
	return object{{"tracemask", mask}}
}

func (w *words) adminHash(peer.State, url.Values) object {
	digests := []object{}
	for _, one := range w.digestLog() {
		digests = append(digests, object{{"zxid", one.Zxid}, {"digest", one.Digest}, {"digest_version", jute.DigestVersion}})
	}
	return object{{"digests", digests}}
}

func (w *words) adminInitialConfiguration(peer.State, url.Values) object {
	return object{{"initial_configuration", w.config.Text}}
}

func (w *words) adminIsReadOnly(state peer.State, _ url.Values) object {
	return object{{"read_only", state.ReadOnly}}
}

func (w *words) adminLastSnapshot(peer.State, url.Values) object {
	zxid, seconds := lastSnapshot(w.config.snapshotDir())
	return object{{"zxid", strconv.FormatUint(uint64(zxid), 16)}, {"timestamp", seconds}}
}

// lastSnapshot is the newest snapshot's zxid and time in seconds, -1 if there is none.
func lastSnapshot(dir string) (zxid, seconds int64) {
	zxid, seconds = -1, -1
	entries, err := os.ReadDir(dir)
	if err != nil {
		return zxid, seconds
	}
	for _, entry := range entries {
		suffix, isSnapshot := strings.CutPrefix(entry.Name(), "snapshot.")
		suffix, _, _ = strings.Cut(suffix, ".") // the compression
		at, err := strconv.ParseInt(suffix, 16, 64)
		if !isSnapshot || err != nil || at <= zxid {
			continue
		}
		if info, err := entry.Info(); err == nil {
			zxid, seconds = at, info.ModTime().Unix()
		}
	}
	return zxid, seconds
}

func (w *words) adminLeader(state peer.State, _ url.Values) object {
	if w.config.Standalone {
		return object{{"error", "server is not initialized"}}
	}
	host := ""
	if leader, found := w.membership(state).Server(state.LeaderID); found {
		host, _, _ = net.SplitHostPort(leader.QuorumAddress())
	}
	return object{{"is_leader", mode(state) == "leader"}, {"leader_id", state.LeaderID}, {"leader_ip", host}}
}

func (w *words) adminMonitor(state peer.State, _ url.Values) object {
	var o object
	for _, s := range w.standing(state) {
		o = append(o, field{s.name, s.value})
	}
	for _, g := range w.measured(state) {
		if g.whole {
			o = append(o, field{g.name, int64(g.value)})
		} else {
			o = append(o, field{g.name, g.value})
		}
	}
	return o
}

func (w *words) adminObservers(peer.State, url.Values) object {
	observers := []object{}
	for _, learner := range w.core.leadership().Learners {
		if learner.Observer && learner.Forwarded {
			observers = append(observers, object{{"sid", learner.ServerID}, {"established", learner.Synced}})
		}
	}
	return object{{"synced_observers", len(observers)}, {"observers", observers}}
}

func (w *words) adminServerStats(state peer.State, _ url.Values) object {
	least, average, most := w.stats.latency.get()
	responses := w.stats.responses.get().object()
	o := object{
		{"version", version()}, {"read_only", state.ReadOnly},
		{"server_stats", object{
			{"packets_sent", w.stats.sent.Load()}, {"packets_received", w.stats.received.Load()},
			{"fsync_threshold_exceed_count", w.stats.slowFsyncs.Load()}, {"client_response_stats", responses}, {"provider_null", false},
			{"server_state", mode(state)}, {"outstanding_requests", state.Outstanding},
			{"min_latency", least}, {"avg_latency", average}, {"max_latency", most},
			{"data_dir_size", directorySize(w.config.snapshotDir())}, {"log_dir_size", directorySize(w.config.logDir())},
			{"last_processed_zxid", state.LastZxid}, {"num_alive_client_connections", len(w.clients.connections())},
			{"uptime", w.uptime().Milliseconds()}, {"auth_failed_count", w.stats.authFailed.Load()},
			{"non_mtlsremote_conn_count", 0}, {"non_mtlslocal_conn_count", 0},
		}},
		{"client_response", responses},
	}
	if mode(state) == "leader" {
		last, least, most := proposalSizes(state)
		o = append(o, field{"proposal_stats", bufferSizes{int64(last), int64(least), int64(most)}.object()})
	}
	return append(o, field{"node_count", state.Nodes})
}

// object is Apache's BufferStats.
func (s bufferSizes) object() object {
	return object{{"last_buffer_size", s.last}, {"min_buffer_size", s.least}, {"max_buffer_size", s.most}}
}

func (w *words) adminStats(state peer.State, arguments url.Values) object {
	return append(w.adminServerStats(state, arguments),
		field{"connections", w.connectionObjects(false, true)}, field{"secure_connections", w.connectionObjects(true, true)})
}

// adminSystemProperties shows all properties but secrets.
func (w *words) adminSystemProperties(peer.State, url.Values) object {
	var names []string
	for name := range w.config.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	var o object
	for _, name := range names {
		value := w.config.Properties[name]
		if lower := strings.ToLower(name); strings.Contains(lower, "password") || strings.Contains(lower, "superdigest") {
			value = "***"
		}
		o = append(o, field{name, value})
	}
	return o
}

func (w *words) adminVotingView(state peer.State, _ url.Values) object {
	view := object{}
	if !w.config.Standalone {
		for _, id := range w.membership(state).Voters() {
			server, _ := w.membership(state).Server(id)
			client := ""
			if id == w.config.MyID {
				client = w.clientAddress(server)
			} else if server.ClientPort != 0 {
				client = net.JoinHostPort(server.ClientHost, strconv.Itoa(server.ClientPort))
			}
			view = append(view, field{strconv.FormatInt(server.ID, 10), object{
				{"server_addresses", []string{server.QuorumAddress()}},
				{"election_addresses", []string{server.ElectionAddress()}},
				{"client_address", client}, {"learner_type", server.Role.String()},
			}})
		}
	}
	return object{{"current_config", view}}
}

// clientAddress is where clients connect to by this server's line, or by zoo.cfg if that does not say.
func (w *words) clientAddress(self quorum.Server) string {
	host, port := self.ClientHost, self.ClientPort
	if port == 0 {
		host, port = w.config.ClientHost, w.config.ClientPort
	}
	return net.JoinHostPort(cmp.Or(host, "0.0.0.0"), strconv.Itoa(port))
}

func (w *words) adminWatches(peer.State, url.Values) object {
	watches := object{}
	for _, one := range w.watchesBySession() {
		watches = append(watches, field{strconv.FormatInt(one.session, 10), one.paths})
	}
	return object{{"session_id_to_watched_paths", watches}}
}

func (w *words) adminWatchesByPath(peer.State, url.Values) object {
	watches := object{}
	for _, one := range w.watchesByPath() {
		watches = append(watches, field{one.path, one.sessions})
	}
	return object{{"path_to_session_ids", watches}}
}

func (w *words) adminWatchSummary(peer.State, url.Values) object {
	connections, paths, watches := w.watchSummary()
	return object{{"num_connections", connections}, {"num_paths", paths}, {"num_total_watches", watches}}
}

func (w *words) adminZabState(state peer.State, _ url.Values) object {
	if w.config.Standalone {
		return object{{"voting", false}, {"zabstate", ""}}
	}
	self := w.self(state)
	return object{
		{"myid", w.config.MyID}, {"is_leader", mode(state) == "leader"},
		{"quorum_address", addressObject(self.QuorumAddress())}, {"election_address", addressObject(self.ElectionAddress())},
		{"client_address", w.clientAddress(self)}, {"voting", self.Role == quorum.Participant},
		{"last_zxid", hexadecimal(state.LastZxid)}, {"zab_epoch", state.LastZxid >> 32}, {"zab_counter", state.LastZxid & 0xffffffff},
		{"zabstate", state.Phase},
	}
}

// addressObject is Apache's MultipleAddresses for the one address that there is.
func addressObject(address string) object {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	port, _ := strconv.Atoi(portText) // the membership has checked it
	one := []string{address}
	return object{
		{"empty", false}, {"all_addresses", one}, {"one", address}, {"reachable_address", address},
		{"wildcard_addresses", []string{net.JoinHostPort("0.0.0.0", portText)}}, {"all_ports", []int{port}},
		{"all_host_strings", []string{host}},
	}
}
