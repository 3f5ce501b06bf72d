package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The memory of a worker does not follow the sum of the results: 16 tasks return 20 MB
// each, and one step of each reads them. When all results stayed with their tasks and went
// to the database together, that took 2.1 to 2.5 GB; now it is some 800 MB.
func TestWorkerMemoryWithLargeResults(t *testing.T) {
	const tasks, most = 16, 1400 // MB
	p := newProject(t, map[string]string{
		"large.yaml": `
name: large
step_templates:
  - {name: make, handler_class: Makes}
  - {name: read, handler_class: Reads, depends_on_step: make}
  - {name: last, handler_class: Ends, depends_on_steps: [make, read]}
`,
		"handlers/large.rb": `
class Makes
  def process(*) = { "text" => "x" * 20_000_000 }
end
class Reads
  def process(_task, sequence, _step) = sequence["make"].results["text"].size
end
class Ends
  def process(_task, sequence, _step) = sequence["read"].results
end
`,
	})
	r := p.run("submit", "large.yaml", "--count", fmt.Sprint(tasks))
	require.Zero(t, r.code, r.stderr)
	worker, out := startWorker(t, p, "--quiet", "--threads", "8")
	require.Eventually(t, func() bool { return done(t, p, "complete") == tasks }, patience, 200*time.Millisecond, out)
	peak := peakMemory(t, worker.Process.Pid)
	t.Logf("at most %d MB", peak)
	require.LessOrEqual(t, peak, most)
	require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	require.NoError(t, worker.Wait(), out)
}

// peakMemory is the most memory in MB that a process has had.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	peak := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	require.NotNil(t, peak, string(status))
	kB, err := strconv.Atoi(string(peak[1]))
	require.NoError(t, err)
	return kB / 1000
}
