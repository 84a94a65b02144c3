package peer_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// knownBug is an issue in Apache's tracker about a server that lost, leaked or hung.
type knownBug struct {
	id      string
	summary string
	// test is the package below node and the test that plays it, or empty. Then none says why there is none.
	test, none string
}

// catalogue lists the bugs that were looked at, those of Apache's release 3.8.0 first, then those that earlier ones had.
var catalogue = []knownBug{
	{"4643", "the epoch is on disk before the history that it begins with", "peer.Test4643", ""},
	{"4646", "NEWLEADER is acknowledged before the history is on disk", "peer.Test4646", ""},
	{"4785", "the same, with all followers", "peer.Test4785", ""},
	{"3023", "a follower serves before it has applied what it was synchronised with", "peer.Test3023", ""},
	{"4685", "the acknowledgement of a proposal overtakes that of NEWLEADER", "peer.Test4685", ""},
	{"4394", "the commit of an earlier proposal comes before UPTODATE", "peer.Test4394", ""},
	{"4712", "the logger of an earlier role goes on writing", "peer.Test4712And4502", ""},
	{"4541", "the same, and it ends a session", "peer.Test4541", ""},
	{"4502", "the same, seen as a leak", "peer.Test4712And4502", ""},
	{"4409", "the leader is gone when there is something to acknowledge", "peer.Test4409", ""},
	{"4837", "a snapshot survives the cut that it is newer than", "peer.Test4837And1549", ""},
	{"1549", "a leader writes a snapshot of what is not committed", "peer.Test4837And1549", ""},
	{"4882", "a server goes on after its log could not be written", "peer.Test4882", ""},
	{"5094", "memory is ahead of the log after a TRUNC that was cut short", "peer.Test5094", ""},
	{"2354", "a snapshot of a later epoch than currentEpoch", "peer.Test2354And1653", ""},
	{"1653", "the same of a log", "store.Test2354And1653", ""},
	{"2332", "the last log has no header", "store.Test2332And1621", ""},
	{"1621", "the same", "store.Test2332And1621", ""},
	{"2623", "a check alone becomes a transaction", "pipeline.TestWhatNoClientMayAsk2623", ""},
	{"4306", "the end of a session is longer than others can read", "pipeline.Test4306", ""},
	{"2101", "a multi is longer than others can read", "pipeline.Test2101", ""},
	{"1675", "a leader that was abandoned answers a sync", "peer.Test1675And2136", ""},
	{"2136", "the same", "peer.Test1675And2136", ""},
	{"4203", "the learner port fails while a leader starts", "server.Test4203", ""},
	{"4424", "an accept that fails ends the leader", "server.Test4424", ""},
	{"S1", "a follower's log fails during synchronisation", "peer.TestS1", ""},
	{"4537", "a commit is overlooked when nothing else happens", "peer.Test4537", ""},
	{"4846", "a snapshot lacks an ACL that its znodes have", "tree.TestReplayMendsAnACLThatTheSnapshotLacks4846And4689", ""},
	{"4689", "the same", "tree.TestReplayMendsAnACLThatTheSnapshotLacks4846And4689", ""},
	{"4026", "create2 in a multi is answered as create", "pipeline.TestMulti4026", ""},
	{"2590", "exists does not ask for the right to read", "pipeline.Test2590", ""},
	{"4799", "watches tell of znodes that the watcher may not read", "pipeline.TestWatchesRespectACLs4799", ""},
	{"4466", "a watch takes the place of one of another mode", "tree.TestModesOfOneWatcherDoNotDisturbOneAnother4466And4471And4472", ""},
	{"4471", "the removal of a watch removes those of other modes", "tree.TestModesOfOneWatcherDoNotDisturbOneAnother4466And4471And4472", ""},
	{"4472", "the same of persistent watches", "tree.TestModesOfOneWatcherDoNotDisturbOneAnother4466And4471And4472", ""},
	{"4743", "a version that overflows becomes the one that means any", "pipeline.TestVersionsSkipMinusOne4743", ""},
	{"4787", "the election writes the membership in the platform's charset", "", "strings are UTF-8 here, whatever the platform"},
	{"4886", "an observer with a small id cannot join where members authenticate by SASL", "", "members authenticate by TLS only"},
	{"4730", "the sizes of data and log directory are swapped", "server.Test4730", ""},
	{"3109", "a leader whose voter has changed its mind waits for others", "peer.Test3109", ""},
	{"5010", "an ephemeral survives on some members as a leader dies", "peer.Test5010", ""},
	{"4883", "an epoch runs out of numbers", "peer.Test1277And2789And4883", ""},
	{"2789", "the same", "peer.Test1277And2789And4883", ""},

	{"3911", "history is logged only after UPTODATE", "peer.Test3911", ""},
	{"3642", "a SNAP without NEWLEADER stays in memory", "peer.Test3642", ""},
	{"2845", "what is logged and not committed is forgotten at an election", "peer.Test2845", ""},
	{"2355", "a DIFF that was cut short counts as done", "peer.Test2355", ""},
	{"3104", "a commit falls between SNAP and NEWLEADER", "peer.Test3104And3589", ""},
	{"3589", "the same", "peer.Test3104And3589", ""},
	{"2678", "every DIFF ends with a snapshot", "peer.Test2678", ""},
	{"1154", "who was absent from the election keeps what only it has", "peer.Test1154And1156", ""},
	{"1156", "a truncation cuts too much", "peer.Test1154And1156", ""},
	{"2832", "the same after an epoch without transactions", "peer.Test2832", ""},
	{"335", "epochs are not on disk", "peer.Test335And1081And1082", ""},
	{"1081", "the same", "peer.Test335And1081And1082", ""},
	{"1082", "the same", "peer.Test335And1081And1082", ""},
	{"790", "a leader without a quorum counts its epoch's first zxid as its own", "peer.Test790", ""},
	{"975", "a server leads because it has heard of all", "election.TestLateJoinerWithStaleVotes975", ""},
	{"1264", "the epoch is joined at the wrong step", "peer.Test1264And1282", ""},
	{"1282", "two synchronisations disturb one another", "peer.Test1264And1282", ""},
	{"1367", "the end of a session is lost in a synchronisation", "peer.Test1367", ""},
	{"1419", "the order of votes is not total", "election.TestFiveServersSettle1419", ""},
	{"1732", "settled members report different votes", "peer.Test1732And1818", ""},
	{"1818", "the same with epochs", "peer.Test1732And1818", ""},
	{"3537", "the leader is looked for among other votes than the quorum", "election.Test3537", ""},
	{"3769", "a malformed notification ends who reads it", "server.TestMalformedNotifications3769", ""},
	{"2164", "who cannot be reached holds up the election", "server.Test2164And3756", ""},
	{"3756", "the same", "server.Test2164And3756", ""},
	{"3720", "a greeting with several addresses is not understood", "server.TestElectionHeadersOfAllVersions3720", ""},
	{"3829", "a leader commits by the membership of before", "peer.Test3829And3814", ""},
	{"3814", "the same", "peer.Test3829And3814", ""},
	{"2172", "who is added is being synchronised meanwhile", "peer.Test2172", ""},
	{"3701", "a truncation that fails is ignored", "peer.Test3701", ""},
	{"2247", "a leader goes on after its log could not be written", "peer.Test2247", ""},
	{"2325", "logs without a snapshot count as nothing", "store.Test2325And3056", ""},
	{"3056", "the same, and how an upgrade is let through", "store.Test2325And3056", ""},
	{"2307", "the epoch that was accepted is behind the one that was joined", "store.Test2307", ""},
	{"1573", "a fuzzy snapshot has a child without its parent", "tree.TestReplayMeetsAnOrphan1573", ""},
	{"3125", "replay sets a parent's numbers back", "tree.TestWhatReplayMayMeet3125And3249And3145", ""},
	{"3249", "the same where the znode exists", "tree.TestWhatReplayMayMeet3125And3249And3145", ""},
	{"3145", "replay of a session's end leaves the parent as it was", "tree.TestWhatReplayMayMeet3125And3249And3145", ""},
	{"3144", "a snapshot's sessions do not fit its znodes", "tree.Test3144", ""},
	{"3127", "a snapshot holds half of a multi", "tree.Test3127", ""},
	{"1624", "a failed multi disturbs what is under way", "pipeline.TestFailedMultiKeepsEarlierPendingChanges1624And2052", ""},
	{"2052", "the same", "pipeline.TestFailedMultiKeepsEarlierPendingChanges1624And2052", ""},
	{"3306", "znodes lose their ACL after a snapshot was read", "tree.Test3306And2808", ""},
	{"2808", "the same", "tree.Test3306And2808", ""},
	{"3531", "a slow snapshot holds up every change of an ACL", "peer.Test2201And3531", ""},
	{"2201", "a learner that does not read its snapshot holds up all", "peer.Test2201And3531", ""},
	{"1863", "answers come out of order", "pipeline.TestRepliesKeepTheOrderOfRequests1863", ""},
	{"3471", "ephemerals outlive a session that was upgraded", "pipeline.Test3471", ""},
	{"1208", "an ephemeral is created behind its session's end", "pipeline.TestCloseSessionTakesPendingEphemerals1208", ""},
	{"1382", "watches of dead connections stay", "pipeline.TestRequestsOfAClosedConnectionTakeEffect1382", ""},
	{"1277", "a counter overflows into the epoch", "peer.Test1277And2789And4883", ""},
	{"1090", "a snapshot beside transactions restores another tree", "tree.TestFuzzySnapshotAndReplayGiveTheSameTree1090", ""},
}

// issueNumber finds the numbers in a test's name.
var issueNumber = regexp.MustCompile(`S1|\d+`)

// TestCatalogue: every bug has a test with its number in its name, or a reason why not, and every number in a test's name
// is of a bug that the catalogue has.
func TestCatalogue(t *testing.T) {
	tests := testsBelow(t, "..")
	known := map[string]bool{}
	for _, bug := range catalogue {
		require.False(t, known[bug.id], "%s stands twice", bug.id)
		known[bug.id] = true
		require.NotEmpty(t, bug.summary, bug.id)
		require.NotEqual(t, bug.test == "", bug.none == "", "%s: a test or a reason", bug.id)
		if bug.test != "" {
			require.Contains(t, tests, bug.test, bug.id)
			require.Contains(t, issueNumber.FindAllString(bug.test, -1), bug.id)
		}
	}
	for _, test := range tests {
		for _, id := range issueNumber.FindAllString(test, -1) {
			if len(id) == 3 || len(id) == 4 {
				require.True(t, known[id], "%s: the catalogue does not have %s", test, id)
			}
		}
	}
}

// testsBelow are the tests below a directory, each with its package's directory.
func testsBelow(t *testing.T, root string) []string {
	var tests []string
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, declaration := range file.Decls {
			if function, is := declaration.(*ast.FuncDecl); is && function.Recv == nil && strings.HasPrefix(function.Name.Name, "Test") {
				tests = append(tests, filepath.Base(filepath.Dir(path))+"."+function.Name.Name)
			}
		}
		return nil
	}))
	slices.Sort(tests)
	return tests
}
