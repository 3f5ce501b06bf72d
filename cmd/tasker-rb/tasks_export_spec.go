package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// chosenByFolder is --spec without a value.
const chosenByFolder = "auto"

// specFile is where a spec goes, and for which framework.
type specFile struct {
	framework framework
	path      string // or "" for standard output
}

// chooseSpec reads --spec and FILE.
func chooseSpec(value, path string) (s specFile, err error) {
	if err := oneOf("spec", value, chosenByFolder, rspec.name, minitest.name); err != nil {
		return s, err
	}
	s.path = path
	switch {
	case path != "" && filepath.Ext(path) != ".rb":
		return s, errors.WithHint(errors.Newf("%s is not the name of a Ruby file", path),
			"Name a file such as spec/order_spec.rb; the framework is chosen with --spec=rspec or --spec=minitest.")
	case path != "" && exists(path):
		return s, existsAlready(path)
	case value == rspec.name, value == chosenByFolder && path != "" && rspec.isTest(path):
		s.framework = rspec
	case value == minitest.name, value == chosenByFolder && path != "" && minitest.isTest(path):
		s.framework = minitest
	case isFolder(rspec.folder):
		s.framework = frameworkOfSpecs(nil)
	default:
		s.framework = minitest
	}
	return s, nil
}

// write writes the spec of a task.
func (s specFile) write(cmd *cobra.Command, x *orchestration.Export, document bool) error {
	text, err := s.text(x)
	if err != nil {
		return err
	}
	if s.path == "" {
		_, err := cmd.OutOrStdout().Write([]byte(text))
		return errors.WithHint(errors.Wrap(err, "writing the spec"), "The file is not complete; export the task again.")
	}
	if err := writeNewFile(s.path, []byte(text)); err != nil {
		return err
	}
	if document {
		return printJSON(cmd.OutOrStdout(), map[string]any{"task_id": x.Task.TaskID, "file": s.path, "framework": s.framework.name})
	}
	return printDone(cmd, nil, "%s repeats task %d; run it with %s", s.path, x.Task.TaskID, runSpec(s.path, x.Task))
}

// text is the spec. It runs the task with the recorded context; the recorded results stand
// in for the steps that were done, and the steps that failed are expected to fail as they
// did. A task that is complete has no stand-ins, and is expected to be complete.
func (s specFile) text(x *orchestration.Export) (string, error) {
	t := x.Task
	var failed []*orchestration.StepDetail
	for i := range t.Steps {
		if last := t.Steps[i].Last(); last != nil && last.Err != nil && !t.Steps[i].State.Done() {
			failed = append(failed, &t.Steps[i])
		}
	}
	if len(failed) == 0 && t.State != orchestration.TaskComplete {
		return "", errors.WithHintf(errors.Newf("task %d is %s, and no step of it has failed: there is nothing for a spec to expect", t.TaskID, t.State),
			"Export it once it has ended, or as JSON without --spec.")
	}
	call, err := runTaskCall(x, len(failed) > 0)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("# frozen_string_literal: true\n\n")
	s.head(&b, x, failed)
	helpers := s.helpers()
	for _, helper := range helpers {
		fmt.Fprintf(&b, "require %q\n", helper)
	}
	b.WriteString("require \"tasker/testing\"\n")
	if len(helpers) == 0 {
		s.tables(&b)
	}
	b.WriteString("\n")
	what := fmt.Sprintf("completes as task %d did", t.TaskID)
	if len(failed) > 0 {
		what = fmt.Sprintf("fails in %s as task %d did", failed[0].Name, t.TaskID)
	}
	if s.framework.name == rspec.name {
		fmt.Fprintf(&b, "RSpec.describe %s do\n  it %s do\n", rubyString(t.Namespace+"/"+t.Name), rubyString(what))
	} else {
		fmt.Fprintf(&b, "class %s < Minitest::Test\n  def test_it_%s\n", testClass(t), notInNames.ReplaceAllString(what, "_"))
	}
	fmt.Fprintf(&b, "    task = %s\n\n", call)
	s.expectations(&b, failed)
	b.WriteString("  end\nend\n")
	return b.String(), nil
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9_]+`)

// testClass is a name for a class of minitest's.
func testClass(t *orchestration.TaskDetail) string {
	name := ""
	for word := range strings.FieldsSeq(notInNames.ReplaceAllString(strings.ReplaceAll(t.Namespace+" "+t.Name, "_", " "), " ")) {
		name += strings.ToUpper(word[:1]) + word[1:]
	}
	return fmt.Sprintf("Task%d%sTest", t.TaskID, name)
}

// head is the comment that says what the file is, and what to do with it.
func (s specFile) head(b *strings.Builder, x *orchestration.Export, failed []*orchestration.StepDetail) {
	t := x.Task
	fmt.Fprintf(b, "# Task %d (%s/%s %s), written by `tasker-rb tasks export`.\n", t.TaskID, t.Namespace, t.Name, t.Version)
	if len(x.Redacted) > 0 {
		fmt.Fprintf(b, "# Redacted: %s. Put values in the places of \"[redacted]\" that your handlers can use.\n", printable(strings.Join(x.Redacted, ", ")))
	}
	if len(failed) == 0 {
		b.WriteString("# It is complete. This repeats it, with all its handlers.\n\n")
		return
	}
	b.WriteString("# It failed:\n#\n")
	for _, step := range failed {
		e := step.Last().Err
		fmt.Fprintf(b, "#   %s: %s: %s\n", step.Name, e.Class, printable(firstLine(e.Message)))
		if len(e.Backtrace) > 0 {
			fmt.Fprintf(b, "#     %s\n", printable(e.Backtrace[0]))
		}
	}
	fmt.Fprintf(b, "#\n# This passes as long as the handler fails like that. When you have corrected it, put in\n"+
		"# the place of the last lines what is right:\n#\n#   %s\n\n", s.corrected())
}

func (s specFile) corrected() string {
	if s.framework.name == rspec.name {
		return "expect(task).to be_complete"
	}
	return "assert_complete task"
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// runTaskCall is the call of run_task.
func runTaskCall(x *orchestration.Export, withStubs bool) (string, error) {
	const indent = "      "
	t := x.Task
	lines := []string{rubyString(t.Namespace + "/" + t.Name), "version: " + rubyString(t.Version)}
	if x.Environment != "" {
		lines = append(lines, "env: "+rubyString(x.Environment))
	} else {
		lines = append(lines, "env: nil") // by default it is "test"
	}
	context, err := rubyLiteral(t.Context, indent, true)
	if err != nil {
		return "", err
	}
	lines = append(lines, "context: "+context)
	var stubs []string
	for i := range t.Steps {
		step := &t.Steps[i]
		if !withStubs || !step.State.Done() || step.Results() == nil {
			continue
		}
		results, err := rubyLiteral(step.Results(), indent+"  ", true)
		if err != nil {
			return "", err
		}
		stubs = append(stubs, indent+"  "+rubyString(step.Name)+" => "+results)
	}
	if len(stubs) > 0 {
		lines = append(lines, "stubs: {\n"+strings.Join(stubs, ",\n")+"\n"+indent+"}")
	}
	return "run_task(\n" + indent + strings.Join(lines, ",\n"+indent) + "\n    )", nil
}

// madeByTheHost are the classes of errors whose messages name times and places.
var madeByTheHost = regexp.MustCompile(`^Tasker::(StepInterrupted|StepStuck|HostError|HandlerNotFound)$`)

// redactedText is what takes the place of a redacted value.
const redactedText = "[redacted]"

func (s specFile) expectations(b *strings.Builder, failed []*orchestration.StepDetail) {
	equal := func(what, value string) {
		if s.framework.name == rspec.name {
			fmt.Fprintf(b, "    expect(%s).to eq(%s)\n", what, value)
		} else {
			fmt.Fprintf(b, "    assert_equal %s, %s\n", value, what)
		}
	}
	if len(failed) == 0 {
		equal("task.status", `"complete"`)
		return
	}
	equal("task.status", `"error"`)
	for _, step := range failed {
		e := step.Last().Err
		of := fmt.Sprintf("task.step(%s).error", rubyString(step.Name))
		if e.Class != redactedText {
			equal(of+".class_name", rubyString(e.Class))
		}
		if e.ErrorCode != "" && e.ErrorCode != redactedText {
			equal(of+".error_code", rubyString(e.ErrorCode))
		}
		if e.Message == redactedText || madeByTheHost.MatchString(e.Class) {
			continue
		}
		line := firstLine(e.Message)
		if line == e.Message {
			equal(of+".message", rubyString(line))
		} else {
			equal(of+".message.lines(chomp: true).first", rubyString(line))
		}
	}
}
