package server

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"ordeal/node/jute"
	"ordeal/node/peer"
	"ordeal/node/pipeline"
	"ordeal/node/tree"
)

// The words that list sessions, watches and digests.

// javaDate is how Java prints a moment.
const javaDate = "Mon Jan 02 15:04:05 MST 2006"

func (w *words) dump(peer.State) string {
	var text strings.Builder
	text.WriteString("SessionTracker dump:\n")
	var (
		buckets    []pipeline.ExpiryBucket
		decides    bool
		sessions   []jute.SessionTimeout
		ephemerals []peer.OwnedPaths
	)
	w.core.look(func(p *peer.Peer) {
		if buckets, decides = p.SessionExpiries(); !decides {
			sessions = p.SessionTimeouts()
		}
		ephemerals = p.Ephemerals()
	})
	if decides {
		text.WriteString("Session ")
		var all []expiring
		for _, bucket := range buckets {
			one := expiring{at: bucket.At}
			for _, session := range bucket.Sessions {
				one.elements = append(one.elements, hexadecimal(session))
			}
			all = append(all, one)
		}
		w.expirySets(&text, all)
	} else {
		fmt.Fprintf(&text, "Global Sessions(%d):\n", len(sessions))
		for _, session := range sessions {
			fmt.Fprintf(&text, "%s\t%dms\n", hexadecimal(session.SessionID), session.TimeOut)
		}
	}
	fmt.Fprintf(&text, "ephemeral nodes dump:\nSessions with Ephemerals (%d):\n", len(ephemerals))
	for _, owned := range ephemerals {
		fmt.Fprintf(&text, "%s:\n", hexadecimal(owned.Session))
		for _, path := range owned.Paths {
			fmt.Fprintf(&text, "\t%s\n", path)
		}
	}
	text.WriteString("Connections dump:\nConnections ")
	w.expirySets(&text, w.connectionExpiries())
	return text.String()
}

// expiring is what expires together.
type expiring struct {
	at       time.Duration // as the core's clock counts
	elements []string
}

// expirySets is the form in which Apache prints an ExpiryQueue.
func (w *words) expirySets(text *strings.Builder, sets []expiring) {
	total := 0
	for _, set := range sets {
		total += len(set.elements)
	}
	fmt.Fprintf(text, "Sets (%d)/(%d):\n", len(sets), total)
	for _, set := range sets {
		at := time.Now().Add(set.at - w.core.clock.elapsed())
		fmt.Fprintf(text, "%d expire at %s:\n", len(set.elements), at.Format(javaDate))
		for _, element := range set.elements {
			fmt.Fprintf(text, "\t%s\n", element)
		}
	}
}

// connectionExpiries puts the connections into the buckets in which Apache expires them.
func (w *words) connectionExpiries() []expiring {
	interval := w.clients.sessionlessTimeout
	buckets := map[time.Duration][]string{}
	for _, c := range w.clients.connections() {
		c.lock.Lock()
		heard, session, timeout := c.since, c.facts.session, interval
		if session != 0 {
			timeout = time.Duration(c.facts.timeout) * time.Millisecond
		}
		if c.facts.lastResponse.After(heard) {
			heard = c.facts.lastResponse
		}
		c.lock.Unlock()
		end := w.core.clock.elapsed() + time.Until(heard.Add(timeout))
		end = (end/interval + 1) * interval
		buckets[end] = append(buckets[end], fmt.Sprintf("ip: /%s sessionId: %s", c.name(), hexadecimal(session)))
	}
	var all []expiring
	for at, elements := range buckets {
		all = append(all, expiring{at: at, elements: elements})
	}
	slices.SortFunc(all, func(a, b expiring) int { return cmp.Compare(a.at, b.at) })
	return all
}

// watchesByPath are the watches on znodes, as sessions instead of connections.
func (w *words) watchesByPath() []pathWatchers {
	var watches []tree.PathWatches
	w.core.look(func(p *peer.Peer) { watches = p.DataWatches() })
	sessions := w.clients.sessions()
	all := make([]pathWatchers, len(watches))
	for i, one := range watches {
		all[i].path = one.Path
		for _, watcher := range one.Watchers {
			all[i].sessions = append(all[i].sessions, sessions[peer.Conn(watcher)])
		}
	}
	return all
}

type pathWatchers struct {
	path     string
	sessions []int64
}

type sessionWatches struct {
	session int64
	paths   []string
}

// watchesBySession is the other way around, by ascending session.
func (w *words) watchesBySession() []sessionWatches {
	paths := map[int64][]string{}
	for _, one := range w.watchesByPath() {
		for _, session := range one.sessions {
			paths[session] = append(paths[session], one.path)
		}
	}
	all := make([]sessionWatches, 0, len(paths))
	for session, watched := range paths {
		all = append(all, sessionWatches{session: session, paths: watched})
	}
	slices.SortFunc(all, func(a, b sessionWatches) int { return cmp.Compare(a.session, b.session) })
	return all
}

// watchSummary counts the watches on znodes.
func (w *words) watchSummary() (connections, paths, watches int) {
	var all []tree.PathWatches
	w.core.look(func(p *peer.Peer) { all = p.DataWatches() })
	watchers := map[int64]bool{}
	for _, one := range all {
		watches += len(one.Watchers)
		for _, watcher := range one.Watchers {
			watchers[watcher] = true
		}
	}
	return len(watchers), len(all), watches
}

func (w *words) wchs(peer.State) string {
	connections, paths, watches := w.watchSummary()
	return fmt.Sprintf("%d connections watching %d paths\nTotal watches:%d\n", connections, paths, watches)
}

func (w *words) wchc(peer.State) string {
	var text strings.Builder
	for _, one := range w.watchesBySession() {
		fmt.Fprintf(&text, "%s\n", hexadecimal(one.session))
		for _, path := range one.paths {
			fmt.Fprintf(&text, "\t%s\n", path)
		}
	}
	return text.String() + "\n"
}

func (w *words) wchp(peer.State) string {
	var text strings.Builder
	for _, one := range w.watchesByPath() {
		fmt.Fprintf(&text, "%s\n", one.path)
		for _, session := range one.sessions {
			fmt.Fprintf(&text, "\t%s\n", hexadecimal(session))
		}
	}
	return text.String() + "\n"
}

// digestLog returns the digests of past zxids.
func (w *words) digestLog() (digests []tree.ZxidDigest) {
	w.core.look(func(p *peer.Peer) { digests = p.DigestLog() })
	return digests
}

func (w *words) hash(peer.State) string {
	var text strings.Builder
	for _, one := range w.digestLog() {
		fmt.Fprintf(&text, "%x: %d\n", uint64(one.Zxid), one.Digest)
	}
	return text.String()
}
