package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What new writes runs: the task, its tests, and the check of its template.
func TestANewProjectRuns(t *testing.T) {
	t.Parallel()
	for suite, flags := range map[string][]string{"spec/order_fulfilment_spec.rb": nil, "test/order_fulfilment_test.rb": {"--minitest", "--dir", "made/there"}} {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			p := &project{t: t, dir: t.TempDir(), env: []string{"XDG_STATE_HOME=" + enterable(t), "TMPDIR=" + enterable(t)}}
			made := p.run(append([]string{"new", "order_fulfilment"}, flags...)...)
			require.Zero(t, made.code, made.stderr)
			folder := "order_fulfilment"
			if flags != nil {
				folder = "made/there"
			}
			requireInOrder(t, made.stdout, "wrote "+folder+"\n", "  "+suite+"\n", "\nnext\n", "  cd "+folder+"\n", "  tasker-rb run order_fulfilment.yaml")

			p.dir = filepath.Join(p.dir, folder)
			ran := p.run("run", "order_fulfilment.yaml", "--context", `{"who": "Ada"}`)
			require.Zero(t, ran.code, ran.stderr)
			require.Contains(t, ran.stdout, `"greeting": "Hello, Ada!"`)
			require.Contains(t, p.run("run", "order_fulfilment.yaml", "--show", "finish").stdout, "Hello, world!")
			require.Contains(t, ran.stderr, "made a private database for "+p.dir)
			tested := p.run("test")
			require.Zero(t, tested.code, tested.stdout+tested.stderr)
			require.Regexp(t, `3 (examples|runs).* 0 failures`, tested.stdout)
			linted := p.run("templates", "lint", ".")
			require.Zero(t, linted.code, linted.stdout+linted.stderr)
			require.NotContains(t, linted.stdout+linted.stderr, "warning")
			files, err := filepath.Glob(filepath.Join(p.dir, "*", "*.rb"))
			require.NoError(t, err)
			require.Len(t, files, 3)
			for _, file := range files {
				checked, err := exec.Command("ruby", "-wc", file).CombinedOutput()
				require.NoError(t, err, string(checked))
				require.Equal(t, "Syntax OK\n", string(checked))
			}
			for _, command := range []string{"tasker-rb run", "tasker-rb dev", "tasker-rb test", "`" + filepath.Dir(suite) + "/`"} {
				require.Contains(t, p.read("README.md"), command)
			}

			w := attend(t, p, "dev", "order_fulfilment.yaml")
			w.until("^C ends")
			p.write(map[string]string{"handlers/finish.rb": strings.Replace(p.read("handlers/finish.rb"), "Hello", "Good day", 1)})
			require.Contains(t, w.until("^C ends"), "Good day, world!")
			require.Equal(t, exitInterrupted, w.end())
		})
	}
}

func TestNewPrintsADocument(t *testing.T) {
	t.Parallel()
	p := &project{t: t, dir: t.TempDir()}
	require.NoError(t, os.Mkdir(filepath.Join(p.dir, "it's here"), 0o755))
	made := p.run("new", "a", "--dir", "it's here", "--output", "json")
	var document struct {
		Folder      string
		Files, Next []string
	}
	require.NoError(t, json.Unmarshal([]byte(made.stdout), &document), made.stderr)
	require.Equal(t, "it's here", document.Folder)
	require.Equal(t, []string{"a.yaml", "handlers/prepare.rb", "handlers/finish.rb", "spec/a_spec.rb", "README.md", ".gitignore", ".tasker-rb/README"}, document.Files)
	for _, file := range document.Files {
		require.FileExists(t, filepath.Join(p.dir, document.Folder, file))
	}
	require.Equal(t, `cd 'it'\''s here'`, document.Next[0])
}

// The comments of the README.md stand below each other, however long the name is.
func TestANewProjectsCommandsAreAligned(t *testing.T) {
	t.Parallel()
	p := &project{t: t, dir: t.TempDir()}
	for _, name := range []string{"a", "fulfilment_of_the_orders_of_a_shop"} {
		require.Zero(t, p.run("new", name).code)
		_, block, _ := strings.Cut(p.read(name+"/README.md"), "```sh\n")
		block, _, _ = strings.Cut(block, "\n```")
		lines := strings.Split(block, "\n")
		require.Len(t, lines, 5)
		for _, line := range lines {
			require.Equal(t, strings.Index(lines[0], "   # ")+3, strings.Index(line, "# "), line)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	p := &project{t: t, dir: t.TempDir()}
	p.write(map[string]string{"full/.keep": "", "plain": ""})
	require.NoError(t, os.Symlink("nowhere", filepath.Join(p.dir, "dangling")))
	for _, c := range []struct {
		args        []string
		cause, hint string
	}{
		{[]string{"full"}, "the folder full is not empty; it has .keep", "--dir DIR"},
		{[]string{"plain"}, "the folder plain: it is a file", "--dir DIR"},
		{[]string{"order", "--dir", "full"}, "the folder full is not empty", "--dir DIR"},
		{[]string{"order", "--dir", "plain/below"}, "the folder plain/below: ", "--dir DIR"},
		{[]string{"OrderFulfilment"}, `NAME cannot be "OrderFulfilment"`, "Did you mean order_fulfilment?"},
		{[]string{"order-fulfilment"}, `NAME cannot be "order-fulfilment"`, "Did you mean order_fulfilment?"},
		{[]string{"../order"}, `NAME cannot be "../order": it is a path`, "`tasker-rb new order --dir ../order`"},
		{[]string{"Made/Order"}, `NAME cannot be "Made/Order"`, "Did you mean made_order?"},
		{[]string{"null"}, `NAME cannot be "null": YAML does not read that as text`, "null_task"},
		{[]string{"order", "--dir", "dangling"}, "dangling is a link to nowhere, which does not exist", "Make that folder"},
		{[]string{"order", "--dir", "dangling/below"}, "dangling is a link to nowhere, which does not exist", "Make that folder"},
		{[]string{"2fast"}, `NAME cannot be "2fast"`, "such as order_fulfilment"},
		{[]string{"größe"}, `NAME cannot be "größe"`, "such as order_fulfilment"},
		{[]string{""}, `NAME cannot be ""`, "such as order_fulfilment"},
		{[]string{"string"}, `NAME cannot be "string": the handlers' module would be String`, "string_task"},
		{[]string{"tasker"}, `would be Tasker`, "tasker_task"},
		{[]string{"order", "--output", "xml"}, `--output cannot be "xml"`, "json"},
		{nil, "NAME is missing", "--help"},
	} {
		requireRefused(t, p.run(append([]string{"new"}, c.args...)...), []string{c.cause}, c.hint)
	}
	left, err := os.ReadDir(p.dir)
	require.NoError(t, err)
	require.Len(t, left, 3)
}
