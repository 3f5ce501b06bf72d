package rubyhost

/*
#include "cbridge.h"
*/
import "C"

// mallocUse returns what malloc has in use and what it keeps, in bytes.
func mallocUse() (inUse, free uint64, ok bool) {
	var used, kept C.uint64_t
	ok = bool(C.tasker_malloc_use(&used, &kept))
	return uint64(used), uint64(kept), ok
}

// allocatorName returns the allocator's name and version, or nothing.
func allocatorName() string { return C.GoString(C.tasker_allocator_name()) }

// bridgeOutstanding returns what the bridge's C code has allocated and not freed.
func bridgeOutstanding() (allocations, bytes uint64) {
	var number, sum C.uint64_t
	C.tasker_outstanding(&number, &sum)
	return uint64(number), uint64(sum)
}
