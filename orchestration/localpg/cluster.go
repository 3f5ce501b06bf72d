package localpg

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/errors"
	"golang.org/x/sys/unix"
)

// errStopped is the error of a start whose commands have all left.
var errStopped = errors.New("stopped before the server was up")

// cluster is the data and the server on it, for the supervisor. Its methods are
// called on the supervisor's main thread.
type cluster struct {
	spec     spec
	place    place
	stopping <-chan struct{}
}

// initialize makes the data if there is none. It makes the data in another folder
// and moves it to its place when it is complete; so an initdb that is killed leaves
// nothing that looks like data.
func (c *cluster) initialize() error {
	data := c.place.dataDir()
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); !errors.Is(err, os.ErrNotExist) {
		return errors.WithStack(err)
	}
	if entries, err := os.ReadDir(data); err == nil && len(entries) > 0 {
		return errors.WithHintf(errors.Newf("%s is not empty, and is not a PostgreSQL database", data), "Move it away.")
	}
	fresh := data + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return explain(errors.WithStack(err), c.place.base)
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return explain(errors.WithStack(err), c.place.base)
	}
	if err := c.place.account.give(fresh); err != nil {
		return err
	}
	err := c.fill(fresh)
	if err == nil && !c.spec.Ephemeral {
		err = syncFilesystem(fresh) // once for all files, instead of initdb's sync of each
	}
	if err == nil {
		err = os.Rename(fresh, data)
	}
	if err != nil {
		return errors.CombineErrors(errors.WithStack(err), os.RemoveAll(fresh))
	}
	return nil
}

// fill makes the data in the folder.
func (c *cluster) fill(dir string) error {
	if c.spec.Archive != "" {
		return c.unpack(dir)
	}
	err := c.initdb(dir, "--locale=C.UTF-8")
	if err != nil && strings.Contains(err.Error(), "invalid locale name") {
		err = c.initdb(dir, "--no-locale")
	}
	return err
}

func (c *cluster) initdb(dir, locale string) error {
	server, err := c.lockServer()
	if err != nil {
		return err
	}
	defer func() { _ = server.Close() }()
	var output bytes.Buffer
	args := []string{"-D", dir, "--no-sync", locale, "--encoding=UTF8", "--auth=trust", "--username=" + userName}
	if c.spec.PackTo != "" {
		args = append(args, "--wal-segsize=1") // MB, in place of 16: it is copied for each start
	}
	cmd := c.command("initdb", syscall.SIGKILL, server, args...)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return c.explainStart(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-c.stopping:
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
		return errors.CombineErrors(errStopped, err)
	case err := <-ended:
		if err != nil {
			return explain(errors.Newf("initdb failed (%v): %s", err, complaints(output.String())), c.place.base)
		}
		return nil
	}
}

// syncFilesystem waits until what was written to dir's file system is on disk.
func syncFilesystem(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return errors.WithStack(err)
	}
	return errors.CombineErrors(errors.Wrapf(unix.Syncfs(int(f.Fd())), "sync %s", dir), f.Close())
}

// command prepares one of PostgreSQL's programs. It runs as the server's user, in
// a process group of its own. It holds the server byte, and gets deathSignal when
// this thread ends.
func (c *cluster) command(name string, deathSignal syscall.Signal, server *lockFile, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.spec.BinDir, name), args...)
	cmd.Dir = "/"
	cmd.Env = environment()
	cmd.ExtraFiles = []*os.File{server.f}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: c.place.account.credential(),
		Setpgid:    true,
		Pdeathsig:  deathSignal,
	}
	return cmd
}

// environment returns the environment of PostgreSQL's programs. It leaves out
// variables that would change the server, such as PGDATA, and the user's language:
// this package reads the messages in English.
func environment() []string {
	env := []string{"LC_ALL=C"}
	for _, name := range []string{"PATH", "LD_LIBRARY_PATH", "TZ", "TZDIR", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// orphanTimeout is how long processes of a server whose supervisor was killed
// may take to end.
const orphanTimeout = 15 * time.Second

// lockServer takes the server byte for a child to inherit. It waits until the last
// process of an earlier server has ended.
func (c *cluster) lockServer() (*lockFile, error) {
	lock, err := openLock(c.place.lock())
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(orphanTimeout); ; {
		ok, err := lock.try(serverByte, exclusive)
		if ok {
			return lock, nil
		}
		if err == nil && time.Now().After(deadline) {
			err = errors.WithHintf(errors.Newf("processes of an earlier server still use %s", c.place.dataDir()),
				"End them; `fuser %s` names them.", c.place.lock())
		}
		if err == nil && c.isStopping(pollInterval) {
			err = errStopped
		}
		if err != nil {
			return nil, errors.CombineErrors(err, lock.Close())
		}
	}
}

// isStopping reports whether the server is to stop. It waits up to wait for that.
func (c *cluster) isStopping(wait time.Duration) bool {
	select {
	case <-c.stopping:
		return true
	case <-time.After(wait):
		return false
	}
}

// start starts the server on the data.
func (c *cluster) start() (*process, error) {
	lock, err := c.lockServer()
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Close() }() // the server has inherited it
	if err := c.clearStale(); err != nil {
		return nil, err
	}
	args := []string{"-D", c.place.dataDir()}
	for _, setting := range c.spec.Settings {
		args = append(args, "-c", setting)
	}
	cmd := c.command("postgres", syscall.SIGQUIT, lock, args...)
	cmd.Stderr = os.Stderr // the log
	logged, err := os.Stderr.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, errors.WithStack(err)
	}
	if err := cmd.Start(); err != nil {
		return nil, c.explainStart(err)
	}
	p := &process{cmd: cmd, place: c.place, logged: logged, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // ProcessState has it
		close(p.ended)
	}()
	return p, nil
}

// clearStale removes the files that mark the data and the socket as used. The
// caller has the server byte, so they are of no running server of this package.
// They may be of a server that a person started; clearStale fails then.
func (c *cluster) clearStale() error {
	data := c.place.dataDir()
	pidFile := filepath.Join(data, "postmaster.pid")
	if content, err := os.ReadFile(pidFile); err == nil {
		pid, _, _ := strings.Cut(string(content), "\n")
		if n, err := strconv.Atoi(pid); err == nil && n > 0 {
			if cwd, err := os.Readlink(filepath.Join("/proc", pid, "cwd")); err == nil && cwd == data {
				return errors.WithHintf(errors.Newf("process %s, which tasker-rb did not start, runs a server on %s", pid, data),
					"Stop it with `%s -D %s stop`.", filepath.Join(c.spec.BinDir, "pg_ctl"), data)
			}
		}
	}
	for _, path := range []string{pidFile, c.place.socket(), c.place.socket() + ".lock"} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return errors.WithStack(err)
		}
	}
	return nil
}

// tidy removes the files that a server leaves when it dies.
func (c *cluster) tidy() {
	_ = os.Remove(c.place.socket())
	_ = os.Remove(c.place.socket() + ".lock")
	if filepath.Dir(c.place.socketDir) != c.place.base {
		_ = os.Remove(c.place.socketDir)
	}
}

// quoteList writes one path as a list of paths in a setting.
func quoteList(path string) string {
	return `"` + strings.ReplaceAll(path, `"`, `""`) + `"`
}
