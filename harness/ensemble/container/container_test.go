package container

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"ordeal/harness/ensemble"
	"ordeal/harness/ensemble/agent"
	"ordeal/results/history"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOnlyOrphansAreCleaned(t *testing.T) {
	require.False(t, orphaned(self()), "this process is alive")
	name, err := os.Hostname()
	require.NoError(t, err)
	ended := exec.Command("true")
	require.NoError(t, ended.Run())
	require.True(t, orphaned(fmt.Sprintf("%s/%d/%s", name, ended.Process.Pid, "1")), "its process is gone")
	require.True(t, orphaned(fmt.Sprintf("%s/%d/%s", name, os.Getpid(), "1")), "its number was given to another process")
	for _, other := range []string{"elsewhere/1/1", "", "nonsense", name + "/x/1"} {
		require.False(t, orphaned(other), "%q may belong to somebody", other)
	}
}

func TestPortsArePublishedWhereTheEngineIsReached(t *testing.T) {
	for engine, want := range map[string]string{
		"unix:///var/run/docker.sock": "127.0.0.1",
		"npipe:////./pipe/docker":     "127.0.0.1",
		"tcp://localhost:2375":        "127.0.0.1",
		"tcp://127.0.0.2:2375":        "127.0.0.1",
		"tcp://192.0.2.7:2376":        "192.0.2.7",
		"ssh://user@192.0.2.7":        "192.0.2.7",
	} {
		address, err := publishAddress(t.Context(), engine)
		require.NoError(t, err)
		require.Equal(t, want, address.String(), engine)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := publishAddress(ended, "tcp://nobody.invalid:2375")
	require.ErrorContains(t, err, "address of the Docker engine's host")
}

// fourMembers is an ensemble as far as packet filters go.
func fourMembers(faults ...history.Fault) *Ensemble {
	e := &Ensemble{active: map[int]history.Fault{}}
	for id := 1; id <= 4; id++ {
		e.members = append(e.members, &member{id: id, ensemble: e, address: netip.AddrFrom4([4]byte{10, 0, 0, byte(id)})})
	}
	for i, fault := range faults {
		e.active[i+1] = fault
	}
	return e
}

func TestRulesFollowFromTheFaultsThatAreOn(t *testing.T) {
	address := func(id int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(id)}) }
	cut := func(mode history.CutMode, links ...history.Link) history.Fault {
		return history.Fault{Kind: history.Cut, Mode: mode, Links: links}
	}
	for name, c := range map[string]struct {
		faults []history.Fault
		member int
		want   agent.Rules
	}{
		"nothing on": {nil, 1, agent.Rules{}},
		"one direction only": {[]history.Fault{cut(history.Drop, history.Link{From: 1, To: 2})}, 2,
			agent.Rules{From: []agent.Source{{Address: address(1), Mode: history.Drop}}}},
		"the sender filters nothing": {[]history.Fault{cut(history.Drop, history.Link{From: 1, To: 2})}, 1, agent.Rules{}},
		"of two cuts the silent one counts": {[]history.Fault{
			cut(history.Reset, history.Link{From: 1, To: 2}), cut(history.Drop, history.Link{From: 1, To: 2})}, 2,
			agent.Rules{From: []agent.Source{{Address: address(1), Mode: history.Drop}}}},
		"several peers, in order": {[]history.Fault{cut(history.Reset, history.Link{From: 4, To: 2}, history.Link{From: 3, To: 2})}, 2,
			agent.Rules{From: []agent.Source{{Address: address(3), Mode: history.Reset}, {Address: address(4), Mode: history.Reset}}}},
		"clients": {[]history.Fault{{Kind: history.ClientCut, Members: []int{2}}}, 2, agent.Rules{Clients: history.Drop}},
		"clients, by reset": {[]history.Fault{{Kind: history.ClientCut, Members: []int{2}, Mode: history.Reset}}, 2,
			agent.Rules{Clients: history.Reset}},
		"of two cuts of clients the silent one counts": {[]history.Fault{
			{Kind: history.ClientCut, Members: []int{2}, Mode: history.Reset}, {Kind: history.ClientCut, Members: []int{1, 2}, Mode: history.Drop},
			{Kind: history.ClientCut, Members: []int{2}, Mode: history.Reset}}, 2, agent.Rules{Clients: history.Drop}},
		"members that are down filter nothing": {[]history.Fault{{Kind: history.Kill, Members: []int{2}}}, 2, agent.Rules{}},
	} {
		t.Run(name, func(t *testing.T) {
			e := fourMembers(c.faults...)
			require.Equal(t, c.want, e.rules(e.members[c.member-1]))
		})
	}
}

func TestDataOfAContainerStaysInItsFolder(t *testing.T) {
	pack := func(names ...string) *bytes.Buffer {
		var buffer bytes.Buffer
		writer := tar.NewWriter(&buffer)
		for _, name := range names {
			require.NoError(t, writer.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: 1, Typeflag: tar.TypeReg}))
			_, err := writer.Write([]byte{'x'})
			require.NoError(t, err)
		}
		require.NoError(t, writer.Close())
		return &buffer
	}
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "data"), 0o755))
	require.NoError(t, unpack(pack("data/myid"), dir))
	require.FileExists(t, filepath.Join(dir, "data", "myid"))
	require.Error(t, unpack(pack("../escaped"), dir))
	require.NoFileExists(t, filepath.Join(filepath.Dir(dir), "escaped"))
}

func TestManifestNamesJarsOverFoldedLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.jar")
	file, err := os.Create(path)
	require.NoError(t, err)
	writer := zip.NewWriter(file)
	entry, err := writer.Create("META-INF/MANIFEST.MF")
	require.NoError(t, err)
	_, err = entry.Write([]byte("Manifest-Version: 1.0\r\nClass-Path: /usr/share/java/commons-io.j\r\n ar log4j.jar\r\nOther: x\r\n"))
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	require.NoError(t, file.Close())
	names, err := manifestClassPath(path)
	require.NoError(t, err)
	require.Equal(t, []string{"/usr/share/java/commons-io.jar", "log4j.jar"}, names)
}

func TestProgramForAnImageMustBeStatic(t *testing.T) {
	text := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(text, []byte("#!/bin/sh\n"), 0o755))
	require.ErrorContains(t, requireStatic(text), "no Linux program")
	require.ErrorContains(t, requireStatic("/bin/true"), "CGO_ENABLED=0")
}

func TestAMemberLogGoesOnWhereItBrokeOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	log, err := openLog(path)
	require.NoError(t, err)
	require.Empty(t, log.since(), "from the beginning")
	for _, piece := range []string{
		"2026-11-28T09:50:00.000000001Z a line\n", "2026-11-28T09:50:00.000000002Z \n", "2026-11-28T09:50:00.999999999Z part of one with blanks ",
	} {
		_, err := log.Write([]byte(piece))
		require.NoError(t, err)
	}
	require.Equal(t, "1795859401.000000000", log.since(), "just behind the last piece")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "a line\n\npart of one with blanks ", string(content))
	require.EqualValues(t, len(content), log.written())

	for _, piece := range []string{"no time\n", "2026-11-28T09:50:01Z fine, but something was lost before\n"} {
		_, err := log.Write([]byte(piece))
		require.ErrorContains(t, err, `expected the engine to say when a line was printed, found "no time\n"`)
	}
	require.ErrorContains(t, log.close(), "expected the engine")
	require.NoError(t, log.close(), "twice is as good")
}

func TestWhatIsDoneAtOnceIsDoneToAllBeforeAnyIsWaitedFor(t *testing.T) {
	members := fourMembers().members
	var signalled sync.WaitGroup
	signalled.Add(len(members))
	var waits, early atomic.Int32
	// Each signal returns only when all are under way, as an engine's call of SIGKILL returns only when the
	// process is gone: one after the other they would never end.
	signal := func(m *member, _ context.Context) error {
		early.Add(waits.Load())
		signalled.Done()
		signalled.Wait()
		if m.id == 2 {
			return errors.New("no engine")
		}
		return nil
	}
	wait := func(*member, context.Context) error {
		waits.Add(1)
		return nil
	}
	require.EqualError(t, atOnce(t.Context(), members, signal, wait), "member 2: no engine")
	require.Zero(t, early.Load(), "nobody is waited for before all are signalled")
	require.EqualValues(t, 4, waits.Load(), "the others are seen out all the same")
}

func TestOfficialImagesAreToldByTheirVariables(t *testing.T) {
	e := fourMembers()
	e.spec = ensemble.Spec{
		Implementations: []ensemble.Implementation{"image:a", "image:a", "image:a", "image:a"}, Observers: 1,
		TickTime: 500_000_000, InitLimit: 10, SyncLimit: 4, Properties: map[string]string{"snapCount": "9", "preAllocSize": "64"},
	}
	m := e.members[1]
	m.implementation = "image:a"
	variables := m.officialEnvironment()
	require.Equal(t, "2", variables["ZOO_MY_ID"])
	require.Contains(t, variables["ZOO_SERVERS"], "server.1=member-1:2888:3888:participant;2181 ")
	require.Contains(t, variables["ZOO_SERVERS"], "server.4=member-4:2888:3888:observer;2181")
	require.Equal(t, "500", variables["ZOO_TICK_TIME"])
	require.Equal(t, "preAllocSize=64 snapCount=9", variables["ZOO_CFG_EXTRA"])
}
