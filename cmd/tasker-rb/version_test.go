package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestEveryVersion(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	r := p.run("version")
	require.Zero(t, r.code, r.stderr)
	require.Regexp(t, `^tasker-rb   \S.*\nGo          `+runtime.Version()+` linux/\w+\nRuby        [34]\.\d+\.\d+\nPostgreSQL  \d+\.\d+\n$`, r.stdout)

	var v struct {
		Version, Commit, Go, Ruby, PostgreSQL string
		Modified                              bool
	}
	require.NoError(t, json.Unmarshal([]byte(p.run("version", "--output", "json").stdout), &v))
	require.NotEmpty(t, v.Version)
	require.NotContains(t, v.Version, "(devel)")
	require.Regexp(t, `^[34]\.`, v.Ruby)

	p.env = []string{"PATH=" + t.TempDir(), "XDG_STATE_HOME=" + t.TempDir()}
	require.Contains(t, p.run("version").stdout, "Ruby        ")
}

// version is the one that the command version prints.
func (p *project) version() string {
	p.t.Helper()
	var v programVersion
	require.NoError(p.t, json.Unmarshal([]byte(p.run("version", "--output", "json").stdout), &v))
	return v.Version
}

func TestHowAVersionIsPrinted(t *testing.T) {
	t.Parallel()
	require.Equal(t, "v1.2.3 (commit 0123456789ab, with changes)", programVersion{Version: "v1.2.3", Commit: "0123456789abcdef", Modified: true}.String())
	require.Equal(t, "v1.2.3 (commit 0123456789ab)", programVersion{Version: "v1.2.3", Commit: "0123456789abcdef"}.String())
	require.Equal(t, "development", programVersion{Version: "development"}.String())
}

func TestManPages(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	dir := filepath.Join(t.TempDir(), "share", "man1")
	r := p.run("man", dir)
	require.Zero(t, r.code, r.stderr)
	page, err := os.ReadFile(filepath.Join(dir, "tasker-rb-tasks-show.1"))
	require.NoError(t, err)
	requireInOrder(t, string(page), `.TH "TASKER-RB" "1"`, "tasker-rb-tasks-show - Show a task", "--output", "tasker-rb tasks show 42", "SEE ALSO")
	var written struct {
		Folder string
		Files  []string
	}
	require.NoError(t, json.Unmarshal([]byte(p.run("man", dir, "--output", "json").stdout), &written))
	require.Equal(t, dir, written.Folder)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, written.Files, len(entries))
	require.Contains(t, written.Files, "tasker-rb-tasks-show.1")
	requireRefused(t, p.run("man", "/dev/null/man"), []string{"not a directory"}, "Name a folder that you can write.")
}

// complete asks for the words of a line. If it took so long that the command may have waited
// in vain for the database, it asks again.
func (p *project) complete(line string) (r result) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		began := time.Now()
		r = p.run(append([]string{"__complete"}, strings.Split(line, " ")...)...)
		if time.Since(began) < completionTime {
			break
		}
	}
	return r
}

// What the shell offers. The words out of the database come with a description.
func TestCompletion(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "handlers/fine.rb": fine})
	require.Zero(t, p.run("run", "one.yaml").code)
	require.Zero(t, p.run("submit", "one.yaml").code)
	require.NoError(t, unix.Mkfifo(filepath.Join(p.dir, "pipe"), 0o600))
	const no, files, dirs, ordered = ":4", ":8", ":16", ":36"
	for _, c := range []struct {
		line string
		want []string
	}{
		{"tasks list --state ", []string{"pending", "in_progress", "error", "cancelled", "resolved_manually", "complete", no}},
		{"tasks list --output ", []string{"text", "json", no}},
		{"tasks show ", []string{"2\tdefault/one 0.1.0, pending", "1\tdefault/one 0.1.0, complete", ordered}},
		{"run --task ", []string{"2\tdefault/one 0.1.0, pending", ordered}}, // a complete task does not go on
		{"tasks show 1 ", []string{no}},
		{"tasks retry 1 --step ", []string{"only\tcomplete", ordered}},
		{"tasks retry 99 --step ", []string{ordered}},
		{"tasks retry --step ", []string{no}},
		{"run ", []string{"yaml", "yml", files}},
		{"run one.yaml --handlers ", []string{dirs}},
		{"run one.yaml --show ", []string{"only", ordered}},
		{"dev one.yaml --show ", []string{"only", ordered}},
		{"run --show ", []string{ordered}},
		{"run pipe --show ", []string{ordered}},
		{"run --from pipe --show ", []string{ordered}},
		{"worker --log ", []string{"text", "json", no}},
		{"tasks prune --state ", []string{"cancelled", "resolved_manually", "complete", no}},
		{"help templates ", []string{"lint\tCheck templates: files, or folders of them", "show\tDraw a template's steps and their dependencies", no}},
		{"doctor ", []string{no}},
	} {
		r := p.complete(c.line)
		require.Zero(t, r.code, r.stderr)
		require.Equal(t, c.want, strings.Split(strings.TrimSpace(r.stdout), "\n"), c.line)
	}
	require.Contains(t, p.run("completion", "bash").stdout, "bash completion")

	// Without a database there are no words, and none is made.
	p.url, p.env = "", []string{"XDG_STATE_HOME=" + enterable(t)}
	require.Equal(t, ordered+"\n", p.run("__complete", "tasks", "show", "").stdout)
	entries, err := os.ReadDir(strings.TrimPrefix(p.env[0], "XDG_STATE_HOME="))
	require.NoError(t, err)
	require.Empty(t, entries)
}
