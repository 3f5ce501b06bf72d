package rubysteps_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"testing"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
	"github.com/tasker-rb/tasker-rb/rubyhost"
	"github.com/tasker-rb/tasker-rb/templates"
)

// openVariable makes this binary a program that opens an engine with Ruby on the database
// that it names, and has not booted Ruby before.
const openVariable = "TASKER_TEST_RUBY_OPEN"

func openAndRun(url string) (err error) {
	ctx := context.Background()
	quiet := orchestration.Config{Migrate: true, Logger: slog.New(slog.DiscardHandler)}
	if _, err := rubysteps.Open(ctx, "postgres://127.0.0.1:1/none", rubysteps.Config{Engine: quiet}); err == nil {
		return errors.New("it has opened what is not there")
	}
	engine, err := rubysteps.Open(ctx, url, rubysteps.Config{Folders: []string{"testdata/open"}, Ruby: rubyhost.Options{Threads: 2}, Engine: quiet})
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, engine.Close()) }()
	_, err = engine.Host.Eval(ctx, `at_exit { Tasker.db.exec("insert into words values ('at exit')") }; nil`, "at_exit.rb")
	if err != nil {
		return err
	}
	template, err := templates.Parse([]byte("name: a\nstep_templates: [{name: greet, handler_class: OpenExample::Write}]"), "a.yaml")
	if err != nil {
		return err
	}
	task, err := engine.Submit(ctx, orchestration.Submission{Template: template})
	if err != nil {
		return err
	}
	out, err := engine.Run(ctx, task.TaskID)
	if err == nil && out.State != orchestration.TaskComplete {
		err = errors.Newf("the task is %s", out.State)
	}
	return err
}

// Open boots Ruby once the database is there, and Close ends Ruby while it can still use
// the database. No connection stays: the end of the test checks that.
func TestOpenBootsRubyAndClosesItFirst(t *testing.T) {
	url := pgtest.URL(t, pgtest.WithTemplate(func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "create table words (word text)")
		return err
	}))
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), openVariable+"="+url)
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", output)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	var words string
	require.NoError(t, conn.QueryRow(t.Context(), "select string_agg(word, ', ' order by word) from words").Scan(&words))
	require.Equal(t, "at exit, in a step", words)
}

func TestOpenRefusesHandlersOfItsOwn(t *testing.T) {
	_, err := rubysteps.Open(t.Context(), "postgres://host/", rubysteps.Config{Host: host, Engine: orchestration.Config{Handlers: orchestration.Handlers{}}})
	require.ErrorContains(t, err, "Config.Engine.Handlers is set")
	require.Contains(t, orchestration.Hint(err), "Config.Go")
}

// exitCode tells the error of a program.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintf(os.Stderr, "%+v\n", err)
	return 1
}
