package sim

import "bytes"

// This file is about what a loss of power leaves of files.

const (
	// sectorSize is how many bytes a disk writes wholly or not at all.
	sectorSize = 512
	// pageSize is how many bytes of a file an operating system writes at a time, in any order.
	pageSize = 4096
)

// losePower leaves what a machine finds when it has power again. Of a hundred changes that were not
// synced keep survive, on average. Of a file's changes it is those up to some byte or sector, or those of
// some sectors or pages; what is missing reads as zeros.
func (f *fileSystem) losePower(keep int, chance uint64) (lost bool) {
	draw := func() uint64 {
		chance++
		return mix(chance)
	}
	survives := func() bool { return int(draw()%100) < keep }
	for _, name := range f.sorted(f.names) {
		lost = f.names[name].losePower(keep, survives, draw) || lost
	}
	for _, change := range f.changes {
		if change.inode != nil {
			lost = change.inode.losePower(keep, survives, draw) || lost // it may have no name any more
		}
		if survives() {
			change.apply(f.durable)
		} else {
			lost = true
		}
	}
	for _, name := range f.sorted(f.durable) {
		lost = f.durable[name].losePower(keep, survives, draw) || lost
	}
	f.changes = nil
	f.names = map[string]*inode{}
	for _, name := range f.sorted(f.durable) {
		f.names[name] = f.durable[name]
	}
	return lost
}

func (c nameChange) apply(names map[string]*inode) {
	if c.was != "" {
		delete(names, c.was)
	}
	if c.inode == nil {
		delete(names, c.name)
	} else {
		names[c.name] = c.inode
	}
}

// losePower leaves some of the patches, or parts of them.
func (n *inode) losePower(keep int, survives func() bool, draw func() uint64) (lost bool) {
	if len(n.patches) == 0 {
		return false
	}
	patches := n.patches
	switch {
	case keep == 0:
		n.takeBack()
		lost = true
	case survives():
		n.patches = nil
	case draw()%2 == 0:
		n.takeBack()
		lost = n.tearOff(patches, draw)
	default:
		unit := sectorSize
		if draw()%2 == 0 {
			unit = pageSize
		}
		n.takeBack()
		lost = n.scatter(patches, unit, survives, draw)
	}
	n.changed++
	return lost
}

// tearOff leaves the patches up to some byte of them.
func (n *inode) tearOff(patches []patch, draw func() uint64) (lost bool) {
	unsynced := 0
	for _, p := range patches {
		unsynced += len(p.written) + 1
	}
	left := int(draw() % uint64(unsynced))
	for _, p := range patches {
		if left <= 0 {
			return true
		}
		n.tear(p, left, draw)
		left -= len(p.written) + 1
	}
	return left < 0
}

// scatter leaves of each unit of the file what it was after some patch or other, of its length likewise: an
// operating system may have written any of them at any time. What was cut off before the file got the
// length that it has is gone for good, and what was written behind a cut is not there without it.
func (n *inode) scatter(patches []patch, unit int, survives func() bool, draw func() uint64) (lost bool) {
	longest := len(n.content)
	for _, p := range patches {
		longest = max(longest, p.size)
	}
	drawAfter := func() int {
		if survives() {
			return len(patches)
		}
		return int(draw() % uint64(len(patches)+1))
	}
	lengthAfter := drawAfter()
	length := len(n.content)
	after := make([]int, (longest+unit-1)/unit)
	for i := range after {
		after[i] = drawAfter()
	}
	left := make([]byte, longest)
	copy(left, n.content)
	cutOff := false // though not on the disk
	for done, p := range patches {
		n.resize(p.size)
		copy(n.content[p.offset:], p.written)
		if done < lengthAfter {
			length = p.size
			clear(left[p.size:])
		} else {
			cutOff = cutOff || p.size < p.sizeWas
		}
		for i := range after {
			if from := i * unit; !cutOff && after[i] == done+1 && from < len(n.content) {
				copy(left[from:], n.content[from:min(from+unit, len(n.content))])
			}
		}
	}
	lost = length != len(n.content) || !bytes.Equal(left[:length], n.content)
	n.content = left[:length]
	return lost
}

// tear makes so many bytes of a patch again, or up to the last whole sector of them. The file's new
// length may be on the disk or not.
func (n *inode) tear(p patch, bytes int, draw func() uint64) {
	size, written := p.size, p.written
	if bytes < len(written)+1 {
		end := p.offset + bytes
		if draw()%2 == 0 {
			end = max(p.offset, end/sectorSize*sectorSize)
		}
		written = written[:min(end-p.offset, len(written))]
		if draw()%2 == 0 {
			size = max(p.sizeWas, p.offset+len(written))
		}
	}
	n.resize(size)
	copy(n.content[p.offset:], written)
}

// takeBack leaves what is on the disk for sure.
func (n *inode) takeBack() {
	for i := len(n.patches) - 1; i >= 0; i-- {
		p := n.patches[i]
		n.resize(p.sizeWas)
		copy(n.content[p.offset:], p.replaced)
	}
	n.patches = nil
}
