package tree

import (
	"fmt"
	"slices"

	"ordeal/node/jute"
)

// The ids of an aclCache that stand for no entry.
const (
	// openACLID is the built-in list that lets anyone do anything. It stands for null lists only.
	openACLID int64 = -1
	// missingACLID marks a znode of a fuzzy snapshot whose list came too late for the snapshot's
	// table. The transaction that brought the list comes with the replay and mends it.
	missingACLID int64 = -2
)

// aclCache numbers the ACLs in use, since few lists serve many znodes. Numbers start at 1, are never
// used again, and stand in snapshots (protocol.md 4.2).
type aclCache struct {
	last    int64 // the highest id ever given
	entries map[int64]*aclEntry
	ids     map[string]int64 // by the encoded list
	scratch []byte           // of use
}

type aclEntry struct {
	list []jute.ACL
	key  string
	uses int
}

func newACLCache() aclCache {
	return aclCache{entries: map[int64]*aclEntry{}, ids: map[string]int64{}}
}

// aclKey appends the key of a list to room.
func aclKey(room []byte, list []jute.ACL) []byte {
	e := jute.NewEncoder(room)
	jute.EncodeACLs(e, list)
	return e.Bytes()
}

// use returns the id of a list and counts one more znode that has it.
func (c *aclCache) use(list []jute.ACL) int64 {
	if list == nil {
		return openACLID
	}
	key := aclKey(c.scratch[:0], list)
	c.scratch = key
	id, known := c.ids[string(key)]
	if !known {
		c.last++
		id = c.last
		c.put(id, string(key), slices.Clone(list))
	}
	c.entries[id].uses++
	return id
}

func (c *aclCache) put(id int64, key string, list []jute.ACL) {
	c.ids[key] = id
	c.entries[id] = &aclEntry{list: list, key: key}
}

// release counts one znode less, and forgets a list that no znode has.
func (c *aclCache) release(id int64) {
	if id == openACLID || id == missingACLID {
		return
	}
	entry := c.entries[id]
	if entry == nil || entry.uses <= 0 {
		panic(fmt.Sprintf("tree: expected ACL %d in use, found entry %+v", id, entry))
	}
	entry.uses--
	if entry.uses == 0 {
		c.forget(id, entry)
	}
}

func (c *aclCache) forget(id int64, entry *aclEntry) {
	delete(c.entries, id)
	if c.ids[entry.key] == id {
		delete(c.ids, entry.key)
	}
}

// list returns the ACL of an id, which the caller must not change. A missing one allows nothing:
// better closed for the moment than open to all.
func (c *aclCache) list(id int64) []jute.ACL {
	switch id {
	case openACLID:
		return jute.OpenACL()
	case missingACLID:
		return []jute.ACL{{Perms: 0, Id: jute.Id{Scheme: "world", ID: "anyone"}}}
	}
	return c.entries[id].list
}

// adopt counts a znode of a snapshot and returns its id, or missingACLID if the snapshot's table
// lacks it.
func (c *aclCache) adopt(id int64) int64 {
	if id == openACLID {
		return id
	}
	entry := c.entries[id]
	if entry == nil {
		return missingACLID
	}
	entry.uses++
	return id
}

// purge forgets the lists of a snapshot that none of its znodes has.
func (c *aclCache) purge() {
	for id, entry := range c.entries { // any order: each is forgotten or not by itself
		if entry.uses == 0 {
			c.forget(id, entry)
		}
	}
}

// sorted returns the ids in ascending order.
func (c *aclCache) sorted() []int64 {
	ids := make([]int64, 0, len(c.entries))
	for id := range c.entries { // any order: they are sorted below
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (c *aclCache) encode(e *jute.Encoder) {
	e.Int(int32(len(c.entries)))
	for _, id := range c.sorted() {
		e.Long(id)
		jute.EncodeACLs(e, c.entries[id].list)
	}
}

// aclTableEntrySizeMin is the least that an id and a list take in a snapshot, in bytes.
const aclTableEntrySizeMin = 8 + 4

func (c *aclCache) decode(d *jute.Decoder) {
	n := d.Count(aclTableEntrySizeMin)
	for i := 0; i < n && d.Err() == nil; i++ {
		id := d.Long()
		list := jute.DecodeACLs(d)
		if d.Err() != nil {
			return
		}
		if list == nil || id < 1 || c.entries[id] != nil {
			d.Fail(fmt.Errorf("ACL table: expected a new id from 1 up with a list, found id %d with %v", id, list))
			return
		}
		c.put(id, string(aclKey(nil, list)), list)
		c.last = max(c.last, id)
	}
}
