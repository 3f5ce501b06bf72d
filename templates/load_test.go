package templates_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/templates"
)

func BenchmarkParse(b *testing.B) {
	data, err := os.ReadFile("testdata/order.yml")
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		_, err := templates.Parse(data, "order.yml")
		require.NoError(b, err)
	}
}

func TestAliasExpansionIsBounded(t *testing.T) {
	t.Parallel()
	var bomb strings.Builder
	bomb.WriteString("name: x\nhandler_config:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 12; i++ {
		previous := "*a" + string(rune('a'+i-2))
		if i == 1 {
			previous = "*a0"
		}
		letter := string(rune('a' + i - 1))
		bomb.WriteString("  b" + letter + ": &a" + letter + " [" + strings.Repeat(previous+", ", 9) + previous + "]\n")
	}
	bomb.WriteString(steps)
	_, err := templates.Parse([]byte(bomb.String()), "t.yml")
	require.ErrorContains(t, err, "the document holds more than 200000 values once its aliases are expanded")
}

func TestFileTooLarge(t *testing.T) {
	t.Parallel()
	_, err := templates.Parse([]byte("name: x\n#"+strings.Repeat("x", 5<<20)), "t.yml")
	require.ErrorContains(t, err, "the limit is 4194304")
}

func TestUnreadableFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "order.yml"), []byte("name: x\n"+steps), 0o600))

	path := filepath.Join(dir, "oder.yml")
	_, err := templates.Load(path)
	require.EqualError(t, err, path+": the file does not exist\n    Did you mean \"order.yml\"?")
	require.True(t, errors.Is(err, fs.ErrNotExist))

	path = filepath.Join(dir, "nowhere", "order.yml")
	_, err = templates.Load(path)
	require.EqualError(t, err, path+": the file does not exist\n    Check the path; it is relative to the current directory.")

	_, err = templates.Load(dir)
	require.EqualError(t, err, dir+": this is a directory, not a template file\n    Name one file: \"order.yml\".")
}

// Of a file with problems, the handlers that are named well can still be looked for.
func TestWhatCouldBeReadOfAFileWithProblems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		yaml, class string
		want        []string
	}{
		{"name: x\nqueu: a\ntask_handler_class: Shop\nstep_templates:\n  - {name: a, handler_class: A, retry_limt: 3}\n  - {handler_class: b.c, handler_method: go}\n" +
			"  - {name: c, handler_class: 'no class'}\n  - {name: d, handler_class: D, handler_method: 7}\n  - 5\n", "Shop", []string{"A", "b.c#go"}},
		{"name: x\nsteps:\n  - {name: a, handler: {callable: A, method: go}, dependencies: [b]}\n  - {name: c, handler: {callable: C, x: 1}}\n", "", []string{"A#go", "C"}},
		{"name: x\nsteps:\n  - {name: a, handler_class: A}\n", "", []string{"A"}},
		{"name: x\n" + steps + "environments: {test: {step_templates: [{name: a, handler_class: B, timeout_seconds: no}]}}\n", "", []string{"A"}},
		{"name: x\n", "", nil},
	} {
		_, err := templates.Parse([]byte(c.yaml), "t.yml")
		var problems *templates.Problems
		require.ErrorAs(t, err, &problems)
		var handlers []string
		for _, s := range problems.Unfinished.Steps {
			require.NotZero(t, s.HandlerPosition)
			handlers = append(handlers, strings.TrimSuffix(s.HandlerClass+"#"+s.HandlerMethod, "#"))
		}
		require.Equal(t, c.want, handlers, c.yaml)
		require.Equal(t, c.class, problems.Unfinished.TaskHandlerClass)
	}
	_, err := templates.Parse([]byte("name: x: y\n"), "t.yml")
	var problems *templates.Problems
	require.ErrorAs(t, err, &problems)
	require.Nil(t, problems.Unfinished)
}
