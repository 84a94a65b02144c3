package duel

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
)

// withoutEpoch leaves the counter of a zxid; a negative one stands for none.
func withoutEpoch(zxid int64) int64 {
	if zxid < 0 {
		return zxid
	}
	return zxid & 0xffffffff
}

// reply is an answer put into words.
type reply struct {
	heard
	effects []effect
}

// render turns what came for a request at one side into words, without what must differ.
func (d *Duel) render(i int, op jute.OpCode, request jute.Record, from segment) reply {
	if from.silent {
		return reply{heard: heard{closed: true}}
	}
	r := reply{heard: heard{header: from.header, closed: from.closed}}
	r.header.Zxid = withoutEpoch(r.header.Zxid)
	if len(from.body) == 0 {
		r.body = "-"
		r.effects = effectsOf(op, request, r.header.Err, nil)
		return r
	}
	decoder := jute.NewDecoder(from.body)
	body := replyTo(op)
	if body == nil {
		r.body = fmt.Sprintf("%x", from.body)
		return r
	}
	body.Decode(decoder)
	r.effects = effectsOf(op, request, r.header.Err, body)
	switch body := body.(type) {
	case *jute.MultiResponse:
		r.body = d.renderMulti(i, request, body)
	default:
		r.body = d.renderRecord(i, body)
	}
	r.body += fmt.Sprintf(" %x %v", decoder.Rest(), decoder.Err())
	return r
}

// replyTo is an empty body of a reply, or nil where nothing in it needs to be known.
func replyTo(op jute.OpCode) jute.Decodable {
	switch op {
	case jute.OpCreate:
		return &jute.CreateResponse{}
	case jute.OpCreate2, jute.OpCreateContainer, jute.OpCreateTTL:
		return &jute.Create2Response{}
	case jute.OpExists, jute.OpSetData, jute.OpSetACL:
		return &jute.ExistsResponse{}
	case jute.OpGetData:
		return &jute.GetDataResponse{}
	case jute.OpGetACL:
		return &jute.GetACLResponse{}
	case jute.OpGetChildren, jute.OpGetEphemerals:
		return &jute.GetChildrenResponse{}
	case jute.OpGetChildren2:
		return &jute.GetChildren2Response{}
	case jute.OpMulti, jute.OpMultiRead:
		return &jute.MultiResponse{}
	case jute.OpWhoAmI:
		return &jute.WhoAmIResponse{}
	}
	return nil
}

func (d *Duel) renderRecord(i int, body any) string {
	switch body := body.(type) {
	case *jute.Create2Response:
		d.forget(i, &body.Stat)
	case *jute.ExistsResponse:
		d.forget(i, &body.Stat)
	case *jute.SetDataResponse:
		d.forget(i, &body.Stat)
	case *jute.GetDataResponse:
		d.forget(i, &body.Stat)
		return fmt.Sprintf("%x %t %+v", body.Data, body.Data == nil, body.Stat)
	case *jute.GetACLResponse: // what "auth" stands for comes out of a hash table
		d.forget(i, &body.Stat)
		SortACL(body.ACL)
	case *jute.GetChildrenResponse:
		slices.Sort(body.Children)
	case *jute.GetChildren2Response:
		slices.Sort(body.Children)
		d.forget(i, &body.Stat)
	case *jute.WhoAmIResponse: // Apache's order is that of a hash table
		slices.SortFunc(body.ClientInfo, func(a, b jute.ClientInfo) int {
			return strings.Compare(a.AuthScheme+a.User, b.AuthScheme+b.User)
		})
	}
	return fmt.Sprintf("%+v", body)
}

// SortACL sorts a list by perms and identity.
func SortACL(list []jute.ACL) {
	slices.SortFunc(list, func(a, b jute.ACL) int {
		return cmp.Or(cmp.Compare(a.Perms, b.Perms), cmp.Compare(a.Id.Scheme, b.Id.Scheme), cmp.Compare(a.Id.ID, b.Id.ID))
	})
}

func (d *Duel) renderMulti(i int, request jute.Record, response *jute.MultiResponse) string {
	var asked jute.MultiRequest
	if multi, is := request.(*jute.MultiRequest); is {
		asked = *multi
	}
	var b strings.Builder
	for j, result := range response.Results {
		if j < len(asked.Ops) && asked.Ops[j].Type == jute.OpCreate2 {
			d.Allowed[create2InMulti]++
			result = asCreate(result)
		}
		fmt.Fprintf(&b, "%s %s %s; ", result.Type, result.Err, d.renderRecord(i, result.Body))
	}
	return b.String()
}

// forget replaces what differs between any two servers: times, epochs, and a session's id by its number. That the
// times belong to the zxids is seen first.
func (d *Duel) forget(i int, stat *jute.Stat) {
	require.NoError(d.t, d.clocks[i].note(stat.Czxid, stat.Ctime), "%s's czxid and ctime in %+v", names[i], *stat)
	require.NoError(d.t, d.clocks[i].note(stat.Mzxid, stat.Mtime), "%s's mzxid and mtime in %+v", names[i], *stat)
	const longAgo = 1_000_000 // times below are not times but 0
	if stat.Ctime > longAgo {
		stat.Ctime = 1
	}
	if stat.Mtime > longAgo {
		stat.Mtime = 1
	}
	for _, zxid := range []*int64{&stat.Czxid, &stat.Mzxid, &stat.Pzxid} {
		*zxid = d.zxidAt(i, *zxid)
	}
	if stat.EphemeralOwner != 0 {
		number := d.sessions[i][stat.EphemeralOwner]
		require.NotZero(d.t, number, "ephemeral owner %#x", stat.EphemeralOwner)
		stat.EphemeralOwner = number
	}
}
