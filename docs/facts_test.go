package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func source(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(file)))
	require.NoError(t, err)
	return string(text)
}

// facts are numbers of the code that other places repeat. In a place, N stands for the
// number.
var facts = []struct {
	file, pattern string
	places        map[string]string
}{
	{"orchestration/worker.go", `const DefaultMaxTasks = (\d+)`, map[string]string{"CHANGELOG.md": "`worker --tasks` is N by default", "docs/cli.md": "| `--tasks N` | `N` |"}},
	{"orchestration/worker.go", `c\.Poll = (\d+) \* time\.Second`, map[string]string{"docs/engine.md": "by default every N s", "CHANGELOG.md": "`WorkerConfig.Poll` is N s by default", "orchestration/worker.go": "left behind. Default N s."}},
	{"orchestration/worker.go", `c\.Drain = (\d+) \* time\.Second`, map[string]string{"docs/cli.md": "| `--drain TIME` | `Ns` |", "orchestration/worker.go": "do not count. Default N s.", "docs/tutorial.md": "the N seconds of `--drain`"}},
	{"orchestration/engine.go", `cfg\.MaxDocumentBytes = (\d+) << 20`, map[string]string{"docs/engine.md": "`Config.MaxDocumentBytes`, N MiB by default", "docs/templates.md": "has at most N MiB when it is submitted", "orchestration/engine.go": "Default N MiB."}},
	{"orchestration/engine.go", `cfg\.MaxResultMemory = (\d+) << 20`, map[string]string{"docs/engine.md": "`Config.MaxResultMemory`, N MiB by default", "orchestration/engine.go": "always runs. Default N MiB."}},
	{"orchestration/engine.go", `cfg\.MaxParallelSteps = (\d+)`, map[string]string{"orchestration/engine.go": "Default N."}},
	{"orchestration/engine.go", `cfg\.Grace = (\d+) \* time\.Second`, map[string]string{"orchestration/engine.go": "drops its results. Default N s."}},
	{"orchestration/list.go", `f\.Limit = (\d+)`, map[string]string{"orchestration/list.go": "Default N, at most 1000.", "docs/cli.md": "| `--limit N` | `N` |"}},
	{"orchestration/server_version.go", `const OldestServer = (\d+)`, map[string]string{"docs/troubleshooting.md": "Use PostgreSQL N or later."}},
	{"rubyhost/options.go", `o\.Threads = (\d+)`, map[string]string{"rubyhost/options.go": "1 to 256. Default N.", "docs/cli.md": "| `--threads N` | `N` |"}},
	{"rubyhost/options.go", `max\((\d+), o\.Threads\)`, map[string]string{"rubyhost/options.go": "Default N, at least Threads."}},
	{"rubyhost/options.go", `o\.MaxResultBytes = (\d+) << 20`, map[string]string{"rubyhost/options.go": "memory again. Default N MiB.", "docs/rubyhost.md": "returned more than N MiB of JSON"}},
	{"rubyhost/options.go", `o\.Grace = (\d+) \* time\.Second`, map[string]string{"rubyhost/options.go": "is killed. Default N s."}},
	{"rubyhost/options.go", `o\.Spin = (\d+) \* time\.Microsecond`, map[string]string{"rubyhost/options.go": "each burst. Default N µs"}},
	{"docs/rubyhost.md", `\*\*Boot\*\* takes some (\d+) ms`, map[string]string{"rubyhost/host.go": "It takes some N ms."}},
	{"docs/rubyhost.md", `runs code takes (\d+) ms more`, map[string]string{"rubyhost/ruby/lib/tasker/host/autoloads.rb": "The first call takes some N ms"}},
	{"templates/build_template.go", `defaultRetryLimit\s+= (\d+)`, map[string]string{"docs/templates.md": "| `default_retry_limit` | integer | N |"}},
	{"cmd/tasker-rb/database_connect.go", `defaultConnectTimeout = (\d+) \* time\.Second`, map[string]string{"docs/cli.md": "`connect_timeout` (N seconds unless"}},
}

// A number that a page or a comment repeats is the one of the code.
func TestNumbersAreThoseOfTheCode(t *testing.T) {
	t.Parallel()
	for _, fact := range facts {
		m := regexp.MustCompile(fact.pattern).FindStringSubmatch(source(t, fact.file))
		require.NotNil(t, m, "%s: %s", fact.file, fact.pattern)
		for place, text := range fact.places {
			// The N of a flag's value stays.
			wanted := regexp.MustCompile(`\bN(s?)\b`).ReplaceAllString(strings.ReplaceAll(text, " N` | ", " \x00` | "), m[1]+"$1")
			require.Contains(t, source(t, place), strings.ReplaceAll(wanted, "\x00", "N"), place)
		}
	}
}

// What the pages say of the version of the tables is what the migrations say.
func TestVersionsOfTheTables(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../orchestration/migrations/*.sql")
	require.NoError(t, err)
	latest := strings.TrimLeft(filepath.Base(files[len(files)-1])[:3], "0")
	oldest := ""
	for _, file := range files {
		for _, m := range regexp.MustCompile(`(?m)(?:schema_support values \((\d+)\)|^update tasker\.schema_support set oldest = (\d+))`).FindAllStringSubmatch(upPart(t, file), -1) {
			oldest = m[1] + m[2]
		}
	}
	cli := source(t, "docs/cli.md")
	require.Contains(t, cli, "Bring the tables to this program's version, "+latest+".")
	require.Contains(t, cli, `{"current": true, "latest": `+latest+`, "oldest": `+oldest+`, "supported": true, "version": `+latest+`}`)
}

func upPart(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	up, _, _ := strings.Cut(string(text), "---- create above")
	return up
}

// ofTheEngine are the classes of errors that the engine records, and no Ruby code raises.
var ofTheEngine = []string{
	"Tasker::StepTimeout", "Tasker::StepInterrupted", "Tasker::StepStuck", "Tasker::ClaimLost", "Tasker::HostError",
	"Tasker::TypeMismatch", "Tasker::UnknownStep",
}

// madeOfNames are constants that are set from the names of events. The suite of the layers
// has them.
var madeOfNames = regexp.MustCompile(`^Tasker::Constants::\w+Events::[A-Z_]+$`)

// Every constant of Ruby that a page or a Go comment names below Tasker is one of the Ruby
// half.
func TestRubyNamesExist(t *testing.T) {
	t.Parallel()
	declared := rubyNames(t)
	require.Contains(t, declared, "Tasker::UnrepresentableError")
	for _, class := range ofTheEngine {
		require.NotContains(t, declared, class)
		require.Contains(t, source(t, "docs/troubleshooting.md"), "\n| `"+class+"` | ")
	}
	var places []string
	for _, pattern := range []string{"*.md", "../README.md", "../CHANGELOG.md", "../RATIONALE.md"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		places = append(places, found...)
	}
	for _, root := range []string{"../rubyhost", "../orchestration", "../cmd", "../templates"} {
		require.NoError(t, filepath.WalkDir(root, func(file string, _ fs.DirEntry, err error) error {
			if strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, "_test.go") {
				places = append(places, file)
			}
			return err
		}))
	}
	name := regexp.MustCompile(`(?:^|[^\w:])(Tasker(?:Core)?(?:::[A-Z]\w*)+)`)
	for _, place := range places {
		text, err := os.ReadFile(place)
		require.NoError(t, err)
		for _, m := range name.FindAllStringSubmatch(string(text), -1) {
			known := declared[m[1]] || slices.Contains(ofTheEngine, m[1]) || madeOfNames.MatchString(m[1])
			require.True(t, known, "%s names %s", place, m[1])
		}
	}
}

// rubyNames are the constants that the Ruby half declares, by their indentation.
func rubyNames(t *testing.T) map[string]bool {
	t.Helper()
	declaration := regexp.MustCompile(`^( *)(?:(?:module|class) ([A-Z][\w:]*)|(?:autoload :)?([A-Z]\w*)(?: = |, ))`)
	names := map[string]bool{}
	require.NoError(t, filepath.WalkDir("../rubyhost/ruby/lib", func(file string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(file, ".rb") {
			return err
		}
		text, err := os.ReadFile(file)
		scope := map[int]string{}
		for line := range strings.Lines(string(text)) {
			m := declaration.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			depth, name := len(m[1]), m[2]+m[3]
			if outer := scope[depth-2]; depth > 0 && outer != "" {
				name = outer + "::" + name
			}
			names[name] = true
			if m[2] != "" {
				scope[depth] = name
			}
		}
		return err
	}))
	return names
}

// The words that the rationale defines are in the glossary.
func TestTheGlossaryHasTheWordsOfTheRationale(t *testing.T) {
	t.Parallel()
	_, words, found := strings.Cut(source(t, "RATIONALE.md"), "\n| word | meaning |\n|---|---|\n")
	require.True(t, found)
	words, _, _ = strings.Cut(words, "\n\n")
	rows := strings.Split(words, "\n")
	require.Greater(t, len(rows), 4)
	for _, row := range rows {
		require.Contains(t, source(t, "docs/glossary.md"), "\n| "+strings.TrimSpace(strings.Split(row, "|")[1])+" | ")
	}
}
