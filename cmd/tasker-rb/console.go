package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/rubyhost"
)

type consoleCommand struct {
	handlers handlerFlags
	migrate  bool
	scratch  bool
}

func newConsole() *cobra.Command {
	c := &consoleCommand{handlers: handlerFlags{passOutput: true}}
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Open irb with the handlers and their database",
		Long: `Open irb inside the host, with the handlers loaded. The handlers are in ./handlers,
unless you name another folder. You can use:

  DB                  Tasker.sequel if the gem sequel is installed, else Tasker.db
  db                  Tasker.db
  task(42)            a task, with its context, and the results and errors of its steps
  run_step(H, ...)    what the handler H returns for context: and results:
  reload!             load the handler files again that you have saved since

SQL commits by itself, unless you begin a transaction. ^C drops the line that you
type, or interrupts the code that runs. ^D and exit end the console. The prompt
names the database.

When standard input is no terminal, the console reads lines from there, and prints
what they return.`,
		Example: `  tasker-rb console
  tasker-rb console --handlers app/handlers --gemfile Gemfile
  echo 'task(42).step("charge").error' | tasker-rb console`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	c.handlers.add(cmd)
	cmd.Flags().Lookup("handlers").Usage = "`DIR` of handler files, may be repeated (default handlers/, if it is there)"
	cmd.Flags().BoolVar(&c.migrate, "migrate", false, "bring the tables of DATABASE_URL up to date first")
	cmd.Flags().BoolVar(&c.scratch, "scratch", false, "without DATABASE_URL: use a database that is deleted afterwards")
	return cmd
}

func (c *consoleCommand) run(cmd *cobra.Command) (err error) {
	ctx := cmd.Context()
	if err := checkScratch(c.scratch); err != nil {
		return err
	}
	prompt, err := c.prompt()
	if err != nil {
		return err
	}
	if len(c.handlers.dirs) == 0 && isFolder("handlers") {
		c.handlers.dirs = []string{"handlers"}
	}
	c.handlers.terminal = true // irb traps ^C in any case
	db := &lazyPool{ephemeral: c.scratch, migrate: c.migrate, size: programConnections}
	defer func() { err = errors.CombineErrors(err, db.close()) }()
	host, err := c.handlers.boot(ctx, "", db, slog.New(newStepLog(cmd.ErrOrStderr())))
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, host.Close()) }()
	typed := atTerminal(cmd)
	if !typed {
		offerInterrupts(ctx, nil) // it ends the command
	}
	console, err := prepareConsole(ctx, host, db)
	if err != nil {
		return err
	}
	options := map[string]any{"prompt": "tasker-rb(" + prompt + ")", "terminal": typed, "history": historyFile(), "version": version().Version}
	code, err := rubyhost.Call[int](ctx, console, options)
	if err == nil && code != exitOK {
		err = &exitError{code}
	}
	return err
}

// prepareConsole loads irb, and returns the method that runs it.
func prepareConsole(ctx context.Context, host *rubyhost.Host, db *lazyPool) (*rubyhost.Method, error) {
	if err := host.Serve(ctx, "tasker-rb's console", func(ctx context.Context, payload []byte) ([]byte, error) {
		return answerConsole(ctx, db, payload)
	}); err != nil {
		return nil, err
	}
	if err := host.Require(ctx, "tasker/host/console"); err != nil {
		return nil, err
	}
	prepare, err := host.Method(ctx, "Tasker::Host::Console.prepare")
	if err != nil {
		return nil, err
	}
	if _, err := prepare.Call(ctx); err != nil {
		var ruby *rubyhost.Error
		if errors.As(err, &ruby) && ruby.IsA("LoadError") {
			return nil, errors.WithHint(errors.Newf("the console needs irb, which this Ruby does not have: %s", ruby.Message),
				"Install the gems irb and reline; with --gemfile, name them in the Gemfile.")
		}
		return nil, err
	}
	return host.Method(ctx, "Tasker::Host::Console.run")
}

// consoleTask is a task for the console.
type consoleTask struct {
	taskJSON
	Context json.RawMessage `json:"context"`
}

// answerConsole answers what the methods of the console ask for.
func answerConsole(ctx context.Context, db *lazyPool, payload []byte) ([]byte, error) {
	var asked struct {
		Task int64 `json:"task"`
	}
	if err := json.Unmarshal(payload, &asked); err != nil {
		return nil, errors.Wrap(err, "the console's question")
	}
	pool, err := db.open(ctx)
	if err != nil {
		return nil, consoleError(err)
	}
	task, err := orchestration.ReadTask(ctx, pool, asked.Task)
	if err != nil {
		return nil, consoleError(err)
	}
	return json.Marshal(consoleTask{taskAsJSON(task), task.Context})
}

// consoleError is what Ruby raises.
func consoleError(err error) error {
	hint, err := explained(err)
	message := err.Error()
	if hint != "" {
		message += "; " + strings.ReplaceAll(hint, "\n", " ")
	}
	return &rubyhost.Error{Class: "Tasker::Error", Message: message}
}

// prompt names the database, without opening it.
func (c *consoleCommand) prompt() (string, error) {
	address := forGo(os.Getenv(databaseURL))
	switch {
	case address != "":
	case c.scratch:
		return "scratch", nil
	default:
		return "private", nil
	}
	config, err := parseAddress(databaseURL, address)
	if err != nil {
		return "", err
	}
	return nameOf(config), nil
}

// nameOf is the name of a database, with its server if that is another machine.
func nameOf(config *pgxpool.Config) string {
	host := config.ConnConfig.Host
	ip := net.ParseIP(host)
	if host == "" || host == "localhost" || filepath.IsAbs(host) || ip != nil && ip.IsLoopback() {
		return config.ConnConfig.Database
	}
	return config.ConnConfig.Database + "@" + host
}

// historyFile is where the lines of consoles are kept, or "" if that is nowhere.
func historyFile() string {
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		state = filepath.Join(home, ".local", "state")
	}
	dir := filepath.Join(state, "tasker-rb")
	if os.MkdirAll(dir, 0o755) != nil { // the private database may run as another user below it
		return "" // a console without a history is one, too
	}
	return filepath.Join(dir, "console_history")
}
