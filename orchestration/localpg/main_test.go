package localpg_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/leaktest"
	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

// commandVariable makes the test binary a command that uses a server. Its value is
// the command's order, as JSON.
const commandVariable = "LOCALPG_TEST_COMMAND"

// order says what a command of the tests does.
type order struct {
	Options localpg.Options
	Dial    string // instead: connect to this socket, and report the result

	Prepared string // the folder of a prepared database, whose filling never ends
}

func TestMain(m *testing.M) {
	if text := os.Getenv(commandVariable); text != "" {
		obey(text)
		os.Exit(0)
	}
	remove, err := makeInitdbOnce()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	leaktest.Main(m, remove)
}

// obey is the life of a command. It prints "up" and its URL, or "failed" and the
// error. It leaves at the end of its input.
func obey(text string) {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		fmt.Println("failed", err)
		return
	}
	if o.Dial != "" {
		_, err := pgx.Connect(context.Background(), o.Dial)
		fmt.Println("failed", oneLine(err))
		return
	}
	if o.Prepared != "" {
		fill := func(ctx context.Context, _ string) error {
			if err := os.WriteFile(filepath.Join(o.Prepared, "..", "filling"), nil, 0o600); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		}
		o.Options.Prepared = &localpg.Prepared{Key: "test", Dir: o.Prepared, Fill: fill}
	}
	server, err := localpg.Start(context.Background(), o.Options)
	if err != nil {
		fmt.Println("failed", oneLine(err))
		return
	}
	fmt.Println("up", server.URL())
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := server.Close(); err != nil {
		fmt.Println("failed", oneLine(err))
		return
	}
	fmt.Println("closed")
}

// oneLine returns an error with its hint on one line.
func oneLine(err error) string {
	if err == nil {
		return "not at all"
	}
	return strings.ReplaceAll(err.Error()+" / "+errors.FlattenHints(err), "\n", " ")
}

// command is another process that uses a server.
type command struct {
	t     testing.TB
	cmd   *exec.Cmd
	input io.Closer
	lines *bufio.Scanner
	url   string
}

// begin starts a command as the given user (nil: ours) without waiting for it.
func begin(t testing.TB, o order, as *syscall.Credential) *command {
	t.Helper()
	text, err := json.Marshal(o)
	require.NoError(t, err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), commandVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as, Setpgid: true}
	input, err := cmd.StdinPipe()
	require.NoError(t, err)
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	c := &command{t: t, cmd: cmd, input: input, lines: bufio.NewScanner(output)}
	t.Cleanup(func() {
		_ = c.input.Close()
		_ = c.cmd.Wait() // the test may have waited already
	})
	return c
}

// up waits until the command has its server.
func (c *command) up() *command {
	c.t.Helper()
	what, rest := c.said()
	require.Equal(c.t, "up", what, rest)
	c.url = rest
	return c
}

// said returns the next line of the command's output, split after the first word.
func (c *command) said() (what, rest string) {
	c.t.Helper()
	require.True(c.t, c.lines.Scan(), "the command ended without an answer: %v", c.lines.Err())
	what, rest, _ = strings.Cut(c.lines.Text(), " ")
	return what, rest
}

// leave lets the command end in its own way.
func (c *command) leave() {
	c.t.Helper()
	require.NoError(c.t, c.input.Close())
	what, rest := c.said()
	require.Equal(c.t, "closed", what, rest)
	require.NoError(c.t, c.cmd.Wait())
}

// kill ends the command's process group with a signal that it does not catch.
func (c *command) kill(signal syscall.Signal) {
	c.t.Helper()
	require.NoError(c.t, syscall.Kill(-c.cmd.Process.Pid, signal))
	var ended *exec.ExitError
	require.ErrorAs(c.t, c.cmd.Wait(), &ended)
	require.Equal(c.t, signal, ended.Sys().(syscall.WaitStatus).Signal())
}

func startCommand(t testing.TB, dir string) *command {
	t.Helper()
	return begin(t, order{Options: localpg.Options{Dir: dir}}, nil).up()
}

// stateDir makes a folder that every user may enter. At the end of the test it must
// hold nothing of a server.
func stateDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(pgtest.MemoryDir(), "localpg-test-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o711))
	t.Cleanup(func() {
		requireSoonGone(t, dir)
		require.NoError(t, os.RemoveAll(dir))
	})
	return dir
}

// open starts a server in this process.
func open(t testing.TB, o localpg.Options) *localpg.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	server, err := localpg.Start(ctx, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return server
}

// ask runs one statement on a connection of its own, and returns its one value.
func ask(t testing.TB, url, query string) string {
	t.Helper()
	answer, err := tryAsk(url, query)
	require.NoError(t, err)
	return answer
}

func tryAsk(url, query string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }()
	var answer string
	err = conn.QueryRow(ctx, query, pgx.QueryExecModeSimpleProtocol).Scan(&answer)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return answer, err
}

// remains returns the processes of a server in dir, and its sockets.
func remains(dir string) []string {
	var found []string
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		line, _ := os.ReadFile(filepath.Join(p, "cmdline")) // it may be gone by now
		cwd, _ := os.Readlink(filepath.Join(p, "cwd"))
		if strings.Contains(string(line), dir) || strings.HasPrefix(cwd, dir+"/") {
			found = append(found, p+" "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	_ = filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && (entry.Type()&os.ModeSocket != 0 || strings.HasSuffix(path, ".lock")) {
			found = append(found, path)
		}
		return nil
	})
	return found
}

func requireGone(t testing.TB, dir string) {
	t.Helper()
	require.Empty(t, remains(dir))
}

func requireSoonGone(t testing.TB, dir string) {
	t.Helper()
	if !waitUntil(func() bool { return len(remains(dir)) == 0 }) {
		requireGone(t, dir)
	}
}

// waitUntil waits until a condition holds. Only a defect makes it reach its limit.
func waitUntil(condition func() bool) bool {
	for deadline := time.Now().Add(2 * time.Minute); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}
