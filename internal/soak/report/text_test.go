package report_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/charmbracelet/lipgloss"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/soak"
	"github.com/tasker-rb/tasker-rb/internal/soak/report"
)

func textOf(t *testing.T, r *soak.Result, o report.TextOptions) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, report.Text(&b, r, o))
	return b.String()
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")

func TestTextFitsTheTerminal(t *testing.T) {
	t.Parallel()
	for name, r := range odd() {
		for _, width := range []int{40, 60, 80, 120} {
			t.Run(fmt.Sprint(name, width), func(t *testing.T) {
				t.Parallel()
				text := textOf(t, r, report.TextOptions{Width: width, Colour: true})
				for line := range strings.Lines(text) {
					require.LessOrEqual(t, lipgloss.Width(strings.TrimSuffix(line, "\n")), width, line)
				}
				plain := textOf(t, r, report.TextOptions{Width: width})
				require.NotRegexp(t, `[\x00-\x09\x0b-\x1f\x{202e}]`, plain)
				require.NotContains(t, plain, "\n\n\n")
				require.Equal(t, trimmed(plain), trimmed(escapes.ReplaceAllString(text, "")), "colours change no letter")
			})
		}
	}
}

// trimmed has no spaces at the ends of lines.
func trimmed(s string) string { return regexp.MustCompile(` +\n`).ReplaceAllString(s, "\n") }

func TestTextOfALeak(t *testing.T) {
	t.Parallel()
	require.Equal(t, `leak: native memory grows by 66 bytes a step (64 to 68), above the budget of 1
in 19,998 tasks, 39,996 steps, 8 threads, 24 s (sampling 3.1 s)

  where       Ruby heap: Ruby objects that the handlers keep
              hint: the suspects say who holds them
              fragmentation: resident memory grows a little faster than what is in use
  class       Orders::Charge   66 bytes a call (64 to 68) of native memory in use
  suspect     String, 1 a task, 64 bytes a task
              allocated  handlers/charge.rb:12   SEEN << payload.dup
              stored in  handlers/charge.rb:12   SEEN << payload.dup
              held by    Orders::SEEN (handlers/charge.rb:3) → [1234]
              Array that gets larger, by 1 element a task, 8 bytes a task
              held by    Orders::SEEN

                             at start   at end   a step  interval         verdict
  native memory in use        40.9 MB  46.9 MB     66 B  61.5 to 70.5     leak
  Ruby heap in use            12.4 MB  14.6 MB   39.6 B  38.9 to 40.3     leak
  Go heap in use              6.11 MB  6.09 MB  -0.02 B  -0.577 to 0.537  flat
`, cutAfter(textOf(t, leaking(), report.TextOptions{Width: 120}), "Go heap in use"))
}

// cutAfter returns the lines up to the one with the mark.
func cutAfter(s, mark string) string {
	_, rest, _ := strings.Cut(s, mark)
	line, _, _ := strings.Cut(rest, "\n")
	return s[:len(s)-len(rest)+len(line)+1]
}

func TestTextOfANarrowTerminalKeepsWhatMattersMost(t *testing.T) {
	t.Parallel()
	wide := textOf(t, leaking(), report.TextOptions{Width: 120})
	require.Contains(t, wide, "interval")
	narrow := textOf(t, leaking(), report.TextOptions{Width: 60})
	require.NotContains(t, narrow, "interval")
	require.Regexp(t, `native memory in use .*66 B +leak`, narrow)
	r := leaking()
	r.Suspects[0].Allocated.File = "vendor/a_very_long_folder/and_another_one/handlers/charge.rb"
	require.Regexp(t, `allocated  ….*handlers/charge\.rb:12\n +SEEN << payload\.dup\n`, textOf(t, r, report.TextOptions{Width: 60}))
}

func TestTextOfOtherVerdicts(t *testing.T) {
	t.Parallel()
	require.Contains(t, textOf(t, level(), report.TextOptions{}), "\nIt holds for a budget of 1 byte a step, at 99 % confidence. These samples could\ntell 0.4 bytes a step from no growth.\n")
	undecided := textOf(t, open(), report.TextOptions{Width: 60})
	require.Contains(t, undecided, "About 12,000 more tasks would decide.\n  tasker-rb soak templates/charge.yaml --iterations 13950 \\\n  --budget 1\n", "the command can be copied")
	require.Contains(t, textOf(t, compared(), report.TextOptions{}), "native memory in use: 63 bytes a step faster (61 to 65): leak")
	require.Contains(t, textOf(t, odd()["many"], report.TextOptions{}), "39 more suspects in the report")
	require.Contains(t, textOf(t, odd()["interrupted"], report.TextOptions{}), ", no database,\ninterrupted\n")
	require.Contains(t, textOf(t, &soak.Result{}, report.TextOptions{}), "no verdict\n")
}

func TestTextInASCII(t *testing.T) {
	t.Parallel()
	r := leaking()
	r.Suspects[0].Allocated.Code = strings.Repeat("long ", 40)
	text := textOf(t, r, report.TextOptions{ASCII: true, Width: 70})
	require.NotRegexp(t, `[^\x00-\x7f]`, text)
	require.Contains(t, text, "Orders::SEEN (handlers/charge.rb:3) ->")
	require.Regexp(t, `long.*\.\.\n`, text)
}

func TestHoldersHaveNames(t *testing.T) {
	t.Parallel()
	for said, h := range map[string]soak.Holder{
		"$seen":                    {Kind: "global", Name: "$seen", Class: "Array"},
		"thread local [:cache]":    {Kind: "thread_local", Name: "[:cache]"},
		"Hash":                     {Kind: "reference", Class: "Hash"},
		"closure of Proc (a.rb:3)": {Kind: "closure", Class: "Proc", At: &soak.Line{File: "a.rb", Line: 3}},
		"root":                     {Kind: "root"},
	} {
		r := leaking()
		r.Suspects[0].Path = []soak.Holder{h}
		require.Contains(t, textOf(t, r, report.TextOptions{}), "held by    "+said+"\n")
	}
}
