package history

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	// lineBytesMax bounds one event: a list of children is the longest.
	lineBytesMax = 64 << 20
	// readBytes is the size of the buffer in which lines are found.
	readBytes = 256 << 10
)

// File is a history on disk. It holds no open file and little memory between calls of Each, which may
// run at the same time.
type File struct {
	path     string
	complete bool

	mu   sync.Mutex
	torn string
}

// Open opens a history that Writer wrote, whole or cut off.
func Open(path string) (*File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	tail := make([]byte, len(endMark))
	complete := false
	if at := info.Size() - int64(len(tail)); at >= 0 {
		if _, err := file.ReadAt(tail, at); err != nil {
			return nil, fmt.Errorf("open history: %w", err)
		}
		complete = bytes.Equal(tail, endMark)
	}
	return &File{path: path, complete: complete}, nil
}

// Complete says whether the writer was closed in order. If not, the run was cut off and events of
// its last moments are missing.
func (f *File) Complete() bool { return f.complete }

// Torn describes where a cut-off history broke off in the middle of an event or a frame; empty if it
// did not, or Each has not come to its end yet.
func (f *File) Torn() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.torn
}

// Each calls visit for every event in the order recorded, until it returns an error. Of a cut-off
// history it visits what is whole, and leaves the rest to Torn.
func (f *File) Each(visit func(Event) error) error {
	file, err := os.Open(f.path)
	if err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	defer file.Close()
	stream, err := zstd.NewReader(file, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8*windowBytes))
	if err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	defer stream.Close()
	lines := bufio.NewReaderSize(stream, readBytes)
	d := new(decoder)
	var long []byte
	for number := 1; ; number++ {
		line, err := readLine(lines, &long)
		if err != nil {
			return f.end(number, line, err)
		}
		event, err := d.decode(line)
		if err != nil {
			return fmt.Errorf("history %s, line %d: %w", f.path, number, err)
		}
		if err := visit(event); err != nil {
			return err
		}
	}
}

// end judges why no further line could be read: at the end of a history, or because it is cut off,
// or because it is broken.
func (f *File) end(number int, rest []byte, err error) error {
	if errors.Is(err, io.EOF) && len(rest) == 0 {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if f.complete {
		return fmt.Errorf("history %s, line %d: %w", f.path, number, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.torn = fmt.Sprintf("history %s was cut off in line %d: %v", f.path, number, err)
	return nil
}

// readLine returns the next line without its newline. It is valid until the next call; a line that
// does not fit into the reader's buffer is put together in long.
func readLine(reader *bufio.Reader, long *[]byte) ([]byte, error) {
	line, err := reader.ReadSlice('\n')
	if err == nil {
		return line[:len(line)-1], nil
	}
	*long = append((*long)[:0], line...)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(*long) > lineBytesMax {
			return nil, fmt.Errorf("a line of more than %d bytes", lineBytesMax)
		}
		line, err = reader.ReadSlice('\n')
		*long = append(*long, line...)
	}
	if err != nil {
		return *long, err
	}
	return (*long)[:len(*long)-1], nil
}
