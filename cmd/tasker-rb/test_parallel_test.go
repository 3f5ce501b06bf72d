package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// partSpec is a spec that makes a table. It would be there already if another part had
// the same database.
func partSpec(name string) string {
	return fmt.Sprintf(`RSpec.describe "%s" do
  it("has a database") { Tasker.db.exec("CREATE TABLE things (name text)"); puts "database of %[1]s #{ENV.fetch("DATABASE_URL")}" }
  it("waits") { pending "later"; raise }
end
`, name)
}

func TestASuiteInParts(t *testing.T) {
	t.Parallel()
	p := &project{t: t, dir: t.TempDir()}
	p.write(map[string]string{
		"spec/a_spec.rb": partSpec("a"), "spec/b_spec.rb": partSpec("b"), "order.yaml": one("Shop::Charge"), "handlers/shop/charge.rb": charge,
		"spec/spec_helper.rb": "require 'simplecov'\nSimpleCov.start { add_filter %r{^/spec/} }\n", ".rspec": "--require spec_helper\n",
	})
	r := p.run("test", "--parallel", "2", "--", "--seed", "3")
	require.Zero(t, r.code, r.stdout+r.stderr)
	require.Empty(t, r.stderr)
	require.Regexp(t, `(?m)^── Part 1 of 2 \(\d+\.\d s\): spec/a_spec\.rb$`, r.stdout)
	require.Regexp(t, `(?m)^── Part 2 of 2 \(\d+\.\d s\): spec/b_spec\.rb$`, r.stdout)
	require.Equal(t, 2, strings.Count(r.stdout, "2 examples, 0 failures, 1 pending\n"), r.stdout)
	require.Equal(t, 4, strings.Count(r.stdout, "Randomized with seed 3\n"), r.stdout)
	require.Regexp(t, `\n2 processes: 4 examples, 0 failures, 2 pending, in \d+\.\d s\n$`, r.stdout)
	databases := regexp.MustCompile(`database of \w (\S+)`).FindAllStringSubmatch(r.stdout, -1)
	require.Len(t, databases, 2)
	require.NotEqual(t, databases[0][1], databases[1][1])
	content, err := os.ReadFile(filepath.Join(p.dir, "coverage/.resultset.json"))
	require.NoError(t, err)
	require.Contains(t, string(content), `"RSpec, part "`)
	require.Contains(t, string(content), `"RSpec, part 2"`)

	p.write(map[string]string{"spec/b_spec.rb": "RSpec.configure { |c| c.failure_exit_code = 7 }\n" + strings.Replace(partSpec("b"), "waits", "fails", 1) + "RSpec.describe('c') { it { raise } }\n"})
	r = p.run("test", "spec/a_spec.rb:2", "spec/b_spec.rb", "--parallel", "9")
	require.Equal(t, 7, r.code, r.stdout+r.stderr)
	require.Contains(t, r.stdout, "1 example, 0 failures\n")
	require.Contains(t, r.stdout, "\n2 processes: 4 examples, 1 failure, 1 pending, in ")

	p.write(map[string]string{"spec/b_spec.rb": "exit 3\n"})
	r = p.run("test", "--parallel", "2")
	require.Equal(t, 3, r.code, r.stdout+r.stderr)
	require.Contains(t, r.stdout, "\n2 processes: 2 examples, 0 failures, 1 pending, and 1 process without any test run, in ")

	p.write(map[string]string{"spec/a_spec.rb": "exit 2\n"})
	r = p.run("test", "--parallel", "2")
	require.Equal(t, 3, r.code, r.stdout+r.stderr)
	require.Contains(t, r.stdout, "\n2 processes: 0 examples, 0 failures, and 2 processes without any test run, in ")

	p.write(map[string]string{"order.yaml": one("Shop::Chrge")})
	r = p.run("test", "--parallel", "2")
	require.Equal(t, exitBadInput, r.code)
	require.Empty(t, r.stdout)
	require.Contains(t, r.stderr, "did you mean Shop::Charge?\nhint: ")
}

func TestAMinitestSuiteInParts(t *testing.T) {
	t.Parallel()
	p := &project{t: t, dir: t.TempDir()}
	test := func(name string) string {
		return "class " + name + " < Minitest::Test\n  def test_it = Tasker.db.exec('CREATE TABLE things (name text)')\n  def test_that = skip\nend\n"
	}
	p.write(map[string]string{"test/a_test.rb": test("A"), "test/b_test.rb": test("B"), "test/test_c.rb": test("C") + "# of more bytes\n"})
	r := p.run("test", "--parallel", "3")
	require.Zero(t, r.code, r.stdout+r.stderr)
	require.Contains(t, r.stdout, "\n3 processes: 6 runs, 0 failures, 3 skipped, in ")
	r = p.run("test", "--parallel", "2", "--", "--name", "test_it")
	require.Equal(t, 1, r.code, "two files share a database: "+r.stdout+r.stderr)
	require.Contains(t, r.stdout, "\n2 processes: 3 runs, 1 failure, in ")
}

// On a server of one's own the parts have copies of the database, which are removed.
func TestASuiteInPartsOnADatabaseOfOnesOwn(t *testing.T) {
	t.Parallel()
	p := &project{t: t, dir: t.TempDir()}
	p.write(map[string]string{"spec/a_spec.rb": partSpec("a"), "spec/b_spec.rb": partSpec("b")})
	p.url = pgtest.URL(t, pgtest.WithTemplate(orchestration.Migrate))
	for range 2 {
		r := p.run("test", "--parallel", "2")
		require.Zero(t, r.code, r.stdout+r.stderr)
		require.Contains(t, r.stdout, "_part_1")
		require.Contains(t, r.stdout, "_part_2")
	}
	conn, err := pgx.Connect(t.Context(), p.url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	var left int
	require.NoError(t, conn.QueryRow(t.Context(), "select count(*) from pg_database where datname like current_database() || '_part%'").Scan(&left))
	require.Zero(t, left)

	r := p.run("test", "--parallel", "2")
	require.Equal(t, exitBadInput, r.code, r.stdout+r.stderr)
	require.Contains(t, r.stderr, "being accessed by other users")
	require.Contains(t, r.stderr, "hint: The user needs the right CREATEDB, and nobody else may be connected")
}

// PostgreSQL cuts long names off, and all parts would have one database.
func TestADatabaseWhoseNameIsTooLongForParts(t *testing.T) {
	t.Parallel()
	p := newSuite(t, map[string]string{"spec/b_spec.rb": "puts 'not to be seen'\n"})
	server := pgtest.URL(t)
	conn, err := pgx.Connect(t.Context(), server)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	name := fmt.Sprintf("long_test_%x%s", rand.Uint64(), strings.Repeat("x", 60))[:60]
	_, err = conn.Exec(t.Context(), "create database "+name)
	require.NoError(t, err)
	defer func() {
		_, err := conn.Exec(context.Background(), "drop database "+name+" with (force)")
		require.NoError(t, err)
	}()
	u, err := url.Parse(server)
	require.NoError(t, err)
	u.Path = "/" + name
	p.url = u.String()
	r := p.run("test", "--parallel", "2")
	require.Equal(t, exitBadInput, r.code, r.stdout+r.stderr)
	require.Contains(t, r.stderr, "is too long")
	require.Contains(t, r.stderr, "hint: ")
	require.Empty(t, r.stdout)
}

func TestASuiteInPartsIsInterrupted(t *testing.T) {
	t.Parallel()
	waits := func(name string) string {
		return fmt.Sprintf("RSpec.describe('x') { it('waits') { File.write('%s', ''); sleep 0.01 until RSpec.world.wants_to_quit }; it('is left out') { puts 'not to be seen' } }\n", name)
	}
	for _, c := range []struct {
		name   string
		signal syscall.Signal
	}{{"Interrupted", syscall.SIGINT}, {"Killed", syscall.SIGKILL}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := &project{t: t, dir: enterable(t)}
			p.write(map[string]string{"spec/a_spec.rb": waits("a"), "spec/b_spec.rb": waits("b")})
			cmd := p.command("test", "--parallel", "2", "--", "--order", "defined")
			var stdout strings.Builder
			cmd.Stdout = &stdout
			require.NoError(t, cmd.Start())
			require.Eventually(t, func() bool { return exists(p.dir+"/a") && exists(p.dir+"/b") }, patience, tick)
			require.NoError(t, cmd.Process.Signal(c.signal))
			require.Error(t, cmd.Wait())
			require.Eventually(t, func() bool { return len(processesWith(p.dir)) == 0 }, patience, tick)
			require.NotContains(t, stdout.String(), "not to be seen")
			if c.signal == syscall.SIGINT {
				require.Equal(t, exitInterrupted, cmd.ProcessState.ExitCode(), stdout.String())
				require.Contains(t, stdout.String(), "\n2 processes: 2 examples, 0 failures, in ")
			}
		})
	}
}

func TestDeal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := &project{t: t, dir: dir}
	p.write(map[string]string{"a_spec.rb": strings.Repeat("#", 100), "b_spec.rb": strings.Repeat("#", 60), "c_spec.rb": strings.Repeat("#", 50), "d_spec.rb": ""})
	command := &testCommand{parallel: 2}
	var err error
	command.suite, err = chooseSuite([]string{dir})
	require.NoError(t, err)
	var dealt [][]string
	for _, part := range command.deal() {
		var names []string
		for _, path := range part.paths {
			names = append(names, filepath.Base(path))
		}
		dealt = append(dealt, names)
	}
	require.Equal(t, [][]string{{"a_spec.rb", "d_spec.rb"}, {"b_spec.rb", "c_spec.rb"}}, dealt)
	require.True(t, slices.IsSorted(command.suite.files))
}
