package listen

import (
	"syscall"
	"unsafe"
)

// The calls of this file never wait, so Go's scheduler is not told of them: to tell it
// costs a tenth of a request.

// TryRead reads what is there: syscall.EAGAIN if nothing is, 0 bytes at the end. b is not
// empty.
func TryRead(fd int, b []byte) (int, error) {
	n, errno := try(syscall.SYS_READ, fd, b)
	if errno != 0 {
		return 0, errno
	}
	return n, nil
}

// TryWrite writes what the socket takes at once; less than all is no error. b is not
// empty.
func TryWrite(fd int, b []byte) (int, error) {
	n, errno := try(syscall.SYS_WRITE, fd, b)
	if errno != 0 && errno != syscall.EAGAIN {
		return 0, errno
	}
	return n, nil
}

func try(call uintptr, fd int, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		switch errno {
		case 0:
			return int(n), 0
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}

// tryWait returns how many of the set's events are there and entered.
func tryWait(set int, events []syscall.EpollEvent) int {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(set),
			uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
		switch errno {
		case 0:
			return int(n)
		case syscall.EINTR:
		default:
			return 0 // only a closed set
		}
	}
}
