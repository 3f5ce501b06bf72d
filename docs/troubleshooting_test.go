package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A message of the page is one of the program: one source file has all its words, in the
// order of the page. "…" stands for what differs.
func TestTheMessagesOfThePageAreThoseOfTheProgram(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("troubleshooting.md")
	require.NoError(t, err)
	messages := regexp.MustCompile("(?m)^\\*\\*`(.+)`\\*\\*$").FindAllStringSubmatch(string(page), -1)
	require.Greater(t, len(messages), 25)
	sources := programSources(t)
	seen := map[string]bool{}
	for _, m := range messages {
		require.False(t, seen[m[1]], "%s is there twice", m[1])
		seen[m[1]] = true
		require.Condition(t, func() bool {
			for _, source := range sources {
				if hasTogether(source, parts(m[1])) {
					return true
				}
			}
			return false
		}, "no source has the message %s", m[1])
	}
}

// programSources are the files that have messages, without their comments.
func programSources(t *testing.T) []string {
	t.Helper()
	var sources []string
	for _, root := range []string{"../cmd", "../internal", "../orchestration", "../rubyhost", "../templates"} {
		require.NoError(t, filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
			kind := filepath.Ext(file)
			if err != nil || d.IsDir() || strings.HasSuffix(file, "_test.go") || kind != ".go" && kind != ".rb" && kind != ".c" {
				return err
			}
			text, err := os.ReadFile(file)
			sources = append(sources, comments.ReplaceAllString(string(text), ""))
			return err
		}))
	}
	return sources
}

var comments = regexp.MustCompile(`(?m)^\s*(//|#|\*|/\*).*$`)

// parts are the words of a message between what differs.
func parts(message string) (parts []string) {
	for part := range strings.SplitSeq(message, "…") {
		if part = strings.TrimSpace(part); len(part) > 1 {
			parts = append(parts, part)
		}
	}
	return parts
}

// hasTogether reports whether the parts are in the source in their order, close to each
// other: a long text is put together from several lines.
func hasTogether(source string, parts []string) bool {
	const near = 300
	for {
		_, rest, found := strings.Cut(source, parts[0])
		if !found {
			return false
		}
		window := rest[:min(near, len(rest))]
		for _, part := range parts[1:] {
			if _, window, found = strings.Cut(window, part); !found {
				break
			}
		}
		if found {
			return true
		}
		source = rest
	}
}
