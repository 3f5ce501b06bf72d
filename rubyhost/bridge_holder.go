package rubyhost

/*
#include "cbridge.h"
*/
import "C"

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"
)

var asking sync.Mutex // one question at a time

// lockHolder returns where the code is that holds Ruby's lock (the GVL), innermost
// first, or nothing. It asks the threads of the process, and needs the lock for
// none of it. Threads that run come first: of those that sleep, one that has
// given the lock up and wants it back may answer, too.
func lockHolder() []string {
	asking.Lock()
	defer asking.Unlock()
	text := make([]byte, 4096)
	ask := func(threads []int, patience time.Duration) []string {
		for _, thread := range threads {
			n := C.tasker_ask_holder(C.int(thread), C.int(patience.Milliseconds()), (*C.char)(unsafe.Pointer(&text[0])), C.uint64_t(len(text)))
			if n > 0 {
				return splitLines(text[:n])
			}
		}
		return nil
	}
	running, asleep := ownThreads()
	if holder := ask(running, runningAnswers); holder != nil {
		return holder
	}
	return ask(asleep, asleepAnswers)
}

// How long a thread may take to answer. One that runs may have to wait for a processor. One
// that sleeps is woken at once; some block all signals, and never answer.
const (
	runningAnswers = 3 * time.Second
	asleepAnswers  = 50 * time.Millisecond
)

// ownThreads returns the numbers of the process's threads.
func ownThreads() (running, asleep []int) {
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil, nil
	}
	for _, entry := range entries {
		number, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, _ := os.ReadFile("/proc/self/task/" + entry.Name() + "/stat")
		if _, state, found := strings.Cut(string(stat), ") "); found && strings.HasPrefix(state, "R") {
			running = append(running, number)
		} else {
			asleep = append(asleep, number)
		}
	}
	return running, asleep
}
