//go:build integration

package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"ordeal/node/freeport"
	"ordeal/node/internal/duel"
)

// side is a server that is compared with another one.
type side struct {
	address string
	admin   int // port, 0 for none
}

// unpinged is a session time-out so long that a client need not ping while its server is asked: a ping would show
// as the last operation.
const unpinged = 40 * time.Second // the longest that Apache's server grants with its usual ticks

// occupy gives a server something to show: znodes, an ephemeral one, watches and digests.
func (s side) occupy(t *testing.T, path string) {
	t.Helper()
	c, _, err := zk.Connect([]string{s.address}, unpinged, zk.WithLogger(silent{}))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	retry(t, func() error {
		_, err := c.Create(path, nil, 0, open)
		return err
	})
	_, err = c.Create(path+"/mine", nil, zk.FlagEphemeral, open)
	require.NoError(t, err)
	for range 140 {
		_, err = c.Set(path, []byte("x"), -1)
		require.NoError(t, err)
	}
	_, _, _, err = c.GetW(path)
	require.NoError(t, err)
	_, _, _, err = c.ExistsW(path + "none")
	require.NoError(t, err)
	_, _, _, err = c.ChildrenW(path)
	require.NoError(t, err)
}

func (s side) word(t *testing.T, word string) string {
	t.Helper()
	conn, err := net.Dial("tcp", s.address)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = conn.Write([]byte(word))
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	return string(answer)
}

// What differs from server to server and from run to run.
var normalisers = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`(?m)^0 expire at .*\n`), ""}, // Apache shows sets that are empty
	{regexp.MustCompile(`Zookeeper version: .*`), "VERSION"},
	{regexp.MustCompile(`\w{3} \w{3} \d\d \d\d:\d\d:\d\d \w+ \d{4}`), "DATE"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDRESS"},
	{regexp.MustCompile(`/[^=\n]*/version-2`), "DIRECTORY"},
	{regexp.MustCompile(`0x[0-9a-f]+`), "HEX"},
	{regexp.MustCompile(`(?m)^[0-9a-f]+: -?\d+$`), "ZXID: DIGEST"},
	{regexp.MustCompile(`-?\d+(\.\d+)?`), "N"},
}

// plain is a text without what may differ, and its lines sorted and told once: Apache's order is that
// of hash tables.
func plain(text string) string {
	for _, n := range normalisers {
		text = n.pattern.ReplaceAllString(text, n.by)
	}
	lines := strings.Split(text, "\n")
	sort.Strings(lines)
	return strings.Join(slices.Compact(lines), "\n")
}

var comparedWords = []string{
	"ruok", "isro", "gtmk", "srvr", "stat", "cons", "conf", "dirs", "dump", "wchs", "wchc", "wchp", "hash",
	"stmk\x00\x00\x00\x00\x00\x00\x00\x01", "crst", "srst",
}

func compareWords(t *testing.T, apache, ours side) {
	t.Helper()
	for _, word := range comparedWords {
		t.Run(word[:4], func(t *testing.T) {
			require.Equal(t, plain(apache.word(t, word)), plain(ours.word(t, word)))
		})
	}
	t.Run("mntr", func(t *testing.T) { require.Equal(t, mntrKeys(apache.word(t, "mntr")), mntrKeys(ours.word(t, "mntr"))) })
	t.Run("envi", func(t *testing.T) {
		theirs := apache.word(t, "envi")
		for _, line := range strings.Split(strings.TrimSpace(ours.word(t, "envi")), "\n") {
			if key, _, found := strings.Cut(line, "="); found && key != "go.version" {
				require.Contains(t, theirs, "\n"+key+"=")
			}
		}
	})
}

// mntrKeys are the keys of mntr, but for those of single namespaces and learners.
func mntrKeys(text string) []string {
	single := regexp.MustCompile(`_per_namespace|_learner_handler_qp_`)
	var keys []string
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if key, _, _ := strings.Cut(line, "\t"); !single.MatchString(key) {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	return keys
}

// shape is a JSON value without what may differ: its keys, and the kinds of its values.
func shape(value any) any {
	switch v := value.(type) {
	case map[string]any:
		keys := map[string]any{}
		for key, inner := range v {
			if list, isList := inner.([]any); isList && len(list) == 0 && regexp.MustCompile(`^\d+$`).MatchString(key) {
				continue // a set that is empty
			}
			keys[plain(key)] = shape(inner)
		}
		return keys
	case []any:
		if len(v) == 0 {
			return []any{}
		}
		return []any{shape(v[0])}
	case float64:
		return "number"
	case string:
		return "text"
	default:
		return v
	}
}

// notCompared are commands that show what only one of the servers has.
var notCompared = []string{"environment", "system_properties", "monitor", "set_trace_mask"}

func compareCommands(t *testing.T, apache, ours side) {
	t.Helper()
	ask := func(s side, name string) (value any) {
		response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/commands/%s", s.admin, name))
		require.NoError(t, err)
		defer response.Body.Close()
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Equal(t, "application/json", response.Header.Get("Content-Type"))
		require.NoError(t, json.NewDecoder(response.Body).Decode(&value))
		return shape(value)
	}
	defer http.DefaultClient.CloseIdleConnections()
	for _, name := range append(adminNames(), "nonsense") {
		if !slices.Contains(notCompared, name) {
			t.Run(name, func(t *testing.T) { require.Equal(t, ask(apache, name), ask(ours, name)) })
		}
	}
}

func adminLines(port int) string {
	return fmt.Sprintf("admin.enableServer=true\nadmin.serverAddress=127.0.0.1\nadmin.serverPort=%d\n", port)
}

func TestIntegrationWordsAndCommandsAgainstApache(t *testing.T) {
	apache, ours := side{admin: freeport.Take(t)}, side{admin: freeport.Take(t)}
	apache.address = duel.StartApache(t, strings.Split(strings.TrimSpace(adminLines(apache.admin)), "\n")...).Address
	config := standaloneConfig(t, adminLines(ours.admin), nil)
	config.SessionTimeoutMax = unpinged
	r := start(t, config)
	ours.address = r.clientAddress()
	apache.occupy(t, "/a")
	ours.occupy(t, "/a")
	t.Run("commands", func(t *testing.T) {
		duel.NeedAdminServer(t)
		compareCommands(t, apache, ours)
	})
	compareWords(t, apache, ours)
}

func TestIntegrationWordsOfMembersAgainstApache(t *testing.T) {
	followers, leader := duel.StartApacheEnsemble(t)
	follower := followers[0]
	var members []*running
	for _, config := range ensembleConfigs(t, 3) {
		config.SessionTimeoutMax = unpinged
		members = append(members, start(t, config))
	}
	var ourFollower, ourLeader side
	for _, r := range members {
		r.eventually(func() bool { return r.mode() == "leader" || r.mode() == "follower" }, "a role")
		if r.mode() == "leader" {
			ourLeader = side{address: r.clientAddress()}
		} else {
			ourFollower = side{address: r.clientAddress()}
		}
	}
	for _, role := range []struct {
		name         string
		apache, ours side
	}{
		{"leader", side{address: leader.Address}, ourLeader}, {"follower", side{address: follower.Address}, ourFollower},
	} {
		t.Run(role.name, func(t *testing.T) {
			role.apache.occupy(t, "/"+role.name)
			role.ours.occupy(t, "/"+role.name)
			compareWords(t, role.apache, role.ours)
		})
	}
}
