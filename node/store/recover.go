package store

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"slices"
	"time"

	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/tree"
)

// noLimit replays a log to its end.
const noLimit = math.MaxInt64

// errNothing says that a directory holds neither a snapshot nor a transaction.
var errNothing = errors.New("neither a snapshot nor a transaction log")

// directories are the two folders that a server's files live in, and how to read them. Nothing here
// changes a file.
type directories struct {
	files     FS
	snapshots string
	logs      string
	options   Options
	// sorted replays all that the logs hold, in whatever order it stands there.
	sorted bool
}

// all are the folders, each once.
func (d *directories) all() []string {
	if d.snapshots == d.logs {
		return []string{d.snapshots}
	}
	return []string{d.snapshots, d.logs}
}

// replayed is what a snapshot and the log after it add up to.
type replayed struct {
	base      *loadedSnapshot
	tree      *tree.Tree
	committed []disk.Entry
	// last is the zxid of the last transaction, or of the snapshot if none came after it.
	last int64
	// tails are the logs that end in torn entries, and empty those that hold no entry at all.
	tails []logTail
	empty []string
	// end is the length of what is whole of the newest log, 0 if it holds no entry.
	end int64
	// damaged tells of snapshots that were passed over.
	damaged []error
	// digests are the places where the tree was not what its writer had.
	digests []*DigestError
	// suspect is that the digest at a snapshot's end was not the tree's, while what follows in the log may still
	// explain it.
	suspect *DigestError
	// disorder are the transactions that stood where they do not belong.
	disorder []*DisorderError
	// prints are those of the transactions replayed so far, by which a repeated one is known.
	prints prints
	// snapshotRead is when the snapshot had been read, and entries is how many came behind it.
	snapshotRead time.Time
	entries      int
}

// logTail is a log file that ends in torn entries.
type logTail struct {
	path string
	size int64 // of what is whole
	torn int64 // bytes behind
}

// recogniseOne takes two names of one directory for what they are.
func (d *directories) recogniseOne() {
	if files, ok := d.files.(aliasFS); ok && files.SameDir(d.snapshots, d.logs) {
		d.logs = d.snapshots
	}
}

// checkSeparation refuses directories whose files lie in one another's place: an operator who
// changed dataLogDir would otherwise start without the log that he has.
func (d *directories) checkSeparation() error {
	if d.snapshots == d.logs {
		return nil
	}
	logs, err := listLogs(d.files, d.snapshots)
	if err != nil {
		return err
	}
	if len(logs) > 0 {
		return fmt.Errorf("%s is in the snapshot directory although dataLogDir is another one: move the log.* files to %s, "+
			"or set dataLogDir back", logs[0].path, d.logs)
	}
	snapshots, err := listSnapshots(d.files, d.logs)
	if err != nil {
		return err
	}
	if len(snapshots) > 0 {
		return fmt.Errorf("%s is in the log directory although dataDir is another one: move the snapshot.* files to %s, "+
			"or set dataDir back", snapshots[0].path, d.snapshots)
	}
	return nil
}

// replay loads the newest whole snapshot and applies the log after it, up to and including the zxid
// limit. Snapshots that hold anything beyond limit are left out. It returns errNothing for a server that
// has never run.
func (d *directories) replay(limit int64) (*replayed, error) {
	base, damaged, err := d.loadBase(limit)
	if err != nil {
		return nil, err
	}
	logs, err := listLogs(d.files, d.logs)
	if err != nil {
		return nil, err
	}
	r := &replayed{base: base, snapshotRead: time.Now()}
	lost := map[int64]bool{}
	for _, d := range damaged {
		r.damaged = append(r.damaged, d.err)
		lost[d.zxid] = true
	}
	if base != nil {
		r.tree, r.last = base.tree, base.zxid
		r.tree.SetLastZxid(base.zxid)
		r.expectDigest()
		logs = logsFrom(logs, base.zxid)
	} else {
		r.tree = tree.New(d.options.Tree)
		if err := d.judgeBaseless(logs, damaged); err != nil {
			return nil, err
		}
	}
	r.prints.seed = maphash.MakeSeed()
	from, found := r.last, base != nil
	if d.sorted {
		any, err := d.replaySorted(r, logs)
		if err != nil {
			return nil, err
		}
		found = found || any
		logs = nil
	}
	for _, log := range logs {
		any, err := d.replayFile(r, log, from, limit, lost)
		if err != nil {
			return nil, err
		}
		found = found || any
	}
	for zxid := range lost {
		if zxid > from && zxid <= limit {
			return nil, &LostError{fmt.Sprintf("no snapshot and no log holds the state of transaction %#x: %v", zxid, errors.Join(r.damaged...))}
		}
	}
	r.convict()
	if !found {
		return r, errNothing
	}
	return r, nil
}

// judgeBaseless refuses to go on without a snapshot where there should be one.
func (d *directories) judgeBaseless(logs []namedFile, damaged []damagedSnapshot) error {
	if len(damaged) > 0 {
		return &LostError{fmt.Sprintf("not one snapshot in %s is whole: %v", d.snapshots, damaged[0].err)}
	}
	if d.options.TrustEmptySnapshot {
		return nil
	}
	for _, log := range logs {
		empty, err := d.isEmpty(log)
		if err != nil {
			return err
		}
		if !empty {
			return &LostError{fmt.Sprintf("there are transaction logs in %s but no snapshot in %s, although a server's first start writes one; "+
				"if this is the upgrade of a server older than 3.5, set zookeeper.snapshot.trust.empty=true once", d.logs, d.snapshots)}
		}
	}
	return nil
}

// isEmpty tells whether a log holds no entry.
func (d *directories) isEmpty(log namedFile) (bool, error) {
	reader, err := openLog(d.files, log.path, 0)
	if err != nil {
		return false, err
	}
	defer reader.close()
	reader.newest = log.newest
	if _, err := reader.next(); !errors.Is(err, io.EOF) {
		return false, err
	}
	return true, nil
}

type damagedSnapshot struct {
	zxid int64
	err  error
}

// loadBase loads the newest snapshot that is whole and holds nothing beyond limit, or none.
func (d *directories) loadBase(limit int64) (*loadedSnapshot, []damagedSnapshot, error) {
	snapshots, err := listSnapshots(d.files, d.snapshots)
	if err != nil {
		return nil, nil, err
	}
	var damaged []damagedSnapshot
	for _, candidate := range snapshots {
		if candidate.zxid > limit {
			continue
		}
		if len(damaged) == snapshotTriesMax {
			break
		}
		loaded, err := readSnapshot(d.files, candidate, d.options.Tree, d.options.FieldMax)
		if err != nil {
			damaged = append(damaged, damagedSnapshot{candidate.zxid, err})
			continue
		}
		if loaded.digest != nil && loaded.digest.zxid > limit {
			continue
		}
		return loaded, damaged, nil
	}
	return nil, damaged, nil
}

// replayFile applies the entries of one log that are after the snapshot and tells whether there was
// any entry in it. The zxids in lost are those of damaged snapshots: what is found in the log is
// taken out, for the log then replaces the snapshot. One at the start of an epoch, which is no transaction's
// zxid, is replaced if the first transaction of that epoch follows, and its digest proves that nothing is
// missing before it: the snapshot may have come from a leader, with more than this log ever had.
func (d *directories) replayFile(r *replayed, log namedFile, from, limit int64, lost map[int64]bool) (found bool, err error) {
	reader, err := openLog(d.files, log.path, 0)
	if err != nil {
		return false, err
	}
	defer reader.close()
	reader.newest = log.newest
	for entry, err := range reader.entries() {
		if err != nil {
			return found, err
		}
		found = true
		if entry.Zxid > limit {
			return found, nil
		}
		if entry.Zxid <= from {
			continue
		}
		if skip, err := r.judgeOrder(log.path, entry); err != nil {
			return found, err
		} else if skip {
			continue
		}
		previous := r.last
		proven, err := d.apply(r, entry)
		if err != nil {
			return found, fmt.Errorf("%s: %w", log.path, err)
		}
		delete(lost, entry.Zxid)
		if epoch := epochOf(entry.Zxid); proven && epoch > epochOf(previous) {
			delete(lost, epoch<<32)
		}
	}
	if found && log.newest {
		r.end = reader.offset
	}
	switch {
	case !found:
		r.empty = append(r.empty, log.path)
	case reader.torn > 0:
		r.tails = append(r.tails, logTail{path: log.path, size: reader.offset, torn: reader.torn})
	}
	return found, nil
}

// judgeOrder looks at an entry that may not belong where it stands. One that repeats what was replayed
// already says nothing new and is skipped: Apache's server leaves such logs (ZOOKEEPER-4712). Anything else is
// refused.
func (r *replayed) judgeOrder(log string, entry disk.Entry) (skip bool, err error) {
	if follows(r.last, entry.Zxid) {
		r.prints.add(entry)
		return false, nil
	}
	disorder := &DisorderError{File: log, Zxid: entry.Zxid, Behind: r.last, Repeated: r.prints.has(entry)}
	if !disorder.Repeated {
		return false, disorder
	}
	if len(r.disorder) < disorderErrorsMax {
		r.disorder = append(r.disorder, disorder)
	}
	return true, nil
}

// replaySorted applies the entries after the snapshot by ascending zxid, wherever they stand: for who wants
// to know what a log holds although no server should start with it. It goes on over holes, and notes them.
func (d *directories) replaySorted(r *replayed, logs []namedFile) (found bool, err error) {
	from := r.last
	var entries []disk.Entry
	for _, log := range logs {
		more, any, err := d.entriesAfter(log, from)
		found = found || any
		if err != nil {
			return found, err
		}
		entries = append(entries, more...)
	}
	slices.SortStableFunc(entries, func(a, b disk.Entry) int { return cmp.Compare(a.Zxid, b.Zxid) })
	for _, entry := range entries {
		skip, err := r.judgeOrder(d.logs, entry)
		var hole *DisorderError
		if skip {
			continue
		} else if errors.As(err, &hole) {
			r.disorder = append(r.disorder, hole)
			r.prints.add(entry)
		}
		if _, err := d.apply(r, entry); err != nil {
			return found, fmt.Errorf("%s: %w", d.logs, err)
		}
	}
	return found, nil
}

// entriesAfter reads the entries of one log that are after zxid, and tells whether there was any entry in it.
func (d *directories) entriesAfter(log namedFile, zxid int64) (entries []disk.Entry, found bool, err error) {
	reader, err := openLog(d.files, log.path, 0)
	if err != nil {
		return nil, false, err
	}
	defer reader.close()
	reader.newest = log.newest
	for entry, err := range reader.entries() {
		if err != nil {
			return entries, found, err
		}
		found = true
		if entry.Zxid > zxid {
			entries = append(entries, entry)
		}
	}
	return entries, found, nil
}

// disorderErrorsMax bounds how many misplaced transactions are kept.
const disorderErrorsMax = 8

// prints tell whether a transaction was seen before, 16 bytes for each.
type prints struct {
	seed maphash.Seed
	seen []print // by ascending zxid
}

type print struct {
	zxid int64
	sum  uint64
}

func (p *prints) of(entry disk.Entry) print {
	return print{entry.Zxid, maphash.Bytes(p.seed, entry.Payload)}
}

func (p *prints) add(entry disk.Entry) { p.seen = append(p.seen, p.of(entry)) }

func (p *prints) has(entry disk.Entry) bool {
	at, found := slices.BinarySearchFunc(p.seen, entry.Zxid, func(seen print, zxid int64) int { return cmp.Compare(seen.zxid, zxid) })
	return found && p.seen[at] == p.of(entry)
}

// apply makes an entry part of the tree. Proven tells that the digest in it is the tree's.
func (d *directories) apply(r *replayed, entry disk.Entry) (proven bool, err error) {
	header, txn, digest, err := jute.DecodePayload(entry.Payload)
	if err != nil {
		return false, err
	}
	r.tree.Apply(header, txn)
	r.last = entry.Zxid
	r.entries++
	r.committed = append(r.committed, entry)
	if keep := d.options.CommitLogCount; len(r.committed) >= 2*keep {
		r.committed = append([]disk.Entry(nil), r.committed[len(r.committed)-keep:]...)
	}
	wasKnown := r.tree.DigestKnown()
	mismatch := r.tree.CheckDigest(entry.Zxid, digest)
	matches := mismatch == nil && digest != nil && digest.Version == jute.DigestVersion && r.tree.DigestKnown()
	switch {
	case r.base != nil && r.base.digest == nil:
		// a fuzzy tree of which nobody knows how far it is
	case matches && wasKnown:
		r.suspect = nil
	case mismatch != nil && !wasKnown && entry.Zxid == r.base.digest.zxid:
		r.suspect = &DigestError{Zxid: entry.Zxid, Err: mismatch}
	case mismatch != nil:
		r.convict()
		r.mismatch(mismatch)
	}
	return matches, nil
}

// expectDigest hands the snapshot's digest to the tree, which compares when it is as far as it was when
// the digest was taken. A snapshot of Apache's server says 0 if it knew none.
func (r *replayed) expectDigest() {
	digest := r.base.digest
	if digest == nil || digest.version != jute.DigestVersion || (digest.zxid == 0 && digest.value == 0) {
		return
	}
	if err := r.tree.ExpectDigest(digest.zxid, digest.value); err != nil {
		r.suspect = &DigestError{Zxid: r.last, Err: err}
	}
}

// convict counts a wrong digest of a snapshot, which the log did not explain. It does if the next digest in it is the
// tree's again: Apache's server applies a transaction while another thread writes the snapshot, which may then hold a
// part of that transaction and still the digest of the one before.
func (r *replayed) convict() {
	if r.suspect != nil && len(r.digests) < digestErrorsMax {
		r.digests = append(r.digests, r.suspect)
	}
	r.suspect = nil
}

// digestErrorsMax bounds how many mismatches are kept: one wrong znode makes every later digest wrong.
const digestErrorsMax = 8

func (r *replayed) mismatch(err error) {
	if err != nil && len(r.digests) < digestErrorsMax {
		r.digests = append(r.digests, &DigestError{Zxid: r.last, Err: err})
	}
}

// state returns what the core starts with.
func (d *directories) state(r *replayed) (*disk.State, epochs, error) {
	known, err := recoverEpochs(d.files, d.snapshots, r.last)
	if err != nil {
		return nil, known, err
	}
	if extra := len(r.committed) - d.options.CommitLogCount; extra > 0 {
		r.committed = r.committed[extra:]
	}
	return &disk.State{Tree: r.tree, Committed: r.committed, CurrentEpoch: known.current, AcceptedEpoch: known.accepted}, known, nil
}
