package quorum

// Verifier decides which sets of servers may act for the ensemble. Any two quorums of one verifier
// have a server in common.
type Verifier interface {
	// ContainsQuorum tells whether servers form a quorum. Those that do not vote count for nothing.
	ContainsQuorum(servers Set) bool
	// Weight is what a server's vote weighs. A server of weight 0 cannot be elected; one that does
	// not vote weighs 0.
	Weight(id int64) int64
}

// Verifier returns the membership's rule: groups with weights if there are groups, else a majority
// of the voters.
func (c *Config) Verifier() Verifier {
	if len(c.Groups) > 0 {
		return newHierarchical(c)
	}
	return majority{voters: c.Voters()}
}

// JointVerifier returns the rule while a membership is being replaced: what counts needs a quorum of the
// present one and, if next is a later one, of that too.
func JointVerifier(present, next *Config) Verifier {
	if !present.Precedes(next) {
		return present.Verifier()
	}
	return joint{present.Verifier(), next.Verifier()}
}

// Precedes tells whether next is a membership later than this one. It may be nil.
func (c *Config) Precedes(next *Config) bool { return next != nil && next.Version > c.Version }

type joint []Verifier

func (j joint) ContainsQuorum(servers Set) bool {
	for _, verifier := range j {
		if !verifier.ContainsQuorum(servers) {
			return false
		}
	}
	return true
}

func (j joint) Weight(id int64) int64 {
	weight := int64(0)
	for _, verifier := range j {
		weight = max(weight, verifier.Weight(id))
	}
	return weight
}

// Size is the smallest number of voters that can form a quorum, for throttles and metrics. It takes
// every vote as equal.
func (c *Config) Size() int { return len(c.Voters())/2 + 1 }

type majority struct {
	voters []int64
}

func (m majority) ContainsQuorum(servers Set) bool {
	count := 0
	for _, id := range m.voters {
		if servers.Has(id) {
			count++
		}
	}
	return count > len(m.voters)/2
}

func (m majority) Weight(id int64) int64 {
	for _, voter := range m.voters {
		if voter == id {
			return 1
		}
	}
	return 0
}

// hierarchical wants more than half of the weight in more than half of the groups that have any
// weight (Apache: QuorumHierarchical).
type hierarchical struct {
	groups           []Group
	weights          map[int64]int64
	groupsWithWeight int
}

func newHierarchical(c *Config) *hierarchical {
	h := &hierarchical{groups: c.Groups, weights: map[int64]int64{}}
	for _, group := range c.Groups {
		total := int64(0)
		for _, id := range group.Members {
			h.weights[id] = c.weight(id)
			total += h.weights[id]
		}
		if total > 0 {
			h.groupsWithWeight++
		}
	}
	return h
}

func (h *hierarchical) ContainsQuorum(servers Set) bool {
	groups := 0
	for _, group := range h.groups {
		total, present := int64(0), int64(0)
		for _, id := range group.Members {
			total += h.weights[id]
			if servers.Has(id) {
				present += h.weights[id]
			}
		}
		if present > total/2 {
			groups++
		}
	}
	return groups > h.groupsWithWeight/2
}

func (h *hierarchical) Weight(id int64) int64 { return h.weights[id] }
