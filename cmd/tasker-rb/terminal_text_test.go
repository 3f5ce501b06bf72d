package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Where the locale is not UTF-8, what is left out is marked in ASCII, in results and in errors.
func TestWhatIsLeftOutInALocaleWithoutUTF8(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", mostOfText+10)
	p := newProject(t, map[string]string{
		"one.yaml":      strings.Replace(one("Two"), "limit: 1}", "limit: 2, backoff: {curve: none}}", 1),
		"handlers/b.rb": "class Two\n  def process(*) = raise(\"one\\n" + long + "\")\nend\n",
	})
	for locale, sign := range map[string]string{"C": "...", "C.UTF-8": "…"} {
		p.env = []string{"LC_ALL=" + locale}
		r := p.run("run", "one.yaml")
		require.Equal(t, exitTaskFailed, r.code, r.stderr)
		require.Contains(t, r.stdout, "RuntimeError: one "+sign+"; next attempt now\n", locale)
		require.Contains(t, r.stdout, fmt.Sprintf("x%s (and ", sign), locale)
	}
}
