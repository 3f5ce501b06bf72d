package main

import (
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
		turn{heard: prompt + "one", typed: controlC},
		turn{heard: `\^C\n(?s:.*)` + prompt, typed: "two"},
		turn{heard: prompt + "two", typed: controlC},
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
		turn{heard: prompt + "one", typed: controlC},
		turn{heard: `\^C\n(?s:.*)` + prompt, typed: "two"},
		turn{heard: prompt + "two", typed: controlC},
		turn{heard: `\^C\n(?s:.*)` + prompt, typed: "sleep 1.1; number = 6\n"},
		turn{heard: `\D6\n(?s:.*)` + prompt, typed: "next\n"},
		turn{heard: `(?s:.*)` + prompt, typed: "continue\n"},
	)
	require.Zero(t, code, said)
	require.NotContains(t, said, "warning")
	requireInOrder(t, said, "task 1 complete", `"number": 7`, `"number": 42`, "2 of 2 steps done")
}

// Without --debug the display has the terminal.
func TestIrbWithoutATerminalOfItsOwn(t *testing.T) {
	t.Parallel()
	p := asksProject(t, "binding.irb")
	said, code := p.talk(p.command("run", "asks.yaml"))
	require.Equal(t, exitTaskFailed, code)
	require.Contains(t, said, "binding.irb is not possible inside tasker-rb: the terminal is not the handler's here; use `tasker-rb run --debug`\n")
	r := p.run("run", "asks.yaml", "--threads", "1") // nobody can type, so it goes on; irb cannot begin twice at once
	require.Zero(t, r.code, r.stdout+r.stderr)
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
