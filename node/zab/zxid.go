package zab

import "fmt"

// Epoch is the epoch of a zxid, its upper half.
func Epoch(zxid int64) int64 { return zxid >> 32 }

// epochMax is the last epoch: ACKEPOCH has it in four bytes. Whoever claims more must not be believed,
// or zxids would become negative.
const epochMax = 1<<31 - 1

// Counter is the number of a transaction in its epoch, the lower half of its zxid.
func Counter(zxid int64) int64 { return zxid & 0xffffffff }

// EpochStart is the zxid of NEWLEADER: no transaction has it, the first one of the epoch is the next.
func EpochStart(epoch int64) int64 { return epoch << 32 }

// LateStart is the least counter after which an epoch may begin to number its transactions, beside 0: tests of what
// happens at the end of an epoch let it begin there (zookeeper.testingonly.initialZxid). As a hole it
// would be one of four billion transactions.
const LateStart = 0xffff0000

// Follows tells whether a transaction can stand directly behind another in a log: it is the next of
// the same epoch or the first of a later one. Anything else is a hole (ZOOKEEPER-4925).
func Follows(zxid, previous int64) bool {
	if Epoch(zxid) == Epoch(previous) {
		return zxid == previous+1
	}
	return Epoch(zxid) > Epoch(previous) && (Counter(zxid) == 1 || Counter(zxid) > LateStart)
}

// hex is a zxid as logs show it.
func hex(zxid int64) string { return fmt.Sprintf("%#x", zxid) }
