package lint

import (
	"maps"
	chance "math/rand/v2"
	"os"
	"slices"
	. "time"
)

func wrong(done chan struct{}) {
	Now()
	_ = chance.IntN(2)
	go os.Getpid()
	select {
	case <-done:
	}
	type table map[int]int
	m := map[int]int{}
	c := chance.New(chance.NewPCG(1, 2)).IntN(2)
	for k := range m {
		c += k
	}
	for range table(m) {
	}
	for k := range maps.Keys(m) {
		c += k
	}
	for k, v := range m {
		c += k * v
	}
	for k := range m { // any order: adds up
		c += k
	}
	// any order: adds up
	for k := range m {
		c += k
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		c -= k
	}
	for range []int{c} {
	}
}
