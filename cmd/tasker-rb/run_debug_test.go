package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// asks has two steps that could run at once. Their time is up soon, unless a person debugs.
func asksProject(t *testing.T, breakpoint string) *project {
	return newProject(t, map[string]string{
		"asks.yaml": `
name: asks
step_templates:
  - {name: first, handler_class: Asks, timeout_seconds: 1}
  - {name: second, handler_class: Asks, timeout_seconds: 1}
`,
		"handlers/asks.rb": `
class Asks
  def process(_task, _sequence, step)
    number = 41
    puts "at #{step.name}"
    ` + breakpoint + `
    number += 1
    { "number" => number }
  end
end
`,
	})
}

func TestIrbInAStep(t *testing.T) {
	t.Parallel()
	p := asksProject(t, "binding.irb")
	const prompt = `irb\(.*\):\d+(:0)?> `
	said, code := p.talk(p.command("run", "asks.yaml", "--debug"),
		turn{heard: `at (first|second)\n(?s:.*)` + prompt, typed: "number\n"},
		turn{heard: `=> 41\n(?s:.*)` + prompt, typed: "one"},
		turn{heard: "one", typed: controlC},
		turn{heard: `\^C\n(?s:.*)` + prompt, typed: "two"},
		turn{heard: "two", typed: controlC},
		turn{heard: `\^C\n(?s:.*)` + prompt, typed: "puts 'be' + 'gun'; sleep\n"},
		turn{heard: "begun", typed: controlC, busy: true},
		turn{heard: `IRB::Abort(?s:.*)` + prompt, typed: "sleep 1.1; number = 6\n"}, // its time were up
		turn{heard: `=> 6\n(?s:.*)` + prompt, typed: "exit\n"},
		turn{heard: `at (first|second)\n(?s:.*)` + prompt, typed: controlD},
	)
	require.Zero(t, code, said)
	require.NotContains(t, said, "warning")
	requireInOrder(t, said, "task 1 complete", `"number": 7`, `"number": 42`, "2 of 2 steps done")
}

func TestADebuggerInAStep(t *testing.T) {
	t.Parallel()
	p := asksProject(t, `debugger if step.name == "first"`)
	const prompt = `\(rdbg\) `
	said, code := p.talk(p.command("run", "asks.yaml", "--debug"),
		turn{heard: `at first\n(?s:.*)` + prompt, typed: "p number\n"},
		turn{heard: `=> 41\n(?s:.*)` + prompt, typed: "one"},
		turn{heard: "one", typed: controlC},
		turn{heard: `\^C\n(?s:.*)` + prompt, typed: "two"},
		turn{heard: "two", typed: controlC},
		turn{heard: `\^C\n(?s:.*)` + prompt, typed: "sleep 1.1; number = 6\n"},
		turn{heard: `\D6\n(?s:.*)` + prompt, typed: "next\n"},
		turn{heard: `(?s:.*)` + prompt, typed: "continue\n"},
	)
	require.Zero(t, code, said)
	require.NotContains(t, said, "warning")
	requireInOrder(t, said, "task 1 complete", `"number": 7`, `"number": 42`, "2 of 2 steps done")
}

// Without --debug the display has the terminal, and elsewhere nobody can type.
func TestAPromptWithoutATerminalOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"binding.irb", "debugger", "binding.b"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			p := asksProject(t, call)
			// Here the time counts. It is not what this is about, and the debugger takes long to load.
			p.write(map[string]string{"asks.yaml": strings.ReplaceAll(p.read("asks.yaml"), "timeout_seconds: 1}", "timeout_seconds: 120}")})
			refused := call + " at handlers/asks.rb:6 is not possible inside tasker-rb: a prompt cannot use the terminal here; `tasker-rb run --debug TEMPLATE`, on a terminal, opens one\n"
			said, code := p.talk(p.command("run", "asks.yaml"))
			require.Equal(t, exitTaskFailed, code)
			require.Contains(t, said, refused)
			cmd := p.command("run", "asks.yaml")
			cmd.Stdin = strings.NewReader("number = 6\n")
			r := p.follow(cmd, func(string) {})
			require.Equal(t, exitTaskFailed, r.code)
			requireInOrder(t, r.stdout, "ended in error (attempt 1 of 3)", "error after 1 attempt; such an error is not retried\n", refused)
			require.NotContains(t, r.stdout+r.stderr, "warning")
		})
	}
}

// While no prompt is there, ^C ends the run as it does without --debug.
func TestNoPromptTakesTheInterrupt(t *testing.T) {
	t.Parallel()
	for name, breakpoint := range map[string]string{"Irb": "binding.irb", "Debugger": "debugger"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := asksProject(t, breakpoint+`; puts "goes" + " on"; sleep`)
			said, code := p.talk(p.command("run", "asks.yaml", "--debug"),
				turn{heard: `at (first|second)\n(?s:.*)(irb.*> |\(rdbg\) )`, typed: map[string]string{"Irb": "exit\n", "Debugger": "continue\n"}[name]},
				turn{heard: "goes on\n", typed: controlC, busy: true},
			)
			require.Equal(t, exitInterrupted, code, said)
			require.Contains(t, said, "error: interrupted\n")
		})
	}
}

// Who quits at a prompt ends the run as ^C does, and not the step alone.
func TestQuitAtAPrompt(t *testing.T) {
	t.Parallel()
	const inIrb, inDebug = `irb.*> `, `\(rdbg\) `
	for name, c := range map[string]struct {
		breakpoint string
		turns      []turn
	}{
		"Irb":      {"binding.irb", []turn{{heard: `exit or \^D goes on; exit! ends the run\n(?s:.*)` + inIrb, typed: "exit!\n"}}},
		"Debugger": {"debugger", []turn{{heard: inDebug, typed: "q\n"}, {heard: `Really quit\?.* `, typed: "y\n", busy: true}}},
		"TheEnd":   {"debugger", []turn{{heard: inDebug, typed: controlD}, {heard: `Really quit\?.* `, typed: "y\n", busy: true}}},
		"AtOnce":   {"debugger", []turn{{heard: inDebug, typed: "q!\n"}}},
		"Kill":     {"debugger", []turn{{heard: inDebug, typed: "kill!\n"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := asksProject(t, `Tasker.db.exec("CREATE TABLE began ()"); begin; `+c.breakpoint+`; number += 1; ensure puts "cleaned" + " up"; end; puts "went" + " on"`)
			said, code := p.talk(p.command("run", "asks.yaml", "--debug"), c.turns...)
			require.Equal(t, exitInterrupted, code, said)
			require.Equal(t, 1, strings.Count(said, "cleaned up\n"), said)
			require.Contains(t, said, "error: interrupted\n")
			require.NotContains(t, said, "went on\n")
			require.NotContains(t, said, "main thread")
			require.NotContains(t, said, "DEBUGGER Exception")
			require.NotContains(t, said, "Tasker::Host")
			require.Equal(t, "pending pending", p.sql("select string_agg(state::text, ' ') from tasker.steps"))
			require.Equal(t, "0", p.sql("select count(*) from pg_class where relname = 'began'"))
		})
	}
}

func TestIrbInAProgram(t *testing.T) {
	t.Parallel()
	p := emptyProject(t)
	p.write(map[string]string{"program.rb": "number = 41\nbinding.irb\nputs \"ends with #{number}\"\n"})
	said, code := p.talk(p.command("ruby", "program.rb"),
		turn{heard: `irb\(main\):\d+(:0)?> `, typed: "number = 6\n"},
		turn{heard: `=> 6\n(?s:.*)> `, typed: "one"},
		turn{heard: "> one", typed: controlC},
		turn{heard: `\^C\n(?s:.*)> `, typed: "exit\n"},
	)
	require.Zero(t, code, said)
	require.NotContains(t, said, "warning")
	require.Contains(t, said, "ends with 6\n")
}

// A program's own trap of ^C is called when a person is there.
func TestAProgramTrapsTheInterrupt(t *testing.T) {
	t.Parallel()
	p := emptyProject(t)
	said, code := p.talk(p.command("ruby", "-e", `trap("INT") { puts "trapped"; exit 7 }; puts "waits"; sleep`), turn{heard: "waits\n", typed: controlC, busy: true})
	require.Equal(t, 7, code)
	require.Contains(t, said, "trapped\n")
}

// The prompt says what exit! ends.
func TestAPromptSaysWhatItsEndEnds(t *testing.T) {
	t.Parallel()
	p := emptyProject(t)
	help := func(ends string) string { return `exit or \^D goes on; exit! ends ` + ends + `\n(?s:.*)> ` }
	said, code := p.talk(p.command("console"),
		turn{heard: `\)> `, typed: "n = 5; binding.irb\n"},
		turn{heard: help("the console"), typed: "exit\n"},
		turn{heard: `\)> `, typed: "binding.irb\n"},
		turn{heard: help("the console"), typed: "exit!\n"},
	)
	require.Zero(t, code, said)
	require.NotContains(t, said, "nterrupt")
	said, code = p.talk(p.command("ruby", "-e", "binding.irb"), turn{heard: help("the program"), typed: "exit!\n"})
	require.Equal(t, exitInterrupted, code, said)
}
