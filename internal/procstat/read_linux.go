package procstat

import (
	"bytes"
	"os"
	"strconv"

	"github.com/cockroachdb/errors"
	"github.com/prometheus/procfs"
)

// Read reads all of it. The kernel walks the page tables for that, which takes some
// microseconds for each MB.
func Read() (Stat, error) {
	self, err := procfs.Self()
	if err != nil {
		return Stat{}, withHint(err)
	}
	stat, err := self.Stat()
	if err != nil {
		return Stat{}, withHint(err)
	}
	memory, err := self.ProcSMapsRollup()
	if err != nil {
		return Stat{}, withHint(err)
	}
	open, err := self.FileDescriptors()
	if err != nil {
		return Stat{}, withHint(err)
	}
	return Stat{
		RSS: memory.Rss, PSS: memory.Pss, Threads: stat.NumThreads,
		Descriptors: len(open) - 1, // without the one that lists them
	}, nil
}

// RSS reads the resident memory alone, in a few microseconds. The kernel counts it for
// each processor, and adds up late: it may be wrong by some hundred KB, unlike Read's.
func RSS() (uint64, error) {
	// procfs would read and parse all of stat.
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, withHint(err)
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0, errors.Newf("procstat: /proc/self/statm is %q", text)
	}
	pages, err := strconv.ParseUint(string(fields[1]), 10, 64)
	if err != nil {
		return 0, errors.Wrap(err, "procstat: /proc/self/statm")
	}
	return pages * uint64(os.Getpagesize()), nil
}

func withHint(err error) error {
	return errors.WithHint(errors.Wrap(err, "procstat: reading what this process uses"),
		"The memory of a process comes from /proc: mount it.")
}
