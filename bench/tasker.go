package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// tasker is `tasker-rb worker` with its defaults and handlers in Ruby. It uses the
// commands of the program, so that it can measure another build, too.
type tasker struct {
	name    string
	program string
	empty   bool  // it has empty tables beside one that has full ones
	above   int64 // tasks up to this number were there before
}

// full says whether it runs a shape on full tables.
func (t *tasker) full(s Shape) bool { return !t.empty && !s.Beside.empty() }

// beside returns the contenders for a shape. On full tables each build is compared with
// itself on empty ones.
func beside(list []contender, s Shape) []contender {
	var running []contender
	for _, c := range list {
		if !c.Runs(s) {
			continue
		}
		if t, ok := c.(*tasker); ok && t.full(s) {
			running = append(running, &tasker{name: t.name + ", empty tables", program: t.program, empty: true})
		}
		running = append(running, c)
	}
	return running
}

func (t *tasker) Name() string { return t.name }

func (t *tasker) Missing() []requirement {
	return needProgram(t.program, "make build")
}

func (t *tasker) Runs(Shape) bool { return true }

func (t *tasker) Prepare(ctx context.Context, conn *pgx.Conn, w Work) error {
	if _, err := t.run(ctx, w, "migrate", "up"); err != nil {
		return err
	}
	var err error
	if t.above, err = lastTask(ctx, conn); err != nil {
		return err
	}
	return t.submit(ctx, w)
}

// submit submits the tasks of a round.
func (t *tasker) submit(ctx context.Context, w Work, flags ...string) error {
	file, input := filepath.Join(w.dir, "template.yaml"), filepath.Join(w.dir, "context.json")
	err := errors.CombineErrors(
		os.WriteFile(file, []byte(templateYAML(w)), 0o600),
		os.WriteFile(input, []byte(w.taskContext()), 0o600))
	if err != nil {
		return errors.WithStack(err)
	}
	args := append([]string{"submit", file, "--context", "@" + input, "--count", strconv.Itoa(w.Tasks), "--output", "json"}, flags...)
	output, err := t.run(ctx, w, args...)
	if err != nil {
		return err
	}
	var submitted []struct{}
	if err := json.Unmarshal(output, &submitted); err != nil {
		return errors.Wrap(err, "tasker-rb submit")
	}
	if len(submitted) != w.Tasks {
		return errors.Newf("tasker-rb submit: %d tasks, and %d were to be submitted", len(submitted), w.Tasks)
	}
	return nil
}

// run runs a command of the program.
func (t *tasker) run(ctx context.Context, w Work, args ...string) ([]byte, error) {
	cmd := t.command(ctx, w, args...)
	var problem strings.Builder
	cmd.Stderr = &problem
	output, err := cmd.Output()
	return output, errors.WithHint(errors.Wrapf(err, "tasker-rb %s", args[0]), problem.String())
}

func (t *tasker) command(ctx context.Context, w Work, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, t.program, args...)
	cmd.Env = append(os.Environ(), "DATABASE_URL="+w.DatabaseURL)
	return cmd
}

func (t *tasker) Command(ctx context.Context, w Work) *exec.Cmd {
	return t.command(ctx, w, "worker", "--handlers", "contenders/tasker")
}

func (t *tasker) Working() string { return "working on " }

func (t *tasker) Done(ctx context.Context, conn *pgx.Conn) (bool, error) {
	return ourDone(ctx, conn, t.above)
}

func (t *tasker) Verify(ctx context.Context, conn *pgx.Conn, w Work) error {
	return verifyOurs(ctx, conn, t.above, w)
}

// templateYAML is the template of the tasks. The steps are named s0, s1 and so on.
func templateYAML(w Work) string {
	handler := "Bench::Plain"
	switch {
	case w.SQL:
		handler = "Bench::Update"
	case w.WaitMS > 0:
		handler = "Bench::Wait"
	case w.ContextBytes > 0:
		handler = "Bench::Reading"
	}
	var yaml strings.Builder
	yaml.WriteString("name: measured\nnamespace_name: bench\nversion: 1.0.0\nstep_templates:\n")
	var above []string
	n := 0
	for _, width := range w.Levels {
		var level []string
		for range width {
			name := fmt.Sprintf("s%d", n)
			fmt.Fprintf(&yaml, "  - name: %s\n    handler_class: %s\n", name, handler)
			if len(above) > 0 {
				fmt.Fprintf(&yaml, "    depends_on_steps: [%s]\n", strings.Join(above, ", "))
			}
			level = append(level, name)
			n++
		}
		above = level
	}
	return yaml.String()
}
