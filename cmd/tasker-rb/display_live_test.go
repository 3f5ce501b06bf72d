package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// terminal holds both ends of a terminal that answers no queries.
type terminal struct{ ours, theirs *os.File }

func openTerminal(t *testing.T, columns, rows uint16) terminal {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = ours.Close() })
	fd := int(ours.Fd())
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	theirs, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}))
	return terminal{ours, theirs}
}

// on runs the command on the terminal and returns its whole output.
func (p *project) on(tty terminal, args ...string) string {
	p.t.Helper()
	return p.attach(tty, p.command(args...), nil)
}

// onUntilShown runs the command on the terminal. Its handlers wait for the file "shown",
// which is written when a picture matches the pattern.
func (p *project) onUntilShown(pattern string, tty terminal, args ...string) string {
	p.t.Helper()
	shown := regexp.MustCompile(pattern)
	return p.attach(tty, p.command(args...), func(said string) {
		if shown != nil && shown.MatchString(strings.Join(pictures(said), "\n")) {
			shown = nil
			p.write(map[string]string{"shown": ""})
		}
	})
}

// untilShown is what a handler does in a test with onUntilShown.
const untilShown = `sleep 0.01 until File.exist?(File.join(__dir__, "..", "shown"))`

// shellOn runs a command line in a shell on the terminal.
func (p *project) shellOn(tty terminal, line string) string {
	p.t.Helper()
	shell, err := exec.LookPath("sh")
	require.NoError(p.t, err)
	cmd := p.command()
	cmd.Path, cmd.Args = shell, []string{"sh", "-c", line}
	return p.attach(tty, cmd, nil)
}

// attach runs a command on the terminal and returns its output. If watch is not nil, it
// is called with the output so far.
func (p *project) attach(tty terminal, cmd *exec.Cmd, watch func(said string)) string {
	p.t.Helper()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty.theirs, tty.theirs, tty.theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(p.t, cmd.Start())
	require.NoError(p.t, tty.theirs.Close())
	var said strings.Builder
	text := func() string { return strings.ReplaceAll(said.String(), "\r\n", "\n") }
	for some := make([]byte, 4096); ; {
		n, err := tty.ours.Read(some)
		said.Write(some[:n])
		if errors.Is(err, syscall.EIO) { // Linux returns EIO when the other end is closed
			break
		}
		require.NoError(p.t, err)
		if watch != nil {
			watch(text())
		}
	}
	_ = cmd.Wait()
	return text()
}

var (
	colour   = regexp.MustCompile(`\x1b\[[\d;]*m`)
	sequence = regexp.MustCompile(`\x1b\[[?\d;]*[a-zA-Z]`)
)

// pictures returns the frames that were drawn one over the other. The last frame
// includes the text after it.
func pictures(text string) []string {
	return strings.Split(colour.ReplaceAllString(text, ""), eraseBelow)
}

func liveProject(t *testing.T) *project {
	return newProject(t, map[string]string{
		"order.yaml": `
name: order
step_templates:
  - {name: reserve, handler_class: Reserve}
  - {name: charge, handler_class: Charge, depends_on_step: reserve, default_retry_limit: 2, backoff: {curve: none}}
  - {name: ship, handler_class: Reserve, depends_on_step: charge}
`,
		"handlers/order.rb": `
class Reserve
  def process(_task, _sequence, step)
    puts "reserving"
    ` + untilShown + `
    sleep 0.3
    { "ok" => true }
  end
end
class Charge
  def process(_task, _sequence, step)
    raise Tasker::RetryableError.new("the bank is busy", retry_after: 2) if step.attempts == 1
    raise Tasker::PermanentError.new("declined", error_code: "D1")
  end
end
`,
	})
}

func TestTheLiveDisplay(t *testing.T) {
	t.Parallel()
	p := liveProject(t)
	const printed = `reserve \| reserving\ndefault/order 0.1.0  0/3 done, \d+\.\ds\n  \S reserve  \d+\.\ds\n  · charge\n  · ship\n`
	said := p.onUntilShown(printed, openTerminal(t, 100, 40), "run", "order.yaml")
	frames := pictures(said)
	seen := strings.Join(frames, "\n")
	require.Regexp(t, printed, seen)
	const atLeast300ms = `([3-9]\d\dms|\d+(\.\d+)?s)`
	require.Regexp(t, `default/order 0\.1\.0  1/3 done, 1 retrying, \d+\.\ds\n`, seen)
	require.Regexp(t, `  ✓ reserve  `+atLeast300ms+`\n  ↻ charge   again in [012]\.\ds \(attempt 1 of 2\)\n      Tasker::RetryableError: the bank is busy\n  · ship\n`, seen)
	last := plainLabels(sequence.ReplaceAllString(frames[len(frames)-1], ""))
	requireInOrder(t, last,
		"default/order 0.1.0  1/3 done, 1 failed, ", "  ✓ reserve  ", "\n  ✗ charge   (attempt 2 of 2)\n      Tasker::PermanentError: declined\n  · ship\n",
		"\ntask ", "  default/order 0.1.0  error\n", "\ncharge  error after 2 attempts\n", "Tasker::PermanentError: declined\n  error code D1\n    from ", "handlers/order.rb:13:in 'process'\n")
	require.Regexp(t, colour, said)
	require.Greater(t, strings.LastIndex(said, showCursor), strings.LastIndex(said, hideCursor), "the cursor must come back")
}

// A signal that ends the process at once leaves the cursor on the terminal.
func TestASignalLeavesTheCursor(t *testing.T) {
	t.Parallel()
	for _, signals := range [][]syscall.Signal{{syscall.SIGINT, syscall.SIGINT}, {syscall.SIGHUP}, {syscall.SIGQUIT}, {syscall.SIGKILL}} {
		t.Run(signals[len(signals)-1].String(), func(t *testing.T) {
			t.Parallel()
			p := newProject(t, map[string]string{"long.yaml": one("Stubborn"), "handlers/stubborn.rb": stubborn})
			cmd := p.command("run", "long.yaml")
			shown := []string{`only \| in the middle\n(?s:.*)default/one`, `only \| held up\n(?s:.*)default/one`}
			said := p.attach(openTerminal(t, 100, 40), cmd, func(said string) {
				if len(signals) > 0 && regexp.MustCompile(shown[0]).MatchString(strings.Join(pictures(said), "\n")) {
					assert.NoError(t, cmd.Process.Signal(signals[0]))
					signals, shown = signals[1:], shown[1:]
				}
			})
			require.Empty(t, signals, said)
			require.False(t, cmd.ProcessState.Success())
			require.Greater(t, strings.LastIndex(said, showCursor), strings.LastIndex(said, hideCursor), "%q", said)
		})
	}
}

func TestANarrowTerminalWithoutColours(t *testing.T) {
	t.Parallel()
	p := liveProject(t)
	p.write(map[string]string{"shown": ""})
	p.env = []string{"NO_COLOR=1", "LC_ALL=C"}
	said := p.on(openTerminal(t, 30, 40), "run", "order.yaml")
	require.NotRegexp(t, colour, said)
	frames := pictures(said)
	for _, frame := range frames[:len(frames)-1] {
		_, picture, _ := strings.Cut(frame, "default/order 0.1.0 ")
		for line := range strings.Lines(sequence.ReplaceAllString(picture, "")) {
			require.LessOrEqual(t, len(strings.TrimSuffix(line, "\n")), 30, frame)
			require.NotRegexp(t, `[^\x00-\x7f]`, line, "the locale is not UTF-8")
		}
	}
	require.Regexp(t, `\n  ~ charge   again in [012]\.\ds \(\.\.\n      Tasker::RetryableErr\S*\.\.\n`, strings.Join(frames, "\n"))
}

func TestALowTerminalShowsWhatGoesOn(t *testing.T) {
	t.Parallel()
	template := "name: many\nstep_templates:\n"
	for i := range 12 {
		template += fmt.Sprintf("  - {name: step%02d, handler_class: Slow%s}\n", i, map[bool]string{true: ", depends_on_step: step00"}[i > 0])
	}
	p := newProject(t, map[string]string{"many.yaml": template, "handlers/slow.rb": "class Slow\n  def process(*)\n    " + untilShown + "\n  end\nend\n"})
	const first = `default/many 0.1.0  0/12 done, \d+\.\ds\n  \S step00  \d+\.\ds\n(  · step\d\d\n){4}  and 7 more: 7 not begun\n`
	said := p.onUntilShown(first, openTerminal(t, 80, 8), "run", "many.yaml")
	require.Regexp(t, first, strings.Join(pictures(said), "\n"))
	frames := pictures(said)
	require.Equal(t, 12, strings.Count(frames[len(frames)-1], "✓ step"), "the last picture is whole")
}

func TestALowTerminalCountsWhatItLeavesOut(t *testing.T) {
	t.Parallel()
	template := "name: many\nstep_templates:\n"
	for i, class := range []string{"Slow", "Fails", "Again", "Again", "Fails", "Slow", "Slow"} {
		template += fmt.Sprintf("  - {name: step%d, handler_class: %s, default_retry_limit: 100}\n", i, class)
	}
	p := newProject(t, map[string]string{"many.yaml": template, "handlers/many.rb": `
class Slow
  def process(*)
    ` + untilShown + `
  end
end
class Fails
  def process(*) = raise(Tasker::PermanentError, "no")
end
class Again
  def process(*)
    raise Tasker::RetryableError.new("later", retry_after: 1) unless File.exist?(File.join(__dir__, "..", "shown"))
  end
end
`})
	const counts = `0/7 done, 2 retrying, 2 failed, .*\n  and 4 more: 1 running, 2 retrying, 1 failed\n`
	said := p.onUntilShown(`(?s)`+counts, openTerminal(t, 80, 7), "run", "many.yaml")
	require.Regexp(t, `(?s)`+counts, strings.Join(pictures(said), "\n"))
}

// Long names give way to the times and the attempts.
func TestLongNamesAreShortened(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("reconcile_ledger_", 4)
	p := newProject(t, map[string]string{
		"t.yaml":        "name: t\nstep_templates:\n  - {name: " + long + "alpha, handler_class: Slow}\n  - {name: " + long + "omega, handler_class: Again, default_retry_limit: 9}\n",
		"handlers/h.rb": "class Slow\n  def process(*)\n    " + untilShown + "\n  end\nend\nclass Again\n  def process(*)\n    raise Tasker::RetryableError.new('busy', retry_after: 1) unless File.exist?(File.join(__dir__, '..', 'shown'))\n  end\nend\n",
	})
	name := func(end string) string { return regexp.QuoteMeta(marksFor(true).shrink(long+end, 80-besideName)) }
	require.Len(t, []rune(marksFor(true).shrink(long+"alpha", 42)), 42)
	printed := `t 0.1.0  0/2 done, 1 retrying, \d+\.\ds\n  \S ` + name("alpha") + `  \d+\.\ds\n  ↻ ` + name("omega") + `  again in \d\.\ds \(attempt \d of 9\)\n      Tasker::RetryableError: busy\n`
	said := p.onUntilShown(printed, openTerminal(t, 80, 24), "run", "t.yaml")
	require.Regexp(t, printed, strings.Join(pictures(said), "\n"))
}

func TestADumbTerminalGetsPlainLines(t *testing.T) {
	t.Parallel()
	p := liveProject(t)
	p.write(map[string]string{"shown": ""})
	p.env = []string{"TERM=dumb"}
	said := p.on(openTerminal(t, 100, 40), "run", "order.yaml")
	require.NotContains(t, said, "\x1b")
	requireInOrder(t, said, "reserve  started\n", "reserve | reserving\n", "reserve  complete in ", "charge   failed (attempt 1 of 2)", "charge   ended in error (attempt 2 of 2)")
}

// A terminal that answers no queries must not delay a command.
func TestNoCommandAsksTheTerminal(t *testing.T) {
	t.Parallel()
	p := &project{t: t, dir: t.TempDir()}
	said := p.on(openTerminal(t, 100, 40), "templates", "--help")
	require.Contains(t, said, "lint")
	require.NotContains(t, said, "\x1b")
}

// A terminal that becomes narrower wraps the lines of the picture. The next
// picture is drawn over all of them.
func TestATerminalThatBecomesNarrower(t *testing.T) {
	t.Parallel()
	tty := openTerminal(t, 100, 40)
	b := terminalBlock{out: tty.theirs}
	read := func(end string) string { // a terminal gives what was written at once in pieces
		var said strings.Builder
		for some := make([]byte, 4096); !strings.HasSuffix(said.String(), end); {
			n, err := tty.ours.Read(some)
			require.NoError(t, err)
			said.Write(some[:n])
		}
		return said.String()
	}
	last := bold.Render("1234567")
	for _, up := range []string{"", "\x1b[3A"} {
		require.NoError(t, b.draw(nil, []string{"short", strings.Repeat("x", 100), last}))
		said := read(last + "\r\n" + showCursor)
		require.Contains(t, said, up)
		require.Equal(t, up != "", strings.Contains(said, "A"), "%q", said)
	}
	require.NoError(t, unix.IoctlSetWinsize(int(tty.ours.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: 30, Row: 40}))
	require.NoError(t, b.draw(nil, []string{"short"}))
	require.Contains(t, read(showCursor), "\x1b[6A")
}
