package store

import (
	"errors"
	"fmt"
	"path"

	"ordeal/node/disk"
	"ordeal/node/tree"
)

// ReadDir reads the data directory of a server that does not run, Apache's or ours, and changes
// nothing in it. It returns what the server would start with. An empty logDir stands for dataDir.
//
// Both the state and an error are returned if the files are whole, but a digest in them says that the
// server's tree was another one, or transactions are missing, repeated or out of order in the log: the
// state is then what comes out if they are put into order. The error answers to errors.As with
// *DigestError or *DisorderError then.
func ReadDir(dataDir, logDir string) (*disk.State, error) {
	return Read(Options{DataDir: dataDir, LogDir: logDir, Tree: tree.Options{DigestEnabled: true}})
}

// Read is ReadDir with all options.
func Read(options Options) (*disk.State, error) {
	options = options.withDefaults()
	dataDir := options.DataDir
	directories := options.directories()
	directories.recogniseOne()
	if err := directories.checkSeparation(); err != nil {
		return nil, err
	}
	var found []error
	r, err := directories.replay(noLimit)
	var disorder *DisorderError
	if errors.As(err, &disorder) {
		found = append(found, fmt.Errorf("data directory %s: %w", dataDir, disorder))
		directories.sorted = true
		r, err = directories.replay(noLimit)
	}
	if err != nil {
		return nil, fmt.Errorf("read data directory %s: %w", dataDir, err)
	}
	state, _, err := directories.state(r)
	if err != nil {
		return nil, fmt.Errorf("read data directory %s: %w", dataDir, err)
	}
	for _, disorder := range r.disorder {
		found = append(found, fmt.Errorf("data directory %s: %w", dataDir, disorder))
	}
	for _, mismatch := range r.digests {
		found = append(found, fmt.Errorf("data directory %s: %w", dataDir, mismatch))
	}
	return state, errors.Join(found...)
}

// directories returns the folders that the options name.
func (o Options) directories() *directories {
	return &directories{
		files:     o.FS,
		snapshots: path.Join(o.DataDir, versionDir),
		logs:      path.Join(o.LogDir, versionDir),
		options:   o,
	}
}
