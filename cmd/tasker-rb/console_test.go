package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

const charges = `
class Charge
  LIMIT = 100
  def process(task, sequence, _step)
    raise Tasker::PermanentError.new("too much", error_code: "LIMIT") if task.context[:cents] > LIMIT
    { "charged" => task.context[:cents], "for" => sequence.get_results("reserve") }
  end
end
class Reserve
  def process(*) = { "shelf" => 7 }
end
`

func chargeProject(t *testing.T) *project {
	return newProject(t, map[string]string{
		"order.yaml": `
name: order
step_templates:
  - {name: reserve, handler_class: Reserve}
  - {name: charge, handler_class: Charge, depends_on_step: reserve}
`,
		"handlers/charge.rb": charges,
	})
}

func TestTheConsoleOnATerminal(t *testing.T) {
	t.Parallel()
	p := chargeProject(t)
	config, err := pgxpool.ParseConfig(p.url)
	require.NoError(t, err)
	prompt := `tasker-rb\(` + nameOf(config) + `\)> `
	said, code := p.talk(p.command("console"),
		turn{heard: prompt, typed: "6 * 7\n"},
		turn{heard: `=> 42\n(?s:.*)` + prompt, typed: "first"},
		turn{heard: "first", typed: controlC},
		turn{heard: `\^C\n(?s:.*)` + prompt, typed: "second"},
		turn{heard: "second", typed: controlC},
		turn{heard: `\^C\n(?s:.*)` + prompt, typed: "puts 'be' + 'gun'; sleep\n"},
		turn{heard: "begun", typed: controlC, busy: true},
		turn{heard: `IRB::Abort(?s:.*)` + prompt, typed: "puts 'wait' + 'ing'; db.exec('SELECT pg_sleep(600)')\n"},
		turn{heard: "waiting", typed: controlC, busy: true},
		turn{heard: `IRB::Abort(?s:.*)` + prompt, typed: "Charge.nothing\n"},
		turn{heard: `NoMethodError(?s:.*)` + prompt, typed: "db.exec('CREATE TABLE notes AS SELECT 5 AS n').affected\n"},
		turn{heard: `=> 1\n(?s:.*)` + prompt, typed: "DB.equal?(db) || DB[:notes].first[:n]\n"},
		turn{heard: `=> (true|5)\n(?s:.*)` + prompt, typed: "reload!\n"},
		turn{heard: `no handler file has changed\n=> true\n(?s:.*)` + prompt, typed: controlD},
	)
	require.Zero(t, code, said)
	require.NotContains(t, said, "warning")
	require.Contains(t, said, "tasker-rb "+p.version()+": DB, task(42), run_step(Handler, context: {}, results: {}), reload!; ^D ends\n")
	history, err := os.ReadFile(filepath.Join(p.dir, "state/tasker-rb/console_history"))
	require.NoError(t, err)
	require.Contains(t, string(history), "6 * 7\n")
}

func TestTheConsoleEndsWithExit(t *testing.T) {
	t.Parallel()
	p := emptyProject(t)
	said, code := p.talk(p.command("console"), turn{heard: `\)> `, typed: "exit\n"})
	require.Zero(t, code, said)
}

// typedIn gives the console lines on standard input, and returns what it prints.
func (p *project) typedIn(lines ...string) result {
	p.t.Helper()
	cmd := p.command("console")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	return p.finish(cmd)
}

func TestTheConsoleReadsLines(t *testing.T) {
	t.Parallel()
	p := chargeProject(t)
	require.Zero(t, p.run("run", "order.yaml", "--context", `{"cents": 5}`).code)
	require.Equal(t, exitTaskFailed, p.run("run", "order.yaml", "--context", `{"cents": 500}`).code)
	for _, c := range []struct {
		name    string
		line    string
		printed string // a regular expression
	}{
		{"Value", "6 * 7", `^=> 42\n$`},
		{"Lines", "[1, 2].map do |n|\nn + 1\nend", `^=> \[2, 3\]\n$`},
		{"Task", "task(2)", `^=> \ntask 2  default/order 0\.1\.0  error\n  reserve  complete  \{"shelf" ?=> ?7\}\n  charge   error  Tasker::PermanentError \(LIMIT\): too much\n$`},
		{"Context", "task(2).context[:cents]", `^=> 500\n$`},
		{"Status", "task(1).status", `^=> "complete"\n$`},
		{"Results", "task(1).step('charge').results[:for][:shelf]", `^=> 7\n$`},
		{"Error", "task(2).step('charge').error.error_code", `^=> "LIMIT"\n$`},
		{"NoTask", "task(99)", `^\(console\):1:in .<main>.: task 99: there is no such task; .* \(Tasker::Error\)\n$`},
		{"NumberTooLarge", "task(99999999999999999999)", `^\(console\):1:in .<main>.: a task's number is between 1 and 9223372036854775807; it cannot be 99999999999999999999 \(ArgumentError\)\n$`},
		{"NoNumber", "[-1, 0, 1.5, nil, 'x', [1]].each { |given| task(given) rescue puts $!.message[/it cannot be .*/] }; 1", `^it cannot be -1\nit cannot be 0\nit cannot be 1\.5\nit cannot be nil\nit cannot be "x"\nit cannot be \[1\]\n=> 1\n$`},
		{"Digits", "task('1').task_id", `^=> 1\n$`},
		{"Step", "run_step(Charge, context: { cents: 3 }, results: { reserve: { shelf: 1 } })", `^=> \{"charged" ?=> ?3, "for" ?=> ?\{"shelf" ?=> ?1\}\}\n$`},
		{"StepAsRecorded", "run_step(Charge, context: task(1).context, results: { reserve: task(1).step('reserve').results })", `^=> \{"charged" ?=> ?5, "for" ?=> ?\{"shelf" ?=> ?7\}\}\n$`},
		{"StepFails", "run_step(Charge, context: { cents: 300 })", `handlers/charge\.rb:5:in .*process.: too much \(Tasker::PermanentError\)\n\tfrom \(console\):1:in .<main>.\n$`},
		{"StepAsAString", "run_step('Charge')", `run_step takes the class itself: write Charge without quotes \(ArgumentError\)\n$`},
		{"SQL", "db.first('SELECT 1 + $1::int AS n', [4])['n']", `^=> 5\n$`},
		{"NoTable", "db.exec('CREATE TABLE there (n int)').affected\nrequire 'sequel'; DB[:nowhere].all", `(?s)relation "nowhere" does not exist.*\n\tfrom \(console\):2:in .<main>.\n`},
		{"NoParams", "db.exec('SELECT $1', 5)", `params are an Array, such as \[5\]`},
		{"HashOfParams", "db.first('SELECT 1', wher: 2)", `params are an Array with the values of \$1, \$2 and so on, not a Hash; there is no keyword wher: \(ArgumentError\)`},
		{"RollsBack", "db.exec('CREATE TABLE kept (n int)').affected\ndb.transaction { db.exec('INSERT INTO kept VALUES (1)'); raise Tasker::DB::Rollback }\ndb.first('SELECT count(*) AS n FROM kept')['n']", `^=> 0\n=> nil\n=> 0\n$`},
		{"Exit", "exit\nputs 'more'", `^$`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := p.typedIn(c.line)
			require.Zero(t, r.code, r.stderr)
			require.Empty(t, r.stderr)
			require.Regexp(t, c.printed, strings.TrimSuffix(r.stdout, "\n\n")+map[bool]string{true: "\n"}[strings.HasSuffix(r.stdout, "\n\n")])
		})
	}
}

func TestTheConsoleReloads(t *testing.T) {
	t.Parallel()
	p := chargeProject(t)
	save := func(file, code string) string { return fmt.Sprintf("File.write(%q, %q)", "handlers/"+file, code) }
	r := p.typedIn(
		"reload!",
		save("charge.rb", strings.Replace(charges, "100", "2", 1)), save("apply.rb", "class Apply < Zeal; end"), save("broken.rb", "class Broken\n  def x = (\nend"), save("zeal.rb", "class Zeal; end"),
		"reload!", "[Charge::LIMIT, Apply.superclass]",
		save("broken.rb", "class Broken; end"),
		"reload!", "Broken", "reload!",
		"File.rename('handlers/zeal.rb', 'zeal.rb')", "reload!", "Zeal", "reload!", "File.rename('zeal.rb', 'handlers/zeal.rb')", "reload!")
	require.Zero(t, r.code, r.stderr)
	require.Empty(t, r.stderr)
	dir, err := filepath.EvalSymlinks(p.dir)
	require.NoError(t, err)
	requireInOrder(t, r.stdout, "no handler file has changed\n=> true\n",
		"loaded "+dir+"/handlers/apply.rb\n", "cannot be loaded: "+dir+"/handlers/broken.rb:", "loaded "+dir+"/handlers/charge.rb\n", "=> false\n", "=> [2, Zeal]\n",
		"loaded "+dir+"/handlers/broken.rb\n=> true\n", "=> Broken\n", "no handler file has changed\n=> true\n",
		"gone: "+dir+"/handlers/zeal.rb; what it has defined stays until the console ends\n=> true\n", "=> Zeal\n", "no handler file has changed\n=> true\n",
		"loaded "+dir+"/handlers/zeal.rb\n=> true\n")
}

func TestTheConsoleNamesItsDatabase(t *testing.T) {
	t.Parallel()
	for address, name := range map[string]string{
		"postgres:///orders":                      "orders",
		"postgres://me:secret@localhost/orders":   "orders",
		"postgres://127.0.0.1/orders":             "orders",
		"postgres:///orders?host=/run/postgresql": "orders",
		"postgres://me:secret@db.example/orders":  "orders@db.example",
		"host=10.0.0.7 dbname=orders user=me":     "orders@10.0.0.7",
	} {
		config, err := pgxpool.ParseConfig(address)
		require.NoError(t, err)
		require.Equal(t, name, nameOf(config))
	}
}

func TestTheConsoleWithoutIrb(t *testing.T) {
	t.Parallel()
	p := emptyProject(t)
	p.write(map[string]string{"lib/irb.rb": "raise LoadError, 'cannot load such file -- irb'\n"})
	r := p.run("console", "-I", "lib")
	require.Equal(t, result{exitBadInput, "", "error: the console needs irb, which this Ruby does not have: cannot load such file -- irb\n" +
		"hint: Install the gems irb and reline; with --gemfile, name them in the Gemfile.\n"}, r)
}

func TestTheConsoleWithAGemfileThatHidesIrb(t *testing.T) {
	t.Parallel()
	p := emptyProject(t)
	p.write(map[string]string{"Gemfile": ""})
	cmd := p.command("console", "--gemfile", "Gemfile")
	cmd.Stdin = strings.NewReader("6 * 7\n")
	r := p.finish(cmd)
	require.Zero(t, r.code, r.stderr)
	require.Contains(t, r.stdout, "=> 42\n")
	require.Empty(t, r.stderr)
}
