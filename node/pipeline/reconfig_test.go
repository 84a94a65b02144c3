package pipeline

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
	"ordeal/node/quorum"
	"ordeal/node/tree"
)

const threeServers = "server.1=a:2888:3888:participant;2181\nserver.2=b:2888:3888:participant;2181\nserver.3=c:2888:3888:participant;2181\nversion=100000000"

func membershipOf(t *testing.T, text string) *quorum.Config {
	t.Helper()
	membership, err := quorum.Parse(text)
	require.NoError(t, err)
	return membership
}

// reconfigWorld is a leader of three servers, with a client that may do everything.
func reconfigWorld(t *testing.T, configure ...func(*Config)) (*world, *testClient) {
	w := newWorld(t, append([]func(*Config){func(c *Config) {
		c.Role, c.Reconfig, c.StandaloneEnabled, c.SkipACL = Leader, true, true, true
	}}, configure...)...)
	w.membership = membershipOf(t, threeServers)
	w.lastSeen = w.membership
	w.tree.SetConfig([]byte(threeServers), w.membership.Version, 0)
	return w, w.connect()
}

func TestReconfigIsRefused(t *testing.T) {
	joinFour := jute.ReconfigRequest{JoiningServers: "server.4=d:2888:3888;2181", CurConfigID: -1}
	tests := []struct {
		name      string
		configure func(*Config)
		prepare   func(*world)
		request   jute.ReconfigRequest
		want      jute.Code
	}{
		{"disabled", func(c *Config) { c.Reconfig = false }, nil, joinFour, jute.ReconfigDisabled},
		{"standalone", func(c *Config) { c.Role = Standalone }, nil, joinFour, jute.Unimplemented},
		{"under way", nil, func(w *world) { w.lastSeen = w.membership.WithVersion(1<<32 + 5) }, joinFour, jute.ReconfigInProgress},
		{"another version", nil, nil, jute.ReconfigRequest{JoiningServers: joinFour.JoiningServers, CurConfigID: 7}, jute.BadVersion},
		{"no quorum of the new membership", nil, func(w *world) { w.unsynced = true }, joinFour, jute.NewConfigNoQuorum},
		{"no right", func(c *Config) { c.SkipACL = false }, nil, joinFour, jute.NoAuth},
		{"no client port", nil, nil, jute.ReconfigRequest{JoiningServers: "server.4=d:2888:3888", CurConfigID: -1}, jute.BadArguments},
		{"no equals sign", nil, nil, jute.ReconfigRequest{JoiningServers: "server.4", CurConfigID: -1}, jute.BadArguments},
		{"an address that is taken", nil, nil, jute.ReconfigRequest{JoiningServers: "server.4=a:2888:3999;2181", CurConfigID: -1}, jute.BadArguments},
		{"who leaves is not a number", nil, nil, jute.ReconfigRequest{LeavingServers: "three", CurConfigID: -1}, jute.MarshallingError},
		{"one voter is left", nil, nil, jute.ReconfigRequest{LeavingServers: "2,3", CurConfigID: -1}, jute.BadArguments},
		{"an unknown key", nil, nil, jute.ReconfigRequest{NewMembers: "server.1=a:2888:3888;2181,tickTime=5", CurConfigID: -1}, jute.BadArguments},
		{"incremental with groups", nil, func(w *world) {
			w.membership = membershipOf(w.t, threeServers+"\ngroup.1=1:2:3")
			w.lastSeen = w.membership
		}, joinFour, jute.BadArguments},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			configure := test.configure
			if configure == nil {
				configure = func(*Config) {}
			}
			w, c := reconfigWorld(t, configure)
			if test.prepare != nil {
				test.prepare(w)
			}
			require.Equal(t, test.want, c.ask(jute.OpReconfig, test.request, nil))
		})
	}
}

func TestReconfig(t *testing.T) {
	tests := map[string]struct {
		request jute.ReconfigRequest
		members string
	}{
		"join":          {jute.ReconfigRequest{JoiningServers: "server.4=d:2888:3888;2181,server.5=e:2888:3888:observer;2181"}, "1v 2v 3v 4v 5o"},
		"change a role": {jute.ReconfigRequest{JoiningServers: "server.3=c:2888:3888:observer;2181"}, "1v 2v 3o"},
		"leave":         {jute.ReconfigRequest{LeavingServers: "3,9"}, "1v 2v"},
		"both":          {jute.ReconfigRequest{JoiningServers: "server.4=d:2888:3888;2181", LeavingServers: "1"}, "2v 3v 4v"},
		"replace":       {jute.ReconfigRequest{NewMembers: "server.1=a:2888:3888;2181,server.9=z:2888:3888;2181"}, "1v 9v"},
		"groups":        {jute.ReconfigRequest{NewMembers: "server.1=a:1:2;3\nserver.2=b:1:2;3\ngroup.1=1\ngroup.2=2\nweight.2=0"}, "1v 2v"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w, c := reconfigWorld(t)
			test.request.CurConfigID = w.membership.Version
			var response jute.ReconfigResponse
			require.Equal(t, jute.Ok, c.ask(jute.OpReconfig, test.request, &response))
			header, txn, digest := w.lastTxn()
			require.Equal(t, jute.OpReconfig, header.Type)
			require.NotNil(t, digest)
			require.Equal(t, tree.ConfigPath, txn.(*jute.SetDataTxn).Path)
			members := ""
			for _, server := range w.membership.Servers {
				role := "v"
				if server.Role == quorum.Observer {
					role = "o"
				}
				members += " " + string(rune('0'+server.ID)) + role
			}
			require.Equal(t, " "+test.members, members)
			require.Equal(t, header.Zxid, w.membership.Version, "the zxid is the version")
			require.Equal(t, w.membership.String(), string(response.Data))
			require.Equal(t, header.Zxid, response.Stat.Mzxid)
			require.EqualValues(t, -1, response.Stat.Version)
			text, _, _ := w.tree.GetData(tree.ConfigPath)
			require.Equal(t, response.Data, text)
		})
	}
}
