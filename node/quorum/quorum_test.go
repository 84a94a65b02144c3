package quorum

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func mustParse(t require.TestingT, text string) *Config {
	config, err := Parse(text)
	require.NoError(t, err)
	return config
}

func TestServerLines(t *testing.T) {
	for _, test := range []struct {
		line string
		want Server
	}{
		{"h:1:2", Server{Host: "h", QuorumPort: 1, ElectionPort: 2}},
		{"h:1:2:participant", Server{Host: "h", QuorumPort: 1, ElectionPort: 2}},
		{"h:1:2:OBSERVER", Server{Host: "h", QuorumPort: 1, ElectionPort: 2, Role: Observer}},
		{"h:1:2;3", Server{Host: "h", QuorumPort: 1, ElectionPort: 2, ClientHost: "0.0.0.0", ClientPort: 3}},
		{"h:1:2:observer;c:3", Server{Host: "h", QuorumPort: 1, ElectionPort: 2, Role: Observer, ClientHost: "c", ClientPort: 3}},
		{"[::1]:1:2;[::2]:3", Server{Host: "::1", QuorumPort: 1, ElectionPort: 2, ClientHost: "::2", ClientPort: 3}},
	} {
		t.Run(test.line, func(t *testing.T) {
			got, err := parseServer(0, test.line)
			require.NoError(t, err)
			require.Equal(t, test.want, got)
			again, err := parseServer(0, got.String())
			require.NoError(t, err)
			require.Equal(t, got, again)
		})
	}
}

func TestBadMembershipIsNamed(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"server.1=h:1", "want host:quorumPort:electionPort"},
		{"server.1=h:1:2:3:4", "want host:quorumPort:electionPort"},
		{"server.1=:1:2", "want host:quorumPort:electionPort"},
		{"server.1=h:0:2", `port "0"`},
		{"server.1=h:1:65536", `port "65536"`},
		{"server.1=h:1:2:king", "neither participant nor observer"},
		{"server.1=h:1:2;x:y:z", "is not [host:]port"},
		{"server.1=[::1:1:2", "want [IPv6]:port"},
		{"server.1=a:1:2|b:1:2", "not supported"},
		{"server.x=h:1:2", "is not a number"},
		{"server.256=h:1:2", "between 0 and 255"},
		{"server.1=h:1:2\nserver.1=h:3:4", "line 2: server.1=h:3:4: server 1 is named twice"},
		{"server.1=h:1:2:observer", "only observers"},
		{"server.1=h:1:2\nversion=zz", "hexadecimal"},
		{"server.1=h:1:2\ncolour=red", "unknown key"},
		{"server.1=h:1:2\nnonsense", "key=value"},
		{"server.1=h:1:2\ngroup.1=1:2", "server 2 is not a participant"},
		{"server.1=h:1:2\ngroup.1=1\ngroup.2=1", "already in group 1"},
		{"server.1=h:1:2\nserver.2=h:3:4\ngroup.1=1", "must be in a group"},
		{"server.1=h:1:2\nweight.1=2", "without any group"},
		{"server.1=h:1:2\ngroup.1=1\nweight.1=-2", "0 or more"},
		{"server.1=h:1:2\ngroup.1=1\nweight.1=0", "all weights are 0"},
	} {
		t.Run(test.text, func(t *testing.T) {
			_, err := Parse(test.text)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestTextIsCanonical(t *testing.T) {
	config := mustParse(t, "version=1f\nserver.3=c:1:2:observer\n# comment\n\nserver.2=b:1:2\nserver.1=a:1:2;3\n")
	require.Equal(t, "server.1=a:1:2:participant;0.0.0.0:3\nserver.2=b:1:2:participant\nserver.3=c:1:2:observer\nversion=1f", config.String())
	require.Equal(t, []int64{1, 2}, config.Voters())
	require.Equal(t, []int64{3}, config.Observers())
	require.Equal(t, config, mustParse(t, config.String()))

	_, found := config.Server(4)
	require.False(t, found)
}

func TestMajority(t *testing.T) {
	verifier := mustParse(t, "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nserver.4=d:1:2\nserver.9=o:1:2:observer").Verifier()
	require.False(t, verifier.ContainsQuorum(nil))
	require.False(t, verifier.ContainsQuorum(Set{1, 2}), "half is not a majority")
	require.False(t, verifier.ContainsQuorum(Set{1, 2, 9}), "observers do not count")
	require.True(t, verifier.ContainsQuorum(Set{1, 2, 4}))
	require.EqualValues(t, 1, verifier.Weight(1))
	require.EqualValues(t, 0, verifier.Weight(9))
}

func TestHierarchy(t *testing.T) {
	text := ""
	for _, id := range "123456789" {
		text += "server." + string(id) + "=h:1:2\n"
	}
	config := mustParse(t, text+"group.1=1:2:3\ngroup.2=4:5:6\ngroup.3=7:8:9\nweight.1=3\nweight.7=0\nweight.8=0\nweight.9=0\n")
	verifier := config.Verifier()
	// Group 3 has no weight: both other groups are needed, since one of two is not more than half.
	require.True(t, verifier.ContainsQuorum(Set{1, 4, 5}))
	require.False(t, verifier.ContainsQuorum(Set{2, 3, 4, 5, 6}), "2 and 3 weigh 2 of 5")
	require.False(t, verifier.ContainsQuorum(Set{1, 2, 3, 7, 8, 9}))
	require.EqualValues(t, 3, verifier.Weight(1))
	require.EqualValues(t, 0, verifier.Weight(7))
	require.Equal(t, config.String(), mustParse(t, config.String()).String())
}

// Any two quorums meet: otherwise two halves of an ensemble could decide differently.
func TestQuorumsIntersect(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var builder Builder
		add := func(key, value string) {
			_, err := builder.Add(key, value)
			require.NoError(t, err)
		}
		count := rapid.IntRange(1, 9).Draw(t, "servers")
		grouped := rapid.Bool().Draw(t, "grouped")
		members := map[int]string{}
		for id := 1; id <= count; id++ {
			n := string(rune('0' + id))
			add("server."+n, "h:1:2")
			if grouped {
				group := rapid.IntRange(1, 3).Draw(t, "group")
				if members[group] != "" {
					members[group] += ":"
				}
				members[group] += n
				add("weight."+n, string(rune('0'+rapid.IntRange(0, 3).Draw(t, "weight"))))
			}
		}
		for group := 1; group <= 3; group++ {
			if members[group] != "" {
				add("group."+string(rune('0'+group)), members[group])
			}
		}
		config, err := builder.Config()
		if err != nil {
			t.Skip("all weights are 0")
		}
		verifier := config.Verifier()
		var inside, outside Set
		for _, id := range config.Voters() {
			if rapid.Bool().Draw(t, "side") {
				inside.Add(id)
			} else {
				outside.Add(id)
			}
		}
		require.False(t, verifier.ContainsQuorum(inside) && verifier.ContainsQuorum(outside), "both halves of %s are quorums", config)
		for _, id := range outside {
			inside.Add(id)
		}
		require.True(t, verifier.ContainsQuorum(inside), "all servers of %s must be a quorum", config)
	})
}

func FuzzParse(f *testing.F) {
	f.Add("server.1=a:1:2;3\nserver.2=[::1]:1:2:observer\ngroup.1=1\nweight.1=2\nversion=1f")
	f.Fuzz(func(t *testing.T, text string) {
		config, err := Parse(text)
		if err != nil {
			return
		}
		require.Equal(t, config.String(), mustParse(t, config.String()).String())
	})
}
