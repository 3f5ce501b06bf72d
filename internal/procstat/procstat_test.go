//go:build linux

package procstat_test

import (
	"fmt"
	"log"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tasker-rb/tasker-rb/internal/exampletest"
	"github.com/tasker-rb/tasker-rb/internal/procstat"
)

func TestExamples(t *testing.T) {
	exampletest.Check(t, map[string]string{"package": "ExampleRead is the package in use"})
}

func ExampleRead() {
	stat, err := procstat.Read()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(stat.RSS > 1<<20, stat.PSS > 0 && stat.PSS <= stat.RSS, stat.Threads > 1, stat.Descriptors > 2)
	// Output: true true true true
}

// RSS alone costs little, so a worker may read it often.
func ExampleRSS() {
	bytes, err := procstat.RSS()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(bytes > 1<<20)
	// Output: true
}

const mapped = 32 << 20

// The pages of a mapping count from when they are touched until they are unmapped.
func TestMemoryIsCounted(t *testing.T) {
	before := read(t)
	rssBefore, err := procstat.RSS()
	require.NoError(t, err)
	memory, err := unix.Mmap(-1, 0, mapped, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	require.NoError(t, err)
	for i := 0; i < mapped; i += os.Getpagesize() {
		memory[i] = 1
	}
	within := read(t)
	rssWithin, err := procstat.RSS()
	require.NoError(t, err)
	require.NoError(t, unix.Munmap(memory))
	require.InDelta(t, mapped, within.RSS-before.RSS, 4<<20)
	require.InDelta(t, mapped, within.PSS-before.PSS, 4<<20)
	require.InDelta(t, mapped, rssWithin-rssBefore, 4<<20)
	require.Less(t, read(t).RSS, within.RSS-mapped/2)
}

func TestDescriptorsAreCounted(t *testing.T) {
	before := read(t).Descriptors
	require.Equal(t, before, read(t).Descriptors, "reading counts itself")
	r, w, err := os.Pipe()
	require.NoError(t, err)
	require.Equal(t, before+2, read(t).Descriptors)
	require.NoError(t, r.Close())
	require.NoError(t, w.Close())
	require.Equal(t, before, read(t).Descriptors)
}

func TestThreadsAreCounted(t *testing.T) {
	before := read(t).Threads
	const more = 20
	end := make(chan struct{})
	started := make(chan struct{})
	for range more {
		go func() {
			runtime.LockOSThread() // and never unlock it: the thread ends with the goroutine
			started <- struct{}{}
			<-end
		}()
	}
	for range more {
		<-started
	}
	within := read(t).Threads
	close(end)
	require.GreaterOrEqual(t, within, more)
	require.Greater(t, within, before)
}

func read(t *testing.T) procstat.Stat {
	t.Helper()
	stat, err := procstat.Read()
	require.NoError(t, err)
	return stat
}
