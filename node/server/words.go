package server

import (
	"context"
	"strings"
	"time"

	"ordeal/node/peer"
)

// words answers the four-letter words of the client port (protocol.md 9, Apache:
// org.apache.zookeeper.server.command).
type words struct {
	config    *Config
	allowed   map[string]bool
	core      *core
	clients   *clientPort
	stats     *serverStats
	startedAt time.Time
}

const (
	notServing     = "This ZooKeeper instance is not currently serving requests\n"
	notWhitelisted = " is not executed because it is not in the whitelist.\n"
	// stateTimeout bounds the wait for a core that is busy or stuck.
	stateTimeout = 5 * time.Second
)

// answers are the words that there are. serving says that a word has no answer while the server
// serves nobody.
var answers = map[string]struct {
	serving bool
	answer  func(*words, peer.State) string
}{
	"ruok": {false, func(*words, peer.State) string { return "imok" }},
	"isro": {false, (*words).isro},
	"envi": {false, func(*words, peer.State) string { return environment() }},
	"srvr": {true, (*words).srvr},
	"stat": {true, (*words).stat},
	"mntr": {true, (*words).mntr},
	"conf": {true, (*words).conf},
	"cons": {true, (*words).cons},
	"crst": {true, (*words).crst},
	"srst": {true, (*words).srst},
	"dirs": {true, (*words).dirs},
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
func (w *words) answer(ctx context.Context, word string) string {
	if !w.allowed[word] {
		return word + notWhitelisted
	}
	command := answers[word]
	if word == "ruok" {
		return command.answer(w, peer.State{}) // even if the core is stuck
	}
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	state, ok := w.core.state(ctx)
	if command.serving && (!ok || !state.Serving) {
		return notServing
	}
	return command.answer(w, state)
}
