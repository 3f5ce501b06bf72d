package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
)

// badInput is one case of wrong input.
type badInput struct {
	name     string
	template string            // of t.yaml; default: one("Fine")
	files    map[string]string // beside handlers/fine.rb
	args     []string          // after "run t.yaml"
	errors   []string          // one for each problem; each a part of its line
	hint     string            // a part of the last hint
}

// emptyProject has a valid template and handler, and a database without tables.
func emptyProject(t *testing.T) *project {
	t.Helper()
	p := &project{t: t, dir: t.TempDir(), url: pgtest.URL(t)}
	p.write(map[string]string{"one.yaml": one("Fine"), "handlers/fine.rb": fine})
	return p
}

func refuseAll(t *testing.T, cases []badInput) {
	t.Parallel()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			template := c.template
			if template == "" {
				template = one("Fine")
			}
			p := newProject(t, map[string]string{"t.yaml": template, "handlers/fine.rb": fine})
			p.write(c.files)
			requireRefused(t, p.run(append([]string{"run", "t.yaml"}, c.args...)...), c.errors, c.hint)
			require.Zero(t, p.written())
		})
	}
}

// requireRefused requires exit code 2, an empty standard output (or with --output json the
// error), and lines with causes and remedies on standard error.
func requireRefused(t *testing.T, r result, causes []string, hint string) {
	t.Helper()
	require.Equal(t, exitBadInput, r.code, r.stdout+r.stderr)
	if r.stdout != "" {
		var document errorDocument
		require.NoError(t, json.Unmarshal([]byte(r.stdout), &document), r.stdout)
	}
	var errors, hints []string
	for line := range strings.Lines(r.stderr) {
		switch {
		case strings.HasPrefix(line, "error: "):
			errors = append(errors, line)
		case strings.HasPrefix(line, "hint: "):
			hints = append(hints, line)
		default:
			require.True(t, strings.HasPrefix(line, "  ") && len(errors) > 0, "%q is neither cause nor remedy in\n%s", line, r.stderr)
		}
	}
	require.Len(t, errors, len(causes), r.stderr)
	for i, cause := range causes {
		require.Contains(t, plainQuotes(errors[i]), plainQuotes(cause))
	}
	require.NotEmpty(t, hints, r.stderr)
	require.LessOrEqual(t, len(hints), len(errors), r.stderr)
	require.Contains(t, hints[len(hints)-1], hint)
	for _, internal := range []string{"goroutine", "strconv", "rubyhost", "localpg", "orchestration", "pgx", "pgconn", ".go:", "%!"} {
		require.NotContains(t, r.stderr, internal)
	}
}

// plainQuotes writes Ruby's quotes as Ruby 3.4 does: before, the first was a backtick.
func plainQuotes(text string) string { return strings.ReplaceAll(text, "`", "'") }

// labels matches what Ruby 3.4 adds to the name of a method in a backtrace, the
// class, and what it leaves out.
var labels = regexp.MustCompile(`(in '(?:block in )?)(?:rescue in )?(?:[A-Z]\w*[#.])?`)

// plainLabels writes the places of a backtrace alike for all versions of Ruby.
func plainLabels(text string) string { return labels.ReplaceAllString(plainQuotes(text), "$1") }

// requireInOrder requires the parts in this order.
func requireInOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, part := range parts {
		at := strings.Index(rest, part)
		require.GreaterOrEqual(t, at, 0, "%q is not where it should be in\n%s", part, text)
		rest = rest[at+len(part):]
	}
}
