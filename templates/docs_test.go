package templates

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// section returns the text between a heading and the next one.
func section(t *testing.T, doc, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(doc, "\n"+heading+"\n")
	require.True(t, found, heading)
	if end := regexp.MustCompile(`(?m)^#+ `).FindStringIndex(rest); end != nil {
		rest = rest[:end[0]]
	}
	return rest
}

func TestDocumentationNamesEveryKey(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../docs/templates.md")
	require.NoError(t, err)
	doc := string(data)
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|")
	for heading, keys := range map[string][]key{
		"## Keys of a template": templateKeys,
		"## Keys of a step":     stepKeys,
		"### Backoff":           backoffKeys,
		"### Custom events":     customEventKeys,
		"## Environments":       environmentKeys[:1],
		"### Its template":      coreTemplateKeys,
		"### Its steps":         coreStepKeys,
		"### Its handler":       coreHandlerKeys,
		"### Its task_handler":  coreTaskHandlerKeys,
		"### Its retry":         coreRetryKeys,
		"### Its systems":       coreSystemKeys,
		"### Its events":        coreEventKeys,
	} {
		table := section(t, doc, heading)
		for _, k := range keys {
			require.Contains(t, table, fmt.Sprintf("\n| `%s` | %s | %s | ", k.name, k.kind, k.fallback), heading)
		}
		var documented []string
		for _, m := range row.FindAllStringSubmatch(table, -1) {
			documented = append(documented, m[1])
		}
		require.Equal(t, keyNames(keys), documented, heading)
	}
}

func TestExampleOfTheDocumentationIsSound(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../docs/templates.md")
	require.NoError(t, err)
	blocks := strings.Split(string(data), "```")
	require.True(t, strings.HasPrefix(blocks[1], "yaml\n"))
	tmpl, err := Parse([]byte(strings.TrimPrefix(blocks[1], "yaml\n")), "docs/templates.md", WithEnvironment("test"))
	require.NoError(t, err)
	require.Equal(t, 1, tmpl.Step("charge").RetryLimit)
	require.Equal(t, strings.TrimSpace(blocks[3]), strings.TrimSpace(tmpl.Text()))

	_, core, found := strings.Cut(string(data), "## Tasker Core's format\n")
	require.True(t, found)
	text := strings.TrimPrefix(strings.Split(core, "```")[1], "yaml\n")
	tmpl, err = Parse([]byte(text), "docs/templates.md", WithEnvironment("test"))
	require.NoError(t, err)
	require.Equal(t, "settle", tmpl.Step("charge").HandlerMethod)
	require.Equal(t, 2.0, tmpl.Step("hold").Timeout.Seconds())
}
