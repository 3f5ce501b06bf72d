package rubyhost_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/costs"
	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// TestCosts counts what the bridge takes, and compares it with testdata/costs.txt.
// docs/performance.md explains the figures.
func TestCosts(t *testing.T) {
	t.Parallel()
	sheet := costs.Open(t, "testdata/costs.txt")
	out, err := inChild(t, "costs")
	require.NoError(t, err, out)
	var c callCosts
	require.NoError(t, json.Unmarshal([]byte(out), &c), out)
	sheet.Section("Go, a call", "allocations", "bytes")
	sheet.Is("an empty call", costs.Exact(c.Empty.Allocations), costs.Exact(c.Empty.Bytes))
	sheet.Is("a task of 1.4 KB", costs.Exact(c.Task.Allocations), costs.Exact(c.Task.Bytes))
	sheet.Section("Ruby, a call", "objects")
	sheet.OfVersion("an empty call", c.Ruby, costs.Exact(c.Empty.Objects))
	sheet.OfVersion("a task of 1.4 KB", c.Ruby, costs.Exact(c.Task.Objects))
	sheet.Section("C, a turn", "instructions")
	cc := cmp.Or(os.Getenv("CC"), "cc")
	program := queueProgram(t, cc)
	for _, part := range countedParts {
		// The minor version of the compiler and of the C library may make a difference.
		sheet.OfVersion(part.name, compiler(t, cc), costs.Within(0.02, instructions(t, program, part.what)))
	}
}

// callCosts is what the child has counted.
type callCosts struct {
	Ruby        string
	Empty, Task callCost
}

// callCost is what one call takes: allocations in Go, their bytes, and objects in Ruby.
type callCost struct{ Allocations, Bytes, Objects int }

func init() {
	children["costs"] = func() {
		h := mustBoot(rubyhost.Options{Threads: 1})
		c := callCosts{Ruby: "ruby " + evalString(h, `RUBY_VERSION[/\A\d+\.\d+/]`)}
		c.Empty = countCall(h, "CostsEmpty", "nil", emptyStep())
		c.Task = countCall(h, "CostsTask", taskBody, taskStep())
		out, err := json.Marshal(c)
		must(err)
		fmt.Println(string(out))
		must(h.Close())
	}
}

func evalString(h *rubyhost.Host, source string) (s string) {
	value, err := h.Eval(context.Background(), source, "costs.rb")
	must(err)
	must(json.Unmarshal(value, &s))
	return s
}

// countCall returns what one call takes. Other goroutines and threads of the process
// allocate seldom: less than once in a call. So what remains of the division is theirs.
func countCall(h *rubyhost.Host, class, body string, step *rubyhost.Step) callCost {
	const calls, batches = 2000, 3
	_, err := h.Eval(context.Background(), fmt.Sprintf("class %s < Tasker::StepHandler::Base; def process(task, sequence, step)\n%s\nend; end; nil", class, body), "costs.rb")
	must(err)
	handler, err := h.Handler(context.Background(), class)
	must(err)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	call := func() {
		_, err := handler.Run(ctx, step)
		must(err)
	}
	for range calls {
		call()
	}
	least := callCost{math.MaxInt, math.MaxInt, math.MaxInt}
	for range batches {
		var before, after runtime.MemStats
		objects := allocatedObjects(h)
		runtime.ReadMemStats(&before)
		for range calls {
			call()
		}
		runtime.ReadMemStats(&after)
		objects = allocatedObjects(h) - objects
		least.Allocations = min(least.Allocations, int(after.Mallocs-before.Mallocs)/calls)
		least.Bytes = min(least.Bytes, int(after.TotalAlloc-before.TotalAlloc)/calls)
		least.Objects = min(least.Objects, objects/calls)
	}
	return least
}

func allocatedObjects(h *rubyhost.Host) (n int) {
	value, err := h.Eval(context.Background(), "GC.stat(:total_allocated_objects)", "costs.rb")
	must(err)
	must(json.Unmarshal(value, &n))
	return n
}

// countedParts are the parts of testdata/queue_test.c whose instructions are counted.
var countedParts = []struct{ what, name string }{
	{"jobs", "a job is submitted and popped"},
	{"wakes", "the same, and a worker is woken"},
	{"stack", "eight answers go through a stack"},
}

// instructions returns how many instructions of the processor one turn takes, as
// callgrind counts them. What a program does once is in two runs alike.
func instructions(t *testing.T, program, what string) int {
	t.Helper()
	const turns = 1000
	return (collected(t, program, what, 2*turns) - collected(t, program, what, turns)) / turns
}

var collectedLine = regexp.MustCompile(`Collected : (\d+)`)

func collected(t *testing.T, program, what string, turns int) int {
	t.Helper()
	out, err := exec.Command("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, "count", what, strconv.Itoa(turns)).CombinedOutput()
	require.NoError(t, err, "`make test/setup` installs valgrind: %s", out)
	found := collectedLine.FindSubmatch(out)
	require.NotNil(t, found, string(out))
	n, err := strconv.Atoi(string(found[1]))
	require.NoError(t, err)
	return n
}

// compiler returns the compiler's name, its major version, and the processor.
func compiler(t *testing.T, cc string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", cc+` -dM -E -x c /dev/null`).CombinedOutput()
	require.NoError(t, err, string(out))
	macros := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if parts := strings.SplitN(strings.TrimSpace(line), " ", 3); len(parts) == 3 {
			macros[parts[1]] = parts[2]
		}
	}
	name, major := "gcc", macros["__GNUC__"]
	if clang, is := macros["__clang_major__"]; is {
		name, major = "clang", clang
	}
	return fmt.Sprintf("%s %s, %s", name, major, runtime.GOARCH)
}

// queueProgram compiles testdata/queue_test.c as cgo compiles the package.
func queueProgram(t *testing.T, cc string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "queue_test")
	out, err := exec.Command("sh", "-c", cc+` -O2 -I. testdata/queue_test.c queue.c -lpthread -o "$0"`, program).CombinedOutput()
	require.NoError(t, err, string(out))
	return program
}
