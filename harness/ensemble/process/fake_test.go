package process

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"ordeal/harness/ensemble"
)

// The test program itself plays two other programs: the member of an ensemble, started as our node is,
// and a harness that starts an ensemble and is then killed.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "node":
		fakeMember(os.Args[2 : len(os.Args)-1])
	case len(os.Args) > 2 && os.Args[1] == "harness":
		fakeHarness(os.Args[2])
	default:
		goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
			for _, clean := range cleanups {
				clean()
			}
			os.Exit(code)
		}))
	}
}

// cleanups run after the last test.
var cleanups []func()

// fakeMember runs until it is told to end. A file in its directory says how it misbehaves.
func fakeMember(properties []string) {
	fmt.Println("running with", properties)
	behaviour, _ := os.ReadFile("behaviour")
	switch string(behaviour) {
	case "crash":
		fmt.Println("last words")
		os.Exit(7)
	case "panic":
		panic("expected order, found chaos")
	case "race":
		fmt.Println("==================\nWARNING: DATA RACE\nWrite at 0x00c0000a0000")
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	}
	if string(behaviour) != "stubborn" {
		terminated := make(chan os.Signal, 1)
		signal.Notify(terminated, syscall.SIGTERM)
		fmt.Println("ready")
		<-terminated
		fmt.Println("ended in order")
		return
	}
	fmt.Println("ready")
	for {
		time.Sleep(time.Hour)
	}
}

// fakeHarness starts three members and waits for its own end.
func fakeHarness(dir string) {
	_, err := Start(background, fakeSpec(dir, 3))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("started")
	for {
		time.Sleep(time.Hour)
	}
}

func fakeSpec(dir string, members int) ensemble.Spec {
	spec := ensemble.Spec{
		Run: "fake", Dir: dir, Binary: os.Args[0],
		TickTime: 500 * time.Millisecond, InitLimit: 10, SyncLimit: 5,
	}
	for range members {
		spec.Implementations = append(spec.Implementations, ensemble.Node)
	}
	return spec
}

func startFake(t *testing.T, members int) *recorded {
	t.Helper()
	r := startRecorded(t, fakeSpec(t.TempDir(), members))
	for id := 1; id <= members; id++ {
		r.logHas(id, "ready")
	}
	return r
}

// behave tells a fake member how to behave from its next start.
func (r *recorded) behave(id int, how string) {
	r.t.Helper()
	require.NoError(r.t, os.WriteFile(filepath.Join(r.members[id-1].dir, "behaviour"), []byte(how), 0o644))
}

func (r *recorded) logHas(id int, word string) {
	r.t.Helper()
	require.Eventually(r.t, func() bool { return strings.Contains(r.logText(id), word) }, 10*time.Second, time.Millisecond)
}
