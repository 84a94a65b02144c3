package sim

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/disk"
	"ordeal/node/jute"
	"ordeal/node/store"
)

// logEntry is a transaction with so much data, of which some stretches are zeros.
func logEntry(r *rand.Rand, zxid int64) disk.Entry {
	data := bytes.Repeat([]byte{'d'}, r.IntN(pickOne(r, 50, 700, 3*pageSize)))
	if len(data) > 0 && r.IntN(4) == 0 {
		clear(data[r.IntN(len(data)):])
	}
	header := jute.TxnHeader{ClientID: 1, Zxid: zxid, Time: 1, Type: jute.OpSetData}
	return disk.Entry{Zxid: zxid, Payload: jute.EncodePayload(header, &jute.SetDataTxn{Path: "/", Data: data, Version: int32(zxid)}, nil)}
}

// Whatever sectors and pages of an un-synced log a loss of power leaves, the store starts, with all that was
// synced, and loses the power again while it does.
func TestAStoreStartsWithWhateverALossOfPowerLeaves(t *testing.T) {
	const lives, chances = 30, 15
	lost, kept := 0, 0
	for life := uint64(0); life < lives; life++ {
		r := rand.New(rand.NewPCG(life, 1))
		f := newFileSystem()
		options := store.Options{DataDir: dataDir, FS: f, Preallocate: preallocation}
		s, _, err := store.Open(options)
		require.NoError(t, err)
		zxid, synced := int64(0), int64(0)
		carryOut := func(operation disk.Operation) {
			s.CarryOut([]disk.Operation{operation}, func(result disk.Result) { require.NoError(t, result.Err) })
		}
		for range 1 + r.IntN(4) {
			for range 1 + r.IntN(20) {
				zxid++
				carryOut(disk.Operation{Kind: disk.Append, Entry: logEntry(r, zxid)})
			}
			carryOut(disk.Operation{Kind: disk.Sync, Ticket: 1})
			synced = zxid
		}
		f.before = func(operation fileOperation) error { // the process ends before the sync of what it writes now
			if operation.word == opSync {
				return errEnded
			}
			return nil
		}
		for range 1 + r.IntN(40) {
			zxid++
			carryOut(disk.Operation{Kind: disk.Append, Entry: logEntry(r, zxid)})
		}
		s.CarryOut([]disk.Operation{{Kind: disk.Sync, Ticket: 1}}, func(result disk.Result) { require.ErrorIs(t, result.Err, errEnded) })
		for chance := range uint64(chances) {
			after := f.copy()
			after.losePower(10+int(chance*3), life<<32+chance<<16)
			crashAt := r.IntN(10)
			after.before = func(fileOperation) error {
				if crashAt--; crashAt == 0 {
					return errEnded
				}
				return nil
			}
			options.FS = after
			state, err := startedAgain(t, options)
			if err != nil {
				require.ErrorIs(t, err, errEnded, "life %d chance %d", life, chance)
				after.before = func(fileOperation) error { return nil }
				after.losePower(50, life<<32+chance<<16+1)
				state, err = startedAgain(t, options)
			}
			require.NoError(t, err, "life %d chance %d", life, chance)
			last := state.Tree.LastZxid()
			require.GreaterOrEqual(t, last, synced, "life %d chance %d", life, chance)
			require.LessOrEqual(t, last, zxid)
			if last < zxid {
				lost++
			}
			if last > synced {
				kept++
			}
		}
	}
	require.Greater(t, lost, 100, "much of what was not synced is lost")
	require.Greater(t, kept, 100, "much of what was not synced is kept")
}

func startedAgain(t *testing.T, options store.Options) (*disk.State, error) {
	t.Helper()
	s, state, err := store.Open(options)
	options.FS.(*fileSystem).locked = map[string]bool{}
	if err == nil {
		require.NoError(t, s.Close())
	}
	return state, err
}

// copy is a file system that is in the same state, with the same things not synced.
func (f *fileSystem) copy() *fileSystem {
	c := newFileSystem()
	copies := map[*inode]*inode{}
	of := func(n *inode) *inode {
		if n != nil && copies[n] == nil {
			copies[n] = &inode{content: slices.Clone(n.content), patches: slices.Clone(n.patches)}
		}
		return copies[n]
	}
	for name, n := range f.names {
		c.names[name] = of(n)
	}
	for name, n := range f.durable {
		c.durable[name] = of(n)
	}
	for _, change := range f.changes {
		change.inode = of(change.inode)
		c.changes = append(c.changes, change)
	}
	return c
}
