package server

import (
	"encoding/binary"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"ordeal/node/peer"
	"ordeal/node/server/metrics"
)

// words answers the four-letter words of the client port (protocol.md 9, Apache:
// org.apache.zookeeper.server.command).
type words struct {
	config    *Config
	allowed   map[string]bool
	core      *core
	clients   *clientPort
	stats     *serverStats
	metrics   *metrics.Registry
	startedAt time.Time
	traceMask atomic.Int64
}

const (
	notServing     = "This ZooKeeper instance is not currently serving requests\n"
	notWhitelisted = " is not executed because it is not in the whitelist.\n"
	// traceMaskDefault is what Apache's server traces: requests, packets of servers, sessions, warnings.
	traceMaskDefault = 306
)

// traceMaskSize is the length of the mask behind stmk, in bytes.
const traceMaskSize = 8

// answers are the words that there are. serving says that a word has no answer while the server
// serves nobody.
var answers = map[string]struct {
	serving bool
	answer  func(*words, peer.State) string
}{
	"ruok": {false, func(*words, peer.State) string { return "imok" }},
	"isro": {false, (*words).isro},
	"envi": {false, func(*words, peer.State) string { return environmentText() }},
	"gtmk": {false, (*words).traceMaskText},
	"stmk": {false, (*words).traceMaskText},
	"srvr": {true, (*words).srvr},
	"stat": {true, (*words).stat},
	"mntr": {true, (*words).mntr},
	"conf": {true, (*words).conf},
	"cons": {true, (*words).cons},
	"crst": {true, (*words).crst},
	"srst": {true, (*words).srst},
	"dirs": {true, (*words).dirs},
	"dump": {true, (*words).dump},
	"wchs": {true, (*words).wchs},
	"wchc": {true, (*words).wchc},
	"wchp": {true, (*words).wchp},
	"hash": {true, (*words).hash},
}

// allowedWords reads 4lw.commands.whitelist. Apache's own scripts need srvr, and read-only clients
// isro, so these are always allowed.
func allowedWords(t tuning) map[string]bool {
	allowed := map[string]bool{"srvr": true, "isro": t.readOnlyMode}
	for _, word := range strings.Split(t.words, ",") {
		if word = strings.TrimSpace(word); word == "*" {
			for known := range answers {
				allowed[known] = true
			}
		} else if word != "" {
			allowed[word] = true
		}
	}
	return allowed
}

// known tells whether four bytes are a word and not the length of a frame.
func (w *words) known(word string) bool {
	_, known := answers[word]
	return known
}

// answer returns the text for a word that is known.
func (w *words) answer(word string) string {
	if !w.allowed[word] {
		return word + notWhitelisted
	}
	command := answers[word]
	if word == "ruok" {
		return command.answer(w, peer.State{}) // even if the core is stuck
	}
	state := w.core.state()
	if command.serving && !state.Serving {
		if word == "hash" {
			return strings.TrimSuffix(notServing, "\n") // as Apache prints it
		}
		return notServing
	}
	return command.answer(w, state)
}

// setTraceMask keeps the mask behind stmk, eight bytes. It has no effect but to be shown: this server
// has no trace log.
func (w *words) setTraceMask(mask []byte) { w.traceMask.Store(int64(binary.BigEndian.Uint64(mask))) }

func (w *words) traceMaskText(peer.State) string { return strconv.FormatInt(w.traceMask.Load(), 10) }
