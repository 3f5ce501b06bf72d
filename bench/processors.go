package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/errors"
)

// A process with one thread, such as each of PostgreSQL's, also has /proc/PID/schedstat,
// which counts nanoseconds. Without it, ten connections that are new in a round would lose
// up to ten clock ticks.

// clockTick is the unit of the times in /proc/PID/stat: USER_HZ, which is 100 on every
// architecture that Linux has had Go for.
const clockTick = 10 * time.Millisecond

// processTime returns the processors' time, user and system, that a process, its
// children and theirs have used so far. Children that have ended count as soon as
// their parent has waited for them.
func processTime(pid int) (time.Duration, error) {
	stat, err := readStat("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, errors.Wrapf(err, "read the times of process %d", pid)
	}
	total := stat.used
	children := map[int][]procStat{}
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, errors.WithStack(err)
	}
	for _, file := range files {
		if s, err := readStat(file); err == nil { // otherwise it has just ended
			children[s.parent] = append(children[s.parent], s)
		}
	}
	for below := children[pid]; len(below) > 0; {
		child := below[0]
		below = append(below[1:], children[child.pid]...)
		total += child.used
	}
	return total, nil
}

// procStat is what we read of /proc/PID/stat.
type procStat struct {
	pid, parent int
	threads     int
	own         time.Duration
	used        time.Duration // its own, and that of the children it has waited for
}

func readStat(file string) (procStat, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return procStat{}, errors.WithStack(err)
	}
	s, err := parseStat(content)
	if err != nil || s.threads != 1 {
		return s, err
	}
	var onProcessor int64
	precise, err := os.ReadFile(filepath.Join(filepath.Dir(file), "schedstat"))
	if err != nil { // the kernel has none, or the process has just ended
		return s, nil
	}
	if _, err := fmt.Sscan(string(precise), &onProcessor); err != nil {
		return s, errors.WithStack(err)
	}
	s.used += time.Duration(onProcessor) - s.own
	s.own = time.Duration(onProcessor)
	return s, nil
}

// parseStat reads a line as proc(5) describes it. The second field, the name, is in
// brackets and may contain anything.
func parseStat(line []byte) (procStat, error) {
	open, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return procStat{}, errors.Newf("not a line of /proc/PID/stat: %q", line)
	}
	fields := strings.Fields(string(line[end+1:])) // from the third field on
	const parent, userTime, systemTime, childrensSystemTime, threads = 4 - 3, 14 - 3, 15 - 3, 17 - 3, 20 - 3
	if len(fields) <= threads {
		return procStat{}, errors.Newf("not a line of /proc/PID/stat: %q", line)
	}
	var s procStat
	var err error
	if s.pid, err = strconv.Atoi(strings.TrimSpace(string(line[:open]))); err != nil {
		return s, errors.WithStack(err)
	}
	if s.parent, err = strconv.Atoi(fields[parent]); err != nil {
		return s, errors.WithStack(err)
	}
	if s.threads, err = strconv.Atoi(fields[threads]); err != nil {
		return s, errors.WithStack(err)
	}
	for i := userTime; i <= childrensSystemTime; i++ {
		ticks, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return s, errors.WithStack(err)
		}
		if s.used += time.Duration(ticks) * clockTick; i == systemTime {
			s.own = s.used
		}
	}
	return s, nil
}
