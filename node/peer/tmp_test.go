package peer_test
import ("testing";"fmt";"strings")
func TestStats(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		n := map[string]int{}
		w := torment(seed, func(line string){
			n["lines"]++
			for _, k := range []string{"SNAP","TRUNC","DIFF","NEWLEADER","COMMIT","crash","refused","expired", "connected", "snapshot", "boot", "reset", "cut", "pause"} { if strings.Contains(line," "+k) {n[k]++} }
		})
		fmt.Println(seed, w.Now(), n, w.Violation(), w.Members)
	}
}
