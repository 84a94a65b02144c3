package workloads

import (
	"math/rand/v2"
	"time"
)

// roamMin and roamMax bound the time that a client stays with a member. It is short beside the time
// for which a member that was cut off still serves, so that clients meet members that are behind.
const (
	roamMin = 300 * time.Millisecond
	roamMax = 2700 * time.Millisecond
)

// roamer is a client that moves its session to another member now and then.
type roamer struct {
	Client
	random *rand.Rand
	next   time.Duration // when it moves
}

func (r *roamer) Next(now time.Duration) Step {
	if now < r.next {
		return r.Client.Next(now)
	}
	r.next = now + roamTime(r.random)
	return Step{Move: true}
}

func roamTime(random *rand.Rand) time.Duration {
	return roamMin + time.Duration(random.Int64N(int64(roamMax-roamMin)))
}
