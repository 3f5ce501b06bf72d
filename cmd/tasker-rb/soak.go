package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/internal/soak"
	"github.com/tasker-rb/tasker-rb/internal/soak/report"
)

// soakCommand is the command soak. The tasks run in a process of its own kind, so that
// nothing else is measured.
type soakCommand struct {
	handlers handlerFlags
	env      string
	context  string
	contexts string

	iterations   int64
	duration     timeSpan
	samples      int
	untilDecided bool
	budget       float64
	noDB         bool
	against      string
	cancelEvery  int64
	allowFailed  bool
	force        bool

	reports []string
	output  string
}

func newSoak() *cobra.Command {
	s := &soakCommand{duration: timeSpan(time.Minute)}
	cmd := &cobra.Command{
		Use:   "soak TEMPLATE|FOLDER",
		Short: "Run tasks over and over, and say whether memory grows",
		Long: `Run tasks of a template, or of all templates of a folder, over and over. Between
two batches all garbage is collected, and the memory in use is read. The verdict
is flat, leak or undecided. It compares the growth of native memory, of Ruby's
heap and of Go's heap with a budget in bytes a step. If something grows, the
report names the kind of memory, the handler class and the line.

The tasks run in a process of their own, through the engine and a database that
is new each time, or with --no-db through the bridge alone. Waits for retries are
skipped. Give tasks different contexts with --contexts. If all have the same one,
a cache that grows with each new context looks flat.

^C stops the run and reports what is known. The exit code is 0 for flat, 1 for a
leak, 2 if the input is wrong or a task fails, and 3 if it is undecided.`,
		Example: `  tasker-rb soak order.yaml --contexts contexts.jsonl
  tasker-rb soak order.yaml --context '{"order_id": 42}' --iterations 20000 --report soak.html
  tasker-rb soak templates --handlers app/handlers --contexts contexts.rb --duration 10m --until-decided
  tasker-rb soak order.yaml --against v1.4.0 --iterations 20000`,
		Args: exactly("TEMPLATE|FOLDER"),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd, args[0]) },
	}
	s.handlers.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&s.env, "env", "", "environment `NAME` whose overrides in the template apply")
	flags.StringVar(&s.context, "context", "", "give each task this `JSON` object, or @FILE, or - for standard input (default {})")
	flags.StringVar(&s.contexts, "contexts", "", "give tasks the contexts of `FILE`: JSON lines in turns, or a block in a .rb file")
	flags.Int64Var(&s.iterations, "iterations", 0, "run `N` tasks")
	flags.Var(&s.duration, "duration", "run for `TIME`, if --iterations is not given")
	flags.IntVar(&s.samples, "samples", soak.DefaultSamples, "take about `N` samples")
	flags.BoolVar(&s.untilDecided, "until-decided", false, "go on until the verdict is flat or leak")
	flags.Float64Var(&s.budget, "budget", 1, "the verdict is flat up to `BYTES` a step")
	flags.BoolVar(&s.noDB, "no-db", false, "run the steps through the bridge alone, without engine and database")
	flags.StringVar(&s.against, "against", "", "compare with the handlers of `REF|FOLDER`, a git ref or a folder")
	flags.Int64Var(&s.cancelEvery, "cancel-every", 0, "cancel each `N`-th task while it runs")
	flags.BoolVar(&s.allowFailed, "allow-failed", false, "go on although tasks fail")
	flags.BoolVar(&s.force, "force", false, "use DATABASE_URL although its name has no _test in it")
	flags.StringArrayVar(&s.reports, "report", nil, "write the report to `FILE`: .html, .svg or .png, may be repeated")
	flags.StringVar(&s.output, "output", "text", "print the result as `FORMAT`: text or json")
	return cmd
}

func (s *soakCommand) run(cmd *cobra.Command, path string) (err error) {
	if os.Getenv(soakRoleVariable) != "" {
		return s.runHere(cmd)
	}
	if err := s.check(cmd); err != nil {
		return err
	}
	spec, err := s.spec(cmd, path)
	if err != nil {
		return err
	}
	if err := s.checkReports(); err != nil {
		return err
	}
	ctx := cmd.Context()
	place := &soakPlace{spec: spec, noDB: s.noDB, force: s.force}
	defer func() { err = errors.CombineErrors(err, place.close()) }()
	if err := place.open(ctx, s.against != ""); err != nil {
		return err
	}
	options := soak.Options{
		Iterations: s.iterations, Duration: time.Duration(s.duration), Samples: s.samples, UntilDecided: s.untilDecided, Budget: s.budget,
		Contexts: spec.Contexts, Threads: spec.Threads, NoDB: s.noDB, Command: commandLine(), Start: place.start,
	}
	if s.against != "" {
		if err := s.otherVersion(ctx, spec, place); err != nil {
			return err
		}
		options.Name = place.other.name
	}
	display := newSoakDisplay(cmd.ErrOrStderr())
	options.Progress = display.show
	result, err := soak.Execute(ctx, options)
	display.end()
	if err != nil {
		return s.failed(cmd, err)
	}
	if err := s.write(cmd, result); err != nil {
		return err
	}
	switch result.Verdict.Growth {
	case "flat":
		return nil
	case "leak":
		return &exitError{exitTaskFailed}
	}
	return &exitError{exitUndecided}
}

// maxBudget is more than any handler may leave behind, and a number that can be read.
const maxBudget = 1e9

func (s *soakCommand) check(cmd *cobra.Command) error {
	if err := oneOf("output", s.output, "text", "json"); err != nil {
		return err
	}
	flags := cmd.Flags()
	switch {
	case flags.Changed("iterations") && flags.Changed("duration"):
		return errors.WithHint(errors.New("--iterations and --duration cannot both be given"), "Choose how long to run by one of them.")
	case flags.Changed("iterations") && s.iterations < 1:
		return errors.WithHint(errors.Newf("--iterations cannot be %d", s.iterations), "Give a number of tasks, such as 20000.")
	case s.duration == 0:
		return errors.WithHint(errors.New("--duration cannot be 0"), timeSpanHint)
	case flags.Changed("context") && flags.Changed("contexts"):
		return errors.WithHint(errors.New("--context and --contexts cannot both be given"), "--context is for one context, --contexts for many.")
	case s.cancelEvery < 0:
		return errors.WithHint(errors.Newf("--cancel-every cannot be %d", s.cancelEvery), "Give a number of tasks, or 0 for none.")
	case s.cancelEvery > 0 && s.noDB:
		return errors.WithHint(errors.New("--cancel-every needs the engine, and --no-db leaves it out"), "Leave one of them out.")
	case !(s.budget > 0 && s.budget <= maxBudget):
		return errors.WithHint(errors.Newf("--budget cannot be %v", s.budget), "Give a number of bytes a step above 0, at most 1e9. No run can tell a growth of exactly 0.")
	case flags.Changed("against") && s.against == "":
		return errors.WithHint(errors.New("--against is empty"), "Name a git ref or a folder. A variable of a shell that is not set is empty.")
	}
	return nil
}

// spec is what the runner is told.
func (s *soakCommand) spec(cmd *cobra.Command, path string) (*soak.Spec, error) {
	files, err := templateFiles([]string{path})
	if err != nil {
		return nil, err
	}
	if err := s.handlers.checkLoadPath(); err != nil {
		return nil, err
	}
	spec := &soak.Spec{
		Environment: s.env, Requires: s.handlers.requires, LoadPath: s.handlers.loadPath, Gemfile: s.handlers.gemfile, Threads: s.handlers.threads,
		YJIT: s.handlers.yjit, YJITMemory: s.handlers.yjitMemory, CancelEvery: s.cancelEvery, AllowFailed: s.allowFailed,
	}
	if s.contexts != "" {
		spec.Contexts, err = readContexts(cmd.Context(), s.contexts)
	} else {
		spec.Contexts.Same, err = readDocument(cmd.Context(), "context", s.sameContext(), cmd.InOrStdin())
	}
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		absolute, err := filepath.Abs(file)
		if err != nil {
			return nil, errors.Wrap(err, file)
		}
		spec.Templates = append(spec.Templates, absolute)
		t, err := loadTemplate(cmd.Context(), file, s.env)
		if err != nil {
			return nil, err
		}
		if s.contexts == "" { // the runner fills in the defaults, which each template has of its own
			if _, err := checkContext(t, spec.Contexts.Same, s.sameContext()); err != nil {
				return nil, err
			}
		}
	}
	if spec.Handlers, err = s.handlers.folders(files[0]); err != nil {
		return nil, err
	}
	return spec, nil
}

func (s *soakCommand) sameContext() string {
	if s.context == "" {
		return "{}"
	}
	return s.context
}

// readContexts reads a file of JSON lines, or names a file of Ruby.
func readContexts(ctx context.Context, file string) (soak.Contexts, error) {
	if strings.HasSuffix(file, ".rb") {
		absolute, err := filepath.Abs(file)
		if err == nil {
			_, err = os.Stat(absolute)
		}
		if err != nil {
			return soak.Contexts{}, errors.WithHint(errors.Newf("--contexts %s: %v", file, lastCause(err)),
				"Name a Ruby file whose value is a block, such as ->(n) { { order_id: n } }.")
		}
		return soak.Contexts{File: absolute}, nil
	}
	text, err := readFile(ctx, file)
	if err != nil {
		return soak.Contexts{}, errors.WithHint(errors.Newf("--contexts %s: %v", file, lastCause(err)), "Name a file with one JSON object in each line, or a .rb file.")
	}
	var c soak.Contexts
	for i, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal([]byte(line), &object); err != nil || object == nil {
			return c, errors.WithHint(errors.Newf("%s:%d is not a JSON object", file, i+1), `Each line is the context of a task, such as {"order_id": 42}.`)
		}
		c.Lines = append(c.Lines, json.RawMessage(line))
	}
	if len(c.Lines) == 0 {
		return c, errors.WithHint(errors.Newf("%s holds no context", file), `Each line is the context of a task, such as {"order_id": 42}.`)
	}
	return c, nil
}

var reportWriters = map[string]func(*os.File, *soak.Result) error{
	".html": func(f *os.File, r *soak.Result) error { return report.Write(f, r) },
	".svg":  func(f *os.File, r *soak.Result) error { return report.WriteSVG(f, r) },
	".png":  func(f *os.File, r *soak.Result) error { return report.WritePNG(f, r) },
}

// checkReports refuses files that could not be written after a long run.
func (s *soakCommand) checkReports() error {
	for _, file := range s.reports {
		if reportWriters[filepath.Ext(file)] == nil {
			return errors.WithHint(errors.Newf("--report %s: there is no report of that kind", file), "Name a file that ends in .html, .svg or .png.")
		}
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o666)
		if err != nil {
			return errors.WithHint(errors.Newf("--report %s cannot be written: %v", file, lastCause(err)), "Name a file in a folder that exists.")
		}
		_ = f.Close()
	}
	return nil
}

// write prints the result and writes the reports.
func (s *soakCommand) write(cmd *cobra.Command, r *soak.Result) error {
	out := cmd.OutOrStdout()
	if s.output == "json" {
		if err := printJSON(out, r); err != nil {
			return errors.Wrap(err, "printing the result")
		}
	} else if err := report.Text(out, r, textOptions(out)); err != nil {
		return errors.Wrap(err, "printing the result")
	}
	for _, file := range s.reports {
		if err := writeReport(file, r); err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "The report is in %s.\n", file)
	}
	return nil
}

func writeReport(file string, r *soak.Result) error {
	f, err := os.Create(file)
	if err != nil {
		return errors.Wrap(err, "writing the report")
	}
	return errors.CombineErrors(errors.Wrap(reportWriters[filepath.Ext(file)](f, r), "writing the report"), errors.Wrap(f.Close(), "writing the report"))
}

// failed prints why there is no verdict.
func (s *soakCommand) failed(cmd *cobra.Command, err error) error {
	var f *soak.Failure
	var gone *soak.Gone
	switch {
	case errors.As(err, &f):
		printCause(cmd.ErrOrStderr(), strings.Join(append([]string{err.Error()}, f.Detail...), "\n"), f.Hint)
		return &exitError{exitBadInput}
	case errors.As(err, &gone) && gone.Said != "":
		fmt.Fprintln(cmd.ErrOrStderr(), strings.TrimSpace(gone.Said))
		return errors.WithHint(err, "What it printed last is above.")
	}
	return err
}

// commandLine is the command as a shell takes it.
func commandLine() string {
	var words []string
	for i, arg := range os.Args {
		if i == 0 {
			arg = filepath.Base(arg)
		}
		if strings.ContainsFunc(arg, func(r rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=./:,@%+", r)
		}) || arg == "" {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}
