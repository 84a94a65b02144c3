package workloads

import (
	"fmt"
	"strings"
)

// All returns every workload, in the order in which they are listed.
func All() []Workload {
	return []Workload{newRegister(), newBank(), newQueue(), newLock(), newWatch(), newSet()}
}

// Names returns the names of all workloads, in the same order.
func Names() []string {
	var names []string
	for _, w := range All() {
		names = append(names, w.Name())
	}
	return names
}

// Get finds a workload by its name.
func Get(name string) (Workload, error) {
	for _, w := range All() {
		if w.Name() == name {
			return w, nil
		}
	}
	return nil, fmt.Errorf("no workload %q; there are %s", name, strings.Join(Names(), ", "))
}
