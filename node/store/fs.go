package store

import "io"

// FS is what the store needs of a file system. A test or a simulator puts its own in place, to fail,
// tear and lose things. Names are slash-separated paths. Errors for files that do not exist, or
// exist already, answer to errors.Is with fs.ErrNotExist and fs.ErrExist.
type FS interface {
	// MakeDir creates a directory and its parents; one that exists already is no error.
	MakeDir(dir string) error
	// List returns the names of the files in a directory, sorted, without their directory.
	List(dir string) ([]string, error)
	// Create creates a file for reading and writing; it is an error if there is one of that name.
	Create(name string) (File, error)
	// Open opens a file for reading.
	Open(name string) (File, error)
	// Edit opens a file that exists for writing.
	Edit(name string) (File, error)
	// Rename gives a file another name, replacing what had it.
	Rename(from, to string) error
	// Remove removes a file.
	Remove(name string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
	// Lock creates the file if need be and locks it for this process until the result is closed or
	// the process ends, however it ends. A file that somebody else has locked is an error at once.
	Lock(name string) (io.Closer, error)
}

// aliasFS is an FS in which a directory may have several names: by symbolic links, for instance.
type aliasFS interface {
	FS
	// SameDir tells whether two names are those of one directory.
	SameDir(a, b string) bool
}

// File is an open file. Write goes on where the last Write ended, beginning at the file's start.
type File interface {
	io.Writer
	io.ReaderAt
	io.Closer
	// Size is the file's length in bytes.
	Size() (int64, error)
	// Truncate cuts the file, or lengthens it with zeros that take no room.
	Truncate(size int64) error
	// Sync makes the file's bytes and length durable.
	Sync() error
}
