package pipeline

import "ordeal/node/jute"

// sharedMin is how long data must be, in bytes, to share the memory of its transaction.
const sharedMin = 512

// shareData lets the data of a write be that which stands in the logged transaction, and reports whether it does: then
// the tree need not copy it. A little data never keeps a long transaction in memory.
func shareData(r *request) bool {
	var path string
	var data *[]byte
	switch txn := r.txn.(type) {
	case *jute.SetDataTxn:
		path, data = txn.Path, &txn.Data
	case *jute.CreateTxn:
		path, data = txn.Path, &txn.Data
	default:
		return false
	}
	length, payload := len(*data), r.entry.Payload
	if length < sharedMin || length < len(payload)/2 {
		return false
	}
	at := jute.DataOffset(path)
	*data = payload[at : at+length : at+length]
	return true
}
