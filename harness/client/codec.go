package client

import (
	"fmt"

	"ordeal/node/jute"
	"ordeal/results/history"
)

// writes says whether an operation of this kind may change something.
func writes(kind history.OpKind) bool {
	switch kind {
	case history.Create, history.Delete, history.Set, history.Multi, history.CloseSession:
		return true
	}
	return false
}

// syncs says whether an operation is a sync and a read sent together.
func syncs(kind history.OpKind) bool {
	return kind == history.SyncGet || kind == history.SyncChildren
}

// encodeRequest returns what goes over the wire. Of a SyncGet or SyncChildren that is the read.
func encodeRequest(r history.Request) (jute.OpCode, jute.Record) {
	switch r.Kind {
	case history.Create:
		return jute.OpCreate2, createRequest(r)
	case history.Delete:
		return jute.OpDelete, jute.DeleteRequest{Path: r.Path, Version: r.Version}
	case history.Exists:
		return jute.OpExists, jute.ExistsRequest{Path: r.Path, Watch: r.Watch}
	case history.Get, history.SyncGet:
		return jute.OpGetData, jute.GetDataRequest{Path: r.Path, Watch: r.Watch}
	case history.Set:
		return jute.OpSetData, jute.SetDataRequest{Path: r.Path, Data: []byte(r.Value), Version: r.Version}
	case history.Children, history.SyncChildren:
		return jute.OpGetChildren2, jute.GetChildren2Request{Path: r.Path, Watch: r.Watch}
	case history.Sync:
		return jute.OpSync, jute.SyncRequest{Path: r.Path}
	case history.CloseSession:
		return jute.OpCloseSession, nil
	case history.Multi:
		return jute.OpMulti, multiRequest(r)
	}
	panic(fmt.Sprintf("client: operation %q cannot be asked on its own", r.Kind))
}

func createRequest(r history.Request) *jute.CreateRequest {
	flags := jute.FlagPersistent
	if r.Ephemeral {
		flags |= jute.FlagEphemeral
	}
	if r.Sequential {
		flags |= jute.FlagPersistentSequential
	}
	return &jute.CreateRequest{Path: r.Path, Data: []byte(r.Value), ACL: jute.OpenACL(), Flags: flags}
}

// multiRequest uses create instead of create2: 3.8.0 answers both as create (ZOOKEEPER-4026).
func multiRequest(r history.Request) jute.MultiRequest {
	var multi jute.MultiRequest
	add := func(op jute.OpCode, request jute.Message) {
		multi.Ops = append(multi.Ops, jute.MultiOp{Type: op, Request: request})
	}
	for _, part := range r.Parts {
		switch part.Kind {
		case history.Create:
			add(jute.OpCreate, createRequest(part))
		case history.Delete:
			add(jute.OpDelete, &jute.DeleteRequest{Path: part.Path, Version: part.Version})
		case history.Set:
			add(jute.OpSetData, &jute.SetDataRequest{Path: part.Path, Data: []byte(part.Value), Version: part.Version})
		case history.Check:
			add(jute.OpCheck, &jute.CheckVersionRequest{Path: part.Path, Version: part.Version})
		default:
			panic(fmt.Sprintf("client: operation %q cannot be part of a multi", part.Kind))
		}
	}
	return multi
}

// decodeReply reads what follows a reply's header.
func decodeReply(f flight, header jute.ReplyHeader, d *jute.Decoder) (history.Result, error) {
	result := history.Result{Outcome: history.OK, Answered: true, Zxid: header.Zxid, Xid: header.Xid}
	if f.operation == nil || f.syncPart {
		return result, nil
	}
	request := f.operation.request
	code := header.Err
	if code == jute.Ok {
		code = f.operation.syncCode
	}
	if code != jute.Ok {
		result.Outcome, result.Error = failure(request.Kind, code), code.String()
		return result, nil
	}
	switch request.Kind {
	case history.Create:
		var body jute.Create2Response
		body.Decode(d)
		result.Path, result.Stat = body.Path, statOf(body.Stat)
	case history.Exists:
		var body jute.ExistsResponse
		body.Decode(d)
		result.Stat = statOf(body.Stat)
	case history.Get, history.SyncGet:
		var body jute.GetDataResponse
		body.Decode(d)
		result.Value, result.Stat = string(body.Data), statOf(body.Stat)
	case history.Set:
		var body jute.SetDataResponse
		body.Decode(d)
		result.Stat = statOf(body.Stat)
	case history.Children, history.SyncChildren:
		var body jute.GetChildren2Response
		body.Decode(d)
		result.Children, result.Stat = body.Children, statOf(body.Stat)
	case history.Sync:
		var body jute.SyncResponse
		body.Decode(d)
	case history.Multi:
		var body jute.MultiResponse
		body.Decode(d)
		if d.Err() == nil {
			return result, multiResult(&result, request, body)
		}
	case history.Delete, history.CloseSession:
	}
	return result, d.Finish()
}

// failure is the outcome of an operation that was answered with an error. A write that met trouble
// inside the server may have been carried out all the same.
func failure(kind history.OpKind, code jute.Code) history.Outcome {
	if writes(kind) {
		switch code {
		case jute.SystemError, jute.RuntimeInconsistency, jute.DataInconsistency, jute.ConnectionLoss,
			jute.MarshallingError, jute.OperationTimeout:
			return history.Unknown
		}
	}
	return history.Failed
}

// multiResult fills in the parts. A failed multi is answered without an error in the header: the
// parts before the one that failed carry Ok, those behind it RuntimeInconsistency (protocol.md 2.9).
// All of them failed, and the multi failed with the error of the culprit.
func multiResult(result *history.Result, request history.Request, body jute.MultiResponse) error {
	if len(body.Results) != len(request.Parts) {
		return fmt.Errorf("%d results for a multi of %d parts", len(body.Results), len(request.Parts))
	}
	for i, part := range body.Results {
		r := history.Result{Outcome: history.OK}
		kind := request.Parts[i].Kind
		switch b := part.Body.(type) {
		case *jute.CreateResponse:
			r.Path = b.Path
		case *jute.Create2Response:
			r.Path, r.Stat = b.Path, statOf(b.Stat)
		case *jute.SetDataResponse:
			r.Stat = statOf(b.Stat)
		}
		if part.Type == jute.OpError {
			r.Outcome, r.Error = history.Failed, part.Err.String()
			result.Outcome = history.Failed
			if part.Err != jute.Ok && (result.Error == "" || result.Error == jute.RuntimeInconsistency.String()) {
				result.Error = r.Error
			}
		} else if kind == history.Create && r.Path == "" || kind == history.Set && r.Stat == nil {
			return fmt.Errorf("part %d of a multi, a %s, answered as %s", i, kind, part.Type)
		}
		result.Parts = append(result.Parts, r)
	}
	return nil
}

func statOf(s jute.Stat) *history.Stat {
	return &history.Stat{
		Czxid: s.Czxid, Mzxid: s.Mzxid, Pzxid: s.Pzxid, Version: s.Version, Cversion: s.Cversion,
		EphemeralOwner: s.EphemeralOwner, NumChildren: s.NumChildren,
	}
}
