package runner

import (
	"os"
	"runtime"
	"sync"
	"syscall"

	"github.com/cockroachdb/errors"
)

// spareThreads is how many threads Go gets at the start. A call of C or a slow system call
// can need one more at any time, and Go keeps it: its 20 KB would look like growth, one
// thread at a time over hours.
const spareThreads = 32

// makeThreads makes Go start its threads now.
func makeThreads() error {
	r, w, err := os.Pipe()
	if err != nil {
		return errors.WithStack(err)
	}
	fd := int(r.Fd()) // blocking from now on
	var begun, ended sync.WaitGroup
	for range spareThreads {
		begun.Add(1)
		ended.Go(func() {
			begun.Done()
			_, _ = syscall.Read(fd, make([]byte, 1)) // until the pipe is closed
		})
	}
	begun.Wait()
	err = w.Close()
	ended.Wait()
	return errors.CombineErrors(errors.WithStack(err), errors.WithStack(r.Close()))
}

// What Go keeps of goroutines that have ended: a processor up to so many records of its own,
// and what is more goes to a list of all processors.
const (
	keptGoroutines  = 64
	spareGoroutines = 256 // on the list of all, more than run at once
)

// makeGoroutines makes Go allocate the records of goroutines now. A goroutine starts on one
// processor and ends on another, so the processors' lists fill by chance, over thousands of
// steps: some 15 KB, 480 bytes at a time, that would look like slow growth.
func makeGoroutines() {
	begin := make(chan struct{})
	var group sync.WaitGroup
	for range keptGoroutines*runtime.GOMAXPROCS(0) + spareGoroutines {
		group.Go(func() { <-begin })
	}
	close(begin)
	group.Wait()
}
