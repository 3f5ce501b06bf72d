//go:build planted

package rubyhost

/*
#include <stdlib.h>
*/
import "C"

import (
	"os"
	"sync"
)

// What a program that was built with the tag planted leaks, by the variable
// TASKER_PLANT. request_free_planted.c has one more.
const (
	plantGoMap  = "gomap"  // an entry of a Go map with 64 bytes, for each handler that is called
	plantNative = "native" // 64 bytes of malloc, which no Ruby object and no counter knows
)

var (
	planted     = os.Getenv("TASKER_PLANT")
	plantedLock sync.Mutex
	plantedMap  = map[uint64]*[64]byte{}
)

// plant leaks. Handler.Run calls it.
func plant() {
	switch planted {
	case plantGoMap:
		plantedLock.Lock()
		plantedMap[uint64(len(plantedMap))] = new([64]byte)
		plantedLock.Unlock()
	case plantNative:
		C.calloc(1, 64)
	}
}
