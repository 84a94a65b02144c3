package client

import (
	"fmt"
	"slices"
	"time"

	"ordeal/node/jute"
	"ordeal/results/history"
)

// sendWaiting sends what waits, if the session is attached and not about to end.
func (s *Session) sendWaiting() {
	for s.phase == attached && !s.closing && len(s.waiting) > 0 {
		op := s.waiting[0]
		s.waiting = popped(s.waiting)
		if op.request.Kind == history.AbandonSession {
			s.abandon(op)
			return
		}
		s.call(op, s.attempt.Member)
		if syncs(op.request.Kind) {
			s.sendOperation(op, history.Request{Kind: history.Sync, Path: op.request.Path}, true)
		}
		s.sendOperation(op, op.request, false)
		s.closing = op.request.Kind == history.CloseSession
	}
}

// popped is a queue without its oldest item. An empty one begins at the front again, so that a queue that is short
// most of the time asks for no memory.
func popped[T any](queue []T) []T {
	var none T
	queue[0] = none
	if len(queue) == 1 {
		return queue[:0]
	}
	return queue[1:]
}

// abandon drops the connection and forgets the session. The member is told nothing.
func (s *Session) abandon(op *operation) {
	s.retryAt = s.now
	s.detach()
	s.call(op, s.attempt.Member)
	s.sessionEvent(history.Abandoned, "")
	s.returned(op, s.attempt.Member, history.Result{Outcome: history.OK})
	s.forgetSession()
}

// ends tells whether an operation is about the session itself, which it ends.
func ends(kind history.OpKind) bool {
	return kind == history.CloseSession || kind == history.AbandonSession
}

// call records a call of the member, or of none with 0.
func (s *Session) call(op *operation, member int) {
	s.record(history.Event{Kind: history.Call, Operation: op.number, Member: member, Request: &op.request})
}

func (s *Session) returned(op *operation, member int, result history.Result) {
	s.record(history.Event{Kind: history.Return, Operation: op.number, Member: member, Result: &result})
}

func (s *Session) sendOperation(op *operation, request history.Request, syncPart bool) {
	s.xid++
	if s.xid <= 0 { // negative numbers are the protocol's own
		s.xid = 1
	}
	code, body := encodeRequest(request)
	s.send(jute.RequestHeader{Xid: s.xid, Type: code}, body)
	s.inFlight = append(s.inFlight, flight{xid: s.xid, operation: op, syncPart: syncPart})
}

// refuse gives an operation that was never sent its outcome.
func (s *Session) refuse(op *operation, code jute.Code) {
	s.call(op, 0)
	s.returned(op, 0, history.Result{Outcome: history.Failed, Error: code.String()})
}

func (s *Session) failWaiting(code jute.Code) {
	waiting := s.waiting
	s.waiting = nil
	for _, op := range waiting {
		s.refuse(op, code)
	}
}

// unanswered gives an operation its outcome whose reply will not come.
func (s *Session) unanswered(f flight) {
	code := jute.ConnectionLoss
	if f.operation.deadline <= s.now {
		code = jute.OperationTimeout
	}
	outcome := history.Unknown
	if !writes(f.operation.request.Kind) {
		outcome = history.Failed
	}
	s.returned(f.operation, s.attempt.Member, history.Result{Outcome: outcome, Error: code.String(), Xid: f.xid})
}

func (s *Session) requestDeadline() (time.Duration, bool) {
	for _, f := range s.inFlight {
		if f.operation != nil {
			return f.operation.deadline, true
		}
	}
	return 0, false
}

func (s *Session) requestOverdue() bool {
	deadline, ok := s.requestDeadline()
	return ok && deadline <= s.now
}

// reply takes a frame of an attached session. An error makes the connection useless.
func (s *Session) reply(frame []byte) error {
	decoder := &s.decoder
	decoder.Reset(frame)
	var header jute.ReplyHeader
	header.Decode(decoder)
	if err := decoder.Err(); err != nil {
		return fmt.Errorf("the member's reply makes no sense: %w", err)
	}
	s.failures = 0
	switch header.Xid {
	case jute.XidPing:
		return nil
	case jute.XidNotification:
		var event jute.WatcherEvent
		event.Decode(decoder)
		if err := decoder.Finish(); err != nil {
			return fmt.Errorf("the member's watch event makes no sense: %w", err)
		}
		s.watchFired(header, event)
		return nil
	}
	// Replies come in the order of the requests. One that does not is given to its operation all the
	// same: the history then shows the returns in the wrong order, for a checker to judge.
	index := slices.IndexFunc(s.inFlight, func(f flight) bool { return f.xid == header.Xid })
	if index < 0 {
		return fmt.Errorf("the member answered request %d, which is not in flight", header.Xid)
	}
	f := s.inFlight[index]
	result, err := decodeReply(f, header, decoder)
	if err != nil {
		return fmt.Errorf("the member's reply to request %d makes no sense: %w", header.Xid, err)
	}
	if header.Zxid > s.zxidSeen {
		s.zxidSeen = header.Zxid
	}
	if index == 0 {
		s.inFlight = popped(s.inFlight)
	} else {
		s.inFlight = slices.Delete(s.inFlight, index, index+1)
	}
	switch {
	case f.operation == nil:
		s.watches.restored()
	case f.syncPart:
		f.operation.syncCode = header.Err
	default:
		s.watches.register(f.operation.request, result)
		s.answered(f.operation, result)
	}
	return nil
}

func (s *Session) answered(op *operation, result history.Result) {
	closed := op.request.Kind == history.CloseSession && result.Outcome == history.OK
	if closed {
		s.sessionEvent(history.Closed, "")
	}
	s.returned(op, s.attempt.Member, result)
	if op.request.Kind == history.CloseSession {
		s.closing = false
	}
	if closed {
		s.retryAt = s.now
		s.detach()
		s.forgetSession()
	}
}
