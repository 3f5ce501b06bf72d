package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
	"github.com/tasker-rb/tasker-rb/rubyhost"
	"github.com/tasker-rb/tasker-rb/templates"
)

// codeSurvey checks handlers and templates that may be written for another program. The
// Ruby half of it is tasker/host/survey.rb.
type codeSurvey struct {
	flags     *handlerFlags
	templates []string
	output    string
}

func (s *codeSurvey) run(cmd *cobra.Command) error {
	if err := oneOf("output", s.output, "text", "json"); err != nil {
		return err
	}
	report, err := s.survey(cmd)
	if err != nil {
		return err
	}
	if err := report.print(cmd.OutOrStdout(), s.output); err != nil {
		return err
	}
	if report.Errors > 0 {
		return &exitError{exitTaskFailed}
	}
	return nil
}

func (s *codeSurvey) survey(cmd *cobra.Command) (*surveyReport, error) {
	t, err := readTemplates(cmd.Context(), s.templates)
	if err != nil {
		return nil, err
	}
	dirs, err := s.folders(t.files)
	if err != nil {
		return nil, err
	}
	report := &surveyReport{Templates: len(t.files), shown: shownFolders(s.flags.dirs, dirs)}
	for _, p := range t.problems {
		report.addTemplate(p)
	}
	if len(dirs)+len(s.flags.requires) == 0 {
		return report, nil
	}
	return report, s.ask(cmd, dirs, t, report)
}

// folders returns the folders of the handlers: those of --handlers, or each folder handlers
// beside a template.
func (s *codeSurvey) folders(files []string) ([]string, error) {
	if len(s.flags.dirs) > 0 {
		return s.flags.folders("")
	}
	seen := map[string]bool{}
	for _, file := range files {
		beside := filepath.Join(filepath.Dir(file), "handlers")
		if info, err := os.Stat(beside); err == nil && info.IsDir() && !seen[beside] {
			seen[beside] = true
			s.flags.dirs = append(s.flags.dirs, beside)
		}
	}
	if len(s.flags.dirs)+len(s.flags.requires) == 0 {
		return nil, errors.WithHint(errors.New("there is no folder handlers beside the templates"),
			"Say where the handlers are with --handlers DIR; `tasker-rb templates lint` checks templates alone.")
	}
	return s.flags.folders("")
}

// ask boots Ruby, and adds to the report what it says.
func (s *codeSurvey) ask(cmd *cobra.Command, dirs []string, t *surveyTemplates, report *surveyReport) (err error) {
	ctx, log := cmd.Context(), slog.New(newStepLog(cmd.ErrOrStderr()))
	host, err := s.flags.start(log)
	if err != nil {
		return err
	}
	db := &lazyPool{size: 4}
	defer func() { err = errors.CombineErrors(err, errors.CombineErrors(host.Close(), db.close())) }()
	if db.sql, err = rubysteps.ServeLazySQL(ctx, host, db.open, log); err != nil {
		return err
	}
	if err := s.flags.load(ctx, host, nil); err != nil {
		return err
	}
	found, err := surveyHandlers(ctx, host, dirs, t.uses())
	if err != nil {
		return err
	}
	report.Handlers = found.Handlers
	for _, p := range found.Problems {
		report.add(p)
	}
	return t.resolve(ctx, host, found.Unloaded, report)
}

// surveyed is what tasker/host/survey.rb returns.
type surveyed struct {
	Problems []surveyProblem
	Handlers int
	Unloaded map[string]string // the constants of files that cannot be loaded, with the place
}

func surveyHandlers(ctx context.Context, host *rubyhost.Host, dirs, uses []string) (surveyed, error) {
	if err := host.Require(ctx, "tasker/host/survey"); err != nil {
		return surveyed{}, err
	}
	survey, err := host.Method(ctx, "Tasker::Host::Survey.run")
	if err != nil {
		return surveyed{}, err
	}
	return rubyhost.Call[surveyed](ctx, survey, append([]string{}, dirs...), append([]string{}, uses...))
}

// surveyUnloaded asks what is wrong with the files that the host could not load. The paths
// are as the user gave those of the folders.
func surveyUnloaded(ctx context.Context, host *rubyhost.Host, given, dirs []string) (surveyed, error) {
	if err := host.Require(ctx, "tasker/host/survey"); err != nil {
		return surveyed{}, err
	}
	survey, err := host.Method(ctx, "Tasker::Host::Survey.failures")
	if err != nil {
		return surveyed{}, err
	}
	found, err := rubyhost.Call[surveyed](ctx, survey)
	shown := shownFolders(given, dirs)
	for i := range found.Problems {
		p := &found.Problems[i]
		p.File, p.Message, p.Hint = shown.Replace(p.File), shown.Replace(p.Message), shown.Replace(p.Hint)
	}
	for name, place := range found.Unloaded {
		found.Unloaded[name] = shown.Replace(place)
	}
	return found, err
}

// missingClasses returns those of the classes that are not defined.
func missingClasses(ctx context.Context, host *rubyhost.Host, names []string) (map[string]bool, error) {
	method, err := host.Method(ctx, "Tasker::Host::Survey.missing")
	if err != nil {
		return nil, err
	}
	list, err := rubyhost.Call[[]string](ctx, method, names)
	missing := make(map[string]bool, len(list))
	for _, name := range list {
		missing[name] = true
	}
	return missing, err
}

// shownFolders replaces the real path of each folder by the way the user wrote it.
func shownFolders(given, dirs []string) *strings.Replacer {
	var pairs [][2]string
	for i, dir := range dirs {
		if path, err := filepath.EvalSymlinks(dir); err == nil {
			pairs = append(pairs, [2]string{path + "/", filepath.Join(given[i], "x")})
		}
	}
	// Of two folders, one in the other, the inner one comes first.
	slices.SortStableFunc(pairs, func(a, b [2]string) int { return len(b[0]) - len(a[0]) })
	var flat []string
	for _, p := range pairs {
		flat = append(flat, p[0], strings.TrimSuffix(p[1], "x"))
	}
	return strings.NewReplacer(flat...)
}

// surveyTemplates are the templates of a survey, with what is wrong with them.
type surveyTemplates struct {
	files    []string
	list     []*templates.Template // whose handlers can be checked
	problems []templates.Problem
}

func readTemplates(ctx context.Context, paths []string) (*surveyTemplates, error) {
	t := &surveyTemplates{}
	if len(paths) == 0 {
		return t, nil
	}
	var err error
	if t.files, err = templateFiles(paths); err != nil {
		return nil, err
	}
	l, err := loadEach(ctx, t.files)
	if err != nil {
		return nil, err
	}
	t.problems, t.list = mergeRunTime(l.found), l.withHandlers()
	for _, sound := range l.sound {
		t.problems = append(t.problems, sound.Warnings...)
	}
	return t, nil
}

// uses returns the handlers that the templates name, as Class or Class#method.
func (t *surveyTemplates) uses() []string {
	var uses []string
	for _, template := range t.list {
		for _, step := range template.Steps {
			uses = append(uses, handlerName(step))
		}
	}
	return uses
}

// resolve checks that the handlers of the templates exist, and their tasks' classes.
func (t *surveyTemplates) resolve(ctx context.Context, host *rubyhost.Host, unloaded map[string]string, report *surveyReport) error {
	var problems *templates.Problems
	if err := resolveHandlers(ctx, host, t.list...); errors.As(err, &problems) {
		sayUnloaded(problems.List, t.list, unloaded)
		for _, p := range problems.List {
			report.addTemplate(p)
		}
	} else if err != nil {
		return err
	}
	return t.resolveTasks(ctx, host, unloaded, report)
}

// sayUnloaded corrects the problems of handlers that are not there: a file that cannot be
// loaded defines some of them.
func sayUnloaded(found []templates.Problem, sound []*templates.Template, unloaded map[string]string) {
	steps := map[templates.Position]*templates.Step{}
	for _, template := range sound {
		for _, step := range template.Steps {
			steps[step.HandlerPosition] = step
		}
	}
	for i := range found {
		p := &found[i]
		step := steps[p.Position()]
		if place := unloaded[step.HandlerClass]; place != "" {
			p.Message = strings.TrimRight("the handler of step "+step.Name, " ") + ": " + step.HandlerClass + " is defined at " + place + ", in a file that cannot be loaded"
			p.Hint = "Correct that file."
		}
	}
}

func (t *surveyTemplates) resolveTasks(ctx context.Context, host *rubyhost.Host, unloaded map[string]string, report *surveyReport) error {
	names := []string{}
	for _, template := range t.list {
		if template.TaskHandlerClass != "" {
			names = append(names, template.TaskHandlerClass)
		}
	}
	missing, err := missingClasses(ctx, host, names)
	if err != nil {
		return err
	}
	for _, template := range t.list {
		if missing[template.TaskHandlerClass] && unloaded[template.TaskHandlerClass] == "" {
			at := template.TaskHandlerPosition
			report.addTemplate(templates.Problem{File: at.File, Line: at.Line, Column: at.Column, Warning: true,
				Message: "the task's class: there is no class " + template.TaskHandlerClass,
				Hint:    "Correct the name, define the class, or leave it out: the steps run without it."})
		}
	}
	return nil
}

// mergeRunTime makes one problem of all that say that a template needs steps that are made
// or chosen while a task runs.
func mergeRunTime(found []templates.Problem) []templates.Problem {
	var merged []templates.Problem
	at := map[string]int{} // file -> index in merged
	more := map[string]int{}
	for _, p := range found {
		if !p.RunTime {
			merged = append(merged, p)
		} else if _, known := at[p.File]; known {
			more[p.File]++
		} else {
			at[p.File] = len(merged)
			merged = append(merged, p)
		}
	}
	for file, i := range at {
		p := &merged[i]
		p.Message = "the template is refused, because its steps change while a task runs: " + p.Message
		if n := more[file]; n > 0 {
			p.Message += " (and " + plural(n, "more place") + ")"
		}
	}
	return merged
}
