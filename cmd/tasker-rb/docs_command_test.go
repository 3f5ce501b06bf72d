package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDocsPrintsTheGuides(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	files, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	list := p.run("docs")
	require.Zero(t, list.code, list.stderr)
	require.Len(t, strings.Split(strings.TrimSpace(list.stdout), "\n"), len(files))
	for _, file := range files {
		require.Regexp(t, `(?m)^`+strings.TrimSuffix(filepath.Base(file), ".md")+`  +\S`, list.stdout)
	}
	text, err := os.ReadFile("../../docs/templates.md")
	require.NoError(t, err)
	require.Equal(t, string(text), p.run("docs", "templates").stdout)

	var all []guide
	require.NoError(t, json.Unmarshal([]byte(p.run("docs", "--output", "json").stdout), &all))
	require.Equal(t, guide{Name: "architecture", Title: all[0].Title}, all[0])
	require.NotEmpty(t, all[0].Title)
	var one guide
	require.NoError(t, json.Unmarshal([]byte(p.run("docs", "docs/templates.md", "--output", "json").stdout), &one))
	require.Equal(t, "templates", one.Name)
	require.Contains(t, one.Text, "step_templates")

	requireRefused(t, p.run("docs", "template"), []string{`there is no guide "template"`}, "Did you mean templates? `tasker-rb docs` lists the guides.")
	requireRefused(t, p.run("docs", "a", "b"), []string{"one argument too many: b"}, "--help")
	require.Contains(t, p.run("__complete", "docs", "te").stdout, "templates\t")
}
