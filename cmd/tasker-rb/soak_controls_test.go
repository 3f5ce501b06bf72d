package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/effort"
	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/internal/soak"
)

// control is a template whose answer is known: test/ruby/soak/controls. README.md there
// describes them.
type control struct {
	name  string // of its folder, and after a slash the plant
	leaks bool
	kind  string // the place of a leak
	class string // of the objects that a leak in Ruby leaves, "" if it differs with Ruby
	db    bool
	slow  bool // the more steps, the slower
	short controlSize
	first bool // `make test` runs it
}

// controlSize is how long a control runs, and what is still flat.
type controlSize struct {
	tasks, samples int
	budget         string
}

// brief is the size for a run whose leak is many times the budget.
var brief = controlSize{3000, 60, "8"}

func (s controlSize) flags() []string {
	return []string{"--iterations", strconv.Itoa(s.tasks), "--samples", strconv.Itoa(s.samples), "--budget", s.budget}
}

var controls = []control{
	{name: "constant_array", leaks: true, kind: "ruby_heap", class: "ConstantArray::Receipt", short: brief, first: true},
	{name: "class_hash", leaks: true, kind: "ruby_heap", class: "Hash", short: brief},
	{name: "callback_block", leaks: true, kind: "ruby_heap", class: "Proc", short: brief},
	{name: "thread_local", leaks: true, kind: "ruby_heap", class: "String", short: brief},
	{name: "subscriber", leaks: true, kind: "ruby_heap", slow: true, short: controlSize{1000, 60, "8"}},
	{name: "sixty_four_bytes", leaks: true, kind: "ruby_heap", class: "Thread::ConditionVariable", short: brief},
	{name: "rare", leaks: true, kind: "ruby_heap", class: "String", short: controlSize{20_000, 60, "4"}},
	{name: "c_global", leaks: true, kind: "native", short: brief, first: true},
	{name: "go_map/native", leaks: true, kind: "native", short: brief},
	{name: "go_map/gomap", leaks: true, kind: "go_heap", short: controlSize{6000, 60, "8"}, first: true},                      // a map grows in jumps
	{name: "bridge_request/request", leaks: true, kind: "bridge", db: true, short: controlSize{2000, 50, "100"}, first: true}, // Go's heap has not settled after so few steps

	{name: "bounded_cache", short: controlSize{8000, 60, "8"}, first: true},
	{name: "symbols", short: controlSize{8000, 60, "100"}},
	{name: "autoload", short: brief},
	{name: "sawtooth", short: controlSize{6000, 60, "50"}},
	{name: "growing_table", db: true, short: controlSize{2000, 50, "500"}},
	{name: "fragmentation", short: controlSize{4000, 60, "2000"}},
}

func (c control) folder() string {
	folder, _, _ := strings.Cut(c.name, "/")
	return filepath.Join("..", "..", "test", "ruby", "soak", "controls", folder)
}

func (c control) plant() string {
	_, plant, _ := strings.Cut(c.name, "/")
	return plant
}

// controlRun is what one run of a control has found.
type controlRun struct {
	result soak.Result
	took   time.Duration
}

// planted is the path of the command with planted leaks. It is built once.
var planted = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(binary), "planted")
	out, err := exec.Command("go", "build", "-tags", "planted", "-o", path, ".").CombinedOutput()
	return path, errors.Wrapf(err, "%s", out)
})

// handlers compiles the extension of a control, if it has one, and returns the
// folder of its handlers.
func (c control) handlers(t *testing.T) string {
	t.Helper()
	sources, err := filepath.Glob(filepath.Join(c.folder(), "ext", "*.c"))
	require.NoError(t, err)
	if len(sources) == 0 {
		return c.folder()
	}
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(c.folder())))
	flags, err := exec.Command("pkg-config", "--cflags", "ruby").Output()
	require.NoError(t, err)
	for _, source := range sources {
		library := filepath.Join(dir, "ext", strings.TrimSuffix(filepath.Base(source), ".c")+".so")
		out, err := exec.Command("cc", append(strings.Fields(string(flags)), "-shared", "-fPIC", "-o", library, source)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	return dir
}

// run runs the real command.
func (c control) run(t *testing.T, handlers string, flags ...string) controlRun {
	t.Helper()
	program := binary
	if c.plant() != "" {
		var err error
		program, err = planted()
		require.NoError(t, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	args := append([]string{"soak", filepath.Join(handlers, "template.yaml"), "--handlers", handlers, "--output", "json"}, flags...)
	env := append(plainEnvironment(), "TASKER_PLANT="+c.plant())
	if c.db {
		// Each thread and each connection that is at work for the first time costs something,
		// and with many of them that looks like growth for a while.
		args = append(args, "--threads", "1")
		env = append(env, "DATABASE_URL="+pgtest.URL(t))
	} else {
		args = append(args, "--no-db")
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	err := cmd.Run()
	r := controlRun{took: time.Since(began)}
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &r.result), "%v\n%s", err, stderr.Bytes())
	require.Equal(t, map[string]int{"flat": 0, "leak": 1, "undecided": 3}[r.result.Verdict.Growth], cmd.ProcessState.ExitCode())
	return r
}

// placed says whether a place is right, and no other is wrong: with a leak in Ruby only its
// heap grows. A plant may cost the others a little.
func (c control) placed(r soak.Result) bool {
	right := false
	for _, p := range r.Where {
		right = right || p.Kind == c.kind && p.Growth == "leak"
		if p.Kind != c.kind && p.Growth == "leak" {
			return false
		}
	}
	return right
}

// lined says whether the first suspect names the line that leaks. It is false for a leak
// that is not in Ruby: then no line may be named.
func (c control) lined(t *testing.T, r soak.Result) bool {
	t.Helper()
	line := leakLine(t, c.folder())
	if line == 0 || len(r.Suspects) == 0 {
		return line == 0 && len(r.Suspects) == 0
	}
	first := r.Suspects[0]
	if c.class != "" && first.Class != c.class {
		return false
	}
	for _, at := range []*soak.Line{first.Allocated, first.Stored} {
		if at != nil && at.Line == line && filepath.Base(at.File) == "handlers.rb" && strings.HasSuffix(at.Code, "# leak") {
			return true
		}
	}
	return false
}

// leakLine is the line of handlers.rb that is marked, or 0.
func leakLine(t *testing.T, folder string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "handlers.rb"))
	require.NoError(t, err)
	for i, line := range strings.Split(string(text), "\n") {
		if strings.HasSuffix(line, "# leak") {
			return i + 1
		}
	}
	return 0
}

// TestSoakControls runs controls once, briefly. `make soak/controls` runs them all so, and
// then often and at full length.
func TestSoakControls(t *testing.T) {
	t.Parallel()
	for _, c := range controls {
		if !c.first && !effort.Thorough() {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := c.run(t, c.handlers(t), c.short.flags()...)
			found := r.result
			t.Logf("%s; %s", r.took.Round(100*time.Millisecond), found.Verdict.Text)
			if !c.leaks {
				require.Equal(t, "flat", found.Verdict.Growth, found.Verdict.Text)
				require.Empty(t, found.Suspects)
				return
			}
			require.Equal(t, "leak", found.Verdict.Growth, found.Verdict.Text)
			require.True(t, c.placed(found), "%+v", found.Where)
			require.True(t, c.lined(t, found), "%+v", found.Suspects)
			require.NotEmpty(t, found.Classes)
			require.True(t, found.Classes[0].Grows)
		})
	}
}

// Each folder of controls is run.
func TestSoakControlsAreAll(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"sized": true} // measures the smallest leak
	for _, c := range controls {
		known[filepath.Base(c.folder())] = true
	}
	entries, err := os.ReadDir(filepath.Dir(controls[0].folder()))
	require.NoError(t, err)
	for _, e := range entries {
		require.True(t, known[e.Name()] || !e.IsDir(), "%s is run by no test", e.Name())
	}
}
