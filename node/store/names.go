package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strconv"
	"strings"
)

// versionDir is the folder under dataDir and dataLogDir that holds everything but myid.
const versionDir = "version-2"

const (
	logPrefix      = "log."
	snapshotPrefix = "snapshot."
	// unfinishedPrefix begins the name of a snapshot that is being written. Apache must not take such
	// a file for a snapshot, and it looks at how names begin.
	unfinishedPrefix = "unfinished."
	lockName         = "ordeal.lock"
	initializeName   = "initialize"
	// copyingName is the file of a server that lost what it held, until it has a leader's whole history.
	copyingName     = "copying"
	acceptedName    = "acceptedEpoch"
	currentName     = "currentEpoch"
	temporarySuffix = ".tmp"
)

// namedFile is a log or a snapshot: the zxid is part of its name.
type namedFile struct {
	zxid        int64
	path        string
	compression Compression // snapshots only
	newest      bool        // of the logs
}

func logName(zxid int64) string { return logPrefix + strconv.FormatInt(zxid, 16) }

func snapshotName(zxid int64, compression Compression) string {
	return snapshotPrefix + strconv.FormatInt(zxid, 16) + compression.suffix()
}

// parseName reads the zxid behind prefix. Names that are not exactly what Apache would write belong
// to somebody else.
func parseName(name, prefix string) (zxid int64, ok bool) {
	digits, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return 0, false
	}
	zxid, err := strconv.ParseInt(digits, 16, 64)
	return zxid, err == nil && zxid >= 0
}

// listLogs returns the log files of a directory, oldest first.
func listLogs(files FS, dir string) ([]namedFile, error) {
	names, err := listNames(files, dir)
	if err != nil {
		return nil, err
	}
	var logs []namedFile
	for _, name := range names {
		if zxid, ok := parseName(name, logPrefix); ok {
			logs = append(logs, namedFile{zxid: zxid, path: path.Join(dir, name)})
		}
	}
	sort.SliceStable(logs, func(i, j int) bool { return logs[i].zxid < logs[j].zxid })
	if len(logs) > 0 {
		logs[len(logs)-1].newest = true
	}
	return logs, nil
}

// listSnapshots returns the snapshots of a directory, newest first.
func listSnapshots(files FS, dir string) ([]namedFile, error) {
	names, err := listNames(files, dir)
	if err != nil {
		return nil, err
	}
	var snapshots []namedFile
	for _, name := range names {
		stem, compression := splitCompression(name)
		if zxid, ok := parseName(stem, snapshotPrefix); ok {
			snapshots = append(snapshots, namedFile{zxid: zxid, path: path.Join(dir, name), compression: compression})
		}
	}
	sort.SliceStable(snapshots, func(i, j int) bool { return snapshots[i].zxid > snapshots[j].zxid })
	return snapshots, nil
}

// listNames is List for which a missing directory is an empty one.
func listNames(files FS, dir string) ([]string, error) {
	names, err := files.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	return names, nil
}

// logsFrom returns the logs that can hold transactions from zxid on: those named after it, and the
// newest that is not (protocol.md 4.1).
func logsFrom(logs []namedFile, zxid int64) []namedFile {
	first := 0
	for i, log := range logs {
		if log.zxid <= zxid {
			first = i
		}
	}
	return logs[first:]
}

// epochOf and counterOf take a zxid apart.
func epochOf(zxid int64) int64   { return zxid >> 32 }
func counterOf(zxid int64) int64 { return zxid & 0xffffffff }

// follows tells whether next can be the transaction after previous. Leaders number transactions
// without holes, from 1 in each epoch, and everything that takes a number is logged.
func follows(previous, next int64) bool {
	if epochOf(next) > epochOf(previous) {
		// A test of the end of an epoch lets it begin there (zookeeper.testingonly.initialZxid).
		return counterOf(next) == 1 || counterOf(next) > lateStart
	}
	return next == previous+1
}

// lateStart is zab.LateStart, which this package does not know.
const lateStart = 0xffff0000
