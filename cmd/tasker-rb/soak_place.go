package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

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
	defer func() { err = errors.CombineErrors(err, conn.Close(context.WithoutCancel(ctx))) }()
	name := conn.Config().Database + secondSuffix
	if len(name) > longestName {
		return errors.WithHintf(errors.Newf("the name %s of the database for the other version is too long", name),
			"Give the database of DATABASE_URL a name of at most %d bytes.", longestName-len(secondSuffix))
	}
	if _, err = conn.Exec(ctx, "drop database if exists "+pgx.Identifier{name}.Sanitize()); err == nil { // of a run that was killed
		_, err = conn.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize())
	}
	if err != nil {
		return errors.WithHint(errors.Wrapf(err, "making the database %s for the other version", name),
			"The user needs the right CREATEDB. Or unset DATABASE_URL for a private server.")
	}
	p.secondName = name
	p.second, err = p.db.under(name)
	return err
}

// secondSuffix follows the name of the database in that of the other version's. A database
// of that name is dropped, so it is one that nobody else chooses.
const secondSuffix = "_soak_against"

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
	pipes, err := openSoakPipes()
	if err != nil {
		return nil, err
	}
	said := &tail{}
	child := exec.Command(self, "soak", "runner")
	child.Args[0] = os.Args[0]
	child.Env = append(os.Environ(), soakRoleVariable+"=runner", withoutThreadCaches())
	if p.db != nil {
		child.Env = append(child.Env, databaseURL+"="+forRuby(spec.Database))
	}
	child.Stderr, child.Stdout = said, said
	child.ExtraFiles = []*os.File{pipes.orders, pipes.answers}
	child.WaitDelay = time.Second // a daemon of a handler may keep stderr open
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
	_, _ = pipes.orders.Close(), pipes.answers.Close()
	if err != nil {
		close(stop)
		_, _ = pipes.toRunner.Close(), pipes.fromRunner.Close()
		return nil, errors.Wrap(err, "starting the process that runs the tasks")
	}
	end := func() (soak.End, error) {
		_ = pipes.toRunner.Close()
		_ = syscall.Kill(-child.Process.Pid, syscall.SIGKILL) // it has nothing to lose, and its children neither
		_ = child.Wait()                                      // the state says it
		close(stop)
		return soak.End{State: child.ProcessState.String(), Said: string(said.bytes())}, errors.Wrap(pipes.fromRunner.Close(), "closing a pipe")
	}
	return soak.Connect(ctx, pipes.fromRunner, pipes.toRunner, end, &spec)
}

// soakPipes are the ends of two pipes: orders and answers are for the runner.
type soakPipes struct{ orders, toRunner, fromRunner, answers *os.File }

func openSoakPipes() (p soakPipes, err error) {
	if p.orders, p.toRunner, err = os.Pipe(); err != nil {
		return p, errors.Wrap(err, "a pipe to the process that runs the tasks")
	}
	if p.fromRunner, p.answers, err = os.Pipe(); err != nil {
		_, _ = p.orders.Close(), p.toRunner.Close()
		return p, errors.Wrap(err, "a pipe from the process that runs the tasks")
	}
	return p, nil
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
	last  []byte // the end of what was written before: the mark of a crash may come in two pieces
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
	written := len(p)
	p = t.fromCrash(p)
	n := min(headSize-t.first.Len(), len(p))
	t.first.Write(p[:n])
	t.text.Write(p[n:])
	if extra := t.text.Len() - tailSize; extra > 0 {
		t.text.Next(extra)
		t.lost = true
	}
	return written, nil
}

// fromCrash returns p, or if a crash begins in it, what comes from the beginning of that
// line on. What was kept before is forgotten then.
func (t *tail) fromCrash(p []byte) []byte {
	const longestMark = 16
	both := append(slices.Clone(t.last), p...)
	at := -1
	for _, mark := range crashes {
		at = max(at, bytes.LastIndex(both, mark))
	}
	t.last = slices.Clone(both[max(len(both)-longestMark, 0):])
	if at < 0 {
		return p
	}
	t.first.Reset()
	t.text.Reset()
	t.lost = false
	line := bytes.LastIndexByte(both[:at], '\n') + 1
	t.last = nil // the same mark would be found again
	return both[max(line, at-headSize/8):]
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
