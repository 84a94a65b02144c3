package sim

import (
	"math/rand/v2"
	"slices"
	"time"
)

// This file is about what faults a seed draws.

// fileAmbushes is at the latest how many changes of files of one sort later a fault strikes.
const fileAmbushes = 40

// drawFaultList draws the faults of a seed.
func drawFaultList(c *Config, from, to time.Duration) []*Fault {
	if len(c.Faults) == 0 || c.FaultEvery <= 0 {
		return nil
	}
	r := rand.New(rand.NewPCG(c.Seed, 0x6661756c7473)) // "faults"
	var list []*Fault
	for at := from + time.Duration(r.Int64N(int64(c.FaultEvery)+1)); at < to; at += time.Duration(r.Int64N(2*int64(c.FaultEvery))) + 1 {
		switch kind := c.Faults[r.IntN(len(c.Faults))]; kind {
		case faultTurns:
			turns, end := drawTurns(r, c, at, to)
			list = append(list, turns...)
			at = end
		case faultRestart:
			list = append(list, drawRestart(r, c, at, to)...)
		case faultRot:
			list = append(list, drawRot(r, c, at, to)...)
		default:
			list = append(list, drawFault(r, c, kind, at, to))
		}
	}
	return list
}

// drawTurns draws one quorum after another: in each turn some members, a minority of the voters, are
// down or out of reach, and often something befalls one of the others at a chosen moment. What only an
// earlier quorum knows must not be lost by a later one.
func drawTurns(r *rand.Rand, c *Config, at, to time.Duration) (turns []*Fault, end time.Duration) {
	for range 2 + r.IntN(4) {
		length := c.FaultSpan/4 + time.Duration(r.Int64N(int64(c.FaultSpan)))
		if at+length > to {
			break
		}
		out := r.Perm(c.Voters)[:r.IntN((c.Voters-1)/2+1)]
		for _, voter := range out {
			kind := pickOne(r, faultCrash, faultPower, faultIsolate, faultIsolate)
			if r.IntN(3) == 0 && slices.Contains(c.Faults, faultWipe) {
				kind = faultWipe
			}
			f := drawFault(r, c, kind, at, to)
			f.Who, f.Member, f.Other = whoMember, voter+1, 0
			// A little longer than the turn: members that come and go overlap.
			f.For = min(length+time.Duration(r.Int64N(int64(c.TickTime)*4)), to-at).Round(time.Millisecond)
			turns = append(turns, f)
		}
		if r.IntN(3) > 0 {
			turns = append(turns, drawAmbush(r, at, min(2*length, to-at)))
		}
		at += length
	}
	return turns, at
}

// openingChanges is how many changes of files a store makes at most, or nearly so, when it recovers.
const openingChanges = 12

// drawRestart draws the end of a process, mostly with what was not synced, and another end while it starts
// again: once or more often.
func drawRestart(r *rand.Rand, c *Config, at, to time.Duration) []*Fault {
	first := drawFault(r, c, pickOne(r, faultPower, faultPower, faultCrash, faultStop), at, to)
	list := []*Fault{first}
	for range 1 + r.IntN(1+r.IntN(3)) {
		again := drawFault(r, c, pickOne(r, faultPower, faultPower, faultCrash, faultBrokenDisk, faultFullDisk, faultFailingSync), at, to)
		again.Point, again.Nth, again.Who, again.Member = pointOpening, 1+r.IntN(openingChanges), whoReceiver, 0
		again.For /= 4
		list = append(list, again)
	}
	return list
}

// drawRot draws a byte that rots, and often that the member's disk is wiped because of it.
func drawRot(r *rand.Rand, c *Config, at, to time.Duration) []*Fault {
	rot := drawFault(r, c, faultRot, at, to)
	if r.IntN(2) == 0 {
		return []*Fault{rot}
	}
	rot.Who, rot.Member = whoMember, 1+r.IntN(c.Members())
	wipe := drawFault(r, c, faultWipe, rot.At+rot.For, to)
	wipe.Who, wipe.Member = whoMember, rot.Member
	return []*Fault{rot, wipe}
}

// joining are the points at which a member joins a leader.
var joining = []string{"WriteCurrentEpoch", "WriteCurrentEpoch", "Sync", "InstallSnapshot", "Truncate", "NEWLEADER", "SNAP", "DIFF", "UPTODATE", "ACKEPOCH", "LEADERINFO"}

// drawAmbush draws the end of a member that joins a leader, for as long as it takes others to take
// over.
func drawAmbush(r *rand.Rand, at, length time.Duration) *Fault {
	return &Fault{
		At: at.Round(time.Millisecond), Point: joining[r.IntN(len(joining))], Nth: 1 + r.IntN(3),
		Kind: pickOne(r, faultPower, faultPower, faultCrash, faultReset, faultIsolate), Who: whoReceiver, For: max(length, 0).Round(time.Millisecond),
	}
}

func drawFault(r *rand.Rand, c *Config, kind string, at, to time.Duration) *Fault {
	f := &Fault{Kind: kind, Who: whoMember, Member: 1 + r.IntN(c.Members()), At: at.Round(time.Millisecond)}
	f.For = time.Duration(1 + r.Int64N(int64(c.FaultSpan)))
	if r.IntN(8) == 0 {
		f.For *= 4
	}
	f.For = max(min(f.For, to-f.At), 0).Round(time.Millisecond)
	if r.IntN(3) == 0 {
		f.Who, f.Member = whoLeader, 0
	}
	switch f.Kind {
	case "blackout":
		f.Kind, f.Who, f.Member = faultPower, whoAll, 0
	case "ambush":
		f.Kind = pickOne(r, faultPower, faultPower, faultCrash, faultIsolate, faultPause, faultReset, faultBrokenDisk, faultSilence, faultDeafen, faultStuckDisk)
		f.Point, f.Nth = points[r.IntN(len(points))], 1+r.IntN(1+r.IntN(8))
		if c.Disk == fileDisks && r.IntN(2) == 0 {
			f.Point, f.Nth = fileOperations[r.IntN(len(fileOperations))], 1+r.IntN(1+r.IntN(fileAmbushes))
		}
		f.Who, f.Member = pickOne(r, whoSender, whoReceiver, whoReceiver, whoAll), 0
		if f.Who == whoAll && f.Kind != faultPower {
			f.Who = whoReceiver
		}
	}
	switch f.Kind {
	case faultFullDisk, faultFailingSync:
		f.Files = pickOne(r, "", logFiles, snapshotFiles, epochFiles)
	case faultRot:
		f.Files = pickOne(r, logFiles, logFiles, snapshotFiles, snapshotFiles, epochFiles)
	case faultPower:
		f.Keep = pickOne(r, 0, 0, 30, 60, 100)
	case faultStall:
		if f.Who == whoMember && r.IntN(2) == 0 {
			f.Other = 1 + r.IntN(c.Members())
		}
	case faultCut, faultSlowLink:
		if f.Who == whoMember {
			f.Other = 1 + r.IntN(c.Members())
		}
		f.By = c.TickTime * time.Duration(r.IntN(2*c.SyncLimit)) / 2
	case faultSlowDisk:
		f.By = c.TickTime * time.Duration(1+r.IntN(2*c.SyncLimit)) / 2
	case faultJump:
		f.By = time.Duration(r.IntN(120_000)-60_000) * time.Millisecond
	}
	if f.Kind == faultCut {
		f.By = 0
	}
	return f
}
