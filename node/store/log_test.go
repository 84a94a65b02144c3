package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/adler32"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// record returns an entry's bytes in the log.
func record(payload []byte) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(adler32.Checksum(payload)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	return append(append(b, payload...), entryEnd)
}

// logOf returns a log file with these entries.
func logOf(zxids ...int64) []byte {
	b := fileHeader(logMagic, 0)
	for _, z := range zxids {
		b = append(b, record(entryAt(z).Payload)...)
	}
	return b
}

func padded(b []byte) []byte {
	return append(append([]byte(nil), b...), make([]byte, smallPreallocation)...)
}

func join(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// readAll reads a log file; torn is how many bytes of a torn entry it ends with.
func readAll(content []byte) (zxids []int64, torn int64, err error) { return readLog(content, false) }

func readLog(content []byte, newest bool) (zxids []int64, torn int64, err error) {
	files := newMemoryFS()
	files.put("/log", content)
	reader, err := openLog(files, "/log", 0)
	if err != nil {
		return nil, 0, err
	}
	defer reader.close()
	reader.newest = newest
	for {
		entry, err := reader.next()
		if errors.Is(err, io.EOF) {
			return zxids, reader.torn, nil
		}
		if err != nil {
			return zxids, 0, err
		}
		zxids = append(zxids, entry.Zxid)
	}
}

func changed(b []byte, offset int, value byte) []byte {
	b = append([]byte(nil), b...)
	b[offset] = value
	return b
}

func TestLogReaderOk(t *testing.T) {
	whole := logOf(1, 2)
	third := record(entryAt(3).Payload)
	for name, c := range map[string]struct {
		content []byte
		zxids   []int64
		torn    bool
	}{
		"no byte":                         {nil, nil, false},
		"only zeros":                      {make([]byte, 5000), nil, false},
		"half a header":                   {whole[:7], nil, true},
		"half a header before zeros":      {padded(whole[:7]), nil, true},
		"only a header":                   {whole[:fileHeaderSize], nil, false},
		"only a header before zeros":      {padded(whole[:fileHeaderSize]), nil, false},
		"physical end":                    {whole, []int64{1, 2}, false},
		"a few zeros":                     {append(whole[:len(whole):len(whole)], 0, 0, 0), []int64{1, 2}, false},
		"zeros":                           {padded(whole), []int64{1, 2}, false},
		"end mark missing":                {join(whole, third[:len(third)-1]), []int64{1, 2}, true},
		"end mark missing before zeros":   {padded(join(whole, third[:len(third)-1])), []int64{1, 2}, true},
		"half an entry":                   {join(whole, third[:len(third)/2]), []int64{1, 2}, true},
		"half an entry before zeros":      {padded(join(whole, third[:len(third)/2])), []int64{1, 2}, true},
		"a checksum without more":         {padded(join(whole, third[:8])), []int64{1, 2}, true},
		"part of a length":                {padded(join(whole, third[:11])), []int64{1, 2}, true},
		"epochs follow one another":       {logOf(zxid(1, 7), zxid(2, 1)), []int64{zxid(1, 7), zxid(2, 1)}, false},
		"a database id that nobody reads": {changed(whole, 15, 9), []int64{1, 2}, false},
	} {
		t.Run(name, func(t *testing.T) {
			zxids, torn, err := readAll(c.content)
			require.NoError(t, err)
			require.Equal(t, c.zxids, zxids)
			require.Equal(t, c.torn, torn > 0)
		})
	}
}

func TestLogReaderBad(t *testing.T) {
	whole := logOf(1, 2)
	firstEnd := fileHeaderSize + len(record(entryAt(1).Payload))
	tooShort := record([]byte("short"))
	for name, c := range map[string]struct {
		content []byte
		offset  int64
	}{
		"another file's header":            {fileHeader(snapshotMagic, 0), 0},
		"another version":                  {changed(whole, 7, 3), 0},
		"text":                             {[]byte("this is not a log"), 0},
		"a torn header before bytes":       {append(padded(whole[:7]), 1), 0},
		"a wrong checksum":                 {changed(whole, fileHeaderSize+5, 0xff), fileHeaderSize},
		"a wrong byte in a payload":        {changed(whole, fileHeaderSize+40, 0xff), fileHeaderSize},
		"a wrong last payload":             {padded(changed(whole, len(whole)-3, 0x11)), int64(firstEnd)},
		"a wrong end mark":                 {padded(changed(whole, len(whole)-1, 'C')), int64(firstEnd)},
		"no end mark before more":          {changed(whole, firstEnd-1, 0), fileHeaderSize},
		"length 0 before more":             {changed(whole, fileHeaderSize+11, 0), fileHeaderSize},
		"a negative length":                {changed(whole, fileHeaderSize+8, 0xff), fileHeaderSize},
		"a length beyond the end":          {changed(whole, fileHeaderSize+9, 0x7f), fileHeaderSize},
		"a last length beyond the end":     {changed(whole, firstEnd+10, 0x7f), int64(firstEnd)},
		"zeros in the middle":              {join(whole[:firstEnd], make([]byte, 512), whole[firstEnd:]), int64(firstEnd)},
		"a byte far behind the end":        {append(padded(whole), 1), int64(len(whole))},
		"an entry too short to have zxids": {join(whole, tooShort), int64(len(whole))},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := readAll(c.content)
			var corrupt *CorruptError
			require.ErrorAs(t, err, &corrupt)
			require.Equal(t, "/log", corrupt.File)
			require.Equal(t, c.offset, corrupt.Offset)
			require.ErrorContains(t, err, "put back an undamaged copy")
		})
	}
}

// TestTornWriteOfEveryLength tears the write of two entries after each byte: those that are whole are
// there, and the rest is torn, never damage.
func TestTornWriteOfEveryLength(t *testing.T) {
	before := logOf(1)
	second, third := record(entryAt(2).Payload), record(entryAt(3).Payload)
	written := join(before, second, third)
	for size := 0; size <= len(written); size++ {
		for _, content := range [][]byte{written[:size], padded(written[:size])} {
			zxids, torn, err := readAll(content)
			require.NoError(t, err, "size %d", size)
			switch {
			case size < len(before):
				require.Empty(t, zxids)
			case size < len(before)+len(second):
				require.Equal(t, []int64{1}, zxids)
			case size < len(written):
				require.Equal(t, []int64{1, 2}, zxids)
			default:
				require.Equal(t, []int64{1, 2, 3}, zxids)
				require.Zero(t, torn)
			}
		}
	}
}

// TestNoFlippedBitLosesAnEntry flips each bit of a log: either it is noticed or nothing is missing.
func TestNoFlippedBitLosesAnEntry(t *testing.T) {
	content := logOf(1, 2, 3)
	behind := append(append([]byte(nil), content...), make([]byte, 64)...)
	for _, whole := range [][]byte{content, behind} {
		for bit := range len(whole) * 8 {
			flipped := changed(whole, bit/8, whole[bit/8]^1<<(bit%8))
			zxids, _, err := readLog(flipped, bit%2 == 0)
			if err == nil {
				require.Equal(t, []int64{1, 2, 3}, zxids, "bit %d of byte %d", bit%8, bit/8)
			}
		}
	}
}

// TestNoDamagedStretchLosesAnEntry overwrites a few bytes. Only where they are the last entry's, and
// look as if they had never been written, may that entry be missing.
func TestNoDamagedStretchLosesAnEntry(t *testing.T) {
	content := padded(logOf(1, 2, 3, 4, 5))
	used, last := len(logOf(1, 2, 3, 4, 5)), len(logOf(1, 2, 3, 4))
	rapid.Check(t, func(t *rapid.T) {
		damaged := append([]byte(nil), content...)
		from := rapid.IntRange(0, used-1).Draw(t, "from")
		for i, b := range rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(t, "bytes") {
			damaged[from+i] = b
		}
		zxids, torn, err := readAll(damaged)
		switch {
		case err != nil:
		case torn > 0:
			require.GreaterOrEqual(t, from+8, last)
			require.Equal(t, upTo(5)[:max(len(zxids), 4)], zxids)
		default:
			require.Equal(t, upTo(5), zxids)
		}
	})
}

// TestLostSectors loses sectors of the end of a log, as a loss of power does with what was not synced: they
// read as zeros. In the newest file, behind the mark, the entries from there on are torn; anywhere else
// they are damage.
func TestLostSectors(t *testing.T) {
	const synced, all = 8, 16
	content := logOf(upTo(all)...)
	mark := len(logOf(upTo(synced)...))
	rapid.Check(t, func(t *rapid.T) {
		damaged := padded(content)
		lost := false
		first := len(content) // byte that is lost
		for at := fileHeaderSize; at < len(content); at = at/sectorSize*sectorSize + sectorSize {
			if rapid.IntRange(0, 5).Draw(t, "lost") > 0 {
				continue
			}
			from := at
			if rapid.Bool().Draw(t, "unsynced") {
				from = max(at, mark)
			}
			to := min(at/sectorSize*sectorSize+sectorSize, len(content))
			if from >= to {
				continue
			}
			clear(damaged[from:to])
			lost, first = true, min(first, from)
		}
		copy(damaged, fileHeader(logMagic, int64(mark)))
		zxids, torn, err := readLog(damaged, true)
		if lost && first < mark {
			var corrupt *CorruptError
			require.ErrorAs(t, err, &corrupt, "bytes that were synced are missing")
			return
		}
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(zxids), synced)
		require.Equal(t, upTo(int64(len(zxids))), zxids)
		require.Less(t, first, len(logOf(upTo(int64(len(zxids)+1))...)), "the entry behind has lost something")
		if _, _, err := readAll(damaged); lost && torn > int64(sectorSize+len(record(entryAt(1).Payload))) {
			require.Error(t, err, "in a file that another one follows")
		}
	})
}

func TestMarkTellsWhatIsSynced(t *testing.T) {
	files := newMemoryFS()
	s, _ := openTest(t, testOptions(files))
	r := run(s)
	marked := func() int64 { return int64(binary.BigEndian.Uint64(files.get(inData("log.1"))[8:])) }
	entries := int64(2 * markInterval / len(record(entryAt(1).Payload)))
	for z := int64(1); z <= entries; z++ {
		r.must(t, logged(z)...)
		require.LessOrEqual(t, marked(), int64(len(logOf(upTo(z-1)...))), "never more than was synced before")
	}
	require.Greater(t, marked(), int64(markInterval))
	require.NoError(t, r.stop())
	require.Equal(t, int64(len(logOf(upTo(entries)...))), marked())
	_, state := openTest(t, testOptions(files))
	require.Equal(t, entries, state.Tree.LastZxid())
}

func FuzzLogReader(f *testing.F) {
	f.Add(logOf(1, 2, 3))
	f.Add(padded(logOf(zxid(1, 1)))[:400])
	f.Add(logOf(1, 2)[:90])
	f.Fuzz(func(t *testing.T, content []byte) {
		zxids, torn, err := readAll(content)
		if err != nil {
			return
		}
		// With zeros behind it, as preallocation leaves them, it is still the same log.
		again, _, err := readAll(padded(content[:len(content)-int(torn)]))
		require.NoError(t, err)
		require.Equal(t, zxids, again)
	})
}

func TestLogWriterPreallocatesAsApacheDoes(t *testing.T) {
	options := testOptions(nil)
	options.DataDir, options.Preallocate = t.TempDir(), 0 // the default
	s, _ := openTest(t, options)
	r := run(s)
	r.must(t, logged(1)...)
	info, err := os.Stat(filepath.Join(options.DataDir, versionDir, "log.1"))
	require.NoError(t, err)
	require.Equal(t, int64(67108880), info.Size(), "as seen of Apache's server")
	require.NoError(t, r.stop())
}

func TestLogWriterRefusesHoles(t *testing.T) {
	for name, c := range map[string]struct {
		next int64
		ok   bool
	}{
		"the next":                    {3, true},
		"the first of the next epoch": {zxid(1, 1), true},
		"the first of a later epoch":  {zxid(7, 1), true},
		"the same":                    {2, false},
		"an earlier one":              {1, false},
		"one too far":                 {4, false},
		"not the first of an epoch":   {zxid(1, 2), false},
		"an epoch's number zero":      {zxid(1, 0), false},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := openTest(t, testOptions(newMemoryFS()))
			r := run(s)
			r.must(t, logged(1, 2)...)
			results := r.do(logged(c.next)...)
			stopped := r.stop()
			if c.ok {
				require.NoError(t, results[1].Err)
				require.NoError(t, stopped)
				return
			}
			require.ErrorContains(t, results[0].Err, "cannot follow 0x2")
			require.Equal(t, results[0].Err, results[1].Err)
			require.ErrorIs(t, stopped, results[0].Err)
		})
	}
}

// shortFile is a file that is cut while somebody reads it: less comes than its size said.
type shortFile struct {
	File
	left int64
}

func (f shortFile) ReadAt(b []byte, at int64) (int, error) {
	n := max(0, min(int64(len(b)), f.left-at))
	read, err := f.File.ReadAt(b[:n], at)
	if err == nil && n < int64(len(b)) {
		err = io.EOF
	}
	return read, err
}

// TestLogReaderOfAFileThatGetsShorter: an end that comes too early is a failure to read, and not taken for the end of
// the log.
func TestLogReaderOfAFileThatGetsShorter(t *testing.T) {
	content := padded(logOf(1, 2))
	files := newMemoryFS()
	files.put("/log", content)
	for left := range len(content) {
		reader, err := openLog(files, "/log", 0)
		require.NoError(t, err)
		short := shortFile{reader.file, int64(left)}
		reader.file, reader.buffered = short, bufio.NewReader(io.NewSectionReader(short, 0, reader.size))
		reader.newest = true
		for err == nil {
			_, err = reader.next()
		}
		require.NotErrorIs(t, err, io.EOF, "%d bytes are left", left)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		reader.close()
	}
}
