package duel

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
)

// framesIn hands out replies with an xid and events, and then the end.
func framesIn(all ...any) func() []byte {
	return func() []byte {
		if len(all) == 0 {
			return nil
		}
		next := all[0]
		all = all[1:]
		if path, is := next.(string); is {
			return append(jute.Marshal(jute.ReplyHeader{Xid: jute.XidNotification, Zxid: -1}), jute.Marshal(jute.WatcherEvent{Type: jute.EventNodeCreated, Path: path})...)
		}
		return jute.Marshal(jute.ReplyHeader{Xid: next.(int32)})
	}
}

func TestWhatIsHeardIsCutByRequests(t *testing.T) {
	const one, two, three = int32(1), int32(2), int32(3)
	const auth = jute.XidAuth
	type part struct {
		xid    int32
		events []string
	}
	for name, c := range map[string]struct {
		xids []int32
		from []any
		cut  []part
		ends bool
	}{
		"events before an answer":          {[]int32{one, two}, []any{"/a", one, "/b", "/c", two}, []part{{one, []string{"/a"}}, {two, []string{"/b", "/c"}}}, false},
		"answers in another order":         {[]int32{one, two}, []any{two, "/a", one}, []part{{two, nil}, {one, []string{"/a"}}}, false},
		"an early answer to auth":          {[]int32{one, auth, two}, []any{auth, one, "/a", two}, []part{{one, nil}, {auth, nil}, {two, []string{"/a"}}}, false},
		"a late answer to auth":            {[]int32{one, auth, two}, []any{one, "/a", auth, two}, []part{{one, nil}, {auth, nil}, {two, []string{"/a"}}}, false},
		"two early answers":                {[]int32{one, auth, auth, two}, []any{auth, "/a", one, auth, two}, []part{{one, []string{"/a"}}, {auth, nil}, {auth, nil}, {two, nil}}, false},
		"auth alone":                       {[]int32{auth}, []any{"/a", auth}, []part{{auth, []string{"/a"}}}, false},
		"an answer to auth that is no one": {[]int32{one, two}, []any{auth, two}, []part{{auth, nil}, {two, nil}}, false},
		"the end":                          {[]int32{one, two, three}, []any{one, "/a"}, []part{{one, nil}, {0, []string{"/a"}}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			segments := cut(framesIn(c.from...), c.xids)
			var found []part
			for _, s := range segments {
				one := part{xid: s.header.Xid}
				for _, event := range s.events {
					one.events = append(one.events, event.event.Path)
				}
				found = append(found, one)
			}
			require.Equal(t, c.cut, found)
			require.Equal(t, c.ends, segments[len(segments)-1].closed)
		})
	}
}

func TestTheEndOfASessionDeletesInAnyOrder(t *testing.T) {
	gone := func(path string) heard { return eventOf(jute.EventNodeDeleted, path) }
	changed, made := eventOf(jute.EventNodeChildrenChanged, "/"), eventOf(jute.EventNodeCreated, "/a")
	done := replyOf(jute.Ok)
	failed := replyOf(jute.NoNode)
	for name, c := range map[string]struct {
		theirs, mine []heard
		alike        bool
	}{
		"the same":              {[]heard{made, gone("/a"), done}, []heard{made, gone("/a"), done}, true},
		"another order":         {[]heard{made, gone("/a"), changed, gone("/b"), changed, done}, []heard{made, gone("/b"), changed, gone("/a"), changed, done}, true},
		"another znode":         {[]heard{gone("/a"), done}, []heard{gone("/b"), done}, false},
		"one is missing":        {[]heard{gone("/a"), gone("/b"), done}, []heard{gone("/a"), done}, false},
		"one is told twice":     {[]heard{gone("/a"), gone("/b"), done}, []heard{gone("/b"), gone("/b"), done}, false},
		"a creation elsewhere":  {[]heard{made, gone("/a"), done}, []heard{gone("/a"), made, done}, false},
		"another answer":        {[]heard{gone("/a"), done}, []heard{gone("/a"), failed}, false},
		"an event behind it":    {[]heard{gone("/a"), gone("/b"), done}, []heard{gone("/a"), done, gone("/b")}, false},
		"not even the same end": {[]heard{gone("/a"), gone("/b")}, []heard{gone("/b"), gone("/a")}, true},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.alike, alikeButForDeletions(c.theirs, c.mine)) })
	}
}

func TestOrderFollowsFromZxids(t *testing.T) {
	made := func(path string) heard { return eventOf(jute.EventNodeCreated, path) }
	children := func(path string) heard { return eventOf(jute.EventNodeChildrenChanged, path) }
	at := func(zxid int64, events ...heard) segment {
		return segment{events: events, header: jute.ReplyHeader{Xid: 1, Zxid: zxid}}
	}
	auth := segment{header: jute.ReplyHeader{Xid: jute.XidAuth}}
	creates := func(zxid int64, path string) (all []firing) {
		for _, event := range (effect{jute.EventNodeCreated, path}).events() {
			all = append(all, firing{zxid, event})
		}
		return all
	}
	firings := map[string][]firing{
		"/a": slices.Concat(creates(5, "/a/x"), creates(8, "/a/x"), creates(9, "/a/y")),
		"/b": creates(7, "/b/x"),
	}
	read, write := []bool{false, false, false}, []bool{false, true, false}
	for name, c := range map[string]struct {
		connection []segment
		writes     []bool
		bad        string
	}{
		"every event in its time":         {[]segment{at(4), at(5, made("/a/x")), at(9, made("/b/x"), made("/a/x"), made("/a/y"))}, read, ""},
		"subtrees in either order":        {[]segment{at(4), at(9, made("/a/x"), made("/a/y"), made("/b/x"))}, read, ""},
		"one that may not be read":        {[]segment{at(5), at(8, made("/a/x"))}, read, ""},
		"events of the parent":            {[]segment{at(4), at(8, children("/a"), children("/a"))}, read, ""},
		"an answer to auth":               {[]segment{at(4), auth, at(5, made("/a/x"))}, read, ""},
		"a write of one's own":            {[]segment{at(4), at(5, made("/a/x"))}, write, ""},
		"an epoch":                        {[]segment{at(1<<32 + 4), at(1<<32+5, made("/a/x"))}, read, ""},
		"the end":                         {[]segment{at(4), {silent: true, closed: true}}, read, ""},
		"an event behind an answer":       {[]segment{at(9), at(9, made("/a/y"))}, read, "{NodeCreated 3 /a/y} came after a reply that showed zxid 0x9, and no later transaction fires it"},
		"an event before its time":        {[]segment{at(4), at(6, made("/b/x")), at(7)}, read, "{NodeCreated 3 /b/x} of transaction 0x7 came before a reply that shows zxid 0x6 only"},
		"events of a subtree swapped":     {[]segment{at(7), at(9, made("/a/y"), made("/a/x"))}, read, "{NodeCreated 3 /a/x} came after a reply that showed zxid 0x7, and no later transaction fires it"},
		"an event twice":                  {[]segment{at(4), at(9, made("/b/x"), made("/b/x"))}, read, "{NodeCreated 3 /b/x} came after a reply that showed zxid 0x4, and no later transaction fires it"},
		"an event of nothing":             {[]segment{at(4), at(9, made("/c"))}, read, "{NodeCreated 3 /c} came after a reply that showed zxid 0x4, and no later transaction fires it"},
		"a zxid that goes back":           {[]segment{at(5), at(4)}, read, "reply 1 shows zxid 0x4, an earlier one 0x5"},
		"a write whose zxid was seen yet": {[]segment{at(5), at(5)}, write, "reply 1 is a write's, and a reply before it showed its zxid 0x5"},
	} {
		t.Run(name, func(t *testing.T) {
			err := inOrder(c.connection, c.writes, firings)
			if c.bad == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, c.bad)
			}
			require.Len(t, firings["/a"], 6, "they are still there for the next connection")
		})
	}
}

func TestWhatRequestsDo(t *testing.T) {
	create := &jute.CreateRequest{Path: "/s"}
	created, deleted, changed := effect{jute.EventNodeCreated, "/s1"}, effect{jute.EventNodeDeleted, "/d"}, effect{jute.EventNodeDataChanged, "/c"}
	multi := &jute.MultiRequest{Ops: []jute.MultiOp{
		{Type: jute.OpCreate, Request: create}, {Type: jute.OpCheck, Request: &jute.CheckVersionRequest{Path: "/v"}},
		{Type: jute.OpDelete, Request: &jute.DeleteRequest{Path: "/d"}}, {Type: jute.OpSetData, Request: &jute.SetDataRequest{Path: "/c"}},
	}}
	results := []jute.MultiResult{
		{Type: jute.OpCreate, Body: &jute.CreateResponse{Path: "/s1"}}, {Type: jute.OpCheck}, {Type: jute.OpDelete},
		{Type: jute.OpSetData, Body: &jute.SetDataResponse{}},
	}
	for name, c := range map[string]struct {
		op      jute.OpCode
		request jute.Record
		code    jute.Code
		reply   any
		want    []effect
	}{
		"create":                  {jute.OpCreate, create, jute.Ok, &jute.CreateResponse{Path: "/s1"}, []effect{created}},
		"create2":                 {jute.OpCreate2, create, jute.Ok, &jute.Create2Response{Path: "/s1"}, []effect{created}},
		"createTTL":               {jute.OpCreateTTL, &jute.CreateTTLRequest{Path: "/s"}, jute.Ok, &jute.Create2Response{Path: "/s1"}, []effect{created}},
		"delete":                  {jute.OpDelete, &jute.DeleteRequest{Path: "/d"}, jute.Ok, nil, []effect{deleted}},
		"setData":                 {jute.OpSetData, &jute.SetDataRequest{Path: "/c"}, jute.Ok, &jute.ExistsResponse{}, []effect{changed}},
		"setACL":                  {jute.OpSetACL, &jute.SetACLRequest{Path: "/c"}, jute.Ok, &jute.ExistsResponse{}, nil},
		"one that fails":          {jute.OpDelete, &jute.DeleteRequest{Path: "/d"}, jute.NoNode, nil, nil},
		"what cannot be read":     {jute.OpDelete, nil, jute.Ok, nil, nil},
		"multi":                   {jute.OpMulti, multi, jute.Ok, &jute.MultiResponse{Results: results}, []effect{created, deleted, changed}},
		"multi that fails":        {jute.OpMulti, multi, jute.Ok, &jute.MultiResponse{Results: []jute.MultiResult{results[0], {Type: jute.OpError}}}, nil},
		"multi without an answer": {jute.OpMulti, multi, jute.Ok, nil, nil},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, effectsOf(c.op, c.request, c.code, c.reply)) })
	}
	require.Equal(t, []jute.WatcherEvent{{Type: jute.EventNodeCreated, Path: "/s1"}, {Type: jute.EventNodeChildrenChanged, Path: "/"}}, created.events())
	require.Equal(t, []jute.WatcherEvent{{Type: jute.EventNodeDataChanged, Path: "/c"}}, changed.events())
}
