package server

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Reads and writes that can't wait need not be announced to Go's scheduler, as package net announces
// all: each announcement wakes the scheduler's watchdog thread when nothing else goes on, which costs
// a server with little to do more than its work.

// rawConn is conn's descriptor, or nil if there is none or not a plain socket's.
func rawConn(conn any) syscall.RawConn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// writeNow writes as much as the socket takes without waiting. An error counts as nothing: the next
// write that may wait meets it again.
func writeNow(raw syscall.RawConn, data []byte) (written int) {
	if len(data) == 0 {
		return 0
	}
	_ = raw.Write(func(fd uintptr) bool {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)))
		if errno == 0 {
			written = int(n)
		}
		return true
	})
	return written
}

// socketReader reads a socket.
type socketReader struct{ raw syscall.RawConn }

// Read reads what is there, and waits if that is nothing.
func (r socketReader) Read(buffer []byte) (int, error) {
	if len(buffer) == 0 {
		return 0, nil
	}
	var n uintptr
	var errno syscall.Errno
	err := r.raw.Read(func(fd uintptr) bool {
		for errno = unix.EINTR; errno == unix.EINTR; {
			n, _, errno = unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&buffer[0])), uintptr(len(buffer)))
		}
		return errno != unix.EAGAIN
	})
	switch {
	case err != nil:
		return 0, err
	case errno != 0:
		return 0, os.NewSyscallError("read", errno)
	case n == 0:
		return 0, io.EOF
	}
	return int(n), nil
}
