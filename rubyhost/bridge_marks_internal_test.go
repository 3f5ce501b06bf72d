package rubyhost

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A function of C as this package writes them: perhaps its own comment, a line
// that begins at the margin, the brace on a line of its own, and a first line.
var cFunction = regexp.MustCompile(`(?m)^(/\*(?:[^*]|\*[^/])*\*/\n)?(\w[^\n;{}]*\([^\n;{}]*\))\n\{\n\s*([^\n]*)\n`)

var cMark = regexp.MustCompile(`^/\* \[(GVL|no GVL|any)\]`)

// cbridge.c says that each function, or the head of its file, has a mark. What a
// mark of the GVL says is what a debug build checks first. Where the head of the
// file has the mark, the functions that others call check it.
func TestMarkedFunctionsCheckTheirMark(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.c")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		if file == "queue.c" { // it knows no Ruby; queue.h says who may call what
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		head, _, _ := strings.Cut(string(text), "*/")
		marked := strings.Contains(strings.Join(strings.Fields(strings.ReplaceAll(head, "\n *", " ")), " "), "Every function here is [GVL]")
		functions := cFunction.FindAllStringSubmatch(string(text), -1)
		require.Equal(t, strings.Count(string(text), "\n{\n"), len(functions), "%s has a function that this test does not see", file)
		for _, f := range functions {
			comment, function, first := f[1], f[2], f[3]
			mark := cMark.FindStringSubmatch(comment)
			called := !strings.HasPrefix(function, "static") || strings.Contains(function, "VALUE self")
			switch {
			case mark == nil && !marked:
				require.Fail(t, "a function without a mark", "%s: %s", file, function)
			case mark == nil && !called: // only functions that have checked it call this one
			case mark == nil || mark[1] == "GVL":
				require.Equal(t, "TASKER_GVL;", first, "%s: %s", file, function)
			case mark[1] == "no GVL":
				require.Equal(t, "TASKER_NO_GVL;", first, "%s: %s", file, function)
			}
		}
	}
}

// ruby_versions.h says that it has every condition about Ruby's version.
func TestRubyVersionsAreInOneHeader(t *testing.T) {
	t.Parallel()
	about := regexp.MustCompile(`(?m)^.*\bRUBY_(API_)?VERSION_.*$|^\s*#\s*(?:el)?if.*\b(?:HAVE_)?(?:RUBY|RB|rb|POSTPONED)_.*$`)
	files, err := filepath.Glob("*.[ch]")
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		found := about.FindAllString(string(text), -1)
		if file == "ruby_versions.h" {
			require.NotEmpty(t, found, "the expression finds no condition")
			continue
		}
		require.Empty(t, found, "%s: a condition about Ruby's version belongs into ruby_versions.h", file)
	}
}
