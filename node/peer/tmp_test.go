package peer_test
import ("testing";"fmt";"os";"strconv";"bufio")
func TestOne(t *testing.T) {
	seed, _ := strconv.Atoi(os.Getenv("SEED"))
	f, _ := os.Create("/tmp/zab/trace"); b := bufio.NewWriter(f); defer b.Flush()
	w := torment(uint64(seed), nil, func(line string){ fmt.Fprintln(b, line) })
	fmt.Println(w.Now(), w.Violation(), w.Members)
}
