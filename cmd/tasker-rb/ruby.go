package main

import (
	"encoding/json"
	"log/slog"
	"os"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"
)

type rubyCommand struct {
	handlers handlerFlags
	code     string
	migrate  bool
	scratch  bool
}

// programConnections is how many database connections a program and its threads
// may hold at once. pool_max_conns in DATABASE_URL overrides it.
const programConnections = 32

func newRuby() *cobra.Command {
	r := &rubyCommand{handlers: handlerFlags{passOutput: true}}
	cmd := &cobra.Command{
		Use:   "ruby [FILE] [ARG...]",
		Short: "Run a Ruby program with the database that handlers have",
		Long: `Run a Ruby program like ruby itself, with its arguments, its at_exit blocks and
its exit code. FILE may be -, for a program on standard input. The program has the same database as handlers: Tasker.db, Sequel
and ActiveRecord work outside steps, with transactions of their own. Use it for
setup and for looking at data. For test suites there is "tasker-rb test".`,
		Example: `  tasker-rb ruby db/seed.rb
  tasker-rb ruby -e 'p Tasker.db.first("SELECT version()")'
  tasker-rb ruby --scratch --handlers app/handlers test/handlers_test.rb --name test_charge`,
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd, args) },
	}
	r.handlers.add(cmd)
	cmd.Flags().Lookup("handlers").Usage = "`DIR` of handler files, may be repeated"
	cmd.Flags().StringVarP(&r.code, "execute", "e", "", "run `CODE` in place of a file")
	cmd.Flags().BoolVar(&r.migrate, "migrate", false, "bring the tables of DATABASE_URL up to date first")
	cmd.Flags().BoolVar(&r.scratch, "scratch", false, "without DATABASE_URL: use a database that is deleted afterwards")
	cmd.Flags().SetInterspersed(false) // arguments after FILE belong to the program
	return cmd
}

func (r *rubyCommand) run(cmd *cobra.Command, args []string) (err error) {
	ctx := cmd.Context()
	var file *string
	if !cmd.Flags().Changed("execute") {
		if len(args) == 0 {
			return usageError(cmd, "FILE is missing")
		}
		file, args = &args[0], args[1:]
		if info, err := os.Stat(*file); *file != "-" && (err != nil || info.IsDir()) {
			return errors.WithHint(errors.Newf("there is no Ruby file %s", *file), "Name a file, or - for standard input, or give code with -e CODE.")
		}
	}
	if err := checkScratch(r.scratch); err != nil {
		return err
	}
	log := slog.New(newStepLog(cmd.ErrOrStderr()))
	r.handlers.terminal = atTerminal(cmd)
	db := &lazyPool{ephemeral: r.scratch, migrate: r.migrate, size: programConnections}
	defer func() { err = errors.CombineErrors(err, db.close()) }()
	host, err := r.handlers.boot(ctx, "", db, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, host.Close()) }()
	if err := host.Require(ctx, "tasker/host/script"); err != nil {
		return err
	}
	program, err := host.Method(ctx, "Tasker::Host::Script.run")
	if err != nil {
		return err
	}
	out, err := program.Call(ctx, file, r.code, append([]string{}, args...))
	if err != nil {
		return err
	}
	var code int
	if err := json.Unmarshal(out, &code); err != nil {
		return errors.Wrap(err, "the program's exit code")
	}
	if code != exitOK {
		return &exitError{code}
	}
	return nil
}
