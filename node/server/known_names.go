package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// keysOfFile are the keys of zoo.cfg that are no properties.
var keysOfFile = strings.Fields(`autopurge.purgeInterval autopurge.snapRetainCount clientPort clientPortAddress
	clientPortListenBacklog connectToLearnerMasterLimit dataDir dataLogDir dynamicConfigFile electionAlg initLimit
	localSessionsEnabled localSessionsUpgradingEnabled maxClientCnxns maxSessionTimeout minSessionTimeout peerType
	portUnification quorumListenOnAllIPs reconfigEnabled secureClientPort secureClientPortAddress sslQuorum
	standaloneEnabled syncLimit tickTime`)

// propertiesRead are the properties that this server goes by, without "zookeeper." in front.
var propertiesRead = strings.Fields(`4lw.commands.whitelist DigestAuthenticationProvider.digestAlg
	DigestAuthenticationProvider.superDigest SASLAuthenticationProvider.superPassword X509AuthenticationProvider.superUser
	admin.commandURL admin.enableServer admin.serverAddress admin.serverPort allowSaslFailedClients client.portUnification
	cnxTimeout commitLogCount connection_throttle_decrease_ratio connection_throttle_drop_decrease
	connection_throttle_drop_increase connection_throttle_fill_count connection_throttle_fill_time
	connection_throttle_freeze_time connection_throttle_global_session_weight connection_throttle_local_session_weight
	connection_throttle_renew_session_weight connection_throttle_tokens connection_throttle_weight_enabled db.autocreate
	digest.enabled enforce.auth.enabled enforce.auth.schemes enforceQuota extendedTypesEnabled
	fastleader.maxNotificationInterval fastleader.minNotificationInterval forceSync fsync.warningthresholdms
	globalOutstandingLimit java.security.auth.login.config jute.maxbuffer jute.maxbuffer.extrasize leaderServes
	letAnySaslUserDoX maxCnxns metricsProvider.className metricsProvider.httpHost metricsProvider.httpPort
	nio.sessionlessCnxnTimeout ordeal.defect ordeal.holdUnsynced ordeal.profile ordeal.sessionsMax ordeal.syncByQuorum preAllocSize
	readonlymode.enabled request_throttle_drop_stale request_throttle_max_requests sasl.serverconfig
	sessionRequireClientSASLAuth skipACL snapCount snapSizeLimitInKb snapshot.compression.method snapshot.trust.empty
	snapshotSizeFactor superUser testingonly.initialZxid throttled_op_wait_time txnLogSizeLimitInKb
	znode.container.checkIntervalMs znode.container.maxNeverUsedIntervalMs znode.container.maxPerMinute`)

// propertiesOfTLS are read too, behind "ssl." and "ssl.quorum.".
var propertiesOfTLS = strings.Fields(`ciphersuites clientAuth crl enabledProtocols fips-mode hostnameVerification
	keyStore.location ocsp protocol trustStore.location`)

// propertiesOfApache are those of Apache's server for which there is nothing here that they could change, beside
// withoutEffect, where there is.
var propertiesOfApache = strings.Fields(`admin.httpVersion admin.idleTimeout
	advancedFlowControlEnabled audit.impl.class bitHashCacheSize client.secure clientCnxnSocket clientTcpKeepAlive
	commitProcessor.maxCommitBatchSize commitProcessor.maxReadBatchSize commitProcessor.numWorkerThreads
	commitProcessor.shutdownTimeout electionPortBindRetry emulate353TTLNodes enableEagerACLCheck ensembleAuthName
	follower.skipLearnerRequestToNextProcessor forceSnapshotSync forward_learner_requests_to_commit_processor_disabled
	intBufferStartingSizeBytes jmx.log4j.disable jmx.log4j.mbean kerberos.canonicalizeHostNames
	kerberos.removeHostFromPrincipal kerberos.removeRealmFromPrincipal kinit largeRequestMaxBytes leader.ackLoggingFrequency
	leader.closeSocketAsync leaderConnectDelayDuringRetryMs learner.asyncSending learner.closeSocketAsync
	maxGetChildrenResponseCacheSize maxInProcessingDeadWatchers maxResponseCacheSize maxWriteQueuePollTime
	messageTracker.BufferSize messageTracker.Enabled metricsProvider.exportJvmInfo metricsProvider.maxQueueSize
	metricsProvider.numWorkerThreads metricsProvider.workerShutdownTimeoutMs multiAddress.reachabilityCheckEnabled
	multiAddress.reachabilityCheckTimeoutMs netty.advancedFlowControl.enabled
	netty.server.earlyDropSecureConnectionHandshakes netty.server.outstandingHandshake.limit nio.directBufferBytes
	nio.numSelectorThreads nio.numWorkerThreads nio.shutdownTimeout observerMaster.sizeLimit pathStats.delay pathStats.enabled
	pathStats.initialDelay pathStats.maxDepth pathStats.sampleRate pathStats.slotCapacity pathStats.slotDuration
	pathStats.topPathMax quorumCnxnTimeoutMs request_stale_connection_check request_stale_latency_check
	request_throttle_stall_time request_throttler.shutdownTimeout security.auth_to_local serverCnxnFactory tcpKeepAlive
	watchManagerName watcherCleanIntervalInSeconds watcherCleanThreadsNum watcherCleanThreshold`)

// propertiesOfKeyStores are Apache's too, behind "ssl." and "ssl.quorum.": PEM files need none of them.
var propertiesOfKeyStores = strings.Fields(`authProvider closeStore context.supplier.class handshakeDetectionTimeoutMillis
	keyStore.password keyStore.passwordPath keyStore.type trustStore.password trustStore.passwordPath trustStore.type`)

// prefixesOfProperties are how those begin that could be meant for this server: others are the process's.
var prefixesOfProperties = []string{"zookeeper.", "ordeal.", "jute.", "fsync.", "znode.", "readonlymode."}

// knownNames are the names of properties without "zookeeper." in front, whether they are read or not.
func knownNames() (names map[string]bool) {
	names = map[string]bool{}
	for _, list := range [][]string{propertiesRead, propertiesOfApache} {
		for _, name := range list {
			names[name] = true
		}
	}
	for _, list := range [][]string{propertiesOfTLS, propertiesOfKeyStores} {
		for _, name := range list {
			names["ssl."+name], names["ssl.quorum."+name] = true, true
		}
	}
	for name := range notSupported {
		names[name] = true
	}
	for _, one := range withoutEffect {
		names[one.key] = true
	}
	return names
}

// unknown tells of keys in zoo.cfg, and of properties, that nobody knows: a slip of the pen must not pass for a
// setting. Like Apache's server this one starts nevertheless. Keys are lines that became properties.
func (p Properties) unknown(path string, keys []line) (warnings []string) {
	names := knownNames()
	inFile := map[string]bool{}
	for _, l := range keys {
		inFile["zookeeper."+l.key] = true
		if names[l.key] || strings.HasPrefix(l.key, "authProvider.") {
			continue
		}
		hint := ""
		if nearest := nearestName(l.key, append(slices.Sorted(maps.Keys(names)), keysOfFile...)); nearest != "" {
			hint = ": did you mean " + nearest + "?"
		}
		warnings = append(warnings, fmt.Sprintf("%s:%d: unknown key %s%s", path, l.number, l.key, hint))
	}
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if !slices.ContainsFunc(prefixesOfProperties, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) || inFile[name] {
			continue
		}
		bare, prefixed := strings.CutPrefix(name, "zookeeper.")
		switch {
		case names[bare] || strings.HasPrefix(bare, "authProvider."):
		case slices.Contains(keysOfFile, bare):
			warnings = append(warnings, fmt.Sprintf("property %s has no effect: %s is a key of zoo.cfg", name, bare))
		default:
			hint := ""
			if nearest := nearestName(bare, slices.Sorted(maps.Keys(names))); nearest != "" {
				if prefixed {
					nearest = "zookeeper." + nearest
				}
				hint = ": did you mean " + nearest + "?"
			}
			warnings = append(warnings, fmt.Sprintf("unknown property %s%s", name, hint))
		}
	}
	return warnings
}

// nearestName is the one of names that a mistyped name is nearest to, the first of several; empty if none is near.
func nearestName(name string, names []string) (nearest string) {
	least := 2 + len(name)/5 // one more than so many slips in a name are another name
	for _, candidate := range names {
		if slips := slipsBetween(strings.ToLower(name), strings.ToLower(candidate)); slips < least {
			least, nearest = slips, candidate
		}
	}
	return nearest
}

// slipsBetween is how many letters were left out, put in, replaced, or swapped with their neighbour.
func slipsBetween(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replaced := 1
			if a[i-1] == b[j-1] {
				replaced = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+replaced)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
