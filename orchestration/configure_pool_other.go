//go:build !linux

package orchestration

// setUnackedTimeout does nothing: only Linux has TCP_USER_TIMEOUT. The keepalives remain.
func setUnackedTimeout(uintptr) {}
