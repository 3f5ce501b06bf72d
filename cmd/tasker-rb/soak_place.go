package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/internal/soak"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

// soakPlace is where the runners of a soak run live: their database, and their processes.
type soakPlace struct {
	spec  *soak.Spec
	noDB  bool
	force bool

	db         *database
	second     string // the address of the other version's database, or ""
	secondName string
	other      *otherVersion
	mu         sync.Mutex
	lastRunner *tail
}

// open opens the database, which is new or one for tests.
func (p *soakPlace) open(ctx context.Context, second bool) (err error) {
	if p.noDB {
		return nil
	}
	if os.Getenv(databaseURL) == "" && os.Getenv(sessionURL) == "" {
		// On disk: a long run may write more than memory should hold.
		server, err := localpg.Start(ctx, localpg.Options{Ephemeral: true, Settings: testSettings})
		if err != nil {
			return err
		}
		p.db = &database{url: server.URL(), local: server}
	} else {
		if p.db, err = openDatabase(ctx, false); err != nil {
			return err
		}
		if p.db.direct != "" {
			p.db.url, p.db.direct = p.db.direct, ""
		}
		if !p.force {
			if err := requireTestName(p.db.url); err != nil {
				return err
			}
		}
	}
	if !second {
		return nil
	}
	conn, err := p.db.dial(ctx)
	if err != nil {
		return err
	}
	p.secondName = fmt.Sprintf("%.40s_soak_%d", conn.Config().Database, os.Getpid()) // a name of nobody else's
	_, err = conn.Exec(ctx, "create database "+pgx.Identifier{p.secondName}.Sanitize())
	if err = errors.CombineErrors(err, conn.Close(ctx)); err != nil {
		err = errors.WithHint(errors.Wrapf(err, "making the database %s for the version of --against", p.secondName),
			"The user of DATABASE_URL needs the right CREATEDB. Or unset DATABASE_URL for a private server.")
		p.secondName = ""
		return err
	}
	p.second, err = p.db.under(p.secondName)
	return err
}

func (p *soakPlace) close() error {
	var err error
	if p.other != nil {
		err = p.other.remove()
	}
	if p.db == nil {
		return err
	}
	if p.db.local == nil && p.secondName != "" {
		err = errors.CombineErrors(err, p.db.drop(context.Background(), []string{p.secondName}))
	}
	return errors.CombineErrors(err, p.db.close())
}

// said is what the latest runner has written to its standard error.
func (p *soakPlace) said() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lastRunner == nil {
		return nil
	}
	return p.lastRunner.bytes()
}

// soakRoleVariable tells a process that it is a runner.
const soakRoleVariable = "TASKER_RB_SOAK_ROLE"

// The descriptors of a runner's pipes.
const (
	soakOrders  = 3
	soakAnswers = 4
)

// start starts a runner.
func (p *soakPlace) start(ctx context.Context, trace, other bool) (*soak.Remote, error) {
	spec := *p.spec
	spec.Trace = trace
	if p.db != nil {
		spec.Database = p.db.url
	}
	if other {
		p.other.use(&spec)
		spec.Database = p.second
	}
	orders, toRunner, err := os.Pipe()
	if err != nil {
		return nil, errors.WithStack(err)
	}
	fromRunner, answers, err := os.Pipe()
	if err != nil {
		return nil, errors.WithStack(err)
	}
	said := &tail{}
	p.mu.Lock()
	p.lastRunner = said
	p.mu.Unlock()
	child := exec.Command(self, "soak", "runner")
	child.Args[0] = os.Args[0]
	child.Env = append(os.Environ(), soakRoleVariable+"=runner", withoutThreadCaches())
	if p.db != nil {
		child.Env = append(child.Env, databaseURL+"="+forRuby(spec.Database))
	}
	child.Stderr, child.Stdout = said, said
	child.ExtraFiles = []*os.File{orders, answers}
	// ^C is for this process, which still wants the report; and the child must not outlive it.
	child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	stop := make(chan struct{})
	go func() {
		runtime.LockOSThread() // Pdeathsig comes when the thread ends that has started the child
		started <- child.Start()
		<-stop
	}()
	err = <-started
	_, _ = orders.Close(), answers.Close()
	if err != nil {
		close(stop)
		return nil, errors.Wrap(err, "starting the process that runs the tasks")
	}
	end := func() error {
		_ = toRunner.Close()
		_ = syscall.Kill(-child.Process.Pid, syscall.SIGKILL) // it has nothing to lose, and its children neither
		_ = child.Wait()
		close(stop)
		return errors.Wrap(fromRunner.Close(), "closing a pipe")
	}
	return soak.Connect(ctx, fromRunner, toRunner, end, &spec)
}

// withoutThreadCaches turns off glibc's caches of free blocks, one a thread, which count as
// in use: they fill over hours, and look like a slow leak of some hundred KB.
func withoutThreadCaches() string {
	const name, off = "GLIBC_TUNABLES", "glibc.malloc.tcache_count=0"
	if given := os.Getenv(name); given != "" {
		return name + "=" + given + ":" + off
	}
	return name + "=" + off
}

// tail keeps the last part of what is written to it, and the first part of a crash: Ruby and
// Go begin with where it was, and go on for thousands of lines.
type tail struct {
	mu    sync.Mutex
	first bytes.Buffer
	text  bytes.Buffer
	lost  bool
}

const (
	headSize = 4 << 10
	tailSize = 4 << 10
)

// crashes are how the report of a crash begins.
var crashes = [][]byte{[]byte("[BUG] "), []byte("fatal error: "), []byte("panic: "), []byte("SIGSEGV: ")}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if slices.ContainsFunc(crashes, func(mark []byte) bool { return bytes.Contains(p, mark) }) {
		t.first.Reset()
		t.text.Reset()
		t.lost = false
	}
	n := min(headSize-t.first.Len(), len(p))
	t.first.Write(p[:n])
	t.text.Write(p[n:])
	if extra := t.text.Len() - tailSize; extra > 0 {
		t.text.Next(extra)
		t.lost = true
	}
	return len(p), nil
}

func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	parts := [][]byte{t.first.Bytes()}
	if t.lost {
		parts = append(parts, []byte("\n…\n"))
	}
	return bytes.Join(append(parts, t.text.Bytes()), nil)
}
