package sim

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFindCycle(t *testing.T) {
	vote := "1 → 2  vote: looking, leader 1, zxid <1,4>, round "
	for name, test := range map[string]struct{ lines, cycle []string }{
		"nothing":              {nil, nil},
		"too few turns":        {[]string{"a", "b", "a", "b"}, nil},
		"no cycle":             {[]string{"a", "b", "c", "d", "e", "f"}, nil},
		"one line":             {[]string{"x", "a", "a", "a"}, []string{"a"}},
		"behind a beginning":   {[]string{"x", "y", "a", "b", "a", "b", "a", "b"}, []string{"a", "b"}},
		"numbers rise":         {[]string{vote + "1", vote + "2", vote + "3"}, []string{vote + "3"}},
		"members are told":     {[]string{"1 → 2  x", "2 → 1  x", "3 → 1  x"}, nil},
		"leaders are told too": {[]string{"a  leader 1", "a  leader 2", "a  leader 3"}, nil},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, test.cycle, findCycle(test.lines)) })
	}
}

func TestACycleOfEachLinkIsFoundWhereTheyAreNotInStep(t *testing.T) {
	o := overheard{lines: strings.Split("1 → 2  a/2 → 1  c/1 → 2  b/2 → 1  c/2 → 1  c/1 → 2  a/1 → 2  b/1 → 2  a/2 → 1  c/1 → 2  b", "/")}
	require.Nil(t, findCycle(o.lines))
	require.Equal(t, "again and again, each on its own, 1 → 2  a / 1 → 2  b / 2 → 1  c", o.words())
}

// emptyWorld is one in which nothing happens yet.
func emptyWorld() *World { return newWorld(Draw(1, short), nil, false, memoryRecorder{}) }

func TestAnEndlessLoopOfWhichNothingIsToldIsALivelock(t *testing.T) {
	w := emptyWorld()
	var again func()
	again = func() { w.after(0, again) }
	w.after(time.Second, again)
	w.runTo(2 * time.Second)
	require.NotNil(t, w.violation)
	require.Equal(t, "no-livelock", w.violation.Guarantee)
	require.Contains(t, w.violation.Text, "events at one moment: nothing of which the transcript tells")
}

func TestAnEndlessLoopShowsItsCycle(t *testing.T) {
	w := emptyWorld()
	turn := 0
	var again func()
	again = func() {
		w.note(hashPacket, 1)
		if turn++; turn%2 == 0 {
			w.tell("1 → 2  ping %d", turn)
		} else {
			w.tell("2 → 1  pong %d", turn)
		}
		w.after(time.Microsecond, again)
	}
	again()
	w.runTo(2 * time.Second)
	require.NotNil(t, w.violation)
	require.Contains(t, w.violation.Text, "events in a second: again and again")
	require.Contains(t, w.violation.Text, "1 → 2  ping")
	require.Contains(t, w.violation.Text, "2 → 1  pong")
}

// The circular votes of ZOOKEEPER-1419 are shown as what they are.
func TestTheCycleOfCircularVotesIsShown(t *testing.T) {
	text, err := os.ReadFile("testdata/zookeeper-1419.sim")
	require.NoError(t, err)
	script, err := Parse(string(text))
	require.NoError(t, err)
	outcome := Replay(script, Observation{})
	require.Equal(t, "no-livelock", outcome.Violation.Guarantee)
	require.Contains(t, outcome.Violation.Text, "again and again")
	require.Contains(t, outcome.Violation.Text, "vote: LOOKING, leader 4")
	require.Contains(t, outcome.Violation.Text, "vote: LOOKING, leader 5")
}

// Members that never agree within the bound, but slowly, show their cycle too.
func TestASlowCycleIsShown(t *testing.T) {
	w := emptyWorld()
	var again func()
	again = func() {
		w.tell("member 1  gives up")
		w.after(time.Second, func() {
			w.tell("member 1  tries again")
			w.after(time.Second, again)
		})
	}
	again()
	w.stuck("quorum-serves", "members %v do not serve", []int{1, 2})
	require.Contains(t, w.violation.Text, "members [1 2] do not serve; what they do: again and again")
	require.Contains(t, w.violation.Text, "gives up")
	require.Contains(t, w.violation.Text, "tries again")
}
