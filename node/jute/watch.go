package jute

import "fmt"

// EventType is what happened to a watched znode (protocol.md 2.11).
type EventType int32

// The event types, with ZooKeeper's numbers. The last three are made up by clients only.
const (
	EventNone                   EventType = -1
	EventNodeCreated            EventType = 1
	EventNodeDeleted            EventType = 2
	EventNodeDataChanged        EventType = 3
	EventNodeChildrenChanged    EventType = 4
	EventDataWatchRemoved       EventType = 5
	EventChildWatchRemoved      EventType = 6
	EventPersistentWatchRemoved EventType = 7
)

var eventNames = map[EventType]string{
	EventNone:                   "None",
	EventNodeCreated:            "NodeCreated",
	EventNodeDeleted:            "NodeDeleted",
	EventNodeDataChanged:        "NodeDataChanged",
	EventNodeChildrenChanged:    "NodeChildrenChanged",
	EventDataWatchRemoved:       "DataWatchRemoved",
	EventChildWatchRemoved:      "ChildWatchRemoved",
	EventPersistentWatchRemoved: "PersistentWatchRemoved",
}

// String is ZooKeeper's name of the event type.
func (t EventType) String() string {
	if name, known := eventNames[t]; known {
		return name
	}
	return fmt.Sprintf("unknown event %d", int32(t))
}

// The states of a WatcherEvent. A server sends StateSyncConnected always.
const (
	StateDisconnected      int32 = 0
	StateSyncConnected     int32 = 3
	StateAuthFailed        int32 = 4
	StateConnectedReadOnly int32 = 5
	StateSaslAuthenticated int32 = 6
	StateClosed            int32 = 7
	StateExpired           int32 = -112
)

// The modes of an AddWatchRequest.
const (
	AddWatchPersistent          int32 = 0
	AddWatchPersistentRecursive int32 = 1
)

// The kinds of watches that checkWatches and removeWatches ask about; the last two since 3.9.
const (
	WatcherChildren            int32 = 1
	WatcherData                int32 = 2
	WatcherAny                 int32 = 3
	WatcherPersistent          int32 = 4
	WatcherPersistentRecursive int32 = 5
)

// WatcherEvent tells a client that a watch has fired. It follows a ReplyHeader with XidNotification.
type WatcherEvent struct {
	Type  EventType
	State int32
	Path  string
}

// Encode appends the record.
func (r WatcherEvent) Encode(e *Encoder) {
	e.Int(int32(r.Type))
	e.Int(r.State)
	e.String(r.Path)
}

// Decode reads the record.
func (r *WatcherEvent) Decode(d *Decoder) {
	r.Type = EventType(d.Int())
	r.State = d.Int()
	r.Path = d.String()
}
