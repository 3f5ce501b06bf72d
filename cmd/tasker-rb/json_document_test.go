package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Documents hold &, < and > as they are.
func TestDocumentsAreNotForHTML(t *testing.T) {
	t.Parallel()
	const odd = "a&<b>"
	p := newProject(t, map[string]string{odd + ".yaml": one("Fine"), "bad" + odd + ".yaml": one("Fine") + "no key\n", "handlers/fine.rb": fine})
	require.Zero(t, p.run("submit", odd+".yaml", "--tag", odd).code)
	for _, args := range [][]string{
		{"templates", "lint", odd + ".yaml"}, {"templates", "lint", "bad" + odd + ".yaml"}, {"tasks", "list"}, {"tasks", "cancel", "--tag", odd},
		{"templates", "show", odd}, {"doctor", "--handlers", odd}, {"new", "x", "--dir", odd + "/new"},
	} {
		r := p.run(append(args, "--output", "json")...)
		require.Contains(t, r.stdout, odd, args)
		require.NotContains(t, r.stdout, `\u00`, args)
	}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		if !strings.HasSuffix(file, "_test.go") && file != "json_document.go" {
			require.NotContains(t, string(content), "json.NewEncoder", "printJSON does that")
		}
	}
}
