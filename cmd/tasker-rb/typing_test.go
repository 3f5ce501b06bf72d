package main

import (
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// turn is what a person types when the program has said something since the last turn.
type turn struct {
	heard string // a regular expression; escape sequences are not in the text
	typed string
	busy  bool // there is no prompt
}

const (
	controlC = "\x03"
	controlD = "\x04"
)

// askForCursor is the question for the cursor's place, which editors of lines begin with.
const askForCursor = "\x1b[6n"

// keepOutput has the terminal keep what was written when ^C comes. By default it drops what
// nobody has read, after it has sent the signal: that may be the answer to the signal.
func keepOutput(t *testing.T, tty terminal) {
	t.Helper()
	fd := int(tty.ours.Fd())
	settings, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	require.NoError(t, err)
	settings.Lflag |= unix.NOFLSH
	require.NoError(t, unix.IoctlSetTermios(fd, unix.TCSETS, settings))
}

// awaitEditor waits until an editor of lines reads keys: the terminal hands on each, and
// makes a signal of ^C. What is typed before may be lost.
func awaitEditor(tty terminal) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		settings, err := unix.IoctlGetTermios(int(tty.ours.Fd()), unix.TCGETS)
		if err != nil || settings.Lflag&unix.ICANON == 0 && settings.Lflag&unix.ISIG != 0 {
			return
		}
	}
}

// talk runs the command on a terminal where a person takes turns with it.
func (p *project) talk(cmd *exec.Cmd, turns ...turn) (said string, code int) {
	p.t.Helper()
	tty := openTerminal(p.t, 100, 40)
	keepOutput(p.t, tty)
	answered, at := 0, 0
	cmd.Env = append(cmd.Env, "HOME="+p.dir, "XDG_STATE_HOME="+p.dir+"/state", "XDG_CONFIG_HOME="+p.dir)
	write := func(text string) {
		_, err := tty.ours.WriteString(text)
		assert.NoError(p.t, err)
	}
	var typing sync.WaitGroup
	var types atomic.Bool
	said = p.attach(tty, cmd, func(said string) {
		for ; answered < strings.Count(said, askForCursor); answered++ {
			write("\x1b[1;1R")
		}
		if len(turns) == 0 || types.Load() {
			return
		}
		heard := sequence.ReplaceAllString(said, "")
		if found := regexp.MustCompile(turns[0].heard).FindStringIndex(heard[at:]); found != nil {
			at += found[1]
			now := turns[0]
			turns = turns[1:]
			types.Store(true)
			typing.Go(func() {
				if !now.busy {
					awaitEditor(tty)
				}
				types.Store(false) // before the echo
				write(now.typed)
			})
		}
	})
	typing.Wait()
	said = sequence.ReplaceAllString(said, "")
	require.Empty(p.t, turns, said)
	return said, cmd.ProcessState.ExitCode()
}
