package ensemble

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"ordeal/results/history"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestWhatIsToldOfAnEnd holds for both drivers: a member that ended though nobody asked has crashed, and
// so has one whose log holds the words of a bug, however it ended.
func TestWhatIsToldOfAnEnd(t *testing.T) {
	const earlier = "panic: of an earlier process\n"
	event := func(state history.State, text string) history.Event {
		return history.Event{Kind: history.Member, Member: 2, State: state, Text: text}
	}
	for name, c := range map[string]struct {
		log  string
		end  End
		want []history.Event
	}{
		"in order": {"serving\n", End{Asked: true, Implementation: Node},
			[]history.Event{event(history.Exited, "exit status 2")}},
		"by itself": {"serving\nlast words\n", End{Implementation: Node},
			[]history.Event{event(history.Crashed, "ended by itself (exit status 2); its last log lines:\nserving\nlast words")}},
		"a panic": {"panic: expected order\n", End{Implementation: Node}, []history.Event{
			event(history.Crashed, "its log has: panic: expected order"),
			event(history.Crashed, "ended by itself (exit status 2); its last log lines:\npanic: expected order")}},
		"a data race, before it was asked to end": {"WARNING: DATA RACE\nserving\n", End{Asked: true, Implementation: Node}, []history.Event{
			event(history.Crashed, "its log has: WARNING: DATA RACE"), event(history.Exited, "exit status 2")}},
		"a fatal error of an image": {"fatal error: all goroutines are asleep\n", End{Asked: true, Implementation: "image:ours"}, []history.Event{
			event(history.Crashed, "its log has: fatal error: all goroutines are asleep"), event(history.Exited, "exit status 2")}},
		"words of Go in a log of Java": {"panic: a znode's data\n", End{Asked: true, Implementation: Apache},
			[]history.Event{event(history.Exited, "exit status 2")}},
		"words in the middle of a line": {"client said panic: \n", End{Asked: true, Implementation: Node},
			[]history.Event{event(history.Exited, "exit status 2")}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), LogName)
			require.NoError(t, os.WriteFile(path, []byte(earlier+c.log), 0o644))
			c.end.Member, c.end.How, c.end.Log, c.end.LogFrom = 2, "exit status 2", path, int64(len(earlier))
			events, err := c.end.Events()
			require.NoError(t, err)
			require.Equal(t, c.want, events)
		})
	}
	events, err := End{Member: 2, Log: filepath.Join(t.TempDir(), "none"), How: "exit status 2"}.Events()
	require.ErrorContains(t, err, "log: ")
	require.Len(t, events, 1, "the end is told though its log is not there")
}

func TestOnlyTheEndOfALogIsQuoted(t *testing.T) {
	path := filepath.Join(t.TempDir(), LogName)
	text := strings.Repeat("early\n", 100) + strings.Repeat("x", 10*maxLineBytes) + "\n" + strings.Repeat("late\n", lastLines-1)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	_, last, err := ReadLog(path, 0)
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("x", maxLineBytes)+"\n"+strings.TrimSuffix(strings.Repeat("late\n", lastLines-1), "\n"), last)
}
