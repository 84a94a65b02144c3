package server

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/jute"
)

// createRequest is the body of create for a znode that anyone may do anything with.
func createRequest(path string, flags int32) []byte {
	acl := concat(integer(1), integer(31), integer(5), []byte("world"), integer(6), []byte("anyone"))
	return concat(integer(int32(len(path))), []byte(path), integer(0), acl, integer(flags))
}

const ephemeral = 1

// The words that list what sessions have, in the form that was seen on Apache's server.
func TestWordsAboutSessions(t *testing.T) {
	r := start(t, standaloneConfig(t, "", nil))
	tcp := r.dial(r.clientAddress())
	write(t, tcp, connectRequest(4000))
	session := fmt.Sprintf("0x%x", binary.BigEndian.Uint64(readFrame(t, tcp)[8:]))
	for xid, request := range [][]byte{
		createRequest("/kept", 0), createRequest("/kept/mine", ephemeral), createRequest("/mine", ephemeral),
	} {
		write(t, tcp, ask(int32(xid+1), jute.OpCreate, request))
		require.Zero(t, binary.BigEndian.Uint32(readFrame(t, tcp)[12:]), "the error code")
	}
	write(t, tcp, ask(10, jute.OpGetData, pathAndWatch("/mine", 1)), ask(11, jute.OpExists, pathAndWatch("/none", 1)),
		ask(12, jute.OpGetChildren, pathAndWatch("/kept", 1)))
	for range 3 {
		readFrame(t, tcp)
	}
	const date = `\w{3} \w{3} \d\d \d\d:\d\d:\d\d \w+ \d{4}`
	client := regexp.QuoteMeta(tcp.LocalAddr().String())
	require.Regexp(t, `^SessionTracker dump:
Session Sets \(1\)/\(1\):
1 expire at `+date+`:
	`+session+`
ephemeral nodes dump:
Sessions with Ephemerals \(1\):
`+session+`:
	/kept/mine
	/mine
Connections dump:
Connections Sets \(\d\)/\(\d\):
(\d expire at `+date+`:
(	ip: /127\.0\.0\.1:\d+ sessionId: 0x\w+
)+)+$`, r.word("dump"))
	require.Regexp(t, `\tip: /`+client+` sessionId: `+session+`\n`, r.word("dump"))
	require.Equal(t, "1 connections watching 2 paths\nTotal watches:2\n", r.word("wchs"), "watches on znodes only, as Apache counts")
	require.Equal(t, session+"\n\t/mine\n\t/none\n\n", r.word("wchc"))
	require.Equal(t, "/mine\n\t"+session+"\n/none\n\t"+session+"\n\n", r.word("wchp"))

	tcp.Close()
	r.eventually(func() bool { return r.word("wchs") == "0 connections watching 0 paths\nTotal watches:0\n" }, "watches end with their connection")
	require.Equal(t, "\n", r.word("wchc"))
}

func TestDigestsOfPastZxids(t *testing.T) {
	r := start(t, standaloneConfig(t, "", nil))
	require.Empty(t, r.word("hash"))
	tcp := connect(t, r)
	for xid := range int32(130) {
		write(t, tcp, ask(xid+1, jute.OpCreate, createRequest("/n"+strings.Repeat("x", int(xid)), 0)))
		readFrame(t, tcp)
	}
	require.Regexp(t, `^80: -?\d+\n$`, r.word("hash"))
}

func TestTraceMask(t *testing.T) {
	r := start(t, standaloneConfig(t, "", nil))
	require.Equal(t, "306", r.word("gtmk"))
	require.Equal(t, "258", r.word("stmk\x00\x00\x00\x00\x00\x00\x01\x02"))
	require.Equal(t, "258", r.word("gtmk"))
}

// Followers do not know when sessions expire: they show their timeouts.
func TestDumpOfAFollower(t *testing.T) {
	t.Parallel()
	var members []*running
	for _, config := range ensembleConfigs(t, 3) {
		members = append(members, start(t, config))
	}
	for _, r := range members {
		r.eventually(func() bool { return r.mode() == "leader" || r.mode() == "follower" }, "a role")
	}
	for _, r := range members {
		tcp := r.dial(r.clientAddress())
		write(t, tcp, connectRequest(4000))
		session := fmt.Sprintf("0x%x", binary.BigEndian.Uint64(readFrame(t, tcp)[8:]))
		dump := r.word("dump")
		if r.mode() == "leader" {
			require.Regexp(t, `^SessionTracker dump:\nSession Sets \(\d\)/\(\d\):\n`, dump)
			require.Regexp(t, "zk_synced_followers\t2\n", r.word("mntr"))
			require.Regexp(t, "zk_quorum_size\t3\n", r.word("mntr"))
			require.Regexp(t, "zk_peer_state\tleading - broadcast\n", r.word("mntr"))
			require.Regexp(t, `zk_leader_uptime\t\d+\n`, r.word("mntr"))
			continue
		}
		require.Regexp(t, `^SessionTracker dump:\nGlobal Sessions\(\d\):\n(0x\w+\t4000ms\n)+`, dump)
		require.Contains(t, dump, "\n"+session+"\t4000ms\n")
		require.NotContains(t, r.word("mntr"), "zk_synced_followers")
	}
}
