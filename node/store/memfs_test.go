package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"
	"sync"
)

var errPowerLost = errors.New("power lost")

// memoryFS is a file system that forgets, as a machine does that loses power: what was not synced is
// gone, or half gone. It can stop working at any operation.
type memoryFS struct {
	mutex   sync.Mutex
	names   map[string]*memoryFile // as programs see them
	durable map[string]*memoryFile // as they are after a crash
	locked  map[string]bool

	operations int // that change something, so far
	// crashAt is the operation at which the power goes; 0 is never. A write that is hit is done in part.
	crashAt int
	// failing, if it is not nil, makes an operation on a file of that name fail.
	failing func(operation, name string) error
	crashed bool
}

type memoryFile struct {
	content []byte
	durable []byte // at the last Sync
}

func newMemoryFS() *memoryFS {
	return &memoryFS{names: map[string]*memoryFile{}, durable: map[string]*memoryFile{}, locked: map[string]bool{}}
}

// fate is what becomes of a file's bytes that were not synced when the power went: it gives what is on the
// disk, of what was synced last and what was written since.
type fate func(synced, written []byte) []byte

func loseAll(synced, _ []byte) []byte  { return synced }
func keepAll(_, written []byte) []byte { return written }

// keepHalf keeps the beginning of what was written. The file's length may be ahead of it: the rest reads
// as zeros. A file that was made shorter stays as it was.
func keepHalf(synced, written []byte) []byte {
	first := differ(synced, written)
	kept := first + (len(written)-first+1)/2
	if len(written) < len(synced) || kept == first {
		return synced
	}
	content := make([]byte, len(written))
	copy(content, written[:kept])
	copy(content[kept:], synced[min(kept, len(synced)):])
	return content
}

// keepOdd and keepEven keep every other sector, as a disk may that writes them in an order of its own.
func keepOdd(synced, written []byte) []byte  { return keepSectors(synced, written, 1) }
func keepEven(synced, written []byte) []byte { return keepSectors(synced, written, 0) }

func keepSectors(synced, written []byte, parity int) []byte {
	if len(written) < len(synced) {
		return synced
	}
	content := make([]byte, len(written))
	copy(content, synced)
	for at := parity * sectorSize; at < len(written); at += 2 * sectorSize {
		copy(content[at:min(at+sectorSize, len(content))], written[at:])
	}
	return content
}

// afterCrash returns what the disk holds when the machine is on again: of bytes that were not synced what
// bytes says, and of changes of names that were not synced all or nothing.
func (m *memoryFS) afterCrash(bytes fate, names bool) *memoryFS {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	after := newMemoryFS()
	survivors := m.durable
	if names {
		survivors = m.names
	}
	for name, file := range survivors {
		content := bytes(file.durable, file.content)
		copied := &memoryFile{content: append([]byte(nil), content...), durable: append([]byte(nil), content...)}
		after.names[name], after.durable[name] = copied, copied
	}
	return after
}

func differ(a, b []byte) int {
	n := min(len(a), len(b))
	for i := 0; i < n; i++ {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// step counts an operation that changes something.
func (m *memoryFS) step(operation, name string) error {
	if m.crashed {
		return errPowerLost
	}
	if m.failing != nil {
		if err := m.failing(operation, name); err != nil {
			return fmt.Errorf("%s %s: %w", operation, name, err)
		}
	}
	m.operations++
	if m.operations == m.crashAt {
		m.crashed = true
		return errPowerLost
	}
	return nil
}

func (m *memoryFS) MakeDir(string) error { return nil }

func (m *memoryFS) List(dir string) ([]string, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	var names []string
	for name := range m.names {
		if path.Dir(name) == dir {
			names = append(names, path.Base(name))
		}
	}
	sort.Strings(names)
	return names, nil
}

func (m *memoryFS) Create(name string) (File, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.names[name] != nil {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrExist)
	}
	if err := m.step("create", name); err != nil {
		return nil, err
	}
	m.names[name] = &memoryFile{}
	return &memoryHandle{fs: m, name: name, file: m.names[name]}, nil
}

func (m *memoryFS) Open(name string) (File, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.crashed {
		return nil, errPowerLost
	}
	if m.names[name] == nil {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return &memoryHandle{fs: m, name: name, file: m.names[name]}, nil
}

func (m *memoryFS) Edit(name string) (File, error) { return m.Open(name) }

func (m *memoryFS) Rename(from, to string) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.names[from] == nil {
		return fmt.Errorf("%s: %w", from, fs.ErrNotExist)
	}
	if err := m.step("rename", from); err != nil {
		return err
	}
	m.names[to] = m.names[from]
	delete(m.names, from)
	return nil
}

func (m *memoryFS) Remove(name string) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.names[name] == nil {
		return fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	if err := m.step("remove", name); err != nil {
		return err
	}
	delete(m.names, name)
	return nil
}

func (m *memoryFS) SyncDir(dir string) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if err := m.step("syncdir", dir); err != nil {
		return err
	}
	for name := range m.durable {
		if path.Dir(name) == dir {
			delete(m.durable, name)
		}
	}
	for name, file := range m.names {
		if path.Dir(name) == dir {
			m.durable[name] = file
		}
	}
	return nil
}

func (m *memoryFS) Lock(name string) (io.Closer, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.locked[name] {
		return nil, fmt.Errorf("lock %s: it is locked", name)
	}
	m.locked[name] = true
	return closerFunc(func() error {
		m.mutex.Lock()
		defer m.mutex.Unlock()
		delete(m.locked, name)
		return nil
	}), nil
}

type closerFunc func() error

func (f closerFunc) Close() error { return f() }

// put and get reach behind everything.
func (m *memoryFS) put(name string, content []byte) {
	file := &memoryFile{content: content, durable: append([]byte(nil), content...)}
	m.names[name], m.durable[name] = file, file
}

func (m *memoryFS) get(name string) []byte {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.names[name] == nil {
		return nil
	}
	return append([]byte(nil), m.names[name].content...)
}

// clone returns an independent copy.
func (m *memoryFS) clone() *memoryFS { return m.afterCrash(keepAll, true) }

// listing returns the names of a directory in one line.
func (m *memoryFS) listing(dir string) string {
	names, _ := m.List(dir)
	return strings.Join(names, " ")
}

type memoryHandle struct {
	fs     *memoryFS
	name   string
	file   *memoryFile
	offset int
}

func (h *memoryHandle) Write(data []byte) (int, error) {
	h.fs.mutex.Lock()
	defer h.fs.mutex.Unlock()
	err := h.fs.step("write", h.name)
	if errors.Is(err, errPowerLost) && h.fs.operations != h.fs.crashAt {
		return 0, err
	}
	n := len(data)
	if err != nil {
		n /= 2
	}
	if grow := h.offset + n - len(h.file.content); grow > 0 {
		h.file.content = append(h.file.content, make([]byte, grow)...)
	}
	copy(h.file.content[h.offset:], data[:n])
	h.offset += n
	return n, err
}

func (h *memoryHandle) ReadAt(into []byte, offset int64) (int, error) {
	h.fs.mutex.Lock()
	defer h.fs.mutex.Unlock()
	if offset >= int64(len(h.file.content)) {
		return 0, io.EOF
	}
	n := copy(into, h.file.content[offset:])
	if n < len(into) {
		return n, io.EOF
	}
	return n, nil
}

func (h *memoryHandle) Close() error { return nil }

func (h *memoryHandle) Size() (int64, error) {
	h.fs.mutex.Lock()
	defer h.fs.mutex.Unlock()
	return int64(len(h.file.content)), nil
}

func (h *memoryHandle) Truncate(size int64) error {
	h.fs.mutex.Lock()
	defer h.fs.mutex.Unlock()
	if err := h.fs.step("truncate", h.name); err != nil {
		return err
	}
	if size <= int64(len(h.file.content)) {
		h.file.content = h.file.content[:size:size]
	} else {
		h.file.content = append(h.file.content, make([]byte, int(size)-len(h.file.content))...)
	}
	return nil
}

func (h *memoryHandle) Sync() error {
	h.fs.mutex.Lock()
	defer h.fs.mutex.Unlock()
	if err := h.fs.step("sync", h.name); err != nil {
		return err
	}
	h.file.durable = append([]byte(nil), h.file.content...)
	return nil
}
