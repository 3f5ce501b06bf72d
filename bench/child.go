package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/cockroachdb/errors"
)

// A contender in Go is a process of its own: this program, with the arguments child
// and NAME.
var children = map[string]func(ctx context.Context, w Work, say func(string)) error{
	"floor": runFloor, "engine": runEngine, "dbos": runDBOS, "river": runRiver,
}

func childCommand(ctx context.Context, name string, w Work) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "child", name)
	cmd.Env = append(os.Environ(), workVariable+"="+w.json())
	return cmd
}

// scriptCommand is a contender in Ruby, from the folder contenders.
func scriptCommand(ctx context.Context, w Work, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), workVariable+"="+w.json())
	return cmd
}

// runScript runs a program of a contender to its end.
func runScript(ctx context.Context, w Work, program string, args ...string) error {
	output, err := scriptCommand(ctx, w, program, args...).CombinedOutput()
	return errors.WithHint(errors.Wrapf(err, "%s %q", program, args), string(output))
}

func (w Work) json() string {
	b, err := json.Marshal(w)
	if err != nil {
		panic(err) // numbers and strings only
	}
	return string(b)
}

// runChild runs a contender's program in this process, until it is told to end.
func runChild(name string) error {
	run, found := children[name]
	if !found {
		return errors.Newf("there is no contender %q", name)
	}
	var w Work
	if err := json.Unmarshal([]byte(os.Getenv(workVariable)), &w); err != nil {
		return errors.Wrap(err, workVariable)
	}
	fd, err := strconv.Atoi(os.Getenv(signalVariable))
	if err != nil {
		return errors.Wrap(err, signalVariable)
	}
	signals := os.NewFile(uintptr(fd), "signals")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return run(ctx, w, func(word string) {
		_, _ = fmt.Fprintln(signals, word)
		if word == "done" {
			<-ctx.Done() // the times of processes and connections that have ended are hard to read
		}
	})
}
