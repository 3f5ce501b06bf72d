package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func readRepository(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../..", file))
	require.NoError(t, err)
	return string(b)
}

// readmeExample returns the README's blocks under `<!-- example: NAME -->`. The
// names are the paths of files, "command" and "output".
func readmeExample(t *testing.T) map[string]string {
	t.Helper()
	blocks := map[string]string{}
	for _, m := range regexp.MustCompile("(?s)<!-- example: (\\S+) -->\n```\\w*\n(.*?)```").FindAllStringSubmatch(readRepository(t, "README.md"), -1) {
		require.NotContains(t, blocks, m[1])
		blocks[m[1]] = m[2]
	}
	return blocks
}

var (
	tookPattern = regexp.MustCompile(`\d+(\.\d+)?(µs|ms|s)\b`)
	taskNumber  = regexp.MustCompile(`(?m)^task \d+`)
)

// The README's command, run on a terminal, prints the output that the README
// shows. Only times and the task's number may differ.
func TestTheExampleOfTheReadme(t *testing.T) {
	t.Parallel()
	files := readmeExample(t)
	command, output := files["command"], files["output"]
	require.NotEmpty(t, command)
	require.NotEmpty(t, output)
	delete(files, "command")
	delete(files, "output")
	require.Len(t, files, 3)

	p := newProject(t, files)
	p.url = ""
	p.env = []string{"XDG_STATE_HOME=" + enterable(t), "TMPDIR=" + enterable(t)}
	require.NoError(t, os.Mkdir(filepath.Join(p.dir, "bin"), 0o755))
	require.NoError(t, os.Symlink(binary, filepath.Join(p.dir, "bin", "tasker-rb")))
	// A picture is drawn every 80 ms, and the wait for the second attempt takes 200 ms. A
	// busy machine may draw none meanwhile, and then another run does.
	wait := regexp.MustCompile(`↻ shout    again in 0\.\ds \(attempt 1 of 3\)\n      Tasker::RetryableError: lost my voice\n`)
	shown := false
	for runs := 0; !shown && runs < 10; runs++ {
		frames := pictures(p.shellOn(openTerminal(t, 100, 40), command+"echo exit code $?"))
		shown = wait.MatchString(strings.Join(frames, "\n"))
		last := sequence.ReplaceAllString(frames[len(frames)-1], "")
		require.Equal(t, anyTask(output+"exit code 0\n"), anyTask(last))
	}
	require.True(t, shown, "no picture has the wait for the second attempt")
}

// anyTask replaces the parts of a run's output that differ between two runs.
func anyTask(text string) string {
	return taskNumber.ReplaceAllString(tookPattern.ReplaceAllString(text, "TIME"), "task N")
}

// The README's table names every command and subcommand, and nothing else.
func TestTheReadmeHasEveryCommand(t *testing.T) {
	t.Parallel()
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|").FindAllStringSubmatch(readRepository(t, "README.md"), -1) {
		group := ""
		for _, name := range strings.Split(row[1], ", ") {
			name = strings.Trim(name, "`")
			if strings.HasPrefix(name, "import ") {
				continue
			}
			if before, _, found := strings.Cut(name, " "); found { // `tasks list`, `show`
				group = before + " "
			} else if group != "" {
				name = group + name
			}
			documented = append(documented, name)
		}
	}
	for _, name := range documented {
		cmd, rest, err := newRoot().Find(strings.Fields(name))
		require.NoError(t, err)
		require.Empty(t, rest, name)
		require.Equal(t, "tasker-rb "+name, cmd.CommandPath())
	}
	for _, cmd := range newRoot().Commands() {
		if cmd.Hidden {
			continue
		}
		named := func(name string) bool { return name == cmd.Name() || strings.HasPrefix(name, cmd.Name()+" ") }
		require.True(t, slices.ContainsFunc(documented, named), "the README does not name %s", cmd.CommandPath())
		for _, sub := range cmd.Commands() {
			whole := cmd.Name() + " " + sub.Name()
			require.True(t, slices.ContainsFunc(documented, func(name string) bool { return name == cmd.Name() || name == whole }), "the README does not name %s", whole)
		}
	}
}

// Every link in a document leads to an existing file, and to a heading in it.
func TestTheLinksOfTheDocuments(t *testing.T) {
	t.Parallel()
	var documents []string
	for _, pattern := range []string{"*.md", "docs/*.md", "templates/examples/*/README.md"} {
		found, err := filepath.Glob(filepath.Join("../..", pattern))
		require.NoError(t, err)
		require.NotEmpty(t, found, pattern)
		documents = append(documents, found...)
	}
	var checked int
	for _, document := range documents {
		text, err := os.ReadFile(document)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(withoutCode(string(text)), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			checked++
			target, heading, _ := strings.Cut(m[1], "#")
			path := document
			if target != "" {
				path = filepath.Join(filepath.Dir(document), target)
				_, err := os.Stat(path)
				require.NoError(t, err, "%s links to %s", document, m[1])
			}
			if heading != "" {
				there, err := os.ReadFile(path)
				require.NoError(t, err)
				require.Contains(t, headings(string(there)), heading, "%s links to %s", document, m[1])
			}
		}
	}
	require.Greater(t, checked, 10)
}

// Every make target that the README names exists.
func TestTheTargetsOfTheReadme(t *testing.T) {
	t.Parallel()
	makefile := readRepository(t, "Makefile")
	targets := regexp.MustCompile("(?m)(?:^|`)make ([a-z/]+)").FindAllStringSubmatch(readRepository(t, "README.md"), -1)
	require.NotEmpty(t, targets)
	for _, m := range targets {
		require.Regexp(t, `(?m)^`+m[1]+`:.*## `, makefile)
	}
}

// Every benchmark and test that docs/performance.md names exists.
func TestTheBenchmarksOfTheFigures(t *testing.T) {
	t.Parallel()
	named := regexp.MustCompile("`((?:Benchmark|Test)\\w+)").FindAllStringSubmatch(readRepository(t, "docs/performance.md"), -1)
	require.NotEmpty(t, named)
	var sources strings.Builder
	require.NoError(t, filepath.WalkDir("../..", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		sources.Write(b)
		return err
	}))
	for _, m := range named {
		require.Contains(t, sources.String(), "\nfunc "+m[1]+"(")
	}
}

// withoutCode removes the text between backquotes, where a bracket is not a link.
func withoutCode(text string) string {
	text = regexp.MustCompile("(?s)```.*?```").ReplaceAllString(text, "")
	return regexp.MustCompile("`[^`\n]*`").ReplaceAllString(text, "")
}

// headings returns the anchors of a document's headings.
func headings(text string) []string {
	var anchors []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		kept := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		anchors = append(anchors, strings.ReplaceAll(kept, " ", "-"))
	}
	return anchors
}
