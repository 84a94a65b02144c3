package pipeline

import "time"

// ConnectionThrottle is zookeeper.connection_throttle_tokens, _fill_time and _fill_count: how many clients may begin
// or take up a session in a time. One that comes when there is no token is closed without an answer, and tries
// again (Apache's BlueThrottle; its random dropping and its weights, off by default, are not here).
type ConnectionThrottle struct {
	Tokens    int           // there are at most so many; 0: no throttle
	FillTime  time.Duration // in this time come FillCount more
	FillCount int
}

// SessionsMaxDefault is Config.SessionsMax where it is 0.
const SessionsMaxDefault = 1_000_000

// connectionThrottle is the tokens that there are.
type connectionThrottle struct {
	ConnectionThrottle
	tokens   int
	filledAt time.Duration
}

func newConnectionThrottle(config ConnectionThrottle, now time.Duration) connectionThrottle {
	config.FillCount = min(config.FillCount, config.Tokens) // more would have nowhere to go
	return connectionThrottle{ConnectionThrottle: config, tokens: config.Tokens, filledAt: now}
}

// take takes a token; false if there is none.
func (t *connectionThrottle) take(now time.Duration) bool {
	if t.Tokens == 0 {
		return true
	}
	if times := (now - t.filledAt) / t.FillTime; times > 0 {
		t.filledAt += times * t.FillTime
		enough := time.Duration(t.Tokens/t.FillCount + 1) // times for any number of tokens
		t.tokens = min(t.Tokens, t.tokens+int(min(times, enough))*t.FillCount)
	}
	if t.tokens == 0 {
		return false
	}
	t.tokens--
	return true
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

// admits tells whether a client's handshake may go on.
func (s *Server) admits(newSession bool) bool {
	if !s.throttle.take(s.now.Elapsed) {
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
