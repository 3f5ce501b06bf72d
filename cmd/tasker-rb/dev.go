package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// devCommand is the command dev. It watches the files, and each run is in a process of its
// own kind.
type devCommand struct {
	run     runCommand
	noRetry bool
	mark    bool
	yes     bool
}

func newDev() *cobra.Command {
	d := &devCommand{run: runCommand{inDev: true}}
	cmd := &cobra.Command{
		Use:   "dev [TEMPLATE]",
		Short: "Run a task, and run it again whenever you save a file",
		Long: `Run a task, watch the template, the handlers and the file of --context, and run it
again when one of them is saved, in a new process. A run under way is interrupted.

If only handlers have changed, the run goes on with the same task from its failed
step. If the template or the context has changed, it begins a new task. On a
terminal, Enter begins a new task, too, and ^C ends the command.

A changed template takes the place of the stored one of the same version. So the
database must be for development. The project's private database is. If you use
DATABASE_URL, mark its database once with --mark-database. If it holds tasks, marking
wants --yes.`,
		Example: `  tasker-rb dev order.yaml --context '{"order_id": 42}'
  tasker-rb dev order.yaml --context @order.json --handlers app/handlers --no-retry
  tasker-rb dev --mark-database`,
		Args: func(cmd *cobra.Command, args []string) error {
			if d.mark {
				return exactly()(cmd, args)
			}
			return exactly("TEMPLATE")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if role, is := takeDevRole(); is {
				return d.runHere(cmd, args[0], role)
			}
			if err := d.check(cmd); err != nil {
				return err
			}
			if d.mark {
				return d.markDatabase(cmd)
			}
			return d.watch(cmd, args[0])
		},
	}
	r := &d.run
	r.handlers.add(cmd)
	r.results.add(cmd)
	cmd.Flags().StringVar(&r.context, "context", "{}", "the task's context: `JSON` or @FILE")
	cmd.Flags().StringVar(&r.env, "env", "", "apply the template's environment `NAME`")
	cmd.Flags().BoolVar(&r.debug, "debug", false, "also print the SQL of handlers, and the events that they publish")
	cmd.Flags().StringVar(&r.output, "output", "text", "print as `FORMAT`: text or json")
	cmd.Flags().BoolVar(&d.noRetry, "no-retry", false, "a failed attempt ends its step at once")
	cmd.Flags().BoolVar(&d.mark, "mark-database", false, "mark the database of DATABASE_URL for development, and end")
	cmd.Flags().BoolVar(&d.yes, "yes", false, "mark it although there are tasks in it")
	return cmd
}

// check refuses flags that no save of a file can correct.
func (d *devCommand) check(cmd *cobra.Command) error {
	if d.run.context == "-" {
		return errors.WithHint(errors.New("--context cannot be -: each run reads the context again"), "Write it to a file, and give --context @FILE.")
	}
	if d.yes && !d.mark {
		return errors.WithHint(errors.New("--yes is for --mark-database"), "Leave it out.")
	}
	return d.run.checkFlags(cmd)
}

// checkDatabase makes sure that templates may be replaced. The private database is one
// project's, and so marks itself.
func checkDatabase(ctx context.Context, db *database) (err error) {
	conn, err := db.connect(ctx, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, conn.Close(context.WithoutCancel(ctx))) }()
	if db.local != nil {
		return orchestration.MarkDevelopment(ctx, conn)
	}
	marked, err := orchestration.IsForDevelopment(ctx, conn)
	if err == nil && !marked {
		err = errors.WithHint(errors.Newf("%s is not marked for development, and dev replaces templates", db.place()),
			"If that is your database for development, run `tasker-rb dev --mark-database` once. Without DATABASE_URL, dev uses the project's private database.")
	}
	return err
}

// markDatabase marks the database of DATABASE_URL, after it has said which one that is.
func (d *devCommand) markDatabase(cmd *cobra.Command) (err error) {
	if forGo(os.Getenv(databaseURL)) == "" {
		return errors.WithHint(errors.New("DATABASE_URL is not set, and the private database needs no mark"), "Set it to the address of the database to mark.")
	}
	ctx := cmd.Context()
	db, err := openDatabase(ctx, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, db.close()) }()
	conn, err := db.connect(ctx, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, conn.Close(context.WithoutCancel(ctx))) }()
	tasks, err := d.confirmMark(ctx, conn)
	if err != nil {
		return errors.Wrap(err, db.place())
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "marking %s, with %s, for development\n", db.place(), tasks)
	if err := orchestration.MarkDevelopment(ctx, conn); err != nil {
		var pg *pgconn.PgError
		if errors.FlattenHints(err) == "" && errors.As(err, &pg) && pg.Code == "42501" {
			err = errors.WithHint(err, "Only the owner of the tables may mark them: connect as the role that ran `tasker-rb migrate up`.")
		}
		return errors.Wrap(err, db.place())
	}
	if d.run.output == "json" {
		return printJSON(cmd.OutOrStdout(), map[string]any{"database": strings.TrimPrefix(db.place(), "the database at "), "for_development": true})
	}
	return printDone(cmd, nil, "`tasker-rb dev` may now replace templates there")
}

// confirmMark returns how many tasks there are. It refuses to mark a database that holds any,
// unless it is marked already or the user said yes.
func (d *devCommand) confirmMark(ctx context.Context, conn *pgx.Conn) (tasks string, err error) {
	c, err := orchestration.ReadContents(ctx, conn)
	tasks = plural(int(c.Tasks), "task")
	if err != nil || c.Tasks == 0 || d.yes {
		return tasks, err
	}
	if marked, err := orchestration.IsForDevelopment(ctx, conn); err != nil || marked {
		return tasks, err
	}
	return tasks, errors.WithHint(errors.Newf("it holds %s, %d of them unfinished; once it is marked, dev puts changed templates in the place of stored ones, for everyone who works there", tasks, c.Unfinished),
		"If it is a database for development, --yes marks it.")
}
