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

// clockTick is the unit of the times in /proc/PID/stat: USER_HZ, which is 100 on every
// architecture that Linux has had Go for.
const clockTick = 10 * time.Millisecond

// processTime returns the processors' time, user and system, that a process, its
// children and theirs have used so far. Children that have ended count as soon as
// their parent has waited for them.
func processTime(pid int) (time.Duration, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, errors.WithStack(err)
	}
	all, children := map[int]procStat{}, map[int][]int{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil { // it has just ended
			continue
		}
		s, err := parseStat(content)
		if err != nil {
			return 0, err
		}
		all[s.pid] = s
		children[s.parent] = append(children[s.parent], s.pid)
	}
	if _, lives := all[pid]; !lives {
		return 0, errors.Newf("read the times of process %d: it has ended", pid)
	}
	var total time.Duration
	for family := []int{pid}; len(family) > 0; family = family[1:] {
		s := all[family[0]]
		total += max(s.own, threadsTime(s.pid)) + s.ended
		family = append(family, children[s.pid]...)
	}
	return total, nil
}

// threadsTime is the time of the threads that live, in nanoseconds, or zero if the
// kernel does not keep it. The clock ticks of [procStat] alone lose up to one for each
// process, such as each of PostgreSQL's, which begin anew in each round.
func threadsTime(pid int) (total time.Duration) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid)) // the pattern is right
	for _, file := range files {
		var onProcessor int64
		if content, err := os.ReadFile(file); err == nil { // otherwise it has just ended
			_, _ = fmt.Sscan(string(content), &onProcessor)
		}
		total += time.Duration(onProcessor)
	}
	return total
}

// procStat is what we read of /proc/PID/stat.
type procStat struct {
	pid, parent int
	own         time.Duration
	ended       time.Duration // of the children that it has waited for
}

// parseStat reads a line as proc(5) describes it. The second field, the name, is in
// brackets and may contain anything.
func parseStat(line []byte) (procStat, error) {
	open, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return procStat{}, errors.Newf("not a line of /proc/PID/stat: %q", line)
	}
	fields := strings.Fields(string(line[end+1:])) // from the third field on
	const parent, userTime, systemTime, childrensSystemTime = 4 - 3, 14 - 3, 15 - 3, 17 - 3
	if len(fields) <= childrensSystemTime {
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
	for i := userTime; i <= childrensSystemTime; i++ {
		ticks, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return s, errors.WithStack(err)
		}
		if i <= systemTime {
			s.own += time.Duration(ticks) * clockTick
		} else {
			s.ended += time.Duration(ticks) * clockTick
		}
	}
	return s, nil
}
