package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/freeport"
	"ordeal/node/jute"
)

// get asks one of the HTTP ports, without keeping the connection.
func get(t *testing.T, r *running, port int, path string) (status int, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	var response *http.Response
	r.eventually(func() bool {
		var err error
		response, err = client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
		return err == nil
	}, "an answer")
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(content)
}

// withAdmin is a standalone configuration with an AdminServer.
func withAdmin(t *testing.T) (*Config, int) {
	t.Helper()
	port := freeport.Take(t)
	return standaloneConfig(t, fmt.Sprintf("admin.enableServer=true\nadmin.serverAddress=127.0.0.1\nadmin.serverPort=%d\n", port), nil), port
}

func TestAdminServer(t *testing.T) {
	config, port := withAdmin(t)
	config.Properties["zookeeper.ssl.keyStore.password"] = "secret"
	r := start(t, config)
	tcp := connect(t, r)
	write(t, tcp, ask(1, jute.OpCreate, createRequest("/mine", ephemeral)), ask(2, jute.OpGetData, pathAndWatch("/mine", 1)))
	readFrame(t, tcp)
	readFrame(t, tcp)

	status, links := get(t, r, port, "/commands")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, links, "<a href=\"/commands/server_stats\">server_stats</a>\n<br/>\n")
	require.Equal(t, len(adminCommands), strings.Count(links, "<a href"))

	// The keys were seen on Apache's server.
	for path, want := range map[string]string{
		"ruok":                         `{"command":"ruok","error":null}`,
		"nonsense":                     `{"command":"nonsense","error":"Unknown command: nonsense"}`,
		"isro":                         `{"read_only":false,"command":"is_read_only","error":null}`,
		"lead":                         `{"error":"server is not initialized","command":"leader"}`,
		"obsr":                         `{"synced_observers":0,"observers":[],"command":"observers","error":null}`,
		"hash":                         `{"digests":[],"command":"hash","error":null}`,
		"gtmk":                         `{"tracemask":306,"command":"get_trace_mask","error":null}`,
		"stmk":                         `{"error":"setTraceMask requires long traceMask argument","command":"set_trace_mask"}`,
		"set_trace_mask?traceMask=306": `{"tracemask":306,"command":"set_trace_mask","error":null}`,
		"voting_view":                  `{"current_config":{},"command":"voting_view","error":null}`,
		"zabstate":                     `{"voting":false,"zabstate":"","command":"zabstate","error":null}`,
		"watch_summary":                `{"num_connections":1,"num_paths":1,"num_total_watches":1,"command":"watch_summary","error":null}`,
		"watches_by_path":              `{"path_to_session_ids":{"/mine":[`,
		"watches":                      `{"session_id_to_watched_paths":{"`,
		"dump":                         `{"expiry_time_to_session_ids":{"`,
		"connections":                  `{"connections":[{"remote_socket_address":"` + tcp.LocalAddr().String() + `","interest_ops":1,"outstanding_requests":0,"packets_received":3,"packets_sent":3,"session_id":`,
		"last_snapshot":                `{"zxid":"0","timestamp":`,
		"configuration":                fmt.Sprintf(`{"client_port":%d,"data_dir":"%s/version-2",`, config.ClientPort, config.DataDir),
		"icfg":                         `{"initial_configuration":"tickTime=200\n`,
		"server_stats":                 `{"version":"3.8.0-`,
		"stats":                        `{"version":"3.8.0-`,
		"monitor":                      `{"version":"3.8.0-`,
		"env":                          `{"zookeeper.version":"3.8.0-`,
	} {
		t.Run(path, func(t *testing.T) {
			status, body := get(t, r, port, "/commands/"+path)
			require.Equal(t, http.StatusOK, status)
			require.True(t, json.Valid([]byte(body)), body)
			require.True(t, strings.HasPrefix(compact(body), want), "%s\ninstead of\n%s", compact(body), want)
		})
	}
	_, body := get(t, r, port, "/commands/sysp")
	require.NotContains(t, body, "secret")
	require.Contains(t, body, `"zookeeper.ssl.keyStore.password": "***"`)
	status, _ = get(t, r, port, "/")
	require.Equal(t, http.StatusNotFound, status)
	response, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/commands/srst", port), "text/plain", nil)
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
	http.DefaultClient.CloseIdleConnections()
}

// compact takes the spaces and line ends out of a JSON text, but for those in strings.
func compact(text string) string {
	var out strings.Builder
	inString := false
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '"' && (i == 0 || text[i-1] != '\\') {
			inString = !inString
		}
		if inString || (c != ' ' && c != '\n') {
			out.WriteByte(c)
		}
	}
	return out.String()
}

// Monitoring is no reason not to serve.
func TestAdminPortThatIsTaken(t *testing.T) {
	config, port := withAdmin(t)
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	require.NoError(t, err)
	defer listener.Close()
	r := start(t, config)
	require.Equal(t, "standalone", r.mode())
	r.logs("serving without the AdminServer")
}

func TestAdminServerOfAMemberThatDoesNotServe(t *testing.T) {
	config := ensembleConfigs(t, 3)[0]
	port := freeport.Take(t)
	config.tuning.admin = httpPort{enabled: true, host: "127.0.0.1", port: int64(port)}
	r := start(t, config)
	_, body := get(t, r, port, "/commands/stat")
	require.Equal(t, `{"command":"stat","error":"This ZooKeeper instance is not currently serving requests"}`, compact(body))
	_, body = get(t, r, port, "/commands/zabstate")
	require.Contains(t, compact(body), `"voting":true,"last_zxid":"0x0","zab_epoch":0,"zab_counter":0,"zabstate":"election"`)
}

func TestPrometheus(t *testing.T) {
	port := freeport.Take(t)
	r := start(t, standaloneConfig(t, fmt.Sprintf(
		"metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider\nmetricsProvider.httpHost=127.0.0.1\nmetricsProvider.httpPort=%d\n", port), nil))
	tcp := connect(t, r)
	write(t, tcp, ask(1, jute.OpCreate, createRequest("/mine", ephemeral)))
	readFrame(t, tcp)
	_, body := get(t, r, port, "/metrics")
	for _, line := range []string{
		"\nznode_count 6\n", "\n# TYPE znode_count gauge\n", "\nephemerals_count 1\n", "\nconnection_request_count 1\n",
		"\nupdatelatency_count 2\n", "\nupdatelatency{quantile=\"0.99\"} ", "\n# TYPE fsynctime summary\n", "\nprocess_resident_memory_bytes ",
	} {
		require.Contains(t, "\n"+body, line)
	}
}

func TestMetricsPortThatIsTaken(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).Port
	config := standaloneConfig(t, fmt.Sprintf("metricsProvider.httpHost=127.0.0.1\nmetricsProvider.httpPort=%d\n", port), nil)
	require.ErrorContains(t, start(t, config).wait(), "cannot open the metricsProvider.httpPort port")
}
