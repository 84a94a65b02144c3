package sim

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"ordeal/node/store"
)

// fileKind tells a server's files apart, as faults do.
type fileKind string

// The kinds of files.
const (
	logFiles      fileKind = "log"
	snapshotFiles fileKind = "snapshot"
	epochFiles    fileKind = "epoch"
)

var fileKinds = []fileKind{logFiles, snapshotFiles, epochFiles}

// kindOfFile tells by its name what a file, or one that is to get its name, is for.
func kindOfFile(name string) fileKind {
	switch base := path.Base(name); {
	case strings.HasPrefix(base, "log."):
		return logFiles
	case strings.Contains(base, "snapshot."):
		return snapshotFiles
	}
	return epochFiles
}

// fileOperation is a change of a file system, as a server's store asks for it.
type fileOperation struct {
	word string // as points and transcripts name it
	name string // of the file, or of the directory
	size int    // bytes that are written
}

// The operations, by their words.
const (
	opCreate    = "create"
	opWrite     = "write"
	opResize    = "resize"
	opSync      = "fsync"
	opRename    = "rename"
	opRemove    = "remove"
	opSyncNames = "fsync-names"
)

var fileOperations = []string{opCreate, opWrite, opResize, opSync, opRename, opRemove, opSyncNames}

// fileSystem is the file system of one member's machine. It forgets what was not synced when the power
// goes, each file and each name by itself, in part or in whole: nothing but a sync orders anything.
type fileSystem struct {
	names map[string]*inode // as programs see them
	// durable are the names as they are after a loss of power, unless some of changes survive it.
	durable map[string]*inode
	changes []nameChange
	locked  map[string]bool
	// before is asked before every change: it may take its time, and may refuse.
	before func(fileOperation) error
}

// inode is a file's contents: durable, with patches not synced yet.
type inode struct {
	content []byte
	patches []patch // oldest first
	changed int     // counts changes
}

// patch is a change of contents that can be taken back.
type patch struct {
	offset   int
	written  []byte
	replaced []byte
	sizeWas  int // of the file
	size     int
}

// nameChange is a file that got a name, or a name that went.
type nameChange struct {
	name  string
	was   string // the name that it had before, empty for none
	inode *inode // nil if the name went
}

var _ store.FS = (*fileSystem)(nil)

func newFileSystem() *fileSystem {
	return &fileSystem{names: map[string]*inode{}, durable: map[string]*inode{}, locked: map[string]bool{}, before: func(fileOperation) error { return nil }}
}

func (n *inode) resize(size int) {
	if size <= len(n.content) {
		n.content = n.content[:size]
		return
	}
	was := len(n.content)
	n.content = slices.Grow(n.content, size-was)[:size]
	clear(n.content[was:])
}

// note remembers what is about to be written, or cut, from offset on.
func (n *inode) note(offset int, written []byte, size int) {
	p := patch{offset: offset, sizeWas: len(n.content), size: size}
	p.written = slices.Clone(written)
	end := min(offset+len(written), len(n.content))
	if size < len(n.content) {
		end = len(n.content)
	}
	if p.offset < end {
		p.replaced = slices.Clone(n.content[p.offset:end])
	}
	n.patches = append(n.patches, p)
	n.changed++
}

// clone is the disk as it is if nothing that was not synced survives.
func (f *fileSystem) clone() *fileSystem {
	c := newFileSystem()
	for _, name := range f.sorted(f.durable) {
		from := f.durable[name]
		copied := &inode{content: slices.Clone(from.content), patches: from.patches}
		copied.takeBack()
		c.names[name], c.durable[name] = copied, copied
	}
	return c
}

// unsynced names something of a kind of files that a loss of power could take away, or is empty. A snapshot
// that was given up while the disk failed may lie there under its unfinished name: it counts for nothing.
func (f *fileSystem) unsynced(kind fileKind) string {
	counts := func(name string) bool {
		return kindOfFile(name) == kind && !strings.HasPrefix(path.Base(name), "unfinished.")
	}
	for _, change := range f.changes {
		if change.inode != nil && counts(change.name) {
			return "the name of " + change.name
		}
	}
	left := ""
	for name, file := range f.names { // any order: the first by name is wanted
		if len(file.patches) > 0 && counts(name) && (left == "" || name < left) {
			left = name
		}
	}
	if left != "" {
		left = "bytes of " + left
	}
	return left
}

// onDisk is what a file holds after a loss of power, nil if there is none.
func (f *fileSystem) onDisk(name string) []byte {
	n := f.durable[name]
	if n == nil {
		return nil
	}
	copied := &inode{content: slices.Clone(n.content), patches: n.patches}
	copied.takeBack()
	return copied.content
}

func (f *fileSystem) sorted(names map[string]*inode) []string {
	return slices.Sorted(maps.Keys(names))
}

func (f *fileSystem) change(c nameChange) {
	c.apply(f.names)
	f.changes = append(f.changes, c)
}

// MakeDir implements store.FS: directories are always there.
func (f *fileSystem) MakeDir(string) error { return nil }

// List implements store.FS.
func (f *fileSystem) List(dir string) ([]string, error) {
	var list []string
	for _, name := range f.sorted(f.names) {
		if path.Dir(name) == dir {
			list = append(list, path.Base(name))
		}
	}
	return list, nil
}

// Create implements store.FS.
func (f *fileSystem) Create(name string) (store.File, error) {
	if f.names[name] != nil {
		return nil, fmt.Errorf("create %s: %w", name, fs.ErrExist)
	}
	if err := f.before(fileOperation{word: opCreate, name: name}); err != nil {
		return nil, err
	}
	n := &inode{}
	f.change(nameChange{name: name, inode: n})
	return &openFile{system: f, name: name, inode: n}, nil
}

// Open implements store.FS.
func (f *fileSystem) Open(name string) (store.File, error) { return f.Edit(name) }

// Edit implements store.FS.
func (f *fileSystem) Edit(name string) (store.File, error) {
	n := f.names[name]
	if n == nil {
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	return &openFile{system: f, name: name, inode: n}, nil
}

// Rename implements store.FS.
func (f *fileSystem) Rename(from, to string) error {
	if f.names[from] == nil {
		return fmt.Errorf("rename %s: %w", from, fs.ErrNotExist)
	}
	if err := f.before(fileOperation{word: opRename, name: to}); err != nil {
		return err
	}
	f.change(nameChange{name: to, was: from, inode: f.names[from]})
	return nil
}

// Remove implements store.FS.
func (f *fileSystem) Remove(name string) error {
	if f.names[name] == nil {
		return fmt.Errorf("remove %s: %w", name, fs.ErrNotExist)
	}
	if err := f.before(fileOperation{word: opRemove, name: name}); err != nil {
		return err
	}
	f.change(nameChange{name: name})
	return nil
}

// SyncDir implements store.FS.
func (f *fileSystem) SyncDir(dir string) error {
	// It names the file that it is about, which is more use to a fault and a reader than the directory.
	about := dir
	if n := len(f.changes); n > 0 {
		about = f.changes[n-1].name
	}
	if err := f.before(fileOperation{word: opSyncNames, name: about}); err != nil {
		return err
	}
	f.changes = slices.DeleteFunc(f.changes, func(c nameChange) bool {
		if path.Dir(c.name) != dir {
			return false
		}
		c.apply(f.durable)
		return true
	})
	return nil
}

// Lock implements store.FS.
func (f *fileSystem) Lock(name string) (io.Closer, error) {
	if f.locked[name] {
		return nil, fmt.Errorf("lock %s: it is locked", name)
	}
	f.locked[name] = true
	return &fileLock{f, name}, nil
}

type fileLock struct {
	system *fileSystem
	name   string
}

// Close implements io.Closer.
func (l *fileLock) Close() error {
	delete(l.system.locked, l.name)
	return nil
}

// openFile is an inode at which somebody reads and writes.
type openFile struct {
	system *fileSystem
	name   string
	inode  *inode
	offset int
}

// Write implements store.File.
func (o *openFile) Write(data []byte) (int, error) {
	if err := o.system.before(fileOperation{word: opWrite, name: o.name, size: len(data)}); err != nil {
		return 0, err
	}
	n := o.inode
	end := o.offset + len(data)
	size := max(end, len(n.content))
	n.note(o.offset, data, size)
	n.resize(size)
	copy(n.content[o.offset:], data)
	o.offset = end
	return len(data), nil
}

// ReadAt implements store.File.
func (o *openFile) ReadAt(into []byte, offset int64) (int, error) {
	if offset >= int64(len(o.inode.content)) {
		return 0, io.EOF
	}
	n := copy(into, o.inode.content[offset:])
	if n < len(into) {
		return n, io.EOF
	}
	return n, nil
}

// Close implements store.File.
func (o *openFile) Close() error { return nil }

// Size implements store.File.
func (o *openFile) Size() (int64, error) { return int64(len(o.inode.content)), nil }

// Truncate implements store.File.
func (o *openFile) Truncate(size int64) error {
	if err := o.system.before(fileOperation{word: opResize, name: o.name}); err != nil {
		return err
	}
	o.inode.note(min(int(size), len(o.inode.content)), nil, int(size))
	o.inode.resize(int(size))
	return nil
}

// Sync implements store.File.
func (o *openFile) Sync() error {
	if err := o.system.before(fileOperation{word: opSync, name: o.name}); err != nil {
		return err
	}
	o.inode.patches = nil
	return nil
}
