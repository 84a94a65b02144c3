package workloads

import (
	"math/rand/v2"
	"strconv"
	"time"

	"ordeal/results/history"
)

const (
	// groupSize is how many clients share znodes. A search for a linear order grows steeply with the
	// number of clients that overlap on one znode.
	groupSize = 4
	// generationOperations is after how many of its operations a client goes on to fresh znodes, so
	// that the history of one znode stays short however long the run is.
	generationOperations = 100
	// generationTime is when all clients go on to fresh znodes, however little they did, so that the
	// fast and the slow of a group meet again.
	generationTime = 5 * time.Second
)

// actor is what every client has: a number from 1, a group, a source of chance, and a serial number
// that makes its values unique.
type actor struct {
	number int
	group  int
	place  int // within the group, from 0
	random *rand.Rand
	serial int
}

// actors returns n actors, spread evenly over as few groups as groupSize allows.
func actors(n int, seed uint64) []actor {
	groups := (n + groupSize - 1) / groupSize
	all := make([]actor, n)
	for i := range all {
		all[i] = actor{
			number: i + 1, group: i % groups, place: i / groups,
			random: rand.New(rand.NewPCG(seed, uint64(i+1))),
		}
	}
	return all
}

// clients turns actors into the clients of a workload, which move to another member now and then.
func clients[C Client](n int, seed uint64, newClient func(actor) C) []Client {
	var all []Client
	for _, a := range actors(n, seed) {
		moves := rand.New(rand.NewPCG(^seed, uint64(a.number)))
		all = append(all, &roamer{Client: newClient(a), random: moves, next: roamTime(moves)})
	}
	return all
}

// unique returns a value that nobody writes twice and that names its write: "c3-17" is the
// seventeenth of client 3.
func (a *actor) unique() string {
	a.serial++
	return "c" + strconv.Itoa(a.number) + "-" + strconv.Itoa(a.serial)
}

func (a *actor) chance(percent int) bool { return a.random.IntN(100) < percent }

// generation says which set of znodes a client uses now.
type generation struct {
	slot       int // of generationTime
	part       int // within the slot
	operations int // done in this part
}

// slotOver says whether time alone asks for fresh znodes.
func (g *generation) slotOver(now time.Duration) bool { return int(now/generationTime) != g.slot }

// due says whether it is time for fresh znodes.
func (g *generation) due(now time.Duration) bool {
	return g.slotOver(now) || g.operations >= generationOperations
}

// next goes on to fresh znodes.
func (g *generation) next(now time.Duration) {
	if g.slotOver(now) {
		*g = generation{slot: int(now / generationTime)}
	} else {
		*g = generation{slot: g.slot, part: g.part + 1}
	}
}

// advance goes on to fresh znodes if it is time, counts an operation, and says whether it went on.
func (g *generation) advance(now time.Duration) bool {
	due := g.due(now)
	if due {
		g.next(now)
	}
	g.operations++
	return due
}

// name is part of a znode's name: the group, then the generation.
func (g *generation) name(group int) string {
	return strconv.Itoa(group) + "-" + strconv.Itoa(g.slot) + "-" + strconv.Itoa(g.part)
}

// do and wait are the two kinds of steps.
func do(r history.Request) Step     { return Step{Do: &r} }
func wait(d time.Duration) Step     { return Step{Wait: d} }
func ok(result history.Result) bool { return result.Outcome == history.OK }

// exists says that a znode to be created is there, by this create or an earlier one.
func exists(result history.Result) bool { return ok(result) || result.Error == "NodeExists" }

// description is what all workloads have in common.
type description struct {
	name, summary string
	clientsMin    int
	checkers      []string
}

func (d description) Name() string       { return d.name }
func (d description) Describe() string   { return d.summary }
func (d description) ClientsMin() int    { return d.clientsMin }
func (d description) Root() string       { return "/ordeal-" + d.name }
func (d description) Checkers() []string { return d.checkers }

// Setup creates the root. An answer that it exists is as good.
func (d description) Setup() []history.Request {
	return []history.Request{{Kind: history.Create, Path: d.Root(), Value: d.name}}
}

// Final lists the root on every member.
func (d description) Final() []history.Request {
	return []history.Request{{Kind: history.SyncChildren, Path: d.Root()}}
}
