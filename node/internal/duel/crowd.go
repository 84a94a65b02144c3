package duel

import (
	"path"
	"slices"

	"ordeal/node/jute"
)

const (
	// burstMax is the number of requests that a client sends together at most.
	burstMax = 64
	// meleeEach is how often a melee is played instead of a burst.
	meleeEach = 2
	// burstEndsEach is how often a burst ends with the end of its session.
	burstEndsEach = 40
	// burstAuthEach is how often a burst begins with auth.
	burstAuthEach = 20
	// burstAgainEach is how often such a burst goes on with the same auth.
	burstAgainEach = 8
)

// crowd plays a burst or a melee.
func (s *stream) crowd() {
	if s.oneIn(meleeEach) {
		s.meleeOfAll()
		return
	}
	i := s.anyPlayer()
	c := s.players[i]
	requests := s.burst(c)
	c.play(requests...)
	if c.dead && !s.t.Failed() {
		s.players[i] = s.Connect(c.home)
	}
}

// burst is what a client sends together. What closes its connection is not among it, but for the end of the
// session as the last: requests that are under way then may be answered or not.
func (s *stream) burst(c *Client) []request {
	var requests []request
	length := 1 + s.random.IntN(burstMax)
	var again *request
	if s.oneIn(burstAuthEach) { // later in a burst it might give requests before it another identity, and once more none
		auth := c.request(jute.OpAuth, s.identity())
		again = &auth
		requests = append(requests, auth)
	}
	for len(requests) < length {
		switch {
		case again != nil && s.oneIn(burstAgainEach):
			requests = append(requests, *again)
		case s.oneIn(setWatchesEach):
			requests = s.withProbes(c, requests, s.setWatches(c))
		case s.oneIn(quotaEvery):
			for _, r := range s.quota(c) {
				requests = s.withProbes(c, requests, r)
			}
		default:
			requests = s.more(c, requests)
		}
	}
	end := jute.OpPing
	if s.oneIn(burstEndsEach) {
		end = jute.OpCloseSession
	}
	return append(requests, c.request(end, nil))
}

// more appends any request that may be part of a melee too.
func (s *stream) more(c *Client, requests []request) []request {
	if s.oneIn(nonsenseEvery) {
		if r, ok := s.nonsense(c); ok && !unknown(r.op) {
			return s.withProbes(c, requests, r)
		}
		return requests
	}
	return s.withProbes(c, requests, c.request(s.request(s.persistent(c))))
}

// overtakes tells whether a request is a write that a setACL among others sent before it decides about: Apache's server
// checks what comes while that is under way against the list before it, and may be done with it by then.
func overtakes(before []request, r request) bool {
	lists := map[string]bool{}
	for _, one := range before {
		if set, is := one.says.(*jute.SetACLRequest); is {
			lists[set.Path] = true
		}
	}
	decides := func(paths ...string) bool {
		return slices.ContainsFunc(paths, func(p string) bool { return lists[p] || lists[path.Dir(p)] })
	}
	switch says := r.says.(type) {
	case *jute.SetACLRequest:
		return decides(says.Path)
	case *jute.MultiRequest:
		return slices.ContainsFunc(says.Ops, func(op jute.MultiOp) bool { return decides(changedBy(op.Request)...) })
	}
	return decides(changedBy(r.says)...)
}

// leavesTraces tells whether a request is a multi with a create that has the flags of a createTTL: Apache's server stumbles over
// that, and forgets to take back what the multi has changed before, until it has logged the failure.
func leavesTraces(r request) bool {
	multi, is := r.says.(*jute.MultiRequest)
	return is && slices.ContainsFunc(multi.Ops, func(op jute.MultiOp) bool {
		create, is := op.Request.(*jute.CreateRequest)
		return is && (create.Flags == jute.FlagPersistentTTL || create.Flags == jute.FlagPersistentSequentialTTL)
	})
}

// changedBy is the path that a write asks for, or a check in a multi.
func changedBy(request jute.Record) []string {
	switch request := request.(type) {
	case *jute.CreateRequest:
		return []string{request.Path}
	case *jute.CreateTTLRequest:
		return []string{request.Path}
	case *jute.DeleteRequest:
		return []string{request.Path}
	case *jute.SetDataRequest:
		return []string{request.Path}
	case *jute.CheckVersionRequest:
		return []string{request.Path}
	}
	return nil
}

// unknown tells whether an op is answered by closing the connection.
func unknown(op jute.OpCode) bool { return jute.NewRequest(op) == nil && op != jute.OpWhoAmI }

// withProbes appends a request, and reads of those znodes that decide whether an answer may differ (see compare).
// What Apache's server does not answer the same every time is left out, and so is an exists that would leave a watch at one
// server.
func (s *stream) withProbes(c *Client, requests []request, r request) []request {
	var paths []string
	switch says := r.says.(type) {
	case *jute.ExistsRequest:
		if says.Watch && !isPublic(says.Path) {
			return requests
		}
		paths = []string{says.Path}
	case *jute.SetWatches:
		paths = append(append(append(paths, says.DataWatches...), says.ExistWatches...), says.ChildWatches...)
	case *jute.SetWatches2:
		paths = append(append(append(paths, says.DataWatches...), says.ExistWatches...), says.ChildWatches...)
	}
	if overtakes(requests, r) || leavesTraces(r) {
		return requests
	}
	requests = append(requests, r)
	for _, path := range paths {
		requests = append(requests, c.request(jute.OpGetData, jute.GetDataRequest{Path: path}))
	}
	return requests
}

// meleeOfAll lets all players ask at the same time.
func (s *stream) meleeOfAll() {
	tops := []string{"/a", "/b", "/c", "/d"}
	s.random.Shuffle(len(tops), func(i, j int) { tops[i], tops[j] = tops[j], tops[i] })
	var parts []part
	for i := range s.players {
		s.revive(i)
		s.within = tops[i]
		p := part{client: s.players[i], within: s.within}
		for length := 1 + s.random.IntN(burstMax); len(p.requests) < length; {
			p.requests = s.more(p.client, p.requests)
		}
		parts = append(parts, p)
	}
	s.within = ""
	s.melee(parts)
}
