package duel

import (
	"path"

	"ordeal/node/jute"
)

// effect is what a request has done to one znode: created, deleted or changed it.
type effect struct {
	kind jute.EventType
	path string
}

// effectsOf are those of a request in their order, as the reply to it tells. The request is nil if it could not be
// read, the reply nil if it has no body. What the end of a session deletes is not told.
func effectsOf(op jute.OpCode, request jute.Record, code jute.Code, reply any) []effect {
	if request == nil || code != jute.Ok {
		return nil
	}
	if op != jute.OpMulti {
		return effectOf(request, reply)
	}
	response, answered := reply.(*jute.MultiResponse)
	if !answered {
		return nil
	}
	var all []effect
	for i, result := range response.Results {
		if result.Type == jute.OpError {
			return nil // one that failed takes all back
		}
		all = append(all, effectOf(request.(*jute.MultiRequest).Ops[i].Request, result.Body)...)
	}
	return all
}

// effectsIn are those of a request at one side.
func effectsIn(r request, from segment) []effect {
	body := replyTo(r.op)
	if body != nil {
		body.Decode(jute.NewDecoder(from.body))
	}
	return effectsOf(r.op, r.says, from.header.Err, body)
}

func effectOf(request jute.Record, reply any) []effect {
	switch request := request.(type) {
	case *jute.CreateRequest, *jute.CreateTTLRequest:
		switch reply := reply.(type) {
		case *jute.CreateResponse:
			return []effect{{jute.EventNodeCreated, reply.Path}}
		case *jute.Create2Response:
			return []effect{{jute.EventNodeCreated, reply.Path}}
		}
	case *jute.DeleteRequest:
		return []effect{{jute.EventNodeDeleted, request.Path}}
	case *jute.SetDataRequest:
		return []effect{{jute.EventNodeDataChanged, request.Path}}
	}
	return nil
}

// events are those that watches may tell of an effect.
func (e effect) events() []jute.WatcherEvent {
	events := []jute.WatcherEvent{{Type: e.kind, Path: e.path}}
	if e.kind != jute.EventNodeDataChanged {
		events = append(events, jute.WatcherEvent{Type: jute.EventNodeChildrenChanged, Path: path.Dir(e.path)})
	}
	return events
}
