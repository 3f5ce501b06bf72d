package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

func newMigrate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Create, update or drop the tables in a database",
		Args:  subcommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var output string
	up := &cobra.Command{
		Use: "up", Short: "Bring the tables to this program's version", Args: exactly(),
		Example: "  DATABASE_URL=postgres://app@db/orders tasker-rb migrate up",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withConnection(cmd, (*database).dialSession, func(conn *pgx.Conn) error {
				if err := orchestration.Migrate(cmd.Context(), conn); err != nil {
					return err
				}
				return printSchema(cmd, conn, output)
			})
		},
	}
	var yes bool
	down := &cobra.Command{
		Use: "down VERSION", Short: "Undo migrations down to a version; 0 drops every task", Args: exactly("VERSION"),
		Long: `Undo migrations down to a version. Version 0 drops the tables, with every task.

If there are tasks, it says how many, changes nothing, and ends with exit code 2.
With --yes it goes on.`,
		Example: "  DATABASE_URL=postgres://app@db/orders tasker-rb migrate down 0 --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			version, err := strconv.ParseInt(args[0], 10, 32)
			if err != nil || version < 0 {
				return errors.WithHint(errors.Newf("%q is not a version", args[0]), "`tasker-rb migrate status` shows the current one.")
			}
			return withConnection(cmd, (*database).dialSession, func(conn *pgx.Conn) error {
				if err := migrateDown(cmd.Context(), conn, int32(version), yes); err != nil {
					return err
				}
				return printSchema(cmd, conn, output)
			})
		},
	}
	down.Flags().BoolVar(&yes, "yes", false, "go on although there are tasks")
	status := &cobra.Command{
		Use: "status", Short: "Print the version of the tables", Args: exactly(),
		Example: "  tasker-rb migrate status --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withConnection(cmd, (*database).dial, func(conn *pgx.Conn) error { return printSchema(cmd, conn, output) })
		},
	}
	for _, sub := range []*cobra.Command{up, down, status} {
		sub.Flags().StringVar(&output, "output", "text", "print as `FORMAT`: text or json")
	}
	cmd.AddCommand(up, down, status)
	return cmd
}

// migrateDown undoes migrations. If the tables hold tasks, it does so only if the user said yes.
// It counts before it locks the tables, for a refusal must not stop workers, and again after it.
func migrateDown(ctx context.Context, conn *pgx.Conn, version int32, yes bool) error {
	if yes {
		return orchestration.MigrateDown(ctx, conn, version)
	}
	s, err := orchestration.ReadSchema(ctx, conn)
	if err != nil {
		return err
	}
	refuse := func(c orchestration.Contents) error { return refuseLoss(c, version) }
	if version < s.Version && s.Version <= s.Latest { // what is wrong with another, MigrateDownIf says
		c, err := orchestration.ReadContents(ctx, conn)
		if err == nil {
			err = refuse(c)
		}
		if err != nil {
			return err
		}
	}
	return orchestration.MigrateDownIf(ctx, conn, version, refuse)
}

func refuseLoss(c orchestration.Contents, version int32) error {
	if c.Tasks == 0 {
		return nil
	}
	goes := fmt.Sprintf("what the versions after %d keep of them would be lost", version)
	if version == 0 {
		goes = "all of it would be lost"
	}
	return errors.WithHint(errors.Newf("the tables hold %s, %d of them unfinished, and %s; %s",
		plural(int(c.Tasks), "task"), c.Unfinished, plural(int(c.Attempts), "attempt"), goes),
		"With --yes it goes on. `tasker-rb tasks export` keeps a task as a file.")
}

func withConnection(cmd *cobra.Command, dial func(*database, context.Context) (*pgx.Conn, error), f func(*pgx.Conn) error) (err error) {
	if err := oneOf("output", cmd.Flag("output").Value.String(), "text", "json"); err != nil {
		return err
	}
	ctx := cmd.Context()
	db, err := openDatabase(ctx, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, db.close()) }()
	conn, err := dial(db, ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, conn.Close(ctx)) }()
	return errors.Wrap(f(conn), db.place())
}

func printSchema(cmd *cobra.Command, conn *pgx.Conn, output string) error {
	s, err := orchestration.ReadSchema(cmd.Context(), conn)
	if err != nil {
		return err
	}
	if output == "json" {
		return printJSON(cmd.OutOrStdout(), map[string]any{
			"version": s.Version, "latest": s.Latest, "oldest": s.Oldest, "current": s.Current(), "supported": s.Supported(),
		})
	}
	if s.Version > s.Latest {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "version %d, for programs of version %d or later; this one has version %d\n", s.Version, s.Oldest, s.Latest)
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "version %d of %d\n", s.Version, s.Latest)
	return err
}
