package checkers

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/results/history"
)

// script is a small history, written down in milliseconds.
type script struct {
	events history.Memory
	number int64
}

const unanswered = -1 // as the time of an answer

// op adds an operation of a client, whose session has its number.
func (s *script) op(client, call, ret int, request history.Request, result history.Result) *script {
	s.number++
	session := ownerName(int64(client))
	s.events = append(s.events, history.Event{Time: time.Duration(call) * time.Millisecond, Kind: history.Call, Operation: s.number,
		Client: client, SessionID: session, Member: 1, Request: &request})
	if ret != unanswered {
		s.events = append(s.events, history.Event{Time: time.Duration(ret) * time.Millisecond, Kind: history.Return, Operation: s.number,
			Client: client, SessionID: session, Member: 1, Result: &result})
	}
	return s
}

func (s *script) event(at int, e history.Event) *script {
	e.Time = time.Duration(at) * time.Millisecond
	s.events = append(s.events, e)
	return s
}

func create(value string) history.Request {
	return history.Request{Kind: history.Create, Path: "/a", Value: value}
}
func set(value string) history.Request {
	return history.Request{Kind: history.Set, Path: "/a", Value: value, Version: history.AnyVersion}
}
func compareAndSet(value string, version int32) history.Request {
	return history.Request{Kind: history.Set, Path: "/a", Value: value, Version: version}
}
func remove() history.Request {
	return history.Request{Kind: history.Delete, Path: "/a", Version: history.AnyVersion}
}
func ask(kind history.OpKind) history.Request { return history.Request{Kind: kind, Path: "/a"} }

// done is the answer to a write, or to a read of the version that zxid wrote.
func done(zxid int64, version int32, value string) history.Result {
	return history.Result{Outcome: history.OK, Answered: true, Zxid: zxid, Value: value,
		Stat: &history.Stat{Czxid: 1, Mzxid: zxid, Pzxid: 1, Version: version}}
}

// at moves an answer to a later zxid: that of the reply.
func at(result history.Result, zxid int64) history.Result {
	result.Zxid = zxid
	return result
}

func refused(zxid int64, code string) history.Result {
	return history.Result{Outcome: history.Failed, Answered: true, Zxid: zxid, Error: code}
}

var lost = history.Result{Outcome: history.Unknown, Error: "ConnectionLoss"}

func judgeAlone(t *testing.T, name string, s *script, options Options) Result {
	t.Helper()
	checker, err := Get(name)
	require.NoError(t, err)
	r, err := checker.Check(context.Background(), s.events, options)
	require.NoError(t, err)
	return r
}

func TestLinearizable(t *testing.T) {
	base := func() *script { return new(script).op(1, 0, 1, create("0"), done(1, 0, "")) }
	for name, c := range map[string]struct {
		history *script
		verdict Verdict
	}{
		"overlapping writes in the order of zxids":         {base().op(1, 2, 9, set("b"), done(3, 2, "")).op(2, 3, 8, set("a"), done(2, 1, "")), Valid},
		"a write answered before an earlier zxid was sent": {base().op(1, 2, 3, set("b"), done(3, 2, "")).op(2, 4, 5, set("a"), done(2, 1, "")), Violation},
		"two compare-and-sets of one version":              {base().op(1, 2, 5, compareAndSet("a", 0), done(2, 1, "")).op(2, 3, 6, compareAndSet("b", 0), done(3, 2, "")), Violation},
		"one compare-and-set of two":                       {base().op(1, 2, 5, compareAndSet("a", 0), done(2, 1, "")).op(2, 3, 6, compareAndSet("b", 0), refused(3, "BadVersion")), Valid},
		"a compare-and-set refused in vain":                {base().op(1, 2, 5, compareAndSet("a", 0), refused(2, "BadVersion")), Violation},
		"a synced read of the last write":                  {base().op(1, 2, 3, set("a"), done(2, 1, "")).op(2, 4, 5, ask(history.SyncGet), done(2, 1, "a")), Valid},
		"a synced read of an old write":                    {base().op(1, 2, 3, set("a"), done(2, 1, "")).op(2, 4, 5, ask(history.SyncGet), done(1, 0, "0")), Violation},
		"a plain read of an old write":                     {base().op(1, 2, 3, set("a"), done(2, 1, "")).op(2, 4, 5, ask(history.Get), done(1, 0, "0")), Valid},
		"a read of a value that nobody wrote":              {base().op(1, 2, 3, set("a"), done(2, 1, "")).op(2, 4, 5, ask(history.SyncGet), done(2, 1, "x")), Violation},
		"unknown, and never":                               {base().op(1, 2, 9, set("a"), lost).op(2, 10, 11, ask(history.SyncGet), done(1, 0, "0")), Valid},
		"unknown, and seen":                                {base().op(1, 2, 9, set("a"), lost).op(2, 10, 11, ask(history.SyncGet), done(2, 1, "a")), Valid},
		"unknown, and seen late": {base().op(1, 2, 9, set("a"), lost).op(2, 10, 11, ask(history.SyncGet), done(1, 0, "0")).
			op(2, 12, 13, ask(history.SyncGet), done(2, 1, "a")), Valid},
		"unknown, seen, and gone again": {base().op(1, 2, 9, set("a"), lost).op(2, 10, 11, ask(history.SyncGet), done(2, 1, "a")).
			op(2, 12, 13, ask(history.SyncGet), at(done(1, 0, "0"), 3)), Violation},
		"unknown, and shown by the next version": {base().op(1, 2, 9, set("a"), lost).op(2, 10, 11, set("b"), done(3, 2, "")), Valid},
		"a version that nobody made":             {base().op(2, 10, 11, set("b"), done(3, 2, "")), Violation},
		"unknown, but sent after it was seen":    {base().op(2, 3, 4, ask(history.SyncGet), done(2, 1, "a")).op(1, 5, 9, set("a"), lost), Violation},
		"never answered, and shown by a refusal": {base().op(1, 2, unanswered, set("a"), lost).op(2, 10, 11, compareAndSet("b", 0), refused(3, "BadVersion")), Valid},
		"an unknown delete that a create shows": {base().op(1, 2, 9, remove(), lost).op(2, 10, 11, create("1"), history.Result{
			Outcome: history.OK, Answered: true, Zxid: 5, Stat: &history.Stat{Czxid: 5, Mzxid: 5}}), Valid},
		"a create of what exists": {base().op(2, 10, 11, create("1"), history.Result{
			Outcome: history.OK, Answered: true, Zxid: 5, Stat: &history.Stat{Czxid: 5, Mzxid: 5}}), Violation},
		"a write to what was deleted": {base().op(1, 2, 3, remove(), history.Result{Outcome: history.OK, Answered: true, Zxid: 2}).
			op(2, 4, 5, set("b"), done(3, 1, "")), Violation},
	} {
		t.Run(name, func(t *testing.T) {
			r := judgeAlone(t, "linearizable", c.history, Options{ArtifactDir: t.TempDir()})
			require.Equal(t, c.verdict, r.Verdict, "%s %q", r.Reason, r.Evidence)
			require.Positive(t, r.Judged)
			if c.verdict == Violation {
				require.NotEmpty(t, r.Evidence)
				require.FileExists(t, r.Artifacts[0])
			}
		})
	}
}

// TestLinearizableMultisOfUnknownOutcome: one znode shows that such a multi took effect, after another has hidden it.
func TestLinearizableMultisOfUnknownOutcome(t *testing.T) {
	b := func(r history.Request) history.Request {
		r.Path = "/b"
		return r
	}
	made := func() *script {
		return new(script).op(1, 0, 1, create("0"), done(1, 0, "")).op(1, 2, 3, b(create("0")), answeredAt(2))
	}
	sets := multiOf(set("x"), b(set("y")))
	creates := multiOf(create("x"), b(create("y")))
	ephemeral := create("x")
	ephemeral.Ephemeral = true
	owned := done(4, 1, "")
	owned.Stat.EphemeralOwner = 2
	leave := history.Request{Kind: history.CloseSession}
	for name, c := range map[string]struct {
		history *script
		verdict Verdict
	}{
		"sets, shown by a refusal":       {made().op(2, 4, 5, sets, lost).op(1, 6, 7, remove(), answeredAt(4)).op(1, 8, 9, b(compareAndSet("z", 0)), refused(5, "BadVersion")), Valid},
		"sets, never sent":               {made().op(1, 6, 7, remove(), answeredAt(4)).op(1, 8, 9, b(compareAndSet("z", 0)), refused(5, "BadVersion")), Violation},
		"sets, sent too late":            {made().op(1, 6, 7, remove(), answeredAt(4)).op(2, 8, 9, sets, lost).op(1, 10, 11, b(compareAndSet("z", 0)), refused(5, "BadVersion")), Violation},
		"creates, shown by a refusal":    {new(script).op(2, 4, 5, creates, lost).op(1, 6, 7, remove(), answeredAt(4)).op(1, 8, 9, b(create("z")), refused(5, "NodeExists")), Valid},
		"an ephemeral in a multi goes":   {new(script).op(1, 0, 1, b(create("0")), answeredAt(1)).op(2, 2, 3, multiOf(ephemeral, b(set("y"))), partsAt(2, history.Result{}, history.Result{})).op(2, 4, 5, leave, answeredAt(3)).op(1, 6, 7, ask(history.SyncGet), refused(4, "NoNode")), Valid},
		"an ephemeral that was set goes": {new(script).op(2, 0, 1, ephemeral, lost).op(1, 2, 3, set("y"), owned).op(2, 4, 5, leave, answeredAt(5)).op(1, 6, 7, ask(history.SyncGet), refused(6, "NoNode")), Valid},
		"a lasting one does not":         {made().op(2, 4, 5, leave, answeredAt(5)).op(1, 6, 7, ask(history.SyncGet), refused(6, "NoNode")), Violation},
	} {
		t.Run(name, func(t *testing.T) {
			r := judgeAlone(t, "linearizable", c.history, Options{})
			require.Equal(t, c.verdict, r.Verdict, "%s %q", r.Reason, r.Evidence)
		})
	}
}

func TestLinearizableLeavesWeakSyncToItsChecker(t *testing.T) {
	stale := new(script).op(1, 0, 1, create("0"), done(1, 0, "")).op(1, 2, 3, set("a"), done(2, 1, "")).op(2, 4, 5, ask(history.SyncGet), done(1, 0, "0"))
	require.Equal(t, Valid, judgeAlone(t, "linearizable", stale, Options{KnownWeakSync: true}).Verdict)
	require.Equal(t, Violation, judgeAlone(t, "linearizable", stale, Options{KnownWeakSync: true, StrictSync: true}).Verdict)
}

func TestLinearizableGivesUpWithinItsBudgets(t *testing.T) {
	log := simulate(1, 500, 5, "register")
	for name, options := range map[string]Options{"time": {Time: 1}, "memory": {MemoryBytes: 10_000}} {
		r := Run(context.Background(), log, options, []string{"linearizable"})[0]
		require.Equal(t, Unknown, r.Verdict, name)
		require.Contains(t, r.Reason, name)
	}
}

// A long history of one znode is cut by zxids, and judged whole all the same.
func TestLinearizableCutsLongPartitions(t *testing.T) {
	s := new(script).op(1, 0, 1, create("0"), done(1, 0, ""))
	const writes = 5 * segmentMoves
	for i := range writes {
		from := 2 + 3*i
		s.op(i%4+1, from, from+5, set("v"+itoa(i)), done(int64(i+2), int32(i+1), ""))
	}
	require.Equal(t, Valid, judgeAlone(t, "linearizable", s, Options{}).Verdict)

	s.op(9, 20, 21, ask(history.SyncGet), at(done(writes, writes-1, "v"+itoa(writes-2)), writes))
	r := judgeAlone(t, "linearizable", s, Options{})
	require.Equal(t, Violation, r.Verdict)
	require.Contains(t, r.Evidence[0], "answered before")
}

func TestSyncReads(t *testing.T) {
	write := func() *script {
		return new(script).op(1, 0, 1, create("0"), done(1, 0, "")).op(1, 2, 5, set("a"), done(2, 1, ""))
	}
	stale := done(1, 0, "0")
	known := Options{KnownWeakSync: true, TickTime: 100 * time.Millisecond} // excused for a second after a fault
	fault := &history.Fault{ID: 1, Kind: history.Kill}
	on, off := history.Event{Kind: history.FaultOn, Fault: fault}, history.Event{Kind: history.FaultOff, Fault: fault}
	leads := history.Event{Kind: history.Member, Member: 2, State: history.Leading}
	ephemeral := create("0")
	ephemeral.Ephemeral = true
	owned := done(2, 1, "")
	owned.Stat.EphemeralOwner = 1
	for name, c := range map[string]struct {
		history *script
		options Options
		verdict Verdict
	}{
		"fresh":                             {write().op(2, 6, 7, ask(history.SyncGet), done(2, 1, "a")), Options{}, Valid},
		"stale":                             {write().op(2, 6, 7, ask(history.SyncGet), stale), Options{}, Violation},
		"sent before the write's answer":    {write().op(2, 4, 7, ask(history.SyncGet), stale), Options{}, Valid},
		"sent at the moment of the answer":  {write().op(2, 5, 7, ask(history.SyncGet), stale), Options{}, Valid},
		"stale, as is known":                {write().op(2, 6, 7, ask(history.SyncGet), stale), Options{KnownWeakSync: true}, Valid},
		"stale, as is known, strict":        {write().op(2, 6, 7, ask(history.SyncGet), stale), Options{KnownWeakSync: true, StrictSync: true}, Violation},
		"stale for long":                    {write().op(2, 16, 17, ask(history.SyncGet), stale), known, Violation},
		"stale for long, by a fault":        {write().event(6, on).op(2, 3000, 3001, ask(history.SyncGet), stale), known, Valid},
		"stale soon after a fault":          {write().event(6, on).event(7, off).op(2, 1006, 1007, ask(history.SyncGet), stale), known, Valid},
		"stale long after a fault":          {write().event(6, on).event(7, off).op(2, 1007, 1008, ask(history.SyncGet), stale), known, Violation},
		"stale after a change of leaders":   {write().event(900, leads).op(2, 1007, 1008, ask(history.SyncGet), stale), known, Valid},
		"an ephemeral that another has set": {new(script).op(1, 0, 1, ephemeral, done(1, 0, "")).op(3, 2, 3, set("x"), done(2, 1, "")).op(2, 6, 7, ask(history.SyncGet), refused(3, "NoNode")), Options{}, Valid},
		"an ephemeral by its stat":          {new(script).op(3, 2, 3, set("x"), owned).op(2, 6, 7, ask(history.SyncGet), refused(3, "NoNode")), Options{}, Valid},
		"new zxid and old znode":            {write().op(2, 6, 7, ask(history.SyncGet), at(stale, 2)), Options{KnownWeakSync: true}, Violation},
		"absent, and nobody deleted it":     {write().op(2, 6, 7, ask(history.SyncGet), refused(3, "NoNode")), Options{}, Violation},
		"absent, and somebody may have":     {write().op(3, 5, unanswered, remove(), lost).op(2, 6, 7, ask(history.SyncGet), refused(3, "NoNode")), Options{}, Valid},
		"nothing":                           {write(), Options{Workloads: []string{"bank"}}, Skipped},
	} {
		t.Run(name, func(t *testing.T) {
			r := judgeAlone(t, "sync-reads", c.history, c.options)
			require.Equal(t, c.verdict, r.Verdict, "%q", r.Evidence)
			if name == "stale, as is known" {
				require.Contains(t, r.Evidence[0], "ZOOKEEPER-1675")
			}
			require.Equal(t, c.verdict == Skipped, r.Empty)
		})
	}
}

func TestSessionOrder(t *testing.T) {
	base := func() *script {
		return new(script).op(1, 0, 1, create("0"), done(1, 0, "")).op(1, 2, 3, set("a"), done(5, 1, ""))
	}
	crossed := base()
	crossed.op(1, 4, unanswered, ask(history.Get), history.Result{}).op(1, 5, unanswered, ask(history.Get), history.Result{})
	for _, n := range []int64{4, 3} {
		result := at(done(5, 1, "a"), 6)
		crossed.event(int(10-n), history.Event{Kind: history.Return, Operation: n, SessionID: "0x1", Result: &result})
	}
	list := history.Request{Kind: history.Children, Path: "/"}
	other := func(kind history.OpKind) history.Request { return history.Request{Kind: kind, Path: "/b"} }
	ephemeral := other(history.Create)
	ephemeral.Ephemeral = true
	owned := done(6, 0, "")
	owned.Stat.EphemeralOwner = 9
	mine := func() *script { return base().op(1, 4, 5, other(history.Create), answeredAt(6)) }
	deletes := multiOf(history.Request{Kind: history.Delete, Path: "/b"})
	for name, c := range map[string]struct {
		history *script
		verdict Verdict
	}{
		"its own znode is gone":                       {mine().op(1, 6, 7, other(history.Get), refused(7, "NoNode")), Violation},
		"its own znode is listed":                     {mine().op(1, 6, 7, list, listedAt(7, "a", "b")), Valid},
		"its own znode is not listed":                 {mine().op(1, 6, 7, list, listedAt(7, "a")), Violation},
		"a znode that it saw is gone":                 {base().op(1, 4, 5, other(history.Get), done(6, 0, "")).op(1, 6, 7, other(history.Exists), refused(7, "NoNode")), Violation},
		"an ephemeral that it saw is gone":            {base().op(1, 4, 5, other(history.Get), owned).op(1, 6, 7, other(history.Exists), refused(7, "NoNode")), Valid},
		"its own ephemeral is gone":                   {base().op(1, 4, 5, ephemeral, answeredAt(6)).op(1, 6, 7, other(history.Exists), refused(7, "NoNode")), Valid},
		"a znode of another is gone":                  {base().op(2, 4, 5, other(history.Create), answeredAt(6)).op(1, 6, 7, other(history.Exists), refused(7, "NoNode")), Valid},
		"gone, and a lost multi may have done it":     {mine().op(2, 5, unanswered, deletes, lost).op(1, 6, 7, other(history.Get), refused(7, "NoNode")), Valid},
		"not listed, and a lost multi may":            {mine().op(2, 5, unanswered, deletes, lost).op(1, 6, 7, list, listedAt(7, "a")), Valid},
		"gone, and its delete comes later":            {mine().op(1, 6, 7, other(history.Get), refused(7, "NoNode")).op(2, 8, 9, deletes, partsAt(9, history.Result{})), Violation},
		"set twice in one multi":                      {base().op(1, 4, 5, multiOf(set("x"), set("y")), partsAt(6, done(6, 2, ""), done(6, 3, ""))).op(1, 6, 7, ask(history.Get), done(6, 3, "y")), Valid},
		"set twice in one multi, and reads the first": {base().op(1, 4, 5, multiOf(set("x"), set("y")), partsAt(6, done(6, 2, ""), done(6, 3, ""))).op(1, 6, 7, ask(history.Get), done(6, 2, "x")), Violation},
		"reads its own write":                         {base().op(1, 4, 5, ask(history.Get), done(5, 1, "a")), Valid},
		"reads a newer write":                         {base().op(1, 4, 5, ask(history.Get), done(7, 2, "b")), Valid},
		"does not read its own write":                 {base().op(1, 4, 5, ask(history.Get), at(done(1, 0, "0"), 5)), Violation},
		"reads another value":                         {base().op(1, 4, 5, ask(history.Get), done(5, 1, "z")), Violation},
		"goes back in zxids":                          {base().op(1, 4, 5, ask(history.Exists), at(done(1, 0, ""), 4)), Violation},
		"another session may be behind":               {base().op(2, 4, 5, ask(history.Get), done(1, 0, "0")), Valid},
		"a write at a zxid seen":                      {base().op(1, 4, 5, set("b"), done(5, 2, "")), Violation},
		"shows the future":                            {base().op(1, 4, 5, ask(history.Get), at(done(9, 2, "b"), 6)), Violation},
		"back from absence":                           {base().op(1, 4, 5, ask(history.Get), refused(8, "NoNode")).op(1, 6, 7, ask(history.Get), at(done(5, 1, "a"), 9)), Violation},
		"an unknown write shows nothing":              {base().op(1, 4, 5, set("b"), lost).op(1, 6, 7, ask(history.Get), done(5, 1, "a")), Valid},
		"answers change places":                       {crossed, Violation},
	} {
		t.Run(name, func(t *testing.T) {
			r := judgeAlone(t, "session-order", c.history, Options{})
			require.Equal(t, c.verdict, r.Verdict, "%q", r.Evidence)
		})
	}
}

func TestWatches(t *testing.T) {
	watch := ask(history.Get)
	watch.Watch = true
	// Another session's watch fires as it should, so that there is something to judge in any case.
	armed := func() *script {
		return new(script).op(5, 0, 0, watch, done(5, 1, "a")).
			event(0, history.Event{Kind: history.WatchFired, SessionID: ownerName(5), Watch: &history.Watch{Type: "changed", Path: "/a"}}).
			op(1, 0, 1, watch, done(5, 1, "a"))
	}
	fired := history.Event{Kind: history.WatchFired, SessionID: "0x1", Watch: &history.Watch{Type: "changed", Path: "/a"}}
	resumed := history.Event{Kind: history.Session, SessionID: "0x1", State: history.Resumed}
	for name, c := range map[string]struct {
		history *script
		verdict Verdict
	}{
		"fires before newer state":        {armed().event(2, fired).op(1, 3, 4, ask(history.Get), done(7, 2, "b")), Valid},
		"newer state before the event":    {armed().op(1, 3, 4, ask(history.Get), done(7, 2, "b")).event(5, fired), Violation},
		"newer state and no event":        {armed().event(2, resumed).op(1, 3, 4, ask(history.Get), done(7, 2, "b")), Violation},
		"the same state and no event":     {armed().op(1, 3, 4, ask(history.Get), at(done(5, 1, "a"), 9)), Valid},
		"a reply past another's change":   {armed().op(2, 0, 2, set("b"), done(7, 2, "")).op(1, 3, 4, history.Request{Kind: history.Get, Path: "/b"}, refused(8, "NoNode")), Violation},
		"a reply before another's change": {armed().op(2, 0, 2, set("b"), done(7, 2, "")).op(1, 3, 4, history.Request{Kind: history.Get, Path: "/b"}, refused(6, "NoNode")), Valid},
		"fires twice":                     {armed().event(2, fired).event(3, fired), Violation},
		"its own write before the event":  {armed().op(1, 3, 4, set("b"), done(7, 2, "")).event(5, fired), Violation},
		"gone without a word":             {armed().op(1, 3, 4, ask(history.Get), refused(8, "NoNode")), Violation},
	} {
		t.Run(name, func(t *testing.T) {
			r := judgeAlone(t, "watches", c.history, Options{})
			require.Equal(t, c.verdict, r.Verdict, "%q", r.Evidence)
		})
	}
}

// TestWatchOrder: session 2 watches /p/0 and then /p/1 on a server that has applied zxid 3, and is told of /p/0
// before /p/1, while acknowledged writes say that /p/1 changed first. What happened before may explain it.
func TestWatchOrder(t *testing.T) {
	on := func(path string, r history.Request) history.Request {
		r.Path = path
		return r
	}
	watch := ask(history.Get)
	watch.Watch = true
	ephemeral := create("e")
	ephemeral.Ephemeral = true
	for name, c := range map[string]struct {
		before  func(s *script) *script
		verdict Verdict
	}{
		"nothing": {func(s *script) *script { return s }, Violation},
		"a write that the server had not applied":    {func(s *script) *script { return s.op(1, 6, 7, on("/p/0", set("c")), done(4, 1, "")) }, Valid},
		"a write that it had applied":                {func(s *script) *script { return s.op(1, 6, 7, on("/p/0", set("c")), done(3, 1, "")) }, Violation},
		"a write of unknown outcome":                 {func(s *script) *script { return s.op(3, 6, 7, on("/p/0", set("c")), lost) }, Valid},
		"a multi of unknown outcome":                 {func(s *script) *script { return s.op(3, 6, 7, multiOf(on("/p/0", set("c"))), lost) }, Valid},
		"it is an ephemeral, whose session may end":  {func(s *script) *script { return s.op(3, 6, 7, on("/p/0", ephemeral), done(3, 0, "")) }, Valid},
		"a write of unknown outcome of another path": {func(s *script) *script { return s.op(3, 6, 7, on("/p/2", set("c")), lost) }, Violation},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.before(new(script)).
				op(2, 8, 9, on("/p/0", watch), done(3, 0, "a")).op(2, 10, 11, on("/p/1", watch), done(3, 0, "a")).
				op(1, 12, 13, on("/p/1", set("d")), done(5, 1, "")).op(1, 14, 15, on("/p/0", set("e")), done(6, 2, ""))
			for i, path := range []string{"/p/0", "/p/1"} {
				s.event(16+i, history.Event{Kind: history.WatchFired, Client: 2, SessionID: ownerName(2), Watch: &history.Watch{Type: "changed", Path: path}})
			}
			r := judgeAlone(t, "watches", s, Options{})
			require.Equal(t, c.verdict, r.Verdict, "%q %s", r.Evidence, r.Reason)
		})
	}
}

// TestWatchOrderBindsAConnection: session 2 is told of a change of /p/0, and watches /p/1 at a state before that one: the server
// where it was resumed may be behind the one that told it. Found by seed 95269.
func TestWatchOrderBindsAConnection(t *testing.T) {
	on := func(path string, r history.Request) history.Request {
		r.Path = path
		return r
	}
	watch := ask(history.Get)
	watch.Watch = true
	fires := func(path string) history.Event {
		return history.Event{Kind: history.WatchFired, Client: 2, SessionID: ownerName(2), Watch: &history.Watch{Type: "changed", Path: path}}
	}
	for state, verdict := range map[history.State]Verdict{history.Resumed: Valid, history.Disconnected: Violation} {
		s := new(script).
			op(4, 0, 1, on("/p/1", watch), done(3, 0, "a")). // from then on its changes are kept
			op(2, 1, 2, on("/p/0", watch), done(3, 0, "a")).
			op(1, 3, 4, on("/p/1", set("d")), done(5, 1, "")).op(1, 5, 6, on("/p/0", set("e")), done(6, 2, "")).
			event(7, fires("/p/0")).
			event(8, history.Event{Kind: history.Session, Client: 2, SessionID: ownerName(2), State: state}).
			op(2, 9, 10, on("/p/1", watch), done(4, 0, "a")).
			event(11, fires("/p/1"))
		r := judgeAlone(t, "watches", s, Options{})
		require.Equal(t, verdict, r.Verdict, "%s: %q %s", state, r.Evidence, r.Reason)
	}
}

// TestWatchesWithoutAChangeAreNothing: watches that nothing could fire show nothing.
func TestWatchesWithoutAChangeAreNothing(t *testing.T) {
	watch := ask(history.Get)
	watch.Watch = true
	require.True(t, judgeAlone(t, "watches", new(script).op(1, 0, 1, watch, done(5, 1, "a")), Options{Workloads: []string{"watch"}}).Empty)
}

func TestHealth(t *testing.T) {
	up := history.Event{Kind: history.Member, Member: 1, State: history.Started}
	end := history.Event{Kind: history.Phase, Text: "end"}
	on := history.Event{Kind: history.FaultOn, Fault: &history.Fault{ID: 1, Kind: history.Kill, Members: []int{1}}}
	require.Equal(t, Valid, judgeAlone(t, "health", new(script).event(0, up).event(1, end), Options{}).Verdict)
	require.Equal(t, Unknown, judgeAlone(t, "health", new(script).event(0, up), Options{}).Verdict, "cut off")
	open := judgeAlone(t, "health", new(script).event(0, up).event(1, on).event(2, end), Options{})
	require.Equal(t, Unknown, open.Verdict)
	require.Contains(t, open.Reason, "kill member 1")
	race := history.Event{Kind: history.Member, Member: 1, State: history.Exited, Text: "WARNING: DATA RACE"}
	require.Equal(t, Violation, judgeAlone(t, "health", new(script).event(0, race).event(1, end), Options{}).Verdict)
}

// Nothing judged is never valid: it says what was lacking, and whether a workload should have given it.
func TestNothingIsNeverValid(t *testing.T) {
	for _, r := range Run(context.Background(), history.Memory{}, Options{Workloads: []string{"set"}}, nil) {
		require.NotEqual(t, Valid, r.Verdict, r.Name)
		require.NotEmpty(t, r.Reason, r.Name)
	}
	r := Run(context.Background(), history.Memory{}, Options{Workloads: []string{"set"}}, []string{"multi"})[0]
	require.False(t, r.Empty, "no bank ran")
	require.Contains(t, r.Reason, "bank")
}

type brokenLog struct{}

func (brokenLog) Each(func(history.Event) error) error { return errors.New("torn") }

func TestUnreadableHistoryIsUnknown(t *testing.T) {
	for _, r := range Run(context.Background(), brokenLog{}, Options{}, nil) {
		require.Equal(t, Unknown, r.Verdict)
		require.Contains(t, r.Reason, "torn")
	}
	_, err := linearizable.Check(context.Background(), brokenLog{}, Options{})
	require.ErrorContains(t, err, "torn")
	unknown := Run(context.Background(), history.Memory{}, Options{}, []string{"nonsense"})
	require.Contains(t, unknown[0].Reason, "known are: linearizable")
}

// A new leader answers at the start of its epoch while its followers answer at the last transaction.
func TestTheStartOfAnEpochIsNoTransaction(t *testing.T) {
	const last, epoch = 1<<32 + 5, 2 << 32
	sync := ask(history.SyncGet)
	s := (&script{}).
		op(1, 0, 5, create("0"), done(1, 0, "0")).
		op(1, 6, 10, set("a"), done(last, 1, "a")).
		op(1, 20, 30, sync, at(done(last, 1, "a"), epoch)).
		op(2, 40, 50, sync, done(last, 1, "a"))
	require.Equal(t, Valid, judgeAlone(t, "linearizable", s, Options{}).Verdict)

	// A write that nobody was told of may be the last before the epoch.
	unknown := (&script{}).
		op(1, 0, 5, create("0"), done(last, 0, "0")).
		op(1, 6, 10, remove(), lost).
		op(2, 20, 30, sync, refused(epoch, "NoNode"))
	require.Equal(t, Valid, judgeAlone(t, "linearizable", unknown, Options{}).Verdict)

	s.op(1, 60, 70, set("b"), done(epoch+1, 2, "b")).op(2, 80, 90, sync, at(done(last, 1, "a"), epoch))
	require.Equal(t, Violation, judgeAlone(t, "linearizable", s, Options{}).Verdict)
}

// Members that were snapshots' receivers in different epochs answer at different starts, and nothing was
// written between them: whatever order the answers come in.
func TestStartsOfEpochsWithNothingBetweenThem(t *testing.T) {
	const last, second, third, fourth = 1<<32 + 5, 2 << 32, 3 << 32, 4 << 32
	sync := ask(history.SyncGet)
	missing := func(zxid int64) history.Result { return refused(zxid, "NoNode") }

	// Found by seed 203613: no transaction at all was seen.
	empty := (&script{}).op(1, 0, 10, sync, missing(third)).op(2, 20, 30, sync, missing(second))
	require.Equal(t, Valid, judgeAlone(t, "linearizable", empty, Options{}).Verdict)

	value := func(zxid int64) history.Result { return at(done(last, 1, "a"), zxid) }
	for name, zxids := range map[string][]int64{
		"downwards":          {fourth, third, second, last},
		"past what is below": {second, fourth, third, fourth, last},
		"the last is unsure": {second, last, third, second},
	} {
		s := (&script{}).op(1, 0, 5, create("0"), done(1, 0, "0")).op(1, 6, 10, set("a"), done(last, 1, "a"))
		for i, zxid := range zxids {
			s.op(i%2+1, 20+20*i, 30+20*i, sync, value(zxid))
		}
		require.Equal(t, Valid, judgeAlone(t, "linearizable", s, Options{}).Verdict, name)
	}

	// A write of the second epoch stands between the starts: who answers below it answers too late.
	late := (&script{}).
		op(1, 0, 5, create("0"), done(last, 0, "0")).
		op(1, 10, 20, set("a"), done(second+1, 1, "a")).
		op(1, 30, 40, sync, at(done(second+1, 1, "a"), third)).
		op(2, 50, 60, sync, at(done(last, 0, "0"), second))
	require.Equal(t, Violation, judgeAlone(t, "linearizable", late, Options{}).Verdict)
}
