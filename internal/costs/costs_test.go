package costs

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const sample = `# What it costs.

a step      | statements | rows
chain       | 2          | steps 1 new
fan         | 7/2        | steps 2 new

calls             | objects
an empty @ ruby 3 | 40
an empty @ ruby 4 | 50
`

// recorder is a test that records its failures.
type recorder struct {
	testing.TB
	ends   []func()
	errors []string
}

func (r *recorder) Cleanup(f func())          { r.ends = append(r.ends, f) }
func (r *recorder) Errorf(f string, a ...any) { r.errors = append(r.errors, fmt.Sprintf(f, a...)) }
func (r *recorder) Failed() bool              { return len(r.errors) > 0 }
func (r *recorder) Logf(string, ...any)       {}
func (r *recorder) end() {
	for _, f := range r.ends {
		f()
	}
}

// state states all figures of sample, with these for the chain and for an empty call.
func state(t *testing.T, accept bool, chain Figure, version string, objects Figure) (failures []string, content string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "costs.txt")
	require.NoError(t, os.WriteFile(path, []byte(sample), 0o666))
	r := &recorder{TB: t}
	s := open(r, path, accept)
	s.Section("a step", "statements", "rows")
	s.Is("chain", chain, Text("steps 1 new"))
	s.Is("fan", Ratio(35, 10), Text("steps 2 new"))
	s.Section("calls", "objects")
	s.OfVersion("an empty", version, objects)
	r.end()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return r.errors, string(b)
}

func TestEqualFiguresPass(t *testing.T) {
	t.Parallel()
	failures, _ := state(t, false, Exact(2), "ruby 3", Exact(40))
	require.Empty(t, failures)
}

func TestAFigureThatDiffersFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		chain, objects Figure
		version, want  string
	}{
		{Exact(3), Exact(40), "ruby 3", "a step, chain: statements rose from 2 to 3\n"},
		{Exact(1), Exact(40), "ruby 3", "a step, chain: statements fell from 2 to 1\n"},
		{Ratio(5, 2), Exact(40), "ruby 3", "a step, chain: statements rose from 2 to 5/2\n"},
		{Exact(2), Exact(39), "ruby 3", "calls, an empty @ ruby 3: objects fell from 40 to 39\n"},
		{Exact(2), Within(0.02, 41), "ruby 3", "calls, an empty @ ruby 3: objects rose from 40 to 41, by more than 2 %\n"},
		{Exact(2), Exact(56), "ruby 5", "calls, an empty: objects is 56. No figure is recorded for ruby 5, and the highest of other versions is 50\n"},
	} {
		failures, content := state(t, false, c.chain, c.version, c.objects)
		require.Len(t, failures, 1, c.want)
		require.Contains(t, failures[0], c.want)
		require.Contains(t, failures[0], "make guard/update")
		require.Equal(t, sample, content)
	}
}

func TestSomeFiguresHaveRoom(t *testing.T) {
	t.Parallel()
	for _, n := range []int{49, 50, 51} {
		failures, _ := state(t, false, Exact(2), "ruby 4", Within(0.02, n))
		require.Empty(t, failures)
	}
	failures, _ := state(t, false, Exact(2), "ruby 5", Exact(55))
	require.Empty(t, failures, "a version that was not recorded")
}

func TestUpdatingWritesTheFile(t *testing.T) {
	t.Parallel()
	failures, content := state(t, true, Exact(123), "ruby 3.5", Exact(7))
	require.Empty(t, failures)
	require.Equal(t, `# What it costs.

a step | statements | rows
chain  | 123        | steps 1 new
fan    | 7/2        | steps 2 new

calls               | objects
an empty @ ruby 3   | 40
an empty @ ruby 4   | 50
an empty @ ruby 3.5 | 7
`, content)
}

func TestUpdatingKeepsAFigureThatHasRoom(t *testing.T) {
	t.Parallel()
	_, content := state(t, true, Exact(2), "ruby 4", Within(0.02, 51))
	require.Contains(t, content, "ruby 4 | 50\n")
}

func TestARowThatNobodyCountsFails(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "costs.txt")
	require.NoError(t, os.WriteFile(path, []byte(sample), 0o666))
	r := &recorder{TB: t}
	s := open(r, path, false)
	s.Section("a step", "statements", "rows")
	s.Is("chain", Exact(2), Text("steps 1 new"))
	r.end()
	require.Len(t, r.errors, 1)
	require.Contains(t, r.errors[0], "a step, fan: the file has this row, and no test has counted it")

	r = &recorder{TB: t}
	s = open(r, path, false)
	s.Section("a step", "statements", "rows")
	s.Is("chain", Exact(2), Text("steps 1 new"))
	s.Is("fan", Ratio(7, 2), Text("steps 2 new"))
	r.end()
	require.Len(t, r.errors, 1, "the file has a section that nobody has opened")
	require.Contains(t, r.errors[0], "calls, an empty @ ruby 3: the file has this row")

	r = &recorder{TB: t}
	s = open(r, path, false)
	s.Section("a step", "statements", "rows")
	s.Is("chain", Exact(2), Text("steps 1 new"))
	s.Is("fan", Ratio(7, 2), Text("steps 2 new"))
	s.Is("diamond", Exact(9), Text(""))
	s.Section("calls", "objects")
	r.end()
	require.Len(t, r.errors, 1)
	require.Contains(t, r.errors[0], "a step, diamond: the file has no such row; counted were 9")
}

func TestABrokenFileIsRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"no column\n":      "line 1 has no column",
		"a | b\nc | 1 | 2": "line 2 has 2 figures for 1 columns",
	} {
		_, err := parse(text)
		require.ErrorContains(t, err, want)
	}
}
