package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"sync"
	"testing"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
	"github.com/tasker-rb/tasker-rb/templates"
)

// mark marks the database for development.
func mark(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	require.NoError(t, pool.AcquireFunc(t.Context(), func(c *pgxpool.Conn) error {
		require.NoError(t, orchestration.MarkDevelopment(t.Context(), c.Conn()))
		return orchestration.MarkDevelopment(t.Context(), c.Conn()) // a second time
	}))
}

// edited is a template whose version stays.
func edited(t *testing.T, steps string) *templates.Template {
	t.Helper()
	parsed, err := templates.Parse([]byte("name: edited\nstep_templates:\n"+steps), "edited.yaml")
	require.NoError(t, err)
	return parsed
}

// A template is replaced there and back. Each task keeps the one that it was submitted with.
func TestAChangedTemplateTakesThePlaceOfTheStoredOne(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	one, two := edited(t, "  - {name: a, handler_class: A}\n"), edited(t, "  - {name: a, handler_class: A}\n  - {name: b, handler_class: B, depends_on_step: a}\n")
	one.Environment, two.Environment = "test", "test"
	submit := func(tpl *templates.Template, replace bool) (orchestration.Submitted, error) {
		return b.Submit(t.Context(), orchestration.Submission{Template: tpl, ReplaceTemplate: replace})
	}
	first, err := submit(one, true)
	require.NoError(t, err, "there is nothing to replace")
	_, err = submit(two, true)
	require.ErrorIs(t, err, orchestration.ErrNotForDevelopment)
	require.Contains(t, orchestration.Hint(err), "tasker-rb dev --mark-database")
	_, err = submit(two, false)
	require.ErrorIs(t, err, orchestration.ErrTemplateChanged)

	mark(t, b.pool)
	_, err = submit(two, false)
	require.ErrorIs(t, err, orchestration.ErrTemplateChanged, "only who asks for it replaces it")
	require.ErrorContains(t, err, "under the same version\nnew step b, after a")
	second, err := submit(two, true)
	require.NoError(t, err)
	require.Equal(t, one.Digest(), second.Replaced.Digest())
	again, err := submit(two, true)
	require.NoError(t, err)
	require.Nil(t, again.Replaced)
	_, err = submit(one, false)
	require.NoError(t, err, "this engine has stored it, and remembers")
	b.Forget()
	_, err = submit(one, false)
	require.ErrorIs(t, err, orchestration.ErrTemplateChanged)
	third, err := submit(one, true)
	require.NoError(t, err, "back again")
	require.Equal(t, two.Digest(), third.Replaced.Digest())
	many, err := b.SubmitMany(t.Context(), []orchestration.Submission{{Template: two}, {Template: two, ReplaceTemplate: true}})
	require.NoError(t, err)
	require.Equal(t, one.Digest(), many[1].Replaced.Digest())

	for _, c := range []struct {
		task int64
		tpl  *templates.Template
	}{{first.TaskID, one}, {second.TaskID, two}, {third.TaskID, one}, {many[0].TaskID, two}} {
		export, err := b.Export(t.Context(), c.task)
		require.NoError(t, err)
		require.Equal(t, c.tpl.Digest(), export.Task.Template.Digest())
		require.Equal(t, "test", export.Environment)
	}
}

func TestTemplatesAreReplacedAtTheSameTime(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	mark(t, b.pool)
	var list []*templates.Template
	for _, name := range []string{"a", "b", "c"} {
		list = append(list, edited(t, "  - {name: "+name+", handler_class: A}\n"))
	}
	var all sync.WaitGroup
	failed := make(chan error, 60)
	for i := range cap(failed) {
		all.Go(func() {
			_, err := b.Submit(t.Context(), orchestration.Submission{Template: list[i%len(list)], ReplaceTemplate: true})
			failed <- err
		})
	}
	all.Wait()
	for range cap(failed) {
		require.NoError(t, <-failed)
	}
	var templates, inPlace int
	require.NoError(t, b.pool.QueryRow(t.Context(), "select count(*), count(*) filter (where environment = '') from tasker.templates").Scan(&templates, &inPlace))
	require.Equal(t, []int{3, 1}, []int{templates, inPlace})
}

// The mark names the database and the server. A copy of either kind, as from a dump, is not
// marked.
func TestACopyOfADatabaseIsNotForDevelopment(t *testing.T) {
	t.Parallel()
	pool := database(t)
	acquired, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	defer acquired.Release()
	conn := acquired.Conn()
	isMarked := func(conn *pgx.Conn) bool {
		marked, err := orchestration.IsForDevelopment(t.Context(), conn)
		require.NoError(t, err)
		return marked
	}
	require.False(t, isMarked(conn))
	mark(t, pool)
	require.True(t, isMarked(conn))
	var name, comment string
	require.NoError(t, conn.QueryRow(t.Context(), "select current_database(), quote_literal(obj_description('tasker.templates'::regclass))").Scan(&name, &comment))
	for _, old := range []string{"'tasker-rb: for development, in another'", "'tasker-rb: for development, in " + name + "'"} {
		_, err = conn.Exec(t.Context(), "comment on table tasker.templates is "+old)
		require.NoError(t, err)
		require.False(t, isMarked(conn))
	}

	server, err := localpg.Start(t.Context(), localpg.Options{Ephemeral: true, Dir: pgtest.MemoryDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	admin, err := pgx.Connect(t.Context(), server.URL())
	require.NoError(t, err)
	_, err = admin.Exec(t.Context(), "create database "+name)
	require.NoError(t, err)
	require.NoError(t, admin.Close(t.Context()))
	config, err := pgx.ParseConfig(server.URL())
	require.NoError(t, err)
	config.Database = name
	elsewhere, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	require.NoError(t, orchestration.Migrate(t.Context(), elsewhere))
	_, err = elsewhere.Exec(t.Context(), "comment on table tasker.templates is "+comment) // as a dump has it
	require.NoError(t, err)
	require.False(t, isMarked(elsewhere))
	require.NoError(t, orchestration.MarkDevelopment(t.Context(), elsewhere))
	require.True(t, isMarked(elsewhere))
	require.NoError(t, elsewhere.Close(t.Context()))

	mark(t, pool)
	require.NoError(t, orchestration.MigrateDown(t.Context(), conn, 0))
	require.False(t, isMarked(conn))
}

// Some server does not let every role read its identity.
func TestTheMarkNeedsTheIdentityOfTheServer(t *testing.T) {
	t.Parallel()
	pool := database(t)
	mark(t, pool)
	acquired, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	defer acquired.Release()
	conn := acquired.Conn()
	role := pgx.Identifier{"blind_" + conn.Config().Database}.Sanitize()
	_, err = conn.Exec(t.Context(), "revoke execute on function pg_control_system() from public; create role "+role+"; grant usage on schema tasker to "+role+"; set role "+role)
	require.NoError(t, err)
	defer func() {
		_, err := conn.Exec(context.Background(), "reset role; drop owned by "+role+"; drop role "+role)
		require.NoError(t, err)
	}()
	_, err = orchestration.IsForDevelopment(t.Context(), conn)
	require.ErrorContains(t, err, "permission denied for function pg_control_system")
	require.Contains(t, orchestration.Hint(err), "GRANT EXECUTE ON FUNCTION pg_control_system()")
	require.Equal(t, orchestration.Hint(err), orchestration.Hint(orchestration.MarkDevelopment(t.Context(), conn)))
}

// The step's limit is one, and the template is the same.
func TestASingleAttempt(t *testing.T) {
	t.Parallel()
	tpl := template(t, "a:", "default_retry_limit: 5")
	b := engine(t, funcs{"A": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		return nil, errors.New("no")
	}})
	made, err := b.SubmitMany(t.Context(), []orchestration.Submission{{Template: tpl, SingleAttempt: true}, {Template: tpl}})
	require.NoError(t, err)
	alone, err := b.Submit(t.Context(), orchestration.Submission{Template: tpl, SingleAttempt: true})
	require.NoError(t, err)
	for id, limit := range map[int64]int{made[0].TaskID: 1, made[1].TaskID: 5, alone.TaskID: 1} {
		task, err := b.Task(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, limit, task.Steps[0].RetryLimit)
		require.Equal(t, tpl.Digest(), task.Template.Digest())
	}
	out, err := b.Run(t.Context(), alone.TaskID)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskInError, out.State)
}

// While a template is worked on, its version stays. Tasks of the older one keep it.
func ExampleMarkDevelopment() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	conn, err := pool.Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Release()
	if err := orchestration.MarkDevelopment(ctx, conn.Conn()); err != nil {
		log.Fatal(err)
	}
	marked, err := orchestration.IsForDevelopment(ctx, conn.Conn())
	if err != nil {
		log.Fatal(err)
	}
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: orchestration.Handlers{}})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	fmt.Println("marked:", marked)
	for _, limit := range []string{"3", "5"} {
		text := "name: edited\nstep_templates: [{name: one, handler_class: One, default_retry_limit: " + limit + "}]"
		done, err := engine.Submit(ctx, orchestration.Submission{Template: mustParse(text), ReplaceTemplate: true})
		if err != nil {
			log.Fatal(err)
		}
		if done.Replaced != nil {
			fmt.Println(templates.Changes(done.Replaced, mustParse(text)))
		}
	}
	// Output:
	// marked: true
	// [step one: retry limit 3 -> 5]
}

// A database without the mark keeps its templates.
func ExampleIsForDevelopment() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: orchestration.Handlers{}})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	conn, err := pool.Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, "comment on table tasker.templates is null"); err != nil {
		log.Fatal(err)
	}
	marked, err := orchestration.IsForDevelopment(ctx, conn.Conn())
	if err != nil {
		log.Fatal(err)
	}
	for _, class := range []string{"One", "Two"} {
		_, err = engine.Submit(ctx, orchestration.Submission{
			Template:        mustParse("name: kept\nstep_templates: [{name: one, handler_class: " + class + "}]"),
			ReplaceTemplate: true,
		})
	}
	fmt.Println(marked, errors.Is(err, orchestration.ErrNotForDevelopment))
	// Output: false true
}
