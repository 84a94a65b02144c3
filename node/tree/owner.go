package tree

import "math"

// A znode's stored ephemeralOwner says what kind of znode it is (protocol.md 2.10).
const (
	// ContainerOwner marks a container.
	ContainerOwner int64 = math.MinInt64
	// TTLMax is the longest time to live in milliseconds.
	TTLMax int64 = 0xffffffffff

	extendedMask    int64 = -1 << 56 // the top byte 0xff
	extendedFeature int64 = 0xffff << 40
)

type ownerKind uint8

const (
	ownedByNobody ownerKind = iota
	ownedBySession
	ownerContainer
	ownerTTL
)

// TTLOwner returns the ephemeralOwner of a znode that lives ttl milliseconds after its last change.
func TTLOwner(ttl int64) int64 { return extendedMask | ttl&TTLMax }

// kindOf reads an ephemeralOwner. Without extended types only containers are special.
func (o Options) kindOf(owner int64) ownerKind {
	switch {
	case o.ExtendedTypes && owner&extendedMask == extendedMask && owner&extendedFeature == 0:
		return ownerTTL
	case owner == ContainerOwner:
		return ownerContainer
	case owner == 0:
		return ownedByNobody
	}
	return ownedBySession
}
