package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// database returns a fresh database with the engine's tables.
func database(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return pgtest.New(t, pgtest.WithTemplate(orchestration.Migrate))
}

// funcs are handlers by class name.
type funcs map[string]orchestration.StepHandlerFunc

// bundle is an engine on a database of its own.
type bundle struct {
	*orchestration.Engine
	pool *pgxpool.Pool

	mu     sync.Mutex
	events []orchestration.Event
}

// engine starts an engine on a fresh database. A class without a function of its own
// returns {"step": its name}.
func engine(t *testing.T, handlers funcs, edit ...func(*orchestration.Config)) *bundle {
	t.Helper()
	return engineOn(t, database(t), handlers, edit...)
}

func engineOn(t *testing.T, pool *pgxpool.Pool, handlers funcs, edit ...func(*orchestration.Config)) *bundle {
	t.Helper()
	b := &bundle{pool: pool}
	cfg := orchestration.Config{
		Pool:     pool,
		Handlers: resolver(handlers),
		Logger:   slog.New(failOnError{t}),
		Random:   func() float64 { return 0.5 },
		OnEvent: func(e orchestration.Event) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.events = append(b.events, e)
		},
	}
	for _, f := range edit {
		f(&cfg)
	}
	e, err := orchestration.New(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	b.Engine = e
	return b
}

type resolver funcs

func (r resolver) ResolveHandler(_ context.Context, class string) (orchestration.StepHandler, error) {
	if strings.HasPrefix(class, "Missing") {
		return nil, fmt.Errorf("no class %s", class)
	}
	if f := r[class]; f != nil {
		return f, nil
	}
	return orchestration.StepHandlerFunc(func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		return json.Marshal(map[string]string{"step": x.StepName})
	}), nil
}

// template makes a template from lines "step: parent parent". The handler class of a
// step is its name with a capital letter. more is appended to every step.
func template(t testing.TB, graph, more string) *templates.Template {
	t.Helper()
	return named(t, "test", graph, more)
}

// named is template with a name. Each content gets its own version, so that one database
// accepts all of them.
func named(t testing.TB, name, graph, more string) *templates.Template {
	t.Helper()
	var b strings.Builder
	version := crc32.ChecksumIEEE([]byte(graph + "\x00" + more))
	fmt.Fprintf(&b, "name: %s\nnamespace_name: ns\nversion: 1.0.%d\nstep_templates:\n", name, version)
	for line := range strings.Lines(graph) {
		name, parents, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "" {
			continue
		}
		fmt.Fprintf(&b, "  - name: %s\n    handler_class: %s\n    backoff: {curve: none}\n", name, strings.ToUpper(name[:1])+name[1:])
		if p := strings.Fields(parents); len(p) > 0 {
			fmt.Fprintf(&b, "    depends_on_steps: [%s]\n", strings.Join(p, ", "))
		}
		for extra := range strings.Lines(more) {
			if strings.TrimSpace(extra) != "" {
				b.WriteString("    " + strings.TrimRight(extra, "\n") + "\n")
			}
		}
	}
	parsed, err := templates.Parse([]byte(b.String()), "test.yaml")
	require.NoError(t, err, b.String())
	return parsed
}

// parse makes a template from the YAML of its steps.
func parse(t testing.TB, steps string) *templates.Template {
	t.Helper()
	text := fmt.Sprintf("name: test\nnamespace_name: ns\nversion: 1.0.%d\nstep_templates:\n%s", crc32.ChecksumIEEE([]byte(steps)), steps)
	parsed, err := templates.Parse([]byte(text), "test.yaml")
	require.NoError(t, err, text)
	return parsed
}

const diamond = "a:\nb: a\nc: a\nd: b c"

func (b *bundle) submit(t *testing.T, tpl *templates.Template, context string) int64 {
	t.Helper()
	s, err := b.Submit(t.Context(), orchestration.Submission{Template: tpl, Context: json.RawMessage(context)})
	require.NoError(t, err)
	return s.TaskID
}

// patience is how long a test waits for what must come. Only a defect makes it so long.
const patience = 2 * time.Minute

// run submits a task, runs it, and reads it.
func (b *bundle) run(t *testing.T, tpl *templates.Template) *orchestration.TaskDetail {
	t.Helper()
	id := b.submit(t, tpl, "{}")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := b.Run(ctx, id)
	require.NoError(t, err)
	d, err := b.Task(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, d.State, out.State)
	return d
}

func states(d *orchestration.TaskDetail) map[string]orchestration.StepState {
	m := map[string]orchestration.StepState{}
	for _, s := range d.Steps {
		m[s.Name] = s.State
	}
	return m
}

func step(t *testing.T, d *orchestration.TaskDetail, name string) *orchestration.StepDetail {
	t.Helper()
	for i := range d.Steps {
		if d.Steps[i].Name == name {
			return &d.Steps[i]
		}
	}
	t.Fatalf("no step %s", name)
	return nil
}

func value(v string) orchestration.StepHandlerFunc {
	return func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		return json.RawMessage(v), nil
	}
}

// waitFor waits for an event of the kind.
func (b *bundle) waitFor(t *testing.T, kind orchestration.EventKind) {
	t.Helper()
	require.Eventually(t, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, e := range b.events {
			if e.Kind == kind {
				return true
			}
		}
		return false
	}, patience, time.Millisecond, kind)
}

// failOnError fails the test when the engine logs an error.
type failOnError struct{ t *testing.T }

func (failOnError) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

func (h failOnError) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	h.t.Error(text)
	return nil
}

func (h failOnError) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h failOnError) WithGroup(string) slog.Handler      { return h }

// mayLogErrors is for tests in which the database is unavailable at times.
func mayLogErrors(c *orchestration.Config) { c.Logger = slog.New(slog.DiscardHandler) }
