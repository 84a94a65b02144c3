package process

import (
	"os/exec"
	"runtime"
	"sync"
)

// A starter starts child processes from one operating-system thread that lives as long as they may.
// The kernel ties PR_SET_PDEATHSIG to the thread that made the child, not to its process: were that
// thread to end, the child would be killed.
type starter struct {
	requests chan startRequest
	done     sync.WaitGroup
}

type startRequest struct {
	command *exec.Cmd
	result  chan error
}

func newStarter() *starter {
	s := &starter{requests: make(chan startRequest)}
	s.done.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for request := range s.requests {
			request.result <- request.command.Start()
		}
	})
	return s
}

func (s *starter) start(command *exec.Cmd) error {
	request := startRequest{command: command, result: make(chan error, 1)}
	s.requests <- request
	return <-request.result
}

// close ends the starter; its children must have ended before.
func (s *starter) close() {
	close(s.requests)
	s.done.Wait()
}
