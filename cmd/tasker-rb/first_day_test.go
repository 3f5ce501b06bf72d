package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// What a user does in the first days, as scripts: the commands, and what is printed. Each
// has a folder and a database of its own.
func TestTheFirstDay(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("testdata/first_day/*.txtar")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(scripts), 10)
	path := t.TempDir()
	require.NoError(t, os.Symlink(binary, filepath.Join(path, "tasker-rb")))
	testscript.Run(t, testscript.Params{
		Files:               scripts,
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			for _, v := range plainEnvironment() {
				name, value, _ := strings.Cut(v, "=")
				if name != "HOME" && name != "TMPDIR" && name != "PWD" {
					e.Setenv(name, value)
				}
			}
			e.Setenv("PATH", path+":"+os.Getenv("PATH"))
			e.Setenv("DATABASE_URL", pgtest.URL(t, pgtest.WithTemplate(orchestration.Migrate)))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"tasker-rb": taskerRB, "until": until},
	})
}

// taskerRB runs the program. A line that begins with ! wants it to fail.
func taskerRB(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec(binary, args...)
	if neg && err == nil {
		ts.Fatalf("tasker-rb %s succeeded", strings.Join(args, " "))
	}
	if !neg {
		ts.Check(err)
	}
}

// until repeats a command until it prints what is wanted.
func until(ts *testscript.TestScript, neg bool, args []string) {
	wanted := regexp.MustCompile(args[0])
	for deadline := time.Now().Add(patience); ; {
		cmd := exec.Command(binary, args[2:]...)
		cmd.Dir = ts.Getenv("WORK")
		cmd.Env = append(os.Environ(), "DATABASE_URL="+ts.Getenv("DATABASE_URL"))
		out, err := cmd.CombinedOutput()
		if err == nil && wanted.Match(out) != neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
