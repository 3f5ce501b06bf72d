package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	timesPattern = regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"`)
	taskPattern  = regexp.MustCompile(`"task_id": \d+`)
)

// timeless replaces the parts of a run's JSON that differ between two runs.
func timeless(text string) string {
	return taskPattern.ReplaceAllString(timesPattern.ReplaceAllString(text, "TIME"), `"task_id": ID`)
}

func TestEveryExampleTwiceGivesTheSame(t *testing.T) {
	t.Parallel()
	examples, err := filepath.Abs("../../templates/examples")
	require.NoError(t, err)
	folders, err := os.ReadDir(examples)
	require.NoError(t, err)
	require.Len(t, folders, 4)
	for _, folder := range folders {
		t.Run(folder.Name(), func(t *testing.T) {
			t.Parallel()
			p := newProject(t, nil)
			dir := filepath.Join(examples, folder.Name())
			args := []string{"run", filepath.Join(dir, folder.Name()+".yaml"), "--context", "@" + filepath.Join(dir, "context.json")}
			if schema := filepath.Join(dir, "schema.rb"); exists(schema) { // its rows have ids, so no two runs are the same
				made := p.run("ruby", "--migrate", schema)
				require.Zero(t, made.code, made.stderr)
				r := p.run(args...)
				require.Zero(t, r.code, r.stderr)
				require.Regexp(t, `task \d+  \S+ \S+  complete\n`, r.stdout)
				return
			}

			first, second := p.run(append(args, "--output", "json")...), p.run(append(args, "--output", "json")...)
			for _, r := range []result{first, second} {
				require.Zero(t, r.code, r.stderr)
				var task taskJSON
				decoder := json.NewDecoder(strings.NewReader(r.stdout))
				decoder.DisallowUnknownFields()
				require.NoError(t, decoder.Decode(&task))
				require.Equal(t, "complete", task.Status)
				for _, s := range task.Steps {
					require.Equal(t, "complete", s.Status)
					require.False(t, s.CompletedAt.Before(s.StartedAt.Time))
				}
			}
			require.Equal(t, timeless(first.stdout), timeless(second.stdout))
			require.NotEqual(t, first.stdout, second.stdout, "two runs are two tasks")

			text := p.run(args...)
			require.Zero(t, text.code, text.stderr)
			require.Empty(t, text.stderr)
			require.Regexp(t, `task \d+  \S+ \S+  complete\n`, text.stdout)
			require.NotContains(t, text.stdout, "\x1b", "no colours but on a terminal")
		})
	}
}

// Programs read this JSON, so its keys, their order and the nulls must not
// change.
func TestTheJSONOfACompleteTask(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"power.yaml": `
name: power
namespace_name: math
version: 2.0.1
step_templates:
  - {name: double, handler_class: Double, depends_on_step: power}
  - {name: power, handler_class: Power}
`,
		"handlers/power.rb": `
class Power
  def process(task, _sequence, _step) = { "n" => 2**task.context["exponent"], "text" => "<é> & \u2028", "none" => nil }
end
class Double
  def process(_task, sequence, _step) = sequence.get_results("power")["n"] * 2
end
`,
	})
	p.env = []string{"TZ=Asia/Kathmandu"} // times are in UTC in every time zone
	r := p.run("run", "power.yaml", "--context", `{"exponent": 200}`, "--output", "json")
	require.Zero(t, r.code, r.stderr)
	require.Empty(t, r.stderr)
	require.Equal(t, `{
  "task_id": ID,
  "namespace": "math",
  "name": "power",
  "version": "2.0.1",
  "status": "complete",
  "steps": [
    {
      "name": "power",
      "status": "complete",
      "attempts": 1,
      "results": {
        "n": 1606938044258990275541962092341162602522202993782792835301376,
        "text": "<é> & `+"\u2028"+`",
        "none": null
      },
      "error": null,
      "started_at": TIME,
      "completed_at": TIME
    },
    {
      "name": "double",
      "status": "complete",
      "attempts": 1,
      "results": 3213876088517980551083924184682325205044405987565585670602752,
      "error": null,
      "started_at": TIME,
      "completed_at": TIME
    }
  ]
}
`, timeless(r.stdout))
}

func TestTheJSONOfATaskInError(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"order.yaml": `
name: order
step_templates:
  - {name: charge, handler_class: Charge}
  - {name: ship, handler_class: Charge, depends_on_step: charge}
`,
		"handlers/charge.rb": `
class Charge < Tasker::StepHandler::Base
  def process(_task, _sequence, _step)
    puts "about to charge"
    raise Tasker::PermanentError.new("the card was declined", error_code: "DECLINED")
  end
end
`,
	})
	r := p.run("run", "order.yaml", "--output", "json")
	require.Equal(t, exitTaskFailed, r.code, r.stderr)
	require.Equal(t, "charge | about to charge\n", r.stderr, "what handlers print must not spoil the JSON")
	require.Regexp(t, `^`+regexp.QuoteMeta(`{
  "task_id": ID,
  "namespace": "default",
  "name": "order",
  "version": "0.1.0",
  "status": "error",
  "steps": [
    {
      "name": "charge",
      "status": "error",
      "attempts": 1,
      "results": null,
      "error": {
        "class": "Tasker::PermanentError",
        "message": "the card was declined",
        "backtrace": [
          "`+p.dir+`/handlers/charge.rb:5:in `)+`[^]]*`+regexp.QuoteMeta(`
        ],
        "error_code": "DECLINED",
        "retryable": false
      },
      "started_at": TIME,
      "completed_at": null
    },
    {
      "name": "ship",
      "status": "pending",
      "attempts": 0,
      "results": null,
      "error": null,
      "started_at": null,
      "completed_at": null
    }
  ]
}
`)+`$`, timeless(r.stdout))
}

func TestContextFromStandardInput(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"echo.yaml":        "name: echo\nstep_templates:\n  - {name: only, handler_class: Echo}\n",
		"handlers/echo.rb": "class Echo\n  def process(task, _sequence, _step) = task.context.to_h\nend\n",
	})
	cmd := p.command("run", "echo.yaml", "--context", "-", "--output", "json")
	cmd.Stdin = strings.NewReader(`{"from": "a pipe"}`)
	out, err := cmd.Output()
	require.NoError(t, err)
	require.Contains(t, string(out), `"from": "a pipe"`)
}

func TestThePrivateDatabaseKeepsWhatIsInIt(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "handlers/fine.rb": fine})
	p.url = ""
	p.env = []string{"XDG_STATE_HOME=" + enterable(t), "TMPDIR=" + enterable(t)}
	for _, want := range []string{"task 1  default/one", "task 2  default/one"} {
		r := p.run("run", "one.yaml")
		require.Zero(t, r.code, r.stderr)
		require.Contains(t, r.stdout, want)
	}
	r := p.run("run", "one.yaml", "--scratch")
	require.Zero(t, r.code, r.stderr)
	require.Contains(t, r.stdout, "task 1  default/one")
}

// enterable makes a folder that every user may enter. Under root, PostgreSQL runs
// as another user.
func enterable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tasker-rb-cli-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

func TestMigrateFirst(t *testing.T) {
	t.Parallel()
	p := emptyProject(t)
	r := p.run("run", "one.yaml", "--migrate")
	require.Zero(t, r.code, r.stderr)
	require.Positive(t, p.written())
}

// The task is complete, but its result cannot be printed.
func TestAResultThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "handlers/fine.rb": fine})
	for _, format := range []string{"text", "json"} {
		cmd := p.command("run", "one.yaml", "--output", format)
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		require.NoError(t, err)
		var complaint strings.Builder
		cmd.Stdout, cmd.Stderr = full, &complaint
		require.Error(t, cmd.Run())
		require.NoError(t, full.Close())
		require.Equal(t, exitBadInput, cmd.ProcessState.ExitCode())
		require.Regexp(t, `^error: task \d was run, but its result could not be written: `+syscall.ENOSPC.Error()+"\nhint: `tasker-rb tasks show \\d` shows it.\n$", complaint.String())
	}
	require.Equal(t, 2, done(t, p, "complete"))
}
