package sim

import "ordeal/node/store"

// purge removes old files, as a server's timer does: here after each snapshot, when the store does nothing else
// that it would have to wait for.
func (d *storeDisk) purge() {
	d.toPurge, d.purging = false, true
	incarnation := d.owner.incarnation
	before := len(d.files.names)
	err := d.store.Purge(store.RetainMin)
	d.purging = false
	if d.owner.incarnation != incarnation {
		return // it ended in the midst of it
	}
	if removed := before - len(d.files.names); removed > 0 {
		d.world.coverage.hit("purge")
		d.world.note(hashFile, d.owner.id, int64(removed))
		d.world.tell("disk %d  purges %d files", d.owner.id, removed)
	}
	if err != nil && !d.any() {
		d.world.broken("fatal", "member %d's store cannot purge although its disk is sound: %v", d.owner.id, err)
	}
}
