package tree

import (
	"fmt"
	"testing"

	"ordeal/node/defect"
	"ordeal/node/jute"

	"github.com/stretchr/testify/require"
)

// told writes events as "watcher type path".
func told(events []Event) []string {
	list := []string{}
	for _, e := range events {
		list = append(list, fmt.Sprintf("%d %s %s", e.Watcher, e.Type, e.Path))
	}
	return list
}

// protocol.md 2.11: what fires, in which order. Watcher 1 watches data, 2 children, 3 both.
func TestOneShotWatches(t *testing.T) {
	for _, c := range []struct {
		name string
		txn  func(l *leader) jute.Txn
		want []string
		used int
	}{
		{"create", func(l *leader) jute.Txn { return l.create("/p/b", "") },
			[]string{"1 NodeCreated /p/b", "3 NodeCreated /p/b", "2 NodeChildrenChanged /p", "3 NodeChildrenChanged /p"}, 4},
		{"create at the root", func(l *leader) jute.Txn { return l.create("/new", "") },
			[]string{"2 NodeChildrenChanged /", "3 NodeChildrenChanged /"}, 2},
		{"delete tells each only once of the znode", func(*leader) jute.Txn { return &jute.DeleteTxn{Path: "/p/a"} },
			[]string{"1 NodeDeleted /p/a", "3 NodeDeleted /p/a", "2 NodeDeleted /p/a", "2 NodeChildrenChanged /p", "3 NodeChildrenChanged /p"}, 6},
		{"setData", func(*leader) jute.Txn { return &jute.SetDataTxn{Path: "/p/a", Version: 1} },
			[]string{"1 NodeDataChanged /p/a", "3 NodeDataChanged /p/a"}, 2},
		{"setData of the root", func(*leader) jute.Txn { return &jute.SetDataTxn{Path: "/", Version: 1} },
			[]string{"1 NodeDataChanged /", "3 NodeDataChanged /"}, 2},
		{"setACL", func(*leader) jute.Txn { return &jute.SetACLTxn{Path: "/p/a", ACL: jute.OpenACL(), Version: 1} }, []string{}, 0},
		{"failure", func(*leader) jute.Txn { return &jute.ErrorTxn{Err: jute.NoNode} }, []string{}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := fixture()
			for _, path := range []string{"/", "/p", "/p/a", "/p/b"} {
				l.tree.WatchData(path, 1)
				l.tree.WatchChildren(path, 2)
				l.tree.WatchChildren(path, 3)
				l.tree.WatchData(path, 3)
				l.tree.WatchData(path, 3) // once more is the same
			}
			before := l.tree.WatchCount()
			require.Equal(t, c.want, told(l.propose(1, c.txn(l)).Events))
			require.Equal(t, c.used, before-l.tree.WatchCount(), "watches used up")
		})
	}
}

func TestPersistentWatches(t *testing.T) {
	l := fixture()
	require.Equal(t, jute.Ok, l.tree.AddWatch("/p", 1, jute.AddWatchPersistent))
	require.Equal(t, jute.Ok, l.tree.AddWatch("/p", 2, jute.AddWatchPersistentRecursive))
	require.Equal(t, jute.BadArguments, l.tree.AddWatch("/p", 3, 2))
	for range 2 {
		require.Equal(t, []string{"2 NodeCreated /p/b", "1 NodeChildrenChanged /p"}, told(l.propose(1, l.create("/p/b", "")).Events))
		require.Equal(t, []string{"2 NodeCreated /p/b/c"}, told(l.propose(1, l.create("/p/b/c", "")).Events))
		require.Equal(t, []string{"2 NodeDataChanged /p/b/c"}, told(l.propose(1, &jute.SetDataTxn{Path: "/p/b/c"}).Events))
		require.Equal(t, []string{"1 NodeDataChanged /p", "2 NodeDataChanged /p"}, told(l.propose(1, &jute.SetDataTxn{Path: "/p"}).Events))
		require.Equal(t, []string{"2 NodeDeleted /p/b/c"}, told(l.propose(1, &jute.DeleteTxn{Path: "/p/b/c"}).Events))
		require.Equal(t, []string{"2 NodeDeleted /p/b", "1 NodeChildrenChanged /p"}, told(l.propose(1, &jute.DeleteTxn{Path: "/p/b"}).Events))
	}
	require.Empty(t, told(l.propose(1, l.create("/pp", "")).Events))
	l.tree.AddWatch("/", 3, jute.AddWatchPersistentRecursive)
	require.Equal(t, []string{"2 NodeDeleted /p/a", "3 NodeDeleted /p/a", "1 NodeChildrenChanged /p"},
		told(l.propose(1, &jute.DeleteTxn{Path: "/p/a"}).Events), "nearer ancestors first")
	l.tree.AddWatch("/", 2, jute.AddWatchPersistentRecursive)
	require.Equal(t, []string{"1 NodeDeleted /p", "2 NodeDeleted /p", "3 NodeDeleted /p"},
		told(l.propose(1, &jute.DeleteTxn{Path: "/p"}).Events), "once each")
}

// ZOOKEEPER-4466: in 3.8 a later registration takes the place of an earlier one.
func TestModesOfOneWatcherDoNotDisturbOneAnother4466And4471And4472(t *testing.T) {
	l := fixture()
	l.tree.AddWatch("/p", 1, jute.AddWatchPersistent)
	l.tree.AddWatch("/p", 1, jute.AddWatchPersistentRecursive)
	l.tree.WatchData("/p", 1)
	l.tree.WatchChildren("/p", 1)
	change := &jute.SetDataTxn{Path: "/p"}
	require.Equal(t, []string{"1 NodeDataChanged /p"}, told(l.propose(1, change).Events), "one event for all")
	require.Equal(t, []string{"1 NodeDataChanged /p"}, told(l.propose(1, change).Events), "the lasting ones last")
	require.False(t, l.tree.HasWatch("/p", 1, jute.WatcherData))
	require.True(t, l.tree.HasWatch("/p", 1, jute.WatcherChildren))

	require.True(t, l.tree.RemoveWatch("/p", 1, jute.WatcherPersistent))
	require.False(t, l.tree.RemoveWatch("/p", 1, jute.WatcherPersistent))
	require.True(t, l.tree.HasWatch("/p", 1, jute.WatcherPersistentRecursive))
	require.True(t, l.tree.HasWatch("/p", 1, jute.WatcherAny))
	require.True(t, l.tree.RemoveWatch("/p", 1, jute.WatcherAny))
	require.False(t, l.tree.HasWatch("/p", 1, jute.WatcherAny))
	require.False(t, l.tree.HasWatch("/p", 1, 99))
	require.Zero(t, l.tree.WatchCount())
	require.Zero(t, l.tree.watches.data.recursive)
}

func TestWatchesOfOthersAreNotOnes(t *testing.T) {
	l := fixture()
	l.tree.WatchData("/p", 1)
	require.False(t, l.tree.HasWatch("/p", 2, jute.WatcherAny))
	require.False(t, l.tree.RemoveWatch("/p", 2, jute.WatcherAny))
	require.True(t, l.tree.HasWatch("/p", 1, jute.WatcherAny))
}

func TestWatchesDieWithTheirConnection(t *testing.T) {
	l := fixture()
	for _, path := range []string{"/p", "/p/a", "/x"} {
		l.tree.WatchData(path, 1)
		l.tree.WatchChildren(path, 1)
		l.tree.WatchData(path, 2)
	}
	l.tree.AddWatch("/", 1, jute.AddWatchPersistentRecursive)
	l.tree.RemoveWatcher(1)
	l.tree.RemoveWatcher(1)
	require.Equal(t, 3, l.tree.WatchCount())
	require.Zero(t, l.tree.watches.data.recursive)
	require.Equal(t, []PathWatches{{"/p", []int64{2}}, {"/p/a", []int64{2}}, {"/x", []int64{2}}}, l.tree.DataWatches())
	require.Equal(t, []string{"2 NodeDeleted /p/a"}, told(l.propose(1, &jute.DeleteTxn{Path: "/p/a"}).Events))
	l.tree.RemoveWatcher(2)
	require.Empty(t, l.tree.watches.data.watchers)
	require.Empty(t, l.tree.watches.data.paths)
	require.Empty(t, l.tree.watches.child.watchers)
	require.Empty(t, l.tree.watches.child.paths)
}

func TestWatchersFireInTheOrderInWhichTheyCame(t *testing.T) {
	l := fixture()
	for _, watcher := range []int64{5, 3, 9, 1} {
		l.tree.WatchData("/p", watcher)
	}
	l.tree.RemoveWatcher(9)
	l.tree.WatchData("/p", 9)
	require.Equal(t, []string{"5 NodeDataChanged /p", "3 NodeDataChanged /p", "1 NodeDataChanged /p", "9 NodeDataChanged /p"},
		told(l.propose(1, &jute.SetDataTxn{Path: "/p"}).Events))
}

// ZOOKEEPER-4799: whoever may not read a znode must not hear of it.
func TestEventsCarryTheACLThatDecidesWhoMayHear(t *testing.T) {
	l := fixture()
	private := l.create("/p/b", "")
	private.ACL = testACLs[2]
	l.tree.AddWatch("/p", 1, jute.AddWatchPersistent)
	l.tree.WatchData("/p/b", 1)
	events := l.propose(1, private).Events
	require.Equal(t, testACLs[2], events[0].ACL)
	require.Equal(t, jute.OpenACL(), events[1].ACL, "the parent's, for its list of children")
	l.tree.WatchData("/p/b", 1)
	require.Equal(t, testACLs[2], l.propose(1, &jute.DeleteTxn{Path: "/p/b"}).Events[0].ACL, "what the znode had")
}

// protocol.md 2.11. The client has seen zxid 4; zxids 5 to 7 happened while it was away.
func missedWhileAway() *leader {
	l := fixture()
	l.propose(1, l.create("/p/gone", ""))                    // 4
	l.propose(1, l.create("/p/new", ""))                     // 5, changes the children of /p
	l.propose(1, &jute.SetDataTxn{Path: "/p/a", Version: 1}) // 6
	l.propose(1, &jute.DeleteTxn{Path: "/p/gone"})           // 7
	return l
}

var afterReconnect = &jute.SetWatches2{
	RelativeZxid:               4,
	DataWatches:                []string{"/p/gone", "/p/a", "/p"},
	ExistWatches:               []string{"/p/new", "/p/never"},
	ChildWatches:               []string{"/p/gone", "/p", "/p/a"},
	PersistentWatches:          []string{"/p/gone"},
	PersistentRecursiveWatches: []string{"/"},
}

func TestSetWatchesTellsWhatWasMissed(t *testing.T) {
	l := missedWhileAway()
	require.Equal(t, []string{
		"1 NodeDeleted /p/gone", "1 NodeDataChanged /p/a",
		"1 NodeCreated /p/new",
		"1 NodeDeleted /p/gone", "1 NodeChildrenChanged /p",
	}, told(l.tree.SetWatches(1, afterReconnect)))
	for path, kinds := range map[string][]int32{
		"/p":       {jute.WatcherData},
		"/p/never": {jute.WatcherData},
		"/p/a":     {jute.WatcherChildren},
		"/p/gone":  {jute.WatcherPersistent},
		"/":        {jute.WatcherPersistentRecursive},
		"/p/new":   {},
	} {
		for _, kind := range []int32{jute.WatcherData, jute.WatcherChildren, jute.WatcherPersistent, jute.WatcherPersistentRecursive} {
			require.Equal(t, len(kinds) > 0 && kinds[0] == kind, l.tree.HasWatch(path, 1, kind), "%s, kind %d", path, kind)
		}
	}
	require.Equal(t, jute.OpenACL(), missedWhileAway().tree.SetWatches(1, afterReconnect)[1].ACL)
}

func TestLostWatchDefect(t *testing.T) {
	l := missedWhileAway()
	l.tree.options.Defects = defect.Set{defect.LostWatch: true}
	require.Empty(t, l.tree.SetWatches(1, afterReconnect))
	require.True(t, l.tree.HasWatch("/p/a", 1, jute.WatcherData), "set, as if nothing had happened")
}

func TestWatchesAreWeighed(t *testing.T) {
	tree := New(testOptions)
	require.Zero(t, tree.WatchBytes(1))
	for range 2 {
		tree.WatchData("/a", 1)
		tree.WatchChildren("/a", 1)
		tree.AddWatch("/bb", 1, jute.AddWatchPersistent)
	}
	require.Equal(t, 2*(len("/a")+len("/bb")+2*watchOverhead), tree.WatchBytes(1), "each place once")
	tree.Apply(jute.TxnHeader{Zxid: 1, Type: jute.OpCreate}, &jute.CreateTxn{Path: "/a"})
	require.Equal(t, len("/a")+2*len("/bb")+3*watchOverhead, tree.WatchBytes(1), "a watch that has fired is gone")
	tree.WatchData("/ccc", 2)
	require.Equal(t, tree.WatchBytes(1)+tree.WatchBytes(2), tree.AllWatchBytes())
	tree.RemoveWatcher(1)
	require.Zero(t, tree.WatchBytes(1))
	require.Equal(t, len("/ccc")+watchOverhead, tree.AllWatchBytes())
}
