package main

import (
	"context"
	"os/exec"

	"github.com/jackc/pgx/v5"
)

// A contender is one way to run the tasks.
type contender interface {
	// Name is the name in the tables.
	Name() string
	// Missing says what has to be installed, or nothing.
	Missing() []requirement
	// Runs says whether it can run a shape.
	Runs(Shape) bool
	// Prepare makes its tables and submits all tasks.
	Prepare(context.Context, *pgx.Conn, Work) error
	// Command is the program that runs the tasks.
	Command(context.Context, Work) *exec.Cmd
	// Verify fails if a task is not complete. The sum of the accounts is checked for
	// all contenders.
	Verify(context.Context, *pgx.Conn, Work) error
}

// A quiet contender does not say on its own when it works and when it is done. The others
// write "working" and "done" to the file that BENCH_FD numbers.
type quiet interface {
	// Working is part of the line in its log that says that it works.
	Working() string
	// Done says whether all tasks have ended.
	Done(context.Context, *pgx.Conn) (bool, error)
}

// A redisUser needs a Redis server.
type redisUser interface{ usesRedis() }

// requirement is a program or a library that is missing.
type requirement struct {
	What    string `json:"what"`
	Install string `json:"install"` // the command
}

// needProgram returns a requirement if the program is not in PATH.
func needProgram(name, install string) []requirement {
	if _, err := exec.LookPath(name); err != nil {
		return []requirement{{name, install}}
	}
	return nil
}

// needGem returns a requirement if Ruby does not find the library.
func needGem(feature, install string) []requirement {
	if missing := needProgram("ruby", "make setup"); missing != nil {
		return missing
	}
	if exec.Command("ruby", "-e", "require ARGV[0]", feature).Run() != nil {
		return []requirement{{"the Ruby library " + feature, install}}
	}
	return nil
}

const installContenders = "make bench/setup"
