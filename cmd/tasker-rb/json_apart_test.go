package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// loud prints past $stdout, while it loads and while it runs.
const loud = `
system("echo a child of loading")
STDOUT.puts "the constant while loading"
at_exit { STDOUT.puts "the constant at the exit" }
class Loud
  def process(*)
    system("echo a child of the step")
    STDOUT.puts "the constant in the step"
    Process.wait(fork { puts "a fork" })
    { "ok" => true }
  end
end
`

func loudProject(t *testing.T) *project {
	t.Helper()
	return newProject(t, map[string]string{"one.yaml": one("Loud"), "handlers/loud.rb": loud})
}

// requireDocument is that text is one document of JSON and nothing else.
func requireDocument(t *testing.T, text string) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	var document map[string]any
	require.NoError(t, d.Decode(&document), text)
	require.False(t, d.More(), text)
}

func TestADocumentIsAloneOnStandardOutput(t *testing.T) {
	t.Parallel()
	p := loudProject(t)
	loads := []string{"a child of loading\n", "the constant while loading\n", "the constant at the exit\n"}
	steps := append([]string{"a child of the step\n", "the constant in the step\n", "a fork\n"}, loads...)
	for _, c := range []struct {
		args []string
		said []string
	}{
		{[]string{"run", "one.yaml"}, steps},
		{[]string{"templates", "lint", "one.yaml", "--handlers", "handlers"}, loads},
		{[]string{"doctor", "--handlers", "handlers"}, loads},
		{[]string{"doctor", "--template", "one.yaml"}, loads},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			t.Parallel()
			r := p.run(append(c.args, "--output", "json")...)
			require.Zero(t, r.code, r.stderr)
			requireDocument(t, r.stdout)
			for _, line := range c.said {
				require.Equal(t, 1, strings.Count(r.stderr, line), "%q in %s", line, r.stderr)
			}
		})
	}
	t.Run("version", func(t *testing.T) {
		t.Parallel()
		p := *p
		p.env = []string{"RUBYOPT=-r" + p.dir + "/handlers/loud.rb"}
		requireDocument(t, p.run("version", "--output", "json").stdout)
	})
}

func TestDocumentsOfDevAreAlone(t *testing.T) {
	t.Parallel()
	p := loudProject(t)
	require.Zero(t, p.run("dev", "--mark-database").code)
	cmd := p.command("dev", "one.yaml", "--output", "json")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	documents := json.NewDecoder(out)
	for i := range 2 {
		var document taskJSON
		require.NoError(t, documents.Decode(&document), stderr.String)
		require.Equal(t, "complete", document.Status)
		p.write(map[string]string{"handlers/loud.rb": loud + strings.Repeat("#", i+1)})
	}
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	_ = cmd.Wait() // the code is not what this is about
	require.Contains(t, stderr.String(), "a child of the step\n")
}

// Who reads the document may go away: the command ends as any does.
func TestADocumentThatNobodyReads(t *testing.T) {
	t.Parallel()
	p := loudProject(t)
	ours, theirs, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, ours.Close())
	cmd := p.command("run", "one.yaml", "--output", "json")
	cmd.Stdout = theirs
	require.Error(t, cmd.Run())
	require.NoError(t, theirs.Close())
	require.Equal(t, syscall.SIGPIPE, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal(), cmd.ProcessState)
}

// In text, what is written to the constant is not held back until the exit.
func TestTheConstantIsNotHeldBack(t *testing.T) {
	t.Parallel()
	r := loudProject(t).run("run", "one.yaml")
	require.Zero(t, r.code, r.stderr)
	requireInOrder(t, r.stdout, "a child of loading\n", "the constant while loading\n", "only  started\n", "a child of the step\n", "the constant in the step\n", "only  complete", "task 1")
}
