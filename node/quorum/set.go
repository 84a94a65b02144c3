package quorum

import "slices"

// Set is some servers, in no particular order. Ensembles are small: looking through a few ids costs less than a map
// does, and a set is asked about with every acknowledgement.
type Set []int64

// Has tells whether a server is in the set.
func (s Set) Has(id int64) bool { return slices.Contains(s, id) }

// Add puts a server into the set, if it is not there.
func (s *Set) Add(id int64) {
	if !s.Has(id) {
		*s = append(*s, id)
	}
}

// Remove takes a server out of the set, if it is there.
func (s *Set) Remove(id int64) {
	if i := slices.Index(*s, id); i >= 0 {
		*s = slices.Delete(*s, i, i+1)
	}
}
