package election

import (
	"fmt"

	"ordeal/node/jute"
)

// State is what a server is doing, as its notifications say it.
type State int32

// The states, with the values that stand on the wire.
const (
	Looking State = iota
	Following
	Leading
	Observing
)

// String is ZooKeeper's word for the state.
func (s State) String() string {
	switch s {
	case Looking:
		return "LOOKING"
	case Following:
		return "FOLLOWING"
	case Leading:
		return "LEADING"
	case Observing:
		return "OBSERVING"
	}
	return fmt.Sprintf("State(%d)", int32(s))
}

// NotificationVersion is the layout that this server sends: with a configuration text behind it.
const NotificationVersion = 2

// Notification tells another server for whom this one votes, or whom it follows (protocol.md 6.2).
type Notification struct {
	State         State
	Leader        int64 // the server voted for
	Zxid          int64 // the last zxid of that server when it proposed itself
	ElectionEpoch int64 // the sender's round of election, the logical clock
	PeerEpoch     int64 // the current epoch of the server voted for
	// Version is 0 for the two old layouts, which are read but never sent.
	Version int32
	// Config is the sender's membership as text (protocol.md 5.6); empty in old layouts.
	Config string
}

// The lengths in bytes by which the two old layouts are told from the present one.
const (
	lengthWithoutPeerEpoch = 28
	lengthWithoutVersion   = 40
)

// Encode returns the notification in the present layout, without the length in front of it.
func (n Notification) Encode() []byte {
	var e jute.Encoder
	e.Int(int32(n.State))
	e.Long(n.Leader)
	e.Long(n.Zxid)
	e.Long(n.ElectionEpoch)
	e.Long(n.PeerEpoch)
	e.Int(NotificationVersion)
	e.Buffer([]byte(n.Config))
	return e.Bytes()
}

// DecodeNotification reads a notification in any of its layouts. Bytes behind it are ignored, as
// Apache does; a notification that ends early, or says what no server can say, is an error.
func DecodeNotification(data []byte) (Notification, error) {
	var n Notification
	if len(data) < lengthWithoutPeerEpoch {
		return n, fmt.Errorf("notification of %d bytes: at least %d are needed", len(data), lengthWithoutPeerEpoch)
	}
	d := jute.NewDecoder(data)
	n.State = State(d.Int())
	n.Leader = d.Long()
	n.Zxid = d.Long()
	n.ElectionEpoch = d.Long()
	if n.State < Looking || n.State > Observing {
		return n, fmt.Errorf("notification with unknown state %d", int32(n.State))
	}
	if len(data) == lengthWithoutPeerEpoch {
		n.PeerEpoch = int64(uint64(n.Zxid) >> 32)
		return n, nil
	}
	n.PeerEpoch = d.Long()
	if len(data) == lengthWithoutVersion {
		return n, d.Err()
	}
	n.Version = d.Int()
	if n.Version >= NotificationVersion {
		n.Config = string(d.Buffer())
	}
	if err := d.Err(); err != nil {
		return n, fmt.Errorf("notification of %d bytes: %w", len(data), err)
	}
	return n, nil
}
