package sim

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/store"
)

const someFile = "/data/version-2/log.1"

func written(t *testing.T, f *fileSystem, name, text string) store.File {
	t.Helper()
	file, err := f.Create(name)
	require.NoError(t, err)
	_, err = file.Write([]byte(text))
	require.NoError(t, err)
	return file
}

func contents(t *testing.T, f *fileSystem, name string) string {
	t.Helper()
	require.NotNil(t, f.names[name], "%s is gone", name)
	return string(f.names[name].content)
}

// What is synced, bytes and names, survives every loss of power; nothing else needs to.
func TestWhatIsSyncedSurvives(t *testing.T) {
	for chance := uint64(0); chance < 50; chance++ {
		f := newFileSystem()
		file := written(t, f, someFile, "synced")
		require.NoError(t, file.Sync())
		require.NoError(t, f.SyncDir("/data/version-2"))
		_, err := file.Write([]byte(" and not"))
		require.NoError(t, err)
		require.Equal(t, "bytes of "+someFile, f.unsynced(logFiles))
		f.losePower(50, chance)
		require.Equal(t, "synced", contents(t, f, someFile)[:len("synced")])
		require.Empty(t, f.unsynced(logFiles))
	}
}

func TestWhatIsNotSyncedIsLost(t *testing.T) {
	f := newFileSystem()
	written(t, f, someFile, "bytes")
	require.True(t, f.losePower(0, 1))
	require.Empty(t, f.names, "the name was not synced")

	f = newFileSystem()
	file := written(t, f, someFile, "bytes")
	require.NoError(t, file.Sync())
	require.Equal(t, "the name of "+someFile, f.unsynced(logFiles))
	require.True(t, f.losePower(0, 1))
	require.Empty(t, f.names)

	f = newFileSystem()
	written(t, f, someFile, "bytes")
	require.NoError(t, f.SyncDir("/data/version-2"))
	require.True(t, f.losePower(0, 1))
	require.Empty(t, contents(t, f, someFile))
}

func TestAllSurvivesIfAllIsKept(t *testing.T) {
	f := newFileSystem()
	file := written(t, f, someFile, "a log")
	require.NoError(t, file.Truncate(64))
	require.NoError(t, f.Rename(someFile, someFile+"0"))
	require.False(t, f.losePower(100, 1))
	require.Equal(t, "a log", string(trimZeros([]byte(contents(t, f, someFile+"0")))))
	require.Len(t, f.names[someFile+"0"].content, 64)
	require.Nil(t, f.names[someFile])
}

// A write is torn at any byte or sector, files lose each their own part, and the length of a file may be
// on the disk before its bytes.
func TestWritesAreTornEachByItself(t *testing.T) {
	seen := map[string]bool{}
	for chance := uint64(0); chance < 300; chance++ {
		f := newFileSystem()
		for _, name := range []string{"/d/log.1", "/d/log.2"} {
			written(t, f, name, "0123456789")
		}
		require.NoError(t, f.SyncDir("/d"))
		f.losePower(50, chance*1000)
		one, two := contents(t, f, "/d/log.1"), contents(t, f, "/d/log.2")
		for _, content := range []string{one, two} {
			whole := string(trimZeros([]byte(content)))
			require.Equal(t, "0123456789"[:len(whole)], whole)
			seen["zeros behind"] = seen["zeros behind"] || len(content) > len(whole)
			seen["in part"] = seen["in part"] || whole != "" && len(whole) < 10
		}
		seen["first only"] = seen["first only"] || len(one) == 10 && two == ""
		seen["second only"] = seen["second only"] || len(two) == 10 && one == ""
	}
	require.Equal(t, map[string]bool{"zeros behind": true, "in part": true, "first only": true, "second only": true}, seen)
}

// A cut, an overwriting and a removal are taken back if they were not synced.
func TestChangesAreTakenBack(t *testing.T) {
	f := newFileSystem()
	file := written(t, f, someFile, "0123456789")
	require.NoError(t, file.Sync())
	require.NoError(t, f.SyncDir("/data/version-2"))
	require.NoError(t, file.Truncate(4))
	again, err := f.Edit(someFile)
	require.NoError(t, err)
	_, err = again.Write([]byte("xy"))
	require.NoError(t, err)
	require.Equal(t, "xy23", contents(t, f, someFile))
	require.Equal(t, "0123456789", string(f.onDisk(someFile)))
	require.NoError(t, f.Remove(someFile))
	require.ErrorIs(t, f.Remove(someFile), fs.ErrNotExist)
	require.Equal(t, "0123456789", contents(t, f.clone(), someFile))
	f.losePower(0, 1)
	require.Equal(t, "0123456789", contents(t, f, someFile))
}

// Of writes that were not synced any sectors may be on the disk: the later without the earlier, under the new
// length or the old one. What was synced is there whatever happens.
func TestHolesAreLeftInWhatWasNotSynced(t *testing.T) {
	const synced, sectors = 100, 20
	seen := map[string]bool{}
	for chance := uint64(0); chance < 300; chance++ {
		f := newFileSystem()
		file := written(t, f, someFile, strings.Repeat("s", synced))
		require.NoError(t, file.Sync())
		require.NoError(t, f.SyncDir("/data/version-2"))
		require.NoError(t, file.Truncate(sectors*sectorSize))
		for range 10 {
			_, err := file.Write([]byte(strings.Repeat("w", sectorSize)))
			require.NoError(t, err)
		}
		f.losePower(50, chance*1000)
		left := contents(t, f, someFile)
		require.Equal(t, strings.Repeat("s", synced), left[:synced])
		rest := strings.TrimRight(left[synced:], "\x00")
		require.Empty(t, strings.Trim(rest, "w\x00"), "nothing that was never written")
		seen["whole"] = seen["whole"] || rest == strings.Repeat("w", 10*sectorSize)
		seen["nothing"] = seen["nothing"] || rest == ""
		seen["old length"] = seen["old length"] || len(left) == synced
		hole := strings.Count(rest, "\x00")
		seen["a hole"] = seen["a hole"] || hole > 0
		seen["a page's hole"] = seen["a page's hole"] || hole >= pageSize-synced
	}
	require.Equal(t, map[string]bool{"whole": true, "nothing": true, "old length": true, "a hole": true, "a page's hole": true}, seen)
}

// What was cut off is gone if the file has the length that it had then, and all there if not.
func TestACutIsMadeWhollyOrNotAtAll(t *testing.T) {
	seen := map[string]bool{}
	for chance := uint64(0); chance < 100; chance++ {
		f := newFileSystem()
		file := written(t, f, someFile, strings.Repeat("a", 2*sectorSize))
		require.NoError(t, file.Sync())
		require.NoError(t, f.SyncDir("/data/version-2"))
		require.NoError(t, file.Truncate(10))
		require.NoError(t, file.Truncate(2*sectorSize))
		f.losePower(30, chance*1000)
		left := strings.TrimRight(contents(t, f, someFile), "\x00")
		require.Contains(t, []int{10, 2 * sectorSize}, len(left))
		seen["cut"] = seen["cut"] || len(left) == 10
		seen["taken back"] = seen["taken back"] || len(left) > 10
	}
	require.Equal(t, map[string]bool{"cut": true, "taken back": true}, seen)
}
