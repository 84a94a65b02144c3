package sim

import (
	"errors"
	"strings"

	"ordeal/node/store"
)

// This file is about bytes of a store's files that change at rest, what a start makes of them, and files that are
// taken away because of it.

// damage is a byte that is another one than was written.
type damage struct {
	file    *inode
	offset  int
	mask    byte
	changed int // of the file, then
}

// undo puts back what was there, unless the file is another one by now.
func (s damage) undo() bool {
	if s.file.changed != s.changed {
		return false
	}
	s.file.content[s.offset] ^= s.mask
	return true
}

// rot implements memberDisk. Zeros behind a log's end are left alone, and epoch files, which have no
// checksum in ZooKeeper's format, get a byte that is no digit.
func (d *storeDisk) rot(kind fileKind, chance uint64) {
	var candidates []*inode
	for _, name := range d.files.sorted(d.files.names) {
		if n := d.files.names[name]; kindOfFile(name) == kind && len(n.patches) == 0 && len(trimZeros(n.content)) > 0 {
			candidates = append(candidates, n)
		}
	}
	if len(candidates) == 0 {
		return
	}
	file := candidates[chance%uint64(len(candidates))]
	used := len(trimZeros(file.content))
	chance = mix(chance)
	spot := damage{file: file, offset: int(chance % uint64(used)), mask: 1 << (mix(chance) % 8), changed: file.changed}
	if kind == epochFiles {
		spot.mask = 0x80
	}
	file.content[spot.offset] ^= spot.mask
	d.rotted, d.wasRotted = append(d.rotted, spot), true
	d.world.coverage.hit("rotted-" + string(kind))
	d.world.tell("disk %d  rots: byte %d of a %s file", d.owner.id, spot.offset, kind)
}

func trimZeros(content []byte) []byte { return []byte(strings.TrimRight(string(content), "\x00")) }

// restore implements memberDisk: somebody puts back an undamaged copy of the file, as a store that refuses
// to start asks for.
func (d *storeDisk) restore() {
	restored := true
	for _, spot := range d.rotted {
		restored = spot.undo() && restored
	}
	if len(d.rotted) > 0 && restored {
		d.wasRotted = false
	}
	d.rotted = nil
}

// wipe implements memberDisk.
func (d *storeDisk) wipe() {
	before := d.files.before
	d.files = newFileSystem()
	d.files.before = before
	d.rotted, d.wasRotted, d.wiped = nil, false, true
	d.ledger = ledger{lost: true}
}

func (d *storeDisk) lacks() bool { return d.lost }

// refusal tells whether an error is a store's word for what is damaged or missing.
func refusal(err error) bool {
	var corrupt *store.CorruptError
	var lost *store.LostError
	var disorder *store.DisorderError
	return errors.As(err, &corrupt) || errors.As(err, &lost) || errors.As(err, &disorder)
}

// excuses implements memberDisk.
func (d *storeDisk) excuses(err error) bool {
	switch {
	case errors.Is(err, errEnded):
		d.world.coverage.hit("start-interrupted")
		return true
	case len(d.faults) > 0:
		d.world.coverage.hit("start-failed")
		return true
	case d.wasRotted && refusal(err):
		d.world.coverage.hit("rot-refused")
		return true
	}
	return false
}
