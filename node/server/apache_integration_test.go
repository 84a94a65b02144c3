//go:build integration

package server

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/freeport"
	"ordeal/node/internal/duel"
	"ordeal/node/store"
	"ordeal/node/tree"
)

// These tests ask whole servers the same as Apache ZooKeeper's, and compare what they say and what they
// leave on the disk.

// streamLength is how many requests the streams have together, and streamSeed what they are drawn from. The
// environment variable ORDEAL_STREAM asks for another length, and for a seed that is drawn itself.
const (
	streamLength = 200_000
	streamSeed   = 1
)

// How the streams share the length, in thousandths: the requests that are asked one at a time, and the others.
const (
	plainSingle, plainTogether   = 80, 520
	quotasSingle                 = 25
	memberSingle, memberTogether = 5, 120 // each of the streams that ensembles are asked
)

// streamFrom is the thousandth part of the length, and the seed.
func streamFrom(t *testing.T) (thousandth int, seed uint64) {
	t.Helper()
	text := os.Getenv("ORDEAL_STREAM")
	if text == "" {
		return streamLength / 1000, streamSeed
	}
	length, err := strconv.Atoi(text)
	require.NoError(t, err, "ORDEAL_STREAM is a number of requests")
	return length / 1000, uint64(rand.Uint32())
}

// twinConfig is a server's configuration with what duel sets for Apache's.
func twinConfig(t *testing.T, id int, more string) *Config {
	t.Helper()
	dir := t.TempDir()
	if id > 0 {
		writeFile(t, filepath.Join(dir, "myid"), strconv.Itoa(id)+"\n")
	}
	path := writeFile(t, filepath.Join(dir, "zoo.cfg"), fmt.Sprintf("tickTime=2000\ndataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\n"+
		"extendedTypesEnabled=true\n4lw.commands.whitelist=*\nmaxClientCnxns=0\nforceSync=no\nDigestAuthenticationProvider.superDigest=%s\n%s", dir, freeport.Take(t), duel.SuperDigest, more))
	config, err := LoadConfig(path, nil)
	require.NoError(t, err)
	return config
}

func TestIntegrationScriptAgainstApache(t *testing.T) {
	r := start(t, twinConfig(t, 0, ""))
	r.eventually(func() bool { return r.mode() == "standalone" }, "serving")
	duel.New(t, duel.TCP(t, duel.StartApache(t).Address), duel.TCP(t, r.clientAddress())).Script()
}

func TestIntegrationStreamAgainstApache(t *testing.T) {
	thousandth, seed := streamFrom(t)
	for _, c := range []struct {
		name, setting    string
		single, together int
	}{
		{"plain", "", plainSingle, plainTogether},
		// What is under way counts against a quota or not, so requests are asked one at a time.
		{"quotas enforced", "enforceQuota=true\n", quotasSingle, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			apache := duel.StartApache(t, c.setting)
			r := start(t, twinConfig(t, 0, c.setting))
			r.eventually(func() bool { return r.mode() == "standalone" }, "serving")
			d := duel.New(t, duel.TCP(t, apache.Address), duel.TCP(t, r.clientAddress()))
			d.Stream(seed, c.single*thousandth, c.together*thousandth)
			report(t, d, seed)
			apache.Kill()
			require.NoError(t, r.stop())
			sameDisk(t, d, apache.DataDir, r.config.DataDir)
		})
	}
}

// TestIntegrationEnsemblesAgainstApache asks ensembles: through a follower, through the leader, and through all members
// at the same time.
func TestIntegrationEnsemblesAgainstApache(t *testing.T) {
	thousandth, seed := streamFrom(t)
	for i, c := range []struct {
		name  string
		modes []string // those of the members that are asked
	}{
		{"follower", []string{"follower"}},
		{"leader", []string{"leader"}},
		{"spread", []string{"follower", "leader", "follower"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			followers, leader := duel.StartApacheEnsemble(t)
			theirs := map[string][]*duel.Apache{"follower": followers, "leader": {leader}}
			mine := map[string][]*running{}
			for _, r := range startTwins(t) {
				mode := r.mode()
				mine[mode] = append(mine[mode], r)
			}
			var d *duel.Duel
			apache, r := theirs[c.modes[0]][0], mine[c.modes[0]][0]
			for _, mode := range c.modes {
				a, o := duel.TCP(t, theirs[mode][0].Address), duel.TCP(t, mine[mode][0].clientAddress())
				theirs[mode], mine[mode] = theirs[mode][1:], mine[mode][1:]
				if d == nil {
					d = duel.New(t, a, o)
				} else {
					d.AddHome(a, o)
				}
			}
			d.KeepAwake(duel.TCP(t, leader.Address), duel.TCP(t, followers[0].Address), duel.TCP(t, followers[1].Address))
			seed := seed + uint64(i)
			d.Stream(seed, memberSingle*thousandth, memberTogether*thousandth)
			report(t, d, seed)
			apache.Kill()
			require.NoError(t, r.stop())
			sameDisk(t, d, apache.DataDir, r.config.DataDir)
		})
	}
}

// startTwins starts three members, with more lines in their zoo.cfg, and waits until they serve.
func startTwins(t *testing.T, more ...string) []*running {
	t.Helper()
	const members = 3
	lines := "initLimit=20\nsyncLimit=10\n" + strings.Join(more, "\n") + "\n"
	for id := 1; id <= members; id++ {
		lines += fmt.Sprintf("server.%d=127.0.0.1:%d:%d\n", id, freeport.Take(t), freeport.Take(t))
	}
	var all []*running
	for id := 1; id <= members; id++ {
		all = append(all, start(t, twinConfig(t, id, lines)))
	}
	for _, r := range all {
		r.eventually(func() bool { return slices.Contains([]string{"leader", "follower"}, r.mode()) }, "serving")
	}
	return all
}

func report(t *testing.T, d *duel.Duel, seed uint64) {
	t.Helper()
	t.Logf("seed %d: %d requests without a difference, but for those that are meant to be:", seed, d.Requests)
	for _, name := range slices.Sorted(maps.Keys(d.Allowed)) {
		t.Logf("  %s: %d", name, d.Allowed[name])
	}
}

// sameDisk compares what two servers would start with, and the times in it with those that their clients saw. That our tree is the one whose digests our server wrote,
// ReadDir makes sure. Apache's server foretells some digests wrong, and says so in its own log.
func sameDisk(t *testing.T, d *duel.Duel, apache, ours string) {
	t.Helper()
	theirs, err := store.ReadDir(apache, "")
	if wrong := (*store.DigestError)(nil); errors.As(err, &wrong) {
		t.Logf("Apache's digests are not those of its own tree: %v", wrong)
	} else {
		require.NoError(t, err)
	}
	mine, err := store.ReadDir(ours, "")
	require.NoError(t, err)
	expected, found := normalised(t, d, duel.OfApache, theirs.Tree), normalised(t, d, duel.Ours, mine.Tree)
	for i := range min(len(expected), len(found)) {
		require.Equal(t, expected[i], found[i])
	}
	require.Equal(t, len(expected), len(found), "the number of znodes")
}

// normalised lists a tree's znodes without what differs between any two ensembles.
func normalised(t *testing.T, d *duel.Duel, side int, from *tree.Tree) []string {
	t.Helper()
	var lines []string
	from.Walk(func(path string, znode tree.Znode) bool {
		if path == "/zookeeper/config" {
			return true // each server fills it in when it serves
		}
		owner := znode.Stat.EphemeralOwner
		stat, err := d.Stored(side, znode.Stat, from.IsEphemeral(owner) && owner != 0)
		require.NoError(t, err, "%s on disk", path)
		duel.SortACL(znode.ACL)
		lines = append(lines, fmt.Sprintf("%s %x %t %v %+v", path, znode.Data, znode.Data == nil, znode.ACL, stat))
		return true
	})
	require.NoError(t, d.TimesInOrder(side))
	const counter = 0xffffffff
	return append(lines, fmt.Sprint("last zxid ", from.LastZxid()&counter), fmt.Sprint(len(from.Sessions()), " sessions"))
}
