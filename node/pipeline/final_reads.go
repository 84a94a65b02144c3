package pipeline

import (
	"slices"
	"strings"

	"ordeal/node/jute"
	"ordeal/node/tree"
)

// The requests that the FinalRequestProcessor answers from the tree.

// read carries out a request that is no transaction.
func (p *finalRequestProcessor) read(r *request) (jute.Record, jute.Code) {
	body := jute.NewRequest(r.op)
	if body != nil && !p.server.decodeBody(r.body, body) {
		return nil, jute.MarshallingError
	}
	s, watcher := p.server, int64(r.connection.id)
	switch request := body.(type) {
	case *jute.ExistsRequest:
		response, code := s.exists(request.Path, r.authinfo)
		if request.Watch && (code == jute.Ok || code == jute.NoNode) {
			s.tree.WatchData(request.Path, watcher)
		}
		return response, code
	case *jute.GetDataRequest:
		response, code := s.getData(request.Path, r.authinfo)
		if request.Watch && code == jute.Ok {
			s.tree.WatchData(request.Path, watcher)
		}
		return response, code
	case *jute.GetChildrenRequest:
		response, code := s.getChildren(request.Path, r.authinfo)
		if request.Watch && code == jute.Ok {
			s.tree.WatchChildren(request.Path, watcher)
		}
		return response, code
	case *jute.GetChildren2Request:
		response, code := s.getChildren2(request.Path, r.authinfo)
		if request.Watch && code == jute.Ok {
			s.tree.WatchChildren(request.Path, watcher)
		}
		return response, code
	case *jute.GetACLRequest:
		return s.getACL(request.Path, r.authinfo)
	case *jute.SyncRequest:
		return jute.SyncResponse{Path: request.Path}, jute.Ok
	case *jute.MultiRequest:
		return p.multiRead(r, request.Ops)
	case *jute.SetWatches:
		return p.setWatches(watcher, &jute.SetWatches2{
			RelativeZxid: request.RelativeZxid, DataWatches: request.DataWatches,
			ExistWatches: request.ExistWatches, ChildWatches: request.ChildWatches,
		})
	case *jute.SetWatches2:
		return p.setWatches(watcher, request)
	case *jute.AddWatchRequest:
		if s.tree.AddWatch(request.Path, watcher, request.Mode) != jute.Ok {
			return nil, jute.MarshallingError
		}
		return jute.ErrorResponse{}, jute.Ok
	case *jute.CheckWatchesRequest:
		if !isWatcherKind(request.Type) {
			return nil, jute.MarshallingError
		}
		return nil, found(s.tree.HasWatch(request.Path, watcher, request.Type))
	case *jute.RemoveWatchesRequest:
		if !isWatcherKind(request.Type) {
			return nil, jute.MarshallingError
		}
		return nil, found(s.tree.RemoveWatch(request.Path, watcher, request.Type))
	case *jute.GetEphemeralsRequest:
		return s.getEphemerals(r.session, request.PrefixPath), jute.Ok
	case *jute.GetAllChildrenNumberRequest:
		return s.getAllChildrenNumber(request.Path, r.authinfo)
	}
	if r.op == jute.OpWhoAmI {
		return jute.WhoAmIResponse{ClientInfo: clientInfos(r.authinfo)}, jute.Ok
	}
	return nil, jute.Ok // ping
}

// isWatcherKind tells whether clients of 3.8 know this kind of watches.
func isWatcherKind(kind int32) bool { return kind >= jute.WatcherChildren && kind <= jute.WatcherAny }

func found(watch bool) jute.Code {
	if watch {
		return jute.Ok
	}
	return jute.NoWatcher
}

// setWatches takes over the watches of a client that comes back; what it has missed is told before
// the reply.
func (p *finalRequestProcessor) setWatches(watcher int64, request *jute.SetWatches2) (jute.Record, jute.Code) {
	p.notify(p.server.tree.SetWatches(watcher, request))
	return nil, jute.Ok
}

// readable tells whether somebody may read a znode.
func (s *Server) readable(path string, ids []jute.Id) jute.Code {
	acl, _, ok := s.tree.ACL(path)
	switch {
	case !ok:
		return jute.NoNode
	case !s.mayDo(jute.PermRead, acl, ids):
		return jute.NoAuth
	}
	return jute.Ok
}

// exists needs READ like the other reads (ZOOKEEPER-2590).
func (s *Server) exists(path string, ids []jute.Id) (jute.Record, jute.Code) {
	if strings.IndexByte(path, 0) >= 0 {
		return nil, jute.BadArguments
	}
	if code := s.readable(path, ids); code != jute.Ok {
		return nil, code
	}
	stat, _ := s.tree.Stat(path)
	return jute.ExistsResponse{Stat: stat}, jute.Ok
}

func (s *Server) getData(path string, ids []jute.Id) (jute.Record, jute.Code) {
	if code := s.readable(path, ids); code != jute.Ok {
		return nil, code
	}
	data, stat, _ := s.tree.GetData(path)
	return &jute.GetDataResponse{Data: data, Stat: stat}, jute.Ok
}

func (s *Server) getChildren(path string, ids []jute.Id) (jute.Record, jute.Code) {
	if code := s.readable(path, ids); code != jute.Ok {
		return nil, code
	}
	children, _, _ := s.tree.Children(path)
	return &jute.GetChildrenResponse{Children: children}, jute.Ok
}

func (s *Server) getChildren2(path string, ids []jute.Id) (jute.Record, jute.Code) {
	if code := s.readable(path, ids); code != jute.Ok {
		return nil, code
	}
	children, stat, _ := s.tree.Children(path)
	return jute.GetChildren2Response{Children: children, Stat: stat}, jute.Ok
}

func (s *Server) getACL(path string, ids []jute.Id) (jute.Record, jute.Code) {
	acl, stat, ok := s.tree.ACL(path)
	switch {
	case !ok:
		return nil, jute.NoNode
	case !s.mayDo(jute.PermRead|jute.PermAdmin, acl, ids):
		return nil, jute.NoAuth
	case !s.mayDo(jute.PermAdmin, acl, ids):
		acl = tree.RedactACL(acl)
	}
	return jute.GetACLResponse{ACL: acl, Stat: stat}, jute.Ok
}

func (s *Server) getEphemerals(session int64, prefix string) jute.Record {
	paths := []string{}
	trimmed := strings.TrimFunc(prefix, func(r rune) bool { return r <= ' ' }) // as Java trims
	for _, path := range s.tree.Ephemerals(session) {
		if trimmed == "" || trimmed == "/" || strings.HasPrefix(path, prefix) {
			paths = append(paths, path)
		}
	}
	return jute.GetEphemeralsResponse{Ephemerals: paths}
}

func (s *Server) getAllChildrenNumber(path string, ids []jute.Id) (jute.Record, jute.Code) {
	if code := s.readable(path, ids); code != jute.Ok {
		return nil, code
	}
	return jute.GetAllChildrenNumberResponse{TotalNumber: int32(s.tree.AllChildrenNumber(path))}, jute.Ok
}

// MultiReadMax is how long the answer to a multiRead may become, as a multiple of jute.maxbuffer. Every
// operation may ask for the same large znode, and so a short frame for gigabytes. Apache's server sends
// them, if its memory suffices, and its client then closes the connection: it takes no packet longer than
// jute.maxbuffer (org.apache.zookeeper.ClientCnxnSocket), the default of which was 4 MiB in older clients.
const MultiReadMax = 4

// multiRead answers several reads, each for itself. It sets no watches. An answer that becomes too
// long closes the connection, which is how it would end at the client.
func (p *finalRequestProcessor) multiRead(r *request, operations []jute.MultiOp) (jute.Record, jute.Code) {
	s := p.server
	response := jute.MultiResponse{}
	isRead := func(o jute.MultiOp) bool { return o.Type == jute.OpGetData || o.Type == jute.OpGetChildren }
	isWrite := func(o jute.MultiOp) bool { return !isRead(o) }
	if slices.ContainsFunc(operations, isWrite) {
		if slices.ContainsFunc(operations, isRead) {
			return nil, jute.MarshallingError
		}
		return response, jute.MarshallingError // as Apache answers, with the end of an empty list
	}
	size, most := 0, MultiReadMax*s.config.MaxBuffer
	for _, operation := range operations {
		var body jute.Record
		var code jute.Code
		switch request := operation.Request.(type) {
		case *jute.GetDataRequest:
			body, code = s.getData(request.Path, r.authinfo)
		case *jute.GetChildrenRequest:
			body, code = s.getChildren(request.Path, r.authinfo)
		}
		result := jute.MultiResult{Type: operation.Type}
		if code == jute.Ok {
			result.Body = body.(jute.Message)
		} else {
			result.Type, result.Err = jute.OpError, code
		}
		if size += result.Size(); size > most {
			s.config.Log.Warn("closing a connection whose multiRead asks for too much", "client", r.connection.remoteIP,
				"session", hex(r.session), "operations", len(operations), "bytes", most)
			s.closeConnection(r.connection)
			return nil, jute.Ok
		}
		response.Results = append(response.Results, result)
	}
	return response, jute.Ok
}

// ReadNow answers a plain read (exists, getData, getACL, getChildren, getChildren2 without a watch)
// at once, without changing anything, if the connection has a session with nothing pending.
// ok=false means nothing else than that the frame must be given to ClientFrame: now and then it must
// even if a read could be answered, so that the session is seen to be alive. Any number of ReadNow
// may run at the same time, but nothing else beside them.
func (s *Server) ReadNow(conn Conn, frame []byte) (reply []byte, ok bool) {
	c := s.connections[conn]
	if c == nil || c.state != connectionOpen || !s.hasProvenEnough(c) || c.pending > 0 || s.now.Elapsed-c.heardAt >= s.config.TickTime/2 {
		return nil, false
	}
	if s.tracker != nil && !s.local.ownsNow(c.session, Local) && !s.tracker.ownsNow(c.session, Local) {
		return nil, false
	}
	if s.tracker == nil && s.local.enabled && !s.local.ownsNow(c.session, Local) && !s.isGlobal(c.session) {
		return nil, false
	}
	decoder := jute.NewDecoder(frame)
	var header jute.RequestHeader
	header.Decode(decoder)
	body, code, ok := s.plainRead(header.Type, decoder, c.authinfo)
	if !ok {
		return nil, false
	}
	var encoder jute.Encoder
	return encodeReply(&encoder, jute.ReplyHeader{Xid: header.Xid, Zxid: s.tree.LastZxid(), Err: code}, body), true
}

// plainRead carries out a read if it is one that changes nothing.
func (s *Server) plainRead(op jute.OpCode, decoder *jute.Decoder, ids []jute.Id) (body jute.Record, code jute.Code, ok bool) {
	switch op {
	case jute.OpExists, jute.OpGetData, jute.OpGetChildren, jute.OpGetChildren2:
		path, watch := decoder.String(), decoder.Bool()
		if watch || path == "" || decoder.Err() != nil { // "" may stand for null, which is refused
			return nil, 0, false
		}
		switch op {
		case jute.OpExists:
			body, code = s.exists(path, ids)
		case jute.OpGetData:
			body, code = s.getData(path, ids)
		case jute.OpGetChildren:
			body, code = s.getChildren(path, ids)
		default:
			body, code = s.getChildren2(path, ids)
		}
		return body, code, true
	case jute.OpGetACL:
		path := decoder.String()
		if path == "" || decoder.Err() != nil {
			return nil, 0, false
		}
		body, code = s.getACL(path, ids)
		return body, code, true
	}
	return nil, 0, false
}
