package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// interruptible is a program that says what signals do to it, and never ends by itself.
func interruptible() {
	ctx, interrupt, stop := interrupts(context.Background(), os.Stdout, "interrupted")
	defer stop()
	fmt.Println("ready for", endings())
	<-interrupt
	fmt.Println("told")
	<-ctx.Done()
	fmt.Println("ended")
	select {}
}

func TestTheFirstSignalTellsTheSecondEndsTheContextTheThirdTheProgram(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(signal.String(), func(t *testing.T) {
			if !slices.Contains(endings(), os.Signal(signal)) {
				t.Skip("these tests were started so that they ignore it")
			}
			program := exec.Command(os.Args[0])
			program.Env = append(os.Environ(), interruptibleProgram+"=yes")
			output, err := program.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, program.Start())
			lines := bufio.NewScanner(output)
			for _, said := range [][]string{
				{fmt.Sprint("ready for ", endings())},
				{"interrupted", "told"},
				{"interrupted again: cleaning up at once (again to end as it stands)", "ended"},
			} {
				for _, line := range said {
					require.True(t, lines.Scan(), "expected %q, found the end", line)
					require.Equal(t, line, lines.Text())
				}
				require.NoError(t, program.Process.Signal(signal))
			}
			require.ErrorContains(t, program.Wait(), fmt.Sprint("exit status ", exitFailed))
		})
	}
}

func TestANohupIsHeeded(t *testing.T) {
	program := exec.Command("nohup", os.Args[0])
	program.Env = append(os.Environ(), interruptibleProgram+"=yes")
	output, err := program.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, program.Start())
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready for [interrupt terminated]\n", line)
	require.NoError(t, program.Process.Kill())
	require.Error(t, program.Wait())
}
