package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBadUsage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, cause, hint string }{
		{"bogus", `tasker-rb has no command "bogus"`, "`tasker-rb --help`"},
		{"runn one.yaml", `tasker-rb has no command "runn"`, "Did you mean run?"},
		{"help bogus", `tasker-rb has no command "bogus"`, "`tasker-rb --help`"},
		{"help runn", `tasker-rb has no command "runn"`, "Did you mean run?"},
		{"help templates lnt", `tasker-rb templates has no command "lnt"`, "Did you mean lint?"},
		{"taks list --limit 3", `tasker-rb has no command "taks"`, "Did you mean tasks?"},
		{"templates lnt", `tasker-rb templates has no command "lnt"`, "Did you mean lint?"},
		{"completion nope", `tasker-rb completion has no command "nope"`, "`tasker-rb completion --help`"},
		{"completion bsh", `tasker-rb completion has no command "bsh"`, "Did you mean bash or zsh?"},
		{"completion bash x", "one argument too many: x", "`tasker-rb completion bash --help`"},
		{"migrate sideways", `tasker-rb migrate has no command "sideways"`, "`tasker-rb migrate --help`"},
		{"run", "TEMPLATE is missing", "`tasker-rb run --help`"},
		{"run one.yaml two.yaml", "one argument too many: two.yaml", "`tasker-rb run --help`"},
		{"run one.yaml --bogus", "unknown flag: --bogus", "`tasker-rb run --help`"},
		{"run one.yaml -x", "unknown shorthand flag: 'x'", "`tasker-rb run --help`"},
		{"run one.yaml --context", "flag needs an argument: --context", "`tasker-rb run --help`"},
		{"run one.yaml --threads many", `--threads cannot be "many"`, "`tasker-rb run --help`"},
		{"run one.yaml --threads 0", "--threads cannot be 0", "from 1 to 256"},
		{"run one.yaml --threads 257", "--threads cannot be 257", "from 1 to 256"},
		{"run one.yaml --yjit --yjit-memory -1", "--yjit-memory cannot be -1", "from 1 to 1024"},
		{"run one.yaml --yjit --yjit-memory 1025", "--yjit-memory cannot be 1025", "from 1 to 1024"},
		{"run one.yaml --yjit --yjit-memory 16m", `--yjit-memory cannot be "16m"`, "`tasker-rb run --help`"},
		{"run one.yaml --yjit-memory 32", "--yjit-memory 32 bounds YJIT, which is off", "--yjit"},
		{"run one.yaml --gemfile none", "--gemfile none: no such file", "Gemfile"},
		{"run one.yaml --output xml", `--output cannot be "xml"`, "Give text or json."},
		{"run one.yaml --env prod", `one.yaml has no environment "prod"`, "Leave --env out"},
		{"tasks bogus", `tasker-rb tasks has no command "bogus"`, "`tasker-rb tasks --help`"},
		{"tasks list --newer-than soon", `--newer-than cannot be "soon"`, "90s, 24h or 7d"},
		{"tasks list --limit 1001", "--limit cannot be 1001", "from 1 to 1000"},
		{"tasks cancel --name one --limit -1", "--limit cannot be -1", "1 or more"},
		{"tasks retry 1 2", "one argument too many: 2", "`tasker-rb tasks retry --help`"},
		{"tasks retry 1 --name one", "--name is for retrying many tasks", "Leave out the task number"},
		{"submit one.yaml --run-at noon", `--run-at cannot be "noon"`, "2026-01-31T08:00:00Z"},
		{"submit one.yaml --priority 40000", `--priority cannot be "40000"`, "-32768 to 32767"},
		{"worker --handlers . --templates nowhere.yaml", "nowhere.yaml: the file does not exist", "Check the path"},
		{"worker --handlers . --tasks 0", "--tasks cannot be 0", "1 or more"},
		{"submit one.yaml --count 0", "--count cannot be 0", "1 or more"},
		{"submit one.yaml --key k --once", "--key cannot be given with --once", "Leave one of them out."},
		{"run one.yaml --context @", "--context: there is no file name after @", "@FILE"},
		{"run one.yaml -I nodir", "--load-path nodir: no such file or directory", "Name the folder"},
		{"run one.yaml -I one.yaml", "--load-path one.yaml is not a folder", "Name the folder it is in"},
		{"test --name x", "unknown flag: --name", "`tasker-rb test -- --name`"},
		{"test -n x", "unknown shorthand flag: 'n'", "`tasker-rb test -- -n`"},
		{"test --watsh", "unknown flag: --watsh", "Did you mean --watch?"},
		{"templates lint", "PATH is missing", "`tasker-rb templates lint --help`"},
		{"templates lint one.yaml --output xml", `--output cannot be "xml"`, "Give text or json."},
		{"templates lint empty", "there is no template below empty", ".yaml or .yml"},
		{"templates show", "TEMPLATE is missing", "`tasker-rb templates show --help`"},
		{"templates show one.yaml --output png", `--output cannot be "png"`, "Give text, ascii, mermaid or json."},
		{"doctor now", "one argument too many: now", "`tasker-rb doctor --help`"},
		{"migrate down", "VERSION is missing", "`tasker-rb migrate down --help`"},
		{"migrate down latest", `"latest" is not a version`, "migrate status"},
		{"migrate down 7", "cannot go down to 7", "between 0 and the current one"},
		{"migrate status --output xml", `--output cannot be "xml"`, "Give text or json."},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			p := emptyProject(t)
			p.write(map[string]string{"empty/README.md": "nothing here"})
			requireRefused(t, p.run(strings.Fields(c.args)...), []string{c.cause}, c.hint)
			require.Equal(t, -1, p.written())
		})
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	p := &project{t: t, dir: t.TempDir()}
	r := p.run("--version")
	require.Zero(t, r.code, r.stderr)
	require.Regexp(t, `^tasker-rb (development|v\d+\.\d+\.\d+\S* \(commit [0-9a-f]{12}(, with changes)?\))\n$`, r.stdout)
}
