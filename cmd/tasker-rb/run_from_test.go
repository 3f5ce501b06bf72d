package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
)

// shop is a project whose task ends in error in its second step. The steps write SQL, and
// blocks of after_commit and after_rollback.
func shop(t *testing.T) *project {
	t.Helper()
	p := newProject(t, map[string]string{
		"order.yaml": `name: order
namespace_name: shop
version: 1.0.0
step_templates:
  - {name: reserve, handler_class: Reserve}
  - {name: charge, handler_class: Charge, depends_on_step: reserve, handler_config: {fee: 0.10}, backoff: {curve: none, base_seconds: 0}, default_retry_limit: 2}
  - {name: ship, handler_class: Reserve, depends_on_step: charge}
`,
		"handlers/shop.rb": `
class Reserve < Tasker::StepHandler::Base
  def process(task, _sequence, _step)
    { "number" => 2**200, "price" => task.context["price"], "token" => "s3cret", "large" => "x" * 100_000 }
  end
end
class Charge < Tasker::StepHandler::Base
  def process(task, sequence, step)
    reserved = sequence.get_results("reserve")
    Tasker.db.exec("INSERT INTO ledger VALUES ($1, $2)", ["charge it's", reserved["number"].to_s])
    Tasker.after_commit { puts "committed" }
    Tasker.after_rollback { puts "undone" }
    puts "attempt #{step.attempts}, #{reserved["number"] == 2**200}, #{reserved["large"].length}, #{task.context["card"]}, #{reserved["token"]}"
    Tasker::Events.publish("order.declined", amount: 7)
    return { "charged" => true } if File.exist?(File.join(__dir__, "..", "good"))
    raise Tasker::RetryableError, "busy" if step.attempts == 1
    raise Tasker::PermanentError.new("declined", error_code: "D1")
  end
end
`,
	})
	p.sql("create table ledger (entry text, number numeric)")
	r := p.run("run", "order.yaml", "--context", `{"price": 0.10, "card": {"number": "4111"}, "items": [{"email": "a"}, {"email": "b"}]}`)
	require.Equal(t, exitTaskFailed, r.code, r.stderr+r.stdout)
	return p
}

// sql runs statements in the project's database, and returns the value of the last one.
func (p *project) sql(text string) (value string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.url)
	require.NoError(p.t, err)
	defer func() { require.NoError(p.t, conn.Close(ctx)) }()
	results, err := conn.PgConn().Exec(ctx, text).ReadAll()
	require.NoError(p.t, err)
	if rows := results[len(results)-1].Rows; len(rows) > 0 {
		value = string(rows[0][0])
	}
	return value
}

// everything is the contents of all tables.
func (p *project) everything() string {
	p.t.Helper()
	return p.sql(`
		select string_agg(format('%s.%s %s', table_schema, table_name, query_to_xml(format('select * from %I.%I t order by t::text', table_schema, table_name), false, true, '')), chr(10) order by table_schema, table_name)
		from information_schema.tables where table_schema in ('tasker', 'public') and table_type = 'BASE TABLE'`)
}

func (p *project) export(args ...string) {
	p.t.Helper()
	r := p.run(append([]string{"tasks", "export", "1"}, args...)...)
	require.Zero(p.t, r.code, r.stderr)
	require.Empty(p.t, r.stderr)
	p.write(map[string]string{"task.json": r.stdout})
}

// An export has the characters of HTML as they are, like every document.
func TestAnExportEscapesNoHTML(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"one.yaml":         one("Odd") + "description: a<b> & c\n",
		"handlers/fine.rb": "class Odd\n  def process(*)\n    raise 'no #<Second> & no <b>'\n  end\nend\n",
	})
	require.Equal(t, exitTaskFailed, p.run("run", "one.yaml", "--context", `{"a": "<&>"}`).code)
	for _, args := range [][]string{{"tasks", "export", "1"}, {"tasks", "export", "1", "--redact", "steps.only.attempts[*].error.class"}, {"tasks", "show", "1", "--output", "json"}} {
		r := p.run(args...)
		require.Zero(t, r.code, r.stderr)
		require.Contains(t, r.stdout, `"no #<Second> & no <b>"`)
		require.NotContains(t, r.stdout, `\u00`)
	}
}

// The file that export writes is the document, and takes the place of no other.
func TestATaskIsExportedToAFile(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "handlers/fine.rb": fine})
	require.Zero(t, p.run("run", "one.yaml").code)
	p.export()
	r := p.run("tasks", "export", "1", "copy.json")
	require.Zero(t, r.code, r.stderr)
	require.Equal(t, "copy.json has task 1; repeat it with `tasker-rb run --from copy.json`\n", r.stdout)
	document, err := os.ReadFile(filepath.Join(p.dir, "task.json"))
	require.NoError(t, err)
	copied, err := os.ReadFile(filepath.Join(p.dir, "copy.json"))
	require.NoError(t, err)
	require.Equal(t, string(document), string(copied))
	r = p.run("tasks", "export", "1", "-")
	require.Equal(t, string(document), r.stdout, r.stderr)
	require.NoFileExists(t, filepath.Join(p.dir, "-"))
	require.Contains(t, p.run("tasks", "export", "1", "-", "--spec").stdout, "run_task(")
	requireRefused(t, p.run("tasks", "export", "1", "-", "--spec", "--output", "json"), []string{"--output json needs FILE"}, "Name a FILE for the spec")
	r = p.run("tasks", "export", "1", "other.json", "--output", "json")
	require.JSONEq(t, `{"task_id": 1, "file": "other.json"}`, r.stdout, r.stderr)
}

// elsewhere is a folder with the handlers and the export alone, and a database of its own.
func (p *project) elsewhere() *project {
	p.t.Helper()
	other := newProject(p.t, nil)
	for _, file := range []string{"task.json", "handlers/shop.rb"} {
		text, err := os.ReadFile(filepath.Join(p.dir, file))
		require.NoError(p.t, err)
		other.write(map[string]string{file: string(text)})
	}
	other.sql("create table ledger (entry text, number numeric)")
	return other
}

func TestARecordedStepIsRepeatedElsewhere(t *testing.T) {
	t.Parallel()
	p := shop(t)
	p.export()
	there := p.elsewhere()
	before := there.everything()

	r := there.run("run", "--from", "task.json", "--only", "charge", "--handlers", "handlers")
	require.Equal(t, exitTaskFailed, r.code, r.stderr)
	require.Empty(t, r.stderr)
	require.Regexp(t, `^charge \| attempt 2, true, 100000, .*4111.*, s3cret
charge \| undone

charge  error in \S+  \(attempt 2 of task 1, shop/order 1\.0\.0\)
  Tasker::PermanentError: declined
  error code D1
    from `+regexp.QuoteMeta(there.dir)+`/handlers/shop\.rb:17:in .*

the same error as recorded in attempt 2
rolled back: nothing of this run is in the database
$`, r.stdout)
	require.Equal(t, before, there.everything(), "nothing is left")

	// The handler is mended.
	there.write(map[string]string{"good": ""})
	r = there.run("run", "--from", "task.json", "--only", "charge", "--output", "json")
	require.Zero(t, r.code, r.stderr)
	require.NotContains(t, r.stderr, "committed")
	require.Contains(t, r.stderr, "charge | undone\n")
	var tried tryJSON
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &tried))
	require.JSONEq(t, `{"charged": true}`, string(tried.Results))
	require.Equal(t, []any{int64(1), "charge", "complete", 2, false}, []any{tried.TaskID, tried.Step, tried.Status, tried.Attempt, tried.AsRecorded})
	require.Equal(t, "D1", *tried.Recorded.Error.ErrorCode)
	require.Equal(t, []string{"it is complete, and failed when it was recorded: Tasker::PermanentError: declined"}, tried.Differences)
	require.Equal(t, before, there.everything(), "nothing is left")

	r = there.run("run", "--from", "task.json", "--only", "reserve")
	require.Zero(t, r.code, r.stderr)
	require.Contains(t, r.stdout, "1606938044258990275541962092341162602522202993782792835301376")
	require.Contains(t, r.stdout, "the same results as recorded in attempt 1\n")
}

func TestARecordedTaskIsRepeatedElsewhere(t *testing.T) {
	t.Parallel()
	p := shop(t)
	p.export()
	there := p.elsewhere()
	r := there.run("run", "--from", "task.json")
	require.Equal(t, exitTaskFailed, r.code, r.stderr)
	require.Contains(t, r.stdout, "task 1  shop/order 1.0.0  error")
	require.Equal(t, "0", there.sql("select count(*) from ledger"))
	there.write(map[string]string{"good": ""})
	file, err := os.Open(filepath.Join(there.dir, "task.json"))
	require.NoError(t, err)
	defer file.Close()
	cmd := there.command("run", "--from", "-", "--output", "json")
	cmd.Stdin = file
	r = there.finish(cmd)
	require.Zero(t, r.code, r.stderr)
	require.Contains(t, r.stdout, `"task_id": 2,`)
	require.Equal(t, "charge it's 1606938044258990275541962092341162602522202993782792835301376", there.sql("select entry || ' ' || number from ledger"))
	require.Equal(t, "0.10", there.sql("select context ->> 'price' from tasker.tasks where task_id = 2"))
}

func TestDebugPrintsSQLAndEvents(t *testing.T) {
	t.Parallel()
	p := shop(t)
	p.export()
	there := p.elsewhere()
	const statement = `charge | sql \S+, 1 row: INSERT INTO ledger VALUES (\$1, \$2)  \['charge it''s', '1606938044258990275541962092341162602522202993782792835301376'\]`
	want := strings.NewReplacer("charge | ", `charge \| `, "(", `\(`, ")", `\)`).Replace(statement)
	r := there.run("run", "--from", "task.json", "--only", "charge", "--debug")
	require.Equal(t, exitTaskFailed, r.code, r.stderr)
	require.Regexp(t, want, r.stdout)
	require.Regexp(t, `charge \| event order\.declined \{.*amount.*7\}\n`, r.stdout)
	require.NotContains(t, r.stdout, "event step.")
	r = there.run("run", "--from", "task.json", "--debug", "--output", "json")
	require.Equal(t, exitTaskFailed, r.code, r.stderr)
	require.Regexp(t, want, r.stderr)
	require.True(t, json.Valid([]byte(r.stdout)), r.stdout)
	require.NotContains(t, there.run("run", "--from", "task.json").stdout, "sql ")
}

func TestARedactedExport(t *testing.T) {
	t.Parallel()
	p := shop(t)
	p.export("--redact", "context.card.number", "--redact", "$.context.items[*].email", "--redact", "steps.reserve.results.token")
	text, err := os.ReadFile(filepath.Join(p.dir, "task.json"))
	require.NoError(t, err)
	require.NotContains(t, string(text), "4111")
	require.NotContains(t, string(text), "s3cret")
	there := p.elsewhere()
	r := there.run("run", "--from", "task.json", "--only", "charge")
	require.Equal(t, exitTaskFailed, r.code, r.stderr)
	require.Equal(t, `warning: context.card.number is redacted; handlers see "[redacted]" there
warning: $.context.items[*].email is redacted; handlers see "[redacted]" there
warning: steps.reserve.results.token is redacted; handlers see "[redacted]" there
`, r.stderr)
	require.Regexp(t, `charge \| attempt 2, true, 100000, .*\[redacted\].*, \[redacted\]\n`, r.stdout)
	r = there.run("run", "--from", "task.json", "--only", "reserve")
	require.Contains(t, r.stdout, "the same results as recorded")

	r = p.run("tasks", "export", "1", "--redact", "context.card.numbr")
	requireRefused(t, r, []string{`context.card.numbr leads to nothing: context.card has no "numbr"`}, `Did you mean "number"?`)
	requireRefused(t, p.run("tasks", "export", "77"), []string{"task 77"}, "tasks list")
	requireRefused(t, p.run("tasks", "export", "x"), []string{`"x" is not the number of a task`}, "tasks list")
}

// What is committed in the whole task is rolled back in the step alone.
func TestAStepWithoutATransactionIsRolledBackToo(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"one.yaml": "name: one\nstep_templates:\n  - {name: only, handler_class: Loose, transaction: none}\n",
		"handlers/loose.rb": `
class Loose
  def process(*) = Tasker.db.affected("INSERT INTO ledger VALUES (1)")
end
`,
	})
	p.sql("create table ledger (n int)")
	require.Zero(t, p.run("run", "one.yaml").code)
	require.Equal(t, "1", p.sql("select count(*) from ledger"))
	p.export()
	r := p.run("run", "--from", "task.json", "--only", "only")
	require.Zero(t, r.code, r.stderr+r.stdout)
	require.Contains(t, r.stdout, "here all its SQL ran in one transaction\n")
	require.Equal(t, "1", p.sql("select count(*) from ledger"))
}

// The private database serves when there is no other.
func TestARecordedStepInThePrivateDatabase(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "handlers/fine.rb": fine})
	require.Zero(t, p.run("run", "one.yaml").code)
	p.export()
	p.url, p.env = "", []string{"XDG_STATE_HOME=" + enterable(t), "TMPDIR=" + enterable(t)}
	r := p.run("run", "--from", "task.json", "--only", "only", "--scratch")
	require.Zero(t, r.code, r.stderr)
	require.Contains(t, r.stdout, "the same results as recorded in attempt 1\nrolled back: nothing of this run is in the database\n")
}

func TestFromRefuses(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"one.yaml": one("Fine"), "handlers/fine.rb": fine, "other.json": `{"task_id": 1}`, "bare/none": "",
	})
	require.Zero(t, p.run("run", "one.yaml").code)
	p.export()
	text, err := os.ReadFile(filepath.Join(p.dir, "task.json"))
	require.NoError(t, err)
	p.write(map[string]string{"later.json": strings.Replace(string(text), "tasker-rb-task/1", "tasker-rb-task/9", 1), "bare/task.json": string(text)})
	before := p.written()
	for _, c := range []struct {
		args  []string
		cause string
		hint  string
	}{
		{[]string{"--from", "one.yaml"}, "one.yaml is not a task that tasks export wrote", "`tasker-rb run one.yaml` runs a template"},
		{[]string{"--from", "other.json"}, "other.json: it is no export of a task: it does not have the format", "tasker-rb tasks export TASK"},
		{[]string{"--from", "later.json"}, "its format is tasker-rb-task/9, and this program reads tasker-rb-task/1", "the version of tasker-rb that wrote it"},
		{[]string{"--from", "absent.json"}, "absent.json cannot be read", "tasker-rb tasks export TASK"},
		{[]string{"--from", "task.json", "--only", "onyl"}, `has no step "onyl"`, `Did you mean "only"?`},
		{[]string{"--from", "task.json", "--only", "charge"}, `has no step "charge"`, "It has only."},
		{[]string{"--from", "task.json", "--handlers", "bare"}, "task.json: the handler of step only: ", "--handlers DIR"},
		{[]string{"--from", "task.json", "--handlers", "bare", "--only", "only"}, "task.json: the handler of step only: ", "--handlers DIR"},
		{[]string{"--from", "bare/task.json", "--only", "onyl"}, `has no step "onyl"`, `Did you mean "only"?`},
		{[]string{"--from", "task.json", "--context", "{}"}, "--context cannot be given with --from", "Leave --context out"},
		{[]string{"--from", "task.json", "--env", "x"}, "--env cannot be given with --from", "Leave --env out"},
		{[]string{"--from", "task.json", "one.yaml"}, "one argument too many: one.yaml", "--help"},
		{[]string{"--only", "only"}, "--only needs --from", "--help"},
		{[]string{"one.yaml", "--only", "only"}, "--only needs --from", "--help"},
		{[]string{"--from", "task.json", "--output", "xml"}, `--output cannot be "xml"`, "json"},
	} {
		requireRefused(t, p.run(append([]string{"run"}, c.args...)...), []string{c.cause}, c.hint)
	}
	require.Equal(t, before, p.written())
	require.Zero(t, p.run("run", "--from", "bare/task.json", "--only", "only").code, "it uses ./handlers")

	p.url = "postgres://nobody@127.0.0.1:1/none"
	requireRefused(t, p.run("run", "--from", "task.json", "--only", "only"), []string{"cannot be reached"}, "DATABASE_URL")
	p.url = pgtest.URL(t)
	requireRefused(t, p.run("run", "--from", "task.json", "--only", "only"), []string{""}, "migrate")
}

// A redacted value that the template's schema refuses.
func TestARedactedValueThatDoesNotFit(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"one.yaml": one("Fine") + "schema: {type: object, properties: {n: {type: integer}}}\n", "handlers/fine.rb": fine,
	})
	require.Zero(t, p.run("run", "one.yaml", "--context", `{"n": 1}`).code)
	p.export("--redact", "context.n")
	r := p.run("run", "--from", "task.json")
	require.Equal(t, exitBadInput, r.code)
	require.Contains(t, r.stderr, "context.n must be")
	require.Contains(t, r.stderr, "hint: A redacted value may not fit the schema; put one of yours in its place in task.json.")
	require.Zero(t, p.run("run", "--from", "task.json", "--only", "only").code, "a step is not checked against the schema")
}

// The largest results that a step may have.
func TestAnExportOfTheLargestResult(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"two.yaml": "name: two\nstep_templates:\n  - {name: make, handler_class: Make}\n  - {name: count, handler_class: Count, depends_on_step: make}\n",
		"handlers/large.rb": `
class Make
  def process(*) = "x" * (64 * 1024 * 1024 - 2)
end
class Count
  def process(_task, sequence, _step) = sequence.get_results("make").length
end
`,
	})
	require.Zero(t, p.run("run", "two.yaml").code)
	p.export("--redact", "status")
	r := p.run("run", "--from", "task.json", "--only", "count")
	require.Zero(t, r.code, r.stderr)
	require.Contains(t, r.stdout, "\n  67108862\n\nthe same results as recorded in attempt 1\n")
}

// With --only and --debug the handler has the terminal, as a debugger needs it, and time.
func TestADebuggerHasTheTerminal(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"one.yaml": one("Asks"),
		"handlers/asks.rb": `
class Asks
  def process(*)
    return 1 unless $stdin.tty? && $stdout.tty?
    $stdout.print "(prompt) "
    $stdin.gets.to_i
  end
end
`,
	})
	require.Zero(t, p.run("run", "one.yaml").code)
	p.export()
	tty, answered := openTerminal(t, 100, 40), false
	said := p.attach(tty, p.command("run", "--from", "task.json", "--only", "only", "--debug"), func(said string) {
		if !answered && strings.Contains(said, "(prompt) ") {
			answered = true
			_, err := tty.ours.WriteString("42\n")
			require.NoError(t, err)
		}
	})
	require.Contains(t, said, "not as recorded in attempt 1:\n  results is 42, and was 1\n")
}

func TestARecordedStepIsInterrupted(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"long.yaml": one("Long"), "handlers/long.rb": "class Long\n  def process(*) = 1\nend\n"})
	require.Zero(t, p.run("run", "long.yaml").code)
	p.export()
	p.write(map[string]string{"handlers/long.rb": long})
	before := p.everything()
	cmd := p.command("run", "--from", "task.json", "--only", "only")
	r := p.follow(cmd, func(line string) {
		if line == "only | in the middle" {
			require.NoError(t, cmd.Process.Signal(os.Interrupt))
		}
	})
	require.Equal(t, result{exitInterrupted, "only | in the middle\nonly | cleaned up\n", "error: interrupted\n"}, r)
	require.Equal(t, before, p.everything())
}
