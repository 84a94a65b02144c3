package sim

import (
	"path"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/disk"
	"ordeal/results/history"
)

// onFiles is a calm world whose members have files, after some load.
func onFiles(t *testing.T) *World {
	t.Helper()
	config := Draw(1, Options{Members: 3, Load: 2 * time.Second, Workload: "register"})
	config.Disk, config.Observers, config.Drift, config.FastReads = fileDisks, 0, 0, false
	config.SnapCount = 100_000
	w := newWorld(config, nil, true, memoryRecorder{&history.Memory{}})
	t.Cleanup(func() {
		for _, m := range w.members {
			m.disk.close()
		}
	})
	w.phases([]Decision{
		{Op: &Op{At: 12 * time.Second, Client: 1, Request: history.Request{Kind: "create", Path: "/ordeal-register/x", Value: "1"}}},
	})
	require.Nil(t, w.violation)
	return w
}

func storeOf(w *World, id int) *storeDisk { return w.members[id-1].disk.(*storeDisk) }

// newestLog is the inode of a member's newest log.
func newestLog(d *storeDisk) *inode {
	var newest *inode
	for _, name := range d.files.sorted(d.files.names) {
		if strings.HasPrefix(path.Base(name), "log.") {
			newest = d.files.names[name]
		}
	}
	return newest
}

func TestAMemberStartsWithItsFiles(t *testing.T) {
	w := onFiles(t)
	m := w.members[1]
	end := m.disk.end()
	require.Positive(t, end)
	m.crash(true, 0)
	m.boot()
	require.Nil(t, w.violation)
	require.Equal(t, end, m.disk.end())
	require.True(t, m.disk.holds(end))
}

// A disk that loses what it had synced is noticed when its member starts.
func TestALostSyncIsNoticed(t *testing.T) {
	w := onFiles(t)
	m := w.members[1]
	m.crash(true, 0)
	log := newestLog(storeOf(w, 2))
	d := storeOf(w, 2)
	for _, name := range d.files.sorted(d.files.names) {
		if d.files.names[name] == log {
			delete(d.files.names, name)
		}
	}
	m.boot()
	require.NotNil(t, w.violation)
	require.Equal(t, "synced-survives", w.violation.Guarantee)
}

// A byte that changes in a log is refused with a word about it, and the member starts again once an
// undamaged copy is put back; without the fault the refusal is a broken promise.
func TestRotIsRefused(t *testing.T) {
	w := onFiles(t)
	m := w.members[1]
	d := storeOf(w, 2)
	m.crash(false, 0)
	d.rot(logFiles, 1)
	m.boot()
	require.Nil(t, w.violation)
	require.False(t, m.up)
	require.Equal(t, 1, w.coverage.Seen["rot-refused"])
	d.restore()
	m.boot()
	require.Nil(t, w.violation)
	require.True(t, m.up)

	m.crash(false, 0)
	newestLog(d).content[20] ^= 1
	m.boot()
	require.NotNil(t, w.violation)
	require.Equal(t, "recovers", w.violation.Guarantee)
}

// Power that goes while the member is down takes what its process left un-synced.
func TestPowerGoesWhileTheMemberIsDown(t *testing.T) {
	w := onFiles(t)
	m := w.members[0]
	m.crash(false, 0)
	log := newestLog(storeOf(w, 1))
	size := len(log.content)
	log.note(size, []byte("left"), size+4)
	log.resize(size + 4)
	m.crash(true, 0)
	require.Len(t, log.content, size)

	config := w.config
	config.Disk = modelDisks
	w = newWorld(config, nil, true, memoryRecorder{&history.Memory{}})
	d := w.members[0].disk.(*modelDisk)
	d.log = append(d.log, disk.Entry{Zxid: 1}, disk.Entry{Zxid: 2})
	d.synced = 1
	w.members[0].crash(false, 0)
	require.Len(t, d.log, 2, "the end of a process takes nothing from the disk")
	w.members[0].crash(true, 0)
	require.Len(t, d.log, 1)
}

func TestDisksFailByKindOfFiles(t *testing.T) {
	var troubles trouble
	full, sync := &Fault{Kind: faultFullDisk, Files: snapshotFiles}, &Fault{Kind: faultFailingSync}
	troubles.begin(full)
	require.ErrorIs(t, troubles.failure(snapshotFiles, true, false), errFull)
	require.NoError(t, troubles.failure(snapshotFiles, false, true))
	require.NoError(t, troubles.failure(logFiles, true, true))
	troubles.begin(sync)
	troubles.end(full)
	require.NoError(t, troubles.failure(snapshotFiles, true, false))
	require.ErrorIs(t, troubles.failure(logFiles, false, true), errDisk)
	require.True(t, troubles.any())
	troubles.end(sync)
	require.False(t, troubles.any())
}
