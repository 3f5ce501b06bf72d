package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/tasker-rb/tasker-rb/templates"
)

// watch runs the task, and again after each change, until ^C.
func (d *devCommand) watch(cmd *cobra.Command, file string) (err error) {
	ctx := cmd.Context()
	again, _ := drains(ctx)
	look, err := d.watched(file)
	if err != nil {
		return err
	}
	db, err := openDatabase(ctx, false) // it stays up between two runs
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, db.close()) }()
	if err := checkDatabase(ctx, db); err != nil {
		return err
	}
	w := &devWatch{cmd: cmd, look: look, again: again, enter: readEnter(cmd.InOrStdin())}
	for role := (devRole{}); ; {
		ended, anew, err := w.round(role)
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			if ended.interrupted && ended.task != 0 {
				return &interruptedRun{ended.task, d.run.handlers.code(cmd, file)}
			}
			return &exitError{exitInterrupted}
		}
		role.anew = anew
		if ended.task != 0 {
			role.task = ended.task
		}
	}
}

// watched returns what looks at the files that matter: the template, the handlers, and what
// the flags name.
func (d *devCommand) watched(file string) (look func() map[string]fileState, err error) {
	if info, err := os.Stat(file); err != nil || info.IsDir() { // no save corrects the name
		_, err := templates.Load(file)
		return nil, err
	}
	folders, err := d.run.handlers.folders(file)
	if err != nil {
		return nil, err
	}
	folders = append(relative(folders), d.run.handlers.loadPath...)
	files := []string{file}
	if named, is := strings.CutPrefix(d.run.context, "@"); is {
		files = append(files, named)
	}
	for _, feature := range d.run.handlers.requires { // a file, or a name on the load path
		files = append(files, feature, feature+".rb")
	}
	if gemfile := d.run.handlers.gemfile; gemfile != "" {
		files = append(files, gemfile, gemfile+".lock")
	}
	return func() map[string]fileState { return filesState(folders, files) }, nil
}

// devWatch is what all runs of one command share.
type devWatch struct {
	cmd   *cobra.Command
	look  func() map[string]fileState
	again <-chan struct{} // the second ^C
	enter <-chan struct{}
}

// round makes one run, and waits for what begins the next one. anew means that this is not
// to go on with the same task.
func (w *devWatch) round(role devRole) (ended *devProcess, anew bool, err error) {
	ctx, said := w.cmd.Context(), w.cmd.ErrOrStderr()
	before := w.look()
	p, err := w.start(role)
	if err != nil {
		return nil, false, err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	changes := make(chan []string, 1)
	go func() { changes <- awaitChange(watching, w.look, before) }()
	over := p.over
	for {
		select {
		case <-over:
			over = nil
			p.sayEnd(said)
			fmt.Fprintf(said, "\nwatching %s; %s^C ends\n", plural(len(before), "file"), w.offers(p))
		case changed := <-changes: // none after ^C
			if len(changed) == 0 {
				if file, is := said.(*os.File); over == nil && is && term.IsTerminal(int(file.Fd())) {
					fmt.Fprintln(said) // the terminal has echoed ^C
				}
				w.interrupt(p)
				return p, false, nil
			}
			p.end()
			fmt.Fprintf(said, "changed: %s\n\n", printable(strings.Join(changed, " ")))
			return p, false, nil
		case <-w.enter:
			p.end()
			return p, true, nil
		}
	}
}

// offers says what the next run does.
func (w *devWatch) offers(p *devProcess) string {
	next := ""
	if p.code == exitTaskFailed {
		next = "a save of a handler goes on from the failed step; "
	}
	if w.enter != nil {
		next += "Enter begins a new task; "
	}
	return next
}

// devProcess is the process of a run.
type devProcess struct {
	process *os.Process
	over    chan struct{} // closed when it has ended; from then on the fields below are set

	state       *os.ProcessState
	code        int
	interrupted bool
	task        int64 // 0 if there was none yet
}

// start starts a run.
func (w *devWatch) start(role devRole) (*devProcess, error) {
	var pipes [4]*os.File
	var err error
	if pipes[0], pipes[1], err = os.Pipe(); err == nil {
		pipes[2], pipes[3], err = os.Pipe()
	}
	if err != nil {
		return nil, errors.Wrap(err, "starting a run")
	}
	alive, stillHere, reports, report := pipes[0], pipes[1], pipes[2], pipes[3]
	child := exec.Command(self, os.Args[1:]...)
	child.Args[0] = os.Args[0]
	child.Env = append(os.Environ(), devRoleVariable+"="+role.String())
	child.Stdout, child.Stderr = standardOutput(w.cmd), os.Stderr
	child.ExtraFiles = []*os.File{alive, report}
	child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's ^C comes from here only
	err = child.Start()
	_, _ = alive.Close(), report.Close()
	if err != nil {
		_, _ = stillHere.Close(), reports.Close()
		return nil, errors.Wrap(err, "starting a run")
	}
	p := &devProcess{process: child.Process, over: make(chan struct{})}
	told := make(chan int64, 1)
	go func() { told <- readTask(reports) }()
	go func() {
		_ = child.Wait()                                         // the state says it
		_ = reports.SetReadDeadline(time.Now().Add(time.Second)) // a child of its own may keep the pipe open
		p.task = <-told
		_, _ = reports.Close(), stillHere.Close()
		p.state, p.code = child.ProcessState, child.ProcessState.ExitCode()
		p.interrupted = p.code == exitInterrupted
		close(p.over)
	}()
	return p, nil
}

// readTask reads the number that a run reports.
func readTask(reports io.Reader) int64 {
	line, _ := bufio.NewReader(reports).ReadString('\n')
	task, _ := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	return task
}

// sayEnd says how a run ended that could not say it itself.
func (p *devProcess) sayEnd(said io.Writer) {
	if p.code < 0 {
		fmt.Fprintf(said, "error: the run ended by itself: %v\n", p.state)
	}
}

// endPatience is how long a run may take to end for the next one. Only a test links the
// program with another one.
var endPatience = "2s"

// end interrupts the run. If a handler does not let itself be interrupted, it kills it.
func (p *devProcess) end() {
	patience, _ := time.ParseDuration(endPatience) // it is valid
	_ = p.process.Signal(syscall.SIGINT)           // it may have ended
	select {
	case <-p.over:
	case <-time.After(patience):
		_ = p.process.Kill()
		<-p.over
	}
}

// interrupt passes ^C on to the run, and waits for its end. The second ^C ends it at once.
func (w *devWatch) interrupt(p *devProcess) {
	_ = p.process.Signal(syscall.SIGINT)
	select {
	case <-p.over:
	case <-w.again:
		_ = p.process.Kill()
		<-p.over
		p.interrupted = true
	}
}

// readEnter returns a channel that gets a value for each line of a terminal, or nil if there
// is no terminal to read from.
func readEnter(in io.Reader) <-chan struct{} {
	file, is := in.(*os.File)
	if !is || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	group, err := unix.IoctlGetInt(int(file.Fd()), unix.TIOCGPGRP)
	if err != nil || group != unix.Getpgrp() { // in the background a read would stop the process
		return nil
	}
	enter := make(chan struct{})
	go func() {
		for lines := bufio.NewScanner(file); lines.Scan(); {
			if text := strings.TrimSpace(lines.Text()); text == "" || text == "a" {
				enter <- struct{}{}
			}
		}
	}()
	return enter
}
