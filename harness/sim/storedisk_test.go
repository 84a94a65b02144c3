package sim

import (
	"fmt"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ordeal/node/disk"
	"ordeal/node/store"
	"ordeal/results/history"
)

// onFiles is a calm world whose members have files, after some load.
func onFiles(t *testing.T, changes ...func(*Config)) *World {
	t.Helper()
	config := Draw(1, Options{Members: 3, Load: 2 * time.Second, Workload: "register"})
	config.Disk, config.Observers, config.Drift, config.FastReads = fileDisks, 0, 0, false
	config.SnapCount = 100_000
	for _, change := range changes {
		change(&config)
	}
	w := newWorld(config, nil, true, memoryRecorder{&history.Memory{}})
	t.Cleanup(func() {
		for _, m := range w.members {
			m.disk.close()
		}
	})
	var script []Decision
	for i := range 8 {
		request := history.Request{Kind: "create", Path: fmt.Sprintf("/ordeal-register/x%d", i), Value: "1"}
		script = append(script, Decision{Op: &Op{At: time.Second, Client: 1, Request: request}})
	}
	w.phases(script)
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

// A store that recovers may end at any change of a file, and the next one recovers all the same.
func TestAStartEndsInTheMidstOfItself(t *testing.T) {
	for _, kind := range []string{faultCrash, faultPower, faultBrokenDisk} {
		w := onFiles(t)
		m, d := w.members[1], storeOf(w, 2)
		end := m.disk.end()
		ends := 0
		for again := true; again; ends++ {
			m.crash(false, 0)
			log := newestLog(d)
			log.note(len(trimZeros(log.content)), []byte("torn"), len(log.content))
			copy(log.content[len(trimZeros(log.content)):], "torn")
			w.loadEnd = w.now + time.Minute
			w.ambushes = []*ambush{{fault: &Fault{Kind: kind, Who: whoReceiver, Point: pointOpening, Nth: ends + 1}, word: pointOpening}}
			m.boot()
			again = !m.up
			w.runTo(w.now + time.Millisecond) // the fault's end
			require.Nil(t, w.violation, "%s at %d", kind, ends)
			require.True(t, m.up)
			require.Equal(t, end, m.disk.end())
		}
		require.Greater(t, ends, 5, "the test expects to see many changes of files")
	}
}

// What is no longer needed is removed, and an end in the midst of that does no harm.
func TestAPurgeMayEndInTheMidstOfItself(t *testing.T) {
	w := onFiles(t, func(c *Config) { c.SnapCount = 2 })
	m, d := w.members[1], storeOf(w, 2)
	snapshots := func() (count int) {
		for name := range d.files.names {
			if kindOfFile(name) == snapshotFiles {
				count++
			}
		}
		return count
	}
	require.Greater(t, snapshots(), store.RetainMin)
	for nth := 1; nth < 3; nth++ {
		w.loadEnd = w.now + time.Minute
		w.ambushes = []*ambush{{fault: &Fault{Kind: faultPower, Who: whoReceiver, Point: opRemove, Nth: nth}, word: opRemove}}
		d.purge()
		require.False(t, m.up)
		w.runTo(w.now + time.Millisecond)
		require.Nil(t, w.violation)
		require.True(t, m.up)
	}
	d.purge()
	require.Equal(t, store.RetainMin, snapshots())
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
