package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// repeatedFlags decide, beside --handlers, which code a run has, and how many of its threads
// call it.
var repeatedFlags = []string{"require", "load-path", "gemfile", "threads"}

// repeated are the flags that `run --task` needs for the code that this run has. They are
// words for a shell, each with a space before it.
func (f *handlerFlags) repeated(cmd *cobra.Command, templateFile string) string {
	var b strings.Builder
	add := func(flag string, values ...string) {
		for _, v := range values {
			fmt.Fprintf(&b, " --%s %s", flag, shellWord(v))
		}
	}
	if dirs := f.named(templateFile); !isUsual(dirs) {
		add("handlers", dirs...)
	}
	for _, name := range repeatedFlags {
		flag := cmd.Flags().Lookup(name)
		if flag == nil || !flag.Changed {
			continue
		}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			add(name, list.GetSlice()...)
		} else {
			add(name, flag.Value.String())
		}
	}
	return b.String()
}

// codeFlags are the flags that other commands need for the code of this one. They are words
// for a shell, each with a space before it.
type codeFlags struct{ run, worker string }

func (f *handlerFlags) code(cmd *cobra.Command, templateFile string) codeFlags {
	c := codeFlags{run: f.repeated(cmd, templateFile)}
	c.worker = c.run
	if dirs := f.named(templateFile); len(dirs) > 0 && isUsual(dirs) && len(f.requires) > 0 { // it looks for no folder then
		c.worker = " --handlers handlers" + c.worker
	}
	return c
}

// isUsual reports whether `run --task` finds these folders by itself.
func isUsual(dirs []string) bool {
	if len(dirs) != 1 {
		return len(dirs) == 0
	}
	used, err := filepath.Abs(dirs[0])
	usual, failed := filepath.Abs("handlers")
	return err == nil && failed == nil && used == usual
}

// widestCommand is the most columns that a command takes before what it does is no longer
// set in a column.
const widestCommand = 70

// nextCommands are what a person does after a run that did not complete its task, and what
// that is for. flags are those of repeated. Only what the state of the task allows is among
// them.
func nextCommands(t *orchestration.TaskDetail, flags string) [][2]string {
	show := [2]string{fmt.Sprintf("tasker-rb tasks show %d", t.TaskID), "what has happened"}
	here := fmt.Sprintf("tasker-rb run --task %d%s", t.TaskID, printable(flags))
	switch {
	case t.State == orchestration.TaskInError:
		return [][2]string{show, {here, "retry the failed steps here"}, {fmt.Sprintf("tasker-rb tasks retry %d", t.TaskID), "retry them in a worker"}}
	case t.State == orchestration.TaskCancelled:
		show[1] += "; a cancelled task stays cancelled, so submit it anew"
		return [][2]string{show}
	case t.State.Final():
		return [][2]string{show}
	default: // an operator has retried it meanwhile
		return [][2]string{show, {here, "go on with it here"}}
	}
}

// printNext prints the next commands.
func printNext(b *strings.Builder, next [][2]string) {
	width := 30
	for _, c := range next {
		if w := lipgloss.Width(c[0]); w <= widestCommand {
			width = max(width, w)
		}
	}
	b.WriteString("\nnext\n")
	for _, c := range next {
		fmt.Fprintf(b, "  %s  %s\n", pad(c[0], width), faint.Render(c[1]))
	}
}

// repeatExport is what repeats the task of a file, or says what it needs for that.
func repeatExport(path string) string {
	command := "`tasker-rb run --from " + shellWord(path)
	if isFolder(filepath.Join(filepath.Dir(path), "handlers")) || isFolder("handlers") {
		return command + "`"
	}
	return command + " --handlers DIR`, where DIR has its handlers"
}

// runSpec is what runs the spec of a task, or says what it needs for that.
func runSpec(path string, t *orchestration.TaskDetail) string {
	command := "`tasker-rb test " + shellWord(path)
	files, err := usualTemplates()
	if err != nil || !slices.ContainsFunc(files, func(file string) bool { return isTemplateOf(file, t) }) {
		return fmt.Sprintf("%s --templates DIR`, where DIR has the template %s/%s %s", command, t.Namespace, t.Name, t.Version)
	}
	if len(usualHandlers(files)) == 0 {
		return command + " --handlers DIR`, where DIR has its handlers"
	}
	return command + "`"
}

func isTemplateOf(file string, task *orchestration.TaskDetail) bool {
	t, err := templates.Load(file)
	return err == nil && t.Namespace == task.Namespace && t.Name == task.Name && t.Version == task.Version
}
