package pipeline

import (
	"math/rand/v2"
	"time"
)

// ConnectionThrottle is zookeeper.connection_throttle_tokens and what goes with it: how many clients may begin
// or take up a session in a time. One that comes when there is no token is closed without an answer, and tries
// again (Apache's BlueThrottle).
type ConnectionThrottle struct {
	Tokens    int           // there are at most so many; 0: no throttle
	FillTime  time.Duration // in this time come FillCount more
	FillCount int

	// FreezeTime, unless it is 0, makes the throttle also close connections at random, so that under a load that stays
	// high it is not always those who come late that go away empty-handed. At most once in that time the share of those
	// grows by DropIncrease, if there is no token, or shrinks by DropDecrease, if no more than DecreaseRatio of the tokens
	// lack.
	FreezeTime                                time.Duration
	DropIncrease, DropDecrease, DecreaseRatio float64

	// Weights are how many tokens a session takes.
	Weights SessionWeights
}

// SessionWeights are how many tokens a new session takes, global or local, and one that a client comes back to; 0
// stands for 1.
type SessionWeights struct{ Global, Local, Renewed int }

// Weighted is a throttle whose tokens are counted in global sessions, and of which others take more or less. No session
// weighs less than a local one.
func (c ConnectionThrottle) Weighted(weights SessionWeights) ConnectionThrottle {
	weights.Global, weights.Renewed = max(weights.Global, weights.Local), max(weights.Renewed, weights.Local)
	c.Weights = weights
	c.Tokens *= weights.Global
	c.FillCount *= weights.Global
	return c
}

// SessionsMaxDefault is Config.SessionsMax where it is 0.
const SessionsMaxDefault = 1_000_000

// connectionThrottle is the tokens that there are.
type connectionThrottle struct {
	ConnectionThrottle
	random   *rand.Rand
	tokens   int
	filledAt time.Duration
	// drop is the share of connections that are closed at random, as it is since frozenAt.
	drop     float64
	frozenAt time.Duration
}

func newConnectionThrottle(config ConnectionThrottle, random *rand.Rand, now time.Duration) connectionThrottle {
	config.FillCount = min(config.FillCount, config.Tokens) // more would have nowhere to go
	return connectionThrottle{ConnectionThrottle: config, random: random, tokens: config.Tokens, filledAt: now, frozenAt: now}
}

// take takes as many tokens as a session weighs, or none and is false. A session heavier than all tokens that there
// may be takes those: it would never get in otherwise.
func (t *connectionThrottle) take(weight int, now time.Duration) bool {
	if t.Tokens == 0 {
		return true
	}
	t.fill(now)
	if t.FreezeTime > 0 {
		t.adjust(now)
		if t.random.Float64() < t.drop {
			return false
		}
	}
	weight = min(max(weight, 1), t.Tokens)
	if t.tokens < weight {
		return false
	}
	t.tokens -= weight
	return true
}

// fill adds the tokens that have come since the last time.
func (t *connectionThrottle) fill(now time.Duration) {
	if times := (now - t.filledAt) / t.FillTime; times > 0 {
		t.filledAt += times * t.FillTime
		enough := time.Duration(t.Tokens/t.FillCount + 1) // times for any number of tokens
		t.tokens = min(t.Tokens, t.tokens+int(min(times, enough))*t.FillCount)
	}
}

// adjust changes the share of connections that are closed at random, at the first of them after a while.
func (t *connectionThrottle) adjust(now time.Duration) {
	if now-t.frozenAt <= t.FreezeTime {
		return
	}
	t.frozenAt = now
	switch {
	case t.tokens == 0:
		t.drop = min(t.drop+t.DropIncrease, 1)
	case float64(t.deficit()) <= t.DecreaseRatio*float64(t.Tokens):
		t.drop = max(t.drop-t.DropDecrease, 0)
	}
}

// deficit is how many tokens lack.
func (t *connectionThrottle) deficit() int { return t.Tokens - t.tokens }

// sessionCount is how many sessions there are, as far as this server knows, with those that are being made here.
func (s *Server) sessionCount() int {
	if s.tracker != nil {
		return len(s.tracker.sessions) + len(s.local.sessions)
	}
	return s.tree.SessionCount() + len(s.local.sessions)
}

// refusals counts the handshakes that were refused because there are too many, so that a flood of them makes a few
// lines of the log only.
type refusals struct{ throttled, sessions int }

// weight is how many tokens a client's session takes.
func (s *Server) weight(newSession bool) int {
	weights := &s.config.ConnectionThrottle.Weights
	switch {
	case !newSession:
		return weights.Renewed
	case s.local.enabled:
		return weights.Local
	default:
		return weights.Global
	}
}

// admits tells whether a client's handshake may go on.
func (s *Server) admits(newSession bool) bool {
	if !s.throttle.take(s.weight(newSession), s.now.Elapsed) {
		s.refused.throttled++
		return false
	}
	s.measured(TokenDeficit, int64(s.throttle.deficit()))
	switch {
	case newSession && s.sessionCount() >= s.config.SessionsMax:
		s.refused.sessions++
		return false
	}
	return true
}

// tellRefusals writes down what was refused since the last time.
func (s *Server) tellRefusals() {
	if s.refused.throttled > 0 {
		s.config.Log.Warn("clients come faster than connection_throttle_tokens allow", "refused", s.refused.throttled)
	}
	if s.refused.sessions > 0 {
		s.config.Log.Warn("new sessions were refused: there are too many", "sessions", s.sessionCount(),
			"max", s.config.SessionsMax, "refused", s.refused.sessions)
	}
	s.refused = refusals{}
}
