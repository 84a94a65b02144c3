package duel

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
)

func replyOf(code jute.Code) heard {
	return heard{header: jute.ReplyHeader{Xid: 7, Zxid: 9, Err: code}}
}

func eventOf(kind jute.EventType, path string) heard {
	return heard{header: jute.ReplyHeader{Xid: jute.XidNotification, Zxid: -1}, event: jute.WatcherEvent{Type: kind, State: 3, Path: path}}
}

// Each rule allows what it is for, and nothing that is only like it.
func TestWhatMayDiffer(t *testing.T) {
	const secret, open = "/secret", "/open"
	changedSecret, changedOpen := eventOf(jute.EventNodeDataChanged, secret), eventOf(jute.EventNodeDataChanged, open)
	done := replyOf(jute.Ok)
	later := done
	later.header.Zxid++
	withBody := done
	withBody.body = "61"
	mine, others := watchBook{}, watchBook{}
	mine.add("/mine", jute.WatcherData)
	mine.add("/stays", jute.WatcherPersistent)
	others.add("/mine", jute.WatcherData)
	others.add("/theirs", jute.WatcherData)
	others.add("/deep", jute.WatcherPersistentRecursive)
	one := func(h heard) []heard { return []heard{h} }
	check := func(path string) jute.Record {
		return &jute.CheckWatchesRequest{Path: path, Type: jute.WatcherData}
	}
	exists := func(path string) jute.Record { return &jute.ExistsRequest{Path: path} }
	for name, c := range map[string]struct {
		request      jute.Record
		apache, ours []heard
		allowed      string // the rule's name, or empty
	}{
		"an event of what may not be read is left out": {&jute.SetWatches{}, []heard{changedSecret, changedOpen, done}, []heard{changedOpen, done}, eventWithoutRead},
		"another event is left out":                    {&jute.SetWatches{}, []heard{changedSecret, changedOpen, done}, []heard{done}, ""},
		"all events are left out":                      {&jute.SetWatches2{}, []heard{changedOpen, done}, []heard{done}, ""},
		"an event more":                                {&jute.SetWatches{}, []heard{done}, []heard{changedOpen, done}, ""},
		"events in another order":                      {&jute.SetWatches{}, []heard{changedOpen, changedSecret, done}, []heard{changedSecret, changedOpen, done}, ""},
		"the reply to setWatches has another zxid":     {&jute.SetWatches{}, []heard{changedSecret, done}, []heard{later}, ""},
		"the reply to setWatches is missing":           {&jute.SetWatches{}, []heard{changedSecret, done}, []heard{}, ""},

		"exists of what may not be read":              {exists(secret), one(done), one(replyOf(jute.NoAuth)), existsWithoutRead},
		"exists is refused for what may be read":      {exists(open), one(done), one(replyOf(jute.NoAuth)), ""},
		"exists is answered otherwise":                {exists(secret), one(done), one(replyOf(jute.NoNode)), ""},
		"exists of what may not be read, before time": {exists(secret), one(later), one(replyOf(jute.NoAuth)), ""},

		"checkWatches of another's watch":           {check("/theirs"), one(done), one(replyOf(jute.NoWatcher)), othersWatches},
		"checkWatches below a recursive watch":      {check("/deep/a/b"), one(done), one(replyOf(jute.NoWatcher)), othersWatches},
		"checkWatches of one's own watch":           {check("/mine"), one(done), one(replyOf(jute.NoWatcher)), ""},
		"checkWatches of nobody's watch":            {check("/none"), one(done), one(replyOf(jute.NoWatcher)), ""},
		"checkWatches of a kind that is not held":   {check("/stays"), one(done), one(replyOf(jute.NoWatcher)), othersWatches},
		"checkWatches finds what Apache does not":   {check("/theirs"), one(replyOf(jute.NoWatcher)), one(done), ""},
		"checkWatches of what is no path":           {check("a"), one(replyOf(jute.MarshallingError)), one(replyOf(jute.NoWatcher)), pathWithoutSlash},
		"checkWatches stumbles where it should not": {check("/a"), one(replyOf(jute.MarshallingError)), one(replyOf(jute.NoWatcher)), ""},

		"sync of what is not UTF-8":        {&jute.SyncRequest{Path: "/\xff"}, one(withBody), one(done), notUTF8},
		"sync of a path":                   {&jute.SyncRequest{Path: "/\ufffd"}, one(withBody), one(done), ""},
		"sync of no UTF-8 at another zxid": {&jute.SyncRequest{Path: "/\xff"}, one(withBody), one(later), ""},

		"any other request":        {&jute.GetDataRequest{Path: secret}, one(done), one(replyOf(jute.NoAuth)), ""},
		"what could not be read":   {nil, one(done), one(replyOf(jute.NoAuth)), ""},
		"the end of a connection":  {exists(secret), one(done), one(heard{closed: true}), ""},
		"a reply and then the end": {exists(secret), one(done), one(heard{header: replyOf(jute.NoAuth).header, closed: true}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := asker{own: mine, all: []watchBook{mine, others}, unreadable: func(path string) bool { return path == secret }}
			found, ok := a.allowed(c.request, [sides][]heard{c.apache, c.ours})
			require.Equal(t, c.allowed != "", ok)
			if ok {
				require.Equal(t, c.allowed, found)
			}
		})
	}
}

func TestWatchesAreDrawnUp(t *testing.T) {
	const path = "/a"
	ok := []heard{replyOf(jute.Ok)}
	both := func(answers []heard) [sides][]heard { return [sides][]heard{answers, answers} }
	for name, c := range map[string]struct {
		request jute.Record
		answers [sides][]heard
		holds   int32 // 0 for none
	}{
		"getData":                    {&jute.GetDataRequest{Path: path, Watch: true}, both(ok), jute.WatcherData},
		"getData without a watch":    {&jute.GetDataRequest{Path: path}, both(ok), 0},
		"getData of nothing":         {&jute.GetDataRequest{Path: path, Watch: true}, both([]heard{replyOf(jute.NoNode)}), 0},
		"exists of nothing":          {&jute.ExistsRequest{Path: path, Watch: true}, both([]heard{replyOf(jute.NoNode)}), jute.WatcherData},
		"exists that we refuse":      {&jute.ExistsRequest{Path: path, Watch: true}, [sides][]heard{ok, {replyOf(jute.NoAuth)}}, 0},
		"getChildren":                {&jute.GetChildrenRequest{Path: path, Watch: true}, both(ok), jute.WatcherChildren},
		"getChildren2":               {&jute.GetChildren2Request{Path: path, Watch: true}, both(ok), jute.WatcherChildren},
		"addWatch":                   {&jute.AddWatchRequest{Path: path, Mode: jute.AddWatchPersistent}, both(ok), jute.WatcherPersistent},
		"setWatches":                 {&jute.SetWatches{DataWatches: []string{path}}, both(ok), jute.WatcherData},
		"setWatches, told at once":   {&jute.SetWatches{DataWatches: []string{path}}, both([]heard{eventOf(jute.EventNodeDataChanged, path), ok[0]}), 0},
		"setWatches2":                {&jute.SetWatches2{PersistentRecursiveWatches: []string{path}}, both(ok), jute.WatcherPersistentRecursive},
		"setWatches2 of what is new": {&jute.SetWatches2{ExistWatches: []string{path}}, both([]heard{eventOf(jute.EventNodeCreated, path), ok[0]}), 0},
		"what could not be read":     {nil, both(ok), 0},
	} {
		t.Run(name, func(t *testing.T) {
			book := watchBook{}
			book.asked(c.request, c.answers)
			require.Equal(t, c.holds != 0, book.holds(path, jute.WatcherAny))
			require.Equal(t, c.holds != 0, c.holds != 0 && book.holds(path, c.holds))
			require.Equal(t, c.holds == jute.WatcherPersistentRecursive, book.covers(path+"/b"))
		})
	}
	for event, gone := range map[jute.EventType][]int32{
		jute.EventNodeCreated:         {jute.WatcherData},
		jute.EventNodeDataChanged:     {jute.WatcherData},
		jute.EventNodeDeleted:         {jute.WatcherData, jute.WatcherChildren},
		jute.EventNodeChildrenChanged: {jute.WatcherChildren},
	} {
		book := watchBook{}
		for kind := jute.WatcherChildren; kind <= jute.WatcherPersistentRecursive; kind++ {
			if kind != jute.WatcherAny {
				book.add(path, kind)
			}
		}
		book.fired([]heard{eventOf(event, path), replyOf(jute.Ok)})
		for kind := jute.WatcherChildren; kind <= jute.WatcherPersistentRecursive; kind++ {
			if kind != jute.WatcherAny {
				require.NotEqual(t, slices.Contains(gone, kind), book.holds(path, kind), "%v, kind %d", event, kind)
			}
		}
	}
}

func TestTimesBelongToTransactions(t *testing.T) {
	type stamp struct{ zxid, time int64 }
	for name, c := range map[string]struct {
		seen []stamp
		bad  string
	}{
		"one after another":            {[]stamp{{1, 10}, {2, 11}, {3, 11}, {2, 11}}, ""},
		"an older one that was unseen": {[]stamp{{3, 11}, {1, 10}}, ""},
		"no transaction":               {[]stamp{{3, 11}, {0, 0}, {-1, 5}}, ""},
		"two times for one":            {[]stamp{{3, 11}, {3, 12}}, "transaction 0x3 was at 11 before, and is at 12 now"},
		// A setData that leaves mtime as it was shows the new mzxid with an old time.
		"a new one with an old time": {[]stamp{{1, 10}, {2, 11}, {3, 10}}, "transaction 0x3 is at 10, but the older one 0x2 was at 11"},
	} {
		t.Run(name, func(t *testing.T) {
			book := newClockBook()
			var err error
			for _, s := range c.seen {
				if err == nil {
					err = book.note(s.zxid, s.time)
				}
			}
			if c.bad == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, c.bad)
			}
		})
	}
}

func TestRequestsAreReadBack(t *testing.T) {
	request := &jute.ExistsRequest{Path: "/a", Watch: true}
	frame := append(make([]byte, requestHeaderSize), jute.Marshal(request)...)
	require.Equal(t, jute.Record(request), readable(jute.OpExists, frame))
	require.Nil(t, readable(jute.OpExists, frame[:len(frame)-3]), "half a request")
	require.Nil(t, readable(jute.OpPing, frame), "an op without a body")
}
