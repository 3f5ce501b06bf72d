package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
	"github.com/tasker-rb/tasker-rb/rubyhost"
	"github.com/tasker-rb/tasker-rb/templates"
)

// handlerFlags are the flags that say which Ruby code to load.
type handlerFlags struct {
	dirs     []string
	requires []string
	loadPath []string
	gemfile  string
	threads  int
	yjit     bool

	yjitMemory int // MiB

	passOutput bool // the program writes to standard output itself
	terminal   bool // and a person may type at it
	allOutput  bool // what goes past $stdout and $stderr is logged, too
}

func (f *handlerFlags) add(cmd *cobra.Command) {
	if !f.passOutput {
		cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return documentApart(cmd) }
	}
	cmd.Flags().StringArrayVar(&f.dirs, "handlers", nil, "`DIR` of handler files, may be repeated (default handlers/ beside the template)")
	cmd.Flags().StringArrayVar(&f.requires, "require", nil, "Ruby `FEATURE` or ./FILE to require before the handlers, may be repeated")
	cmd.Flags().StringArrayVarP(&f.loadPath, "load-path", "I", nil, "`DIR` to put first on Ruby's load path, may be repeated")
	cmd.Flags().StringVar(&f.gemfile, "gemfile", "", "Gemfile `FILE` with the gems of the handlers")
	cmd.Flags().IntVar(&f.threads, "threads", 8, "start `N` Ruby threads; so many steps run at once")
	cmd.Flags().BoolVar(&f.yjit, "yjit", false, "turn on Ruby's YJIT compiler")
	cmd.Flags().IntVar(&f.yjitMemory, "yjit-memory", 0, "let YJIT use `MIB` MiB of memory; 0 means 16, and 64 since Ruby 3.4")
}

// boot starts Ruby, gives it the database, and loads the handlers. Without
// --handlers it loads the folder handlers/ beside the template.
func (f *handlerFlags) boot(ctx context.Context, templateFile string, db *lazyPool, log *slog.Logger) (*rubyhost.Host, error) {
	dirs, err := f.folders(templateFile)
	if err != nil {
		return nil, err
	}
	host, err := f.start(log)
	if err != nil {
		return nil, err
	}
	if f.terminal {
		offerInterrupts(ctx, host.Interrupt)
	}
	if db.sql, err = rubysteps.ServeLazySQL(ctx, host, db.openForRuby, log); err != nil {
		return nil, errors.CombineErrors(err, host.Close())
	}
	if err := f.load(ctx, host, dirs); err != nil {
		return nil, errors.CombineErrors(err, host.Close())
	}
	return host, nil
}

// start boots Ruby with the options of the flags.
func (f *handlerFlags) start(log *slog.Logger) (*rubyhost.Host, error) {
	if f.threads < 1 || f.threads > 256 {
		return nil, errors.WithHint(errors.Newf("--threads cannot be %d", f.threads), "Give a number from 1 to 256.")
	}
	if f.gemfile != "" {
		if _, err := os.ReadFile(f.gemfile); err != nil {
			return nil, errors.WithHint(errors.Newf("--gemfile %s: %v", f.gemfile, lastCause(err)), "Name the Gemfile of the handlers, a file that you may read.")
		}
	}
	if err := f.checkLoadPath(); err != nil {
		return nil, err
	}
	if f.yjitMemory < 0 || f.yjitMemory > 1024 {
		return nil, errors.WithHint(errors.Newf("--yjit-memory cannot be %d", f.yjitMemory), "Give a number of MiB from 1 to 1024, or 0 for the default.")
	}
	if f.yjitMemory > 0 && !f.yjit {
		return nil, errors.WithHint(errors.Newf("--yjit-memory %d bounds YJIT, which is off", f.yjitMemory), "Give --yjit too.")
	}
	return rubyhost.Boot(rubyhost.Options{
		Threads: f.threads, YJIT: f.yjit, YJITMemoryMiB: f.yjitMemory, Gemfile: f.gemfile, LoadPath: f.loadPath, Logger: log, PassOutput: f.passOutput,
		Terminal: f.terminal, AllOutput: f.allOutput,
	})
}

// checkLoadPath refuses what cannot be on the load path. Ruby would not say a word, until it
// does not find a file.
func (f *handlerFlags) checkLoadPath() error {
	for _, dir := range f.loadPath {
		info, err := os.Stat(dir)
		switch {
		case err != nil:
			return errors.WithHint(errors.Newf("--load-path %s: %v", dir, lastCause(err)), "Name the folder in which Ruby is to look for files first.")
		case !info.IsDir():
			return errors.WithHintf(errors.Newf("--load-path %s is not a folder", dir), "Name the folder it is in, or load the file with --require ./%s.", dir)
		}
	}
	return nil
}

func (f *handlerFlags) load(ctx context.Context, host *rubyhost.Host, dirs []string) error {
	for _, feature := range f.requires {
		if err := host.Require(ctx, feature); err != nil {
			if info, statErr := os.Stat(feature); statErr == nil && info.IsDir() {
				return errors.WithHintf(errors.Newf("--require %s is a folder", feature), "Load the files of a folder with --handlers %s.", feature)
			}
			return requireError(err, feature)
		}
	}
	if len(dirs) == 0 {
		return nil
	}
	err := host.LoadDir(ctx, dirs...)
	if several := f.unloaded(ctx, host, dirs, err); several != nil {
		return several
	}
	return errors.WithHint(err, loadHint(err))
}

// severalUnloaded is the error of several handler files that cannot be loaded.
type severalUnloaded struct {
	*templates.Problems
	first error
}

func (s *severalUnloaded) Unwrap() []error { return []error{s.Problems, s.first} }

// unloaded returns what is wrong with all files that could not be loaded, if the error of
// the first does not say it all.
func (f *handlerFlags) unloaded(ctx context.Context, host *rubyhost.Host, dirs []string, first error) error {
	var ruby *rubyhost.Error
	if !errors.As(first, &ruby) || ctx.Err() != nil {
		return nil
	}
	given := f.dirs
	if len(given) != len(dirs) { // the folders are the usual ones
		given = relative(dirs)
	}
	survey, err := surveyUnloaded(ctx, host, given, dirs)
	files := map[string]bool{}
	for _, p := range survey.Problems {
		files[p.File] = true
	}
	if err != nil || len(files) < 2 {
		return nil
	}
	return &severalUnloaded{&templates.Problems{List: problemsOf(survey)}, first}
}

// folders returns the absolute paths of --handlers, or of handlers/ beside the
// template.
func (f *handlerFlags) folders(templateFile string) ([]string, error) {
	dirs := f.named(templateFile)
	if len(dirs) == 0 && templateFile != "" && len(f.requires) == 0 {
		return nil, errors.WithHint(errors.Newf("there is no folder %s", besideTemplate(templateFile)), "Say where the handlers are with --handlers DIR.")
	}
	found := make([]string, len(dirs))
	for i, dir := range dirs {
		absolute, err := filepath.Abs(dir)
		if err != nil {
			return nil, errors.Wrapf(err, "--handlers %s", dir)
		}
		info, err := os.Stat(absolute)
		switch {
		case err != nil:
			return nil, errors.WithHint(errors.Newf("--handlers %s: %v", dir, lastCause(err)), "Name the folder that holds the handler files.")
		case !info.IsDir():
			return nil, errors.WithHintf(errors.Newf("--handlers %s is not a folder", dir), "Name the folder it is in, or load one file with --require ./%s.", dir)
		}
		found[i] = absolute
	}
	return found, nil
}

// named are the folders of --handlers, or else handlers/ beside the template, if it is there.
func (f *handlerFlags) named(templateFile string) []string {
	if beside := besideTemplate(templateFile); len(f.dirs) == 0 && templateFile != "" && exists(beside) {
		return []string{beside}
	}
	return f.dirs
}

func besideTemplate(file string) string { return filepath.Join(filepath.Dir(file), "handlers") }

// pathOfFile matches the error of a path that is no name on the load path.
var pathOfFile = regexp.MustCompile(`cannot load such file -- \.{0,2}/`)

// loadHint says what to do about a file that does not load. The hint depends on
// the error that Ruby raised.
func loadHint(err error) string {
	var ruby *rubyhost.Error
	if !errors.As(err, &ruby) || ruby.Cause == nil {
		return "Correct the handler file."
	}
	switch {
	case strings.Contains(ruby.Message, ": the file cannot be read: "):
		return "Every .rb file below a handlers folder is loaded: make this one readable, or remove it."
	case ruby.Cause.IsA("LoadError") && pathOfFile.MatchString(ruby.Cause.Message):
		return "Correct the path; require_relative begins in the folder of the file that calls it."
	case ruby.Cause.IsA("LoadError"):
		return "Install the gem it is in, or correct the name."
	case ruby.Cause.IsA("SyntaxError"):
		return "Correct the file; `ruby -wc FILE` checks one."
	case ruby.Cause.IsA("Tasker::Host::ForbiddenError"):
		return "A handler file may only define things; take that call out."
	case ruby.Cause.IsA("SystemExit"):
		return "A handler file may only define things; take the exit out."
	default:
		return "Correct the file, or load what it needs with --handlers DIR or --require FILE."
	}
}

// absentTaskHandlers warns of templates whose task handler is not there. It is no problem:
// only its hooks are not called.
func absentTaskHandlers(ctx context.Context, host *rubyhost.Host, list []*templates.Template) (warnings []templates.Problem, err error) {
	is, err := host.Method(ctx, "Tasker::Host.class?")
	if err != nil {
		return nil, err
	}
	for _, t := range list {
		if t.TaskHandlerClass == "" {
			continue
		}
		there, err := rubyhost.Call[bool](ctx, is, t.TaskHandlerClass)
		if err != nil {
			return nil, err
		}
		if !there {
			p := t.Position
			warnings = append(warnings, templates.Problem{File: p.File, Line: p.Line, Column: p.Column, Warning: true,
				Message: "no file defines the task handler " + t.TaskHandlerClass + ", so there are no hooks to call",
				Hint:    "Remove the name from the template, or load the class with --handlers DIR or --require FILE."})
		}
	}
	return warnings, nil
}

// resolveHandlers finds the class of every step, so that a missing class is known
// before anything is written. It reports all missing classes at once.
func resolveHandlers(ctx context.Context, host *rubyhost.Host, list ...*templates.Template) error {
	var problems templates.Problems
	var steps []*templates.Step
	for _, t := range list {
		steps = append(steps, t.Steps...)
	}
	for _, step := range steps {
		_, err := host.Handler(ctx, handlerName(step))
		var ruby *rubyhost.Error
		if errors.As(err, &ruby) {
			p := step.HandlerPosition
			problems.List = append(problems.List, templates.Problem{File: p.File, Line: p.Line, Column: p.Column,
				Message: strings.TrimRight("the handler of step "+step.Name, " ") + ": " + ruby.Message,
				Hint:    "Correct handler_class: or callable:, or define the class with a public process(task, sequence, step)."})
		} else if err != nil {
			return err
		}
	}
	if len(problems.List) > 0 {
		return &problems
	}
	return nil
}

// handlerName names the handler of a step as rubyhost does: Class, or Class#method.
func handlerName(step *templates.Step) string {
	if step.HandlerMethod == "" {
		return step.HandlerClass
	}
	return step.HandlerClass + "#" + step.HandlerMethod
}
