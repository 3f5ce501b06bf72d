package rubyhost

/*
#include "cbridge.h"
*/
import "C"

// What Go asks of the main Ruby thread.
const (
	controlRaise   = C.TASKER_RAISE
	controlKill    = C.TASKER_KILL
	controlAbandon = C.TASKER_ABANDON
	controlPing    = C.TASKER_PING
	controlStop    = C.TASKER_STOP
)

// control asks the main Ruby thread for something. It returns false when
// memory has run out.
func control(what uint32, serial uint64) bool {
	return bool(C.tasker_control(C.uint32_t(what), C.uint64_t(serial)))
}
