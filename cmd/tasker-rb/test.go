package main

import (
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// testCommand is the command test. It runs the suite in this process, or, with --parallel
// and --watch, in processes of its own kind.
type testCommand struct {
	handlers  handlerFlags
	templates []string
	parallel  int
	watch     bool
	force     bool
	output    string

	suite   suite
	options []string // of the framework
}

func newTest() *cobra.Command {
	t := &testCommand{handlers: handlerFlags{passOutput: true}}
	cmd := &cobra.Command{
		Use:   "test [PATH...] [-- OPTION...]",
		Short: "Run a test suite of RSpec or minitest with the engine and a database",
		Long: `Run a suite of RSpec or minitest in this process, with the handlers, the engine and
a database of its own. PATH is a file, a folder, or a place such as
spec/order_spec.rb:12; without it the suite is the folder spec, or the folder
test. What comes after -- is the framework's: -- --format doc, -- --name /card/.

The framework is the one that is installed, or that of --gemfile. Before the suite
the templates are checked, and that every handler class exists.

The database is a private one, which is new each time. With DATABASE_URL it is that
one, if its name has _test in it.

The exit code is the framework's, 2 when the input is wrong, and 130 after ^C.

What the framework prints is its own. With --output json, the last line of
standard output is a document, with the numbers of the tests or an error.`,
		Example: `  tasker-rb test
  tasker-rb test spec/order_spec.rb:12 -- --format documentation
  tasker-rb test test --handlers app/handlers --gemfile Gemfile --parallel 2
  tasker-rb test --watch -- --seed 7`,
		RunE: func(cmd *cobra.Command, args []string) error { return t.run(cmd, args) },
	}
	t.handlers.add(cmd)
	cmd.Flags().Lookup("handlers").Usage = "`DIR` of handler files, may be repeated (default handlers/ or app/handlers/, else handlers/ beside the templates)"
	cmd.Flags().StringArrayVar(&t.templates, "templates", nil, "`DIR` of templates, may be repeated (default templates/ or config/tasker/, else the templates of this folder)")
	cmd.Flags().IntVar(&t.parallel, "parallel", 1, "run the files in `N` processes, each with a database of its own")
	cmd.Flags().BoolVar(&t.watch, "watch", false, "after the suite, wait for changes, and run what a saved file concerns")
	cmd.Flags().BoolVar(&t.force, "force", false, "use DATABASE_URL although its name has no _test in it")
	cmd.Flags().StringVar(&t.output, "output", "text", "print the last line as `FORMAT`: text, as the framework does, or json")
	return cmd
}

func (t *testCommand) run(cmd *cobra.Command, args []string) (err error) {
	part := takePart()
	paths := args
	if dash := cmd.ArgsLenAtDash(); dash >= 0 {
		paths, t.options = args[:dash], args[dash:]
	}
	if err := t.checkFlags(); err != nil {
		return err
	}
	if t.suite, err = chooseSuite(paths); err != nil {
		return err
	}
	layout, err := t.layout()
	if err != nil {
		return err
	}
	switch {
	case part.check:
		return t.checkHere(cmd, layout)
	case part.kill:
		return t.dieHere(cmd, layout)
	case t.watch:
		return t.runAndWatch(cmd, layout)
	case t.parallel > 1:
		return t.runParts(cmd, layout)
	case t.output == "json" && part.summary == "":
		return t.runAndSay(cmd, layout)
	default:
		return t.runHere(cmd, layout, part)
	}
}

func (t *testCommand) checkFlags() error {
	if err := oneOf("output", t.output, "text", "json"); err != nil {
		return err
	}
	if t.parallel < 1 || t.parallel > 64 {
		return errors.WithHint(errors.Newf("--parallel cannot be %d", t.parallel), "Give a number from 1 to 64.")
	}
	if t.handlers.threads == 1 { // the suite itself runs on one
		return errors.WithHint(errors.New("--threads cannot be 1: the suite takes one, and the handlers need another"), "Give a number from 2 to 256.")
	}
	return nil
}

// processRole says what a process of this command does for the command that has started
// it.
type processRole struct {
	check   bool   // only check templates and handlers
	part    bool   // run a part of the suite
	summary string // write the numbers of the suite, or of the part, to this file
	kill    bool   // run one task, and die where the order on standard input says
}

// roleVariable tells a process its role.
const (
	roleVariable = "TASKER_RB_TEST_ROLE"
	checkRole    = "check"
	partRole     = "part:"
	killRole     = "kill"
)

// takePart reads the role of this process. No process that the suite starts inherits it.
func takePart() (r processRole) {
	role := os.Getenv(roleVariable)
	_ = os.Unsetenv(roleVariable) // the name is valid
	r.check = role == checkRole
	if summary, ok := strings.CutPrefix(role, partRole); ok {
		r.part, r.summary = true, summary
		endWithParent()
	}
	r.kill = role == killRole
	return r
}

// parentFD is a pipe that is at its end when the command that has started this part has
// ended.
const parentFD = 3

// endWithParent ends this process, as SIGTERM does, when the command that has started it
// was killed.
func endWithParent() {
	syscall.CloseOnExec(parentFD)
	pipe := os.NewFile(parentFD, "the command")
	go func() {
		_, _ = pipe.Read(make([]byte, 1)) // nothing is ever written
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
	}()
}

// arguments are those of a process that runs other paths with the same flags.
func (t *testCommand) arguments(cmd *cobra.Command, paths []string) []string {
	args := []string{cmd.Name()}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if slices.Contains([]string{"watch", "parallel", "output"}, f.Name) {
			return
		}
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, v := range values {
			args = append(args, "--"+f.Name+"="+v)
		}
	})
	args = append(args, paths...)
	return append(append(args, "--"), t.options...)
}
