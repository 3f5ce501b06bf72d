package orchestration

import "golang.org/x/sys/unix"

// setUnackedTimeout bounds how long sent data may stay without an answer of the peer's
// kernel. Where a kernel does not know the option, the keepalives remain.
func setUnackedTimeout(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unackedTimeout.Milliseconds()))
}
