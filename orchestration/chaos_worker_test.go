package orchestration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgproxy"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// chaosVariable makes this test binary a worker of TestChaos on the database that the
// variable names.
const chaosVariable = "TASKER_TEST_CHAOS_WORKER"

// chaosMaxTasks is how many tasks a worker of TestChaos has in hand at most. It is more
// than its share.
const chaosMaxTasks = 16

// chaosTemplates are the tasks of TestChaos: a diamond, a chain with a step without SQL,
// steps that share a concurrency key, and steps in serializable transactions. The
// configuration is the longest time that a step takes, in milliseconds.
var chaosTemplates = []string{`
  - {name: a, handler_class: Ledger, handler_config: {ms: 100}, MORE}
  - {name: b, handler_class: Ledger, handler_config: {ms: 1400}, depends_on_step: a, MORE}
  - {name: c, handler_class: Ledger, handler_config: {ms: 1400}, depends_on_step: a, MORE}
  - {name: d, handler_class: Ledger, handler_config: {ms: 100}, depends_on_steps: [b, c], MORE}
`, `
  - {name: a, handler_class: Ledger, handler_config: {ms: 900}, MORE}
  - {name: b, handler_class: Quiet, handler_config: {ms: 900}, depends_on_step: a, MORE}
  - {name: c, handler_class: Ledger, handler_config: {ms: 0}, depends_on_step: b, MORE}
`, `
  - {name: a, handler_class: Quiet, handler_config: {ms: 200}, MORE}
  - {name: b, handler_class: Ledger, handler_config: {ms: 200}, concurrency_key: k, concurrency_limit: 6, depends_on_step: a, MORE}
  - {name: c, handler_class: Quiet, handler_config: {ms: 0}, depends_on_step: b, MORE}
`, `
  - {name: a, handler_class: Total, handler_config: {ms: 200}, isolation: serializable, MORE}
  - {name: b, handler_class: Total, handler_config: {ms: 200}, isolation: serializable, MORE}
  - {name: c, handler_class: Ledger, handler_config: {ms: 1600}, depends_on_steps: [a, b], MORE}
`}

const chaosMore = `default_retry_limit: 1000, backoff: {curve: linear, base_seconds: 0.05, max_seconds: 1}`

// chaosTables are what the steps write into.
const chaosTables = `
	create table ledger (task bigint, step text, nonce bigint);
	create table totals (bucket int primary key, n bigint);
	insert into totals select b, 0 from generate_series(0, 31) b`

// chaosStep is a handler of TestChaos. Its results are a number drawn for this attempt.
// It says on the standard output what became of the attempt.
func chaosStep(write func(ctx context.Context, x *orchestration.StepExecution, nonce int64) error) orchestration.StepHandlerFunc {
	return func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		var config struct{ Ms int }
		if err := json.Unmarshal(x.Config, &config); err != nil {
			return nil, err
		}
		nonce, work := rand.Int64N(1<<53), time.Duration(rand.IntN(config.Ms+1))*time.Millisecond
		x.SQL().OnEnd(func(_ []uint64, fate sqlsession.Fate) { fmt.Println(nonce, int(fate)) })
		if _, err := x.SQL().AddHook(ctx, 1); err != nil {
			return nil, err
		}
		time.Sleep(work / 2)
		if err := write(ctx, x, nonce); err != nil {
			return nil, err
		}
		time.Sleep(work / 2) // in the transaction, if there is one
		return json.Marshal(map[string]int64{"nonce": nonce})
	}
}

func chaosQuiet(context.Context, *orchestration.StepExecution, int64) error { return nil }

func chaosLedger(ctx context.Context, x *orchestration.StepExecution, nonce int64) error {
	tx, err := x.Tx(ctx)
	if err == nil {
		_, err = tx.Exec(ctx, "insert into ledger values ($1, $2, $3)", x.TaskID, x.StepName, nonce)
	}
	return err
}

// chaosTotal also counts in a row that steps of other tasks count in.
func chaosTotal(ctx context.Context, x *orchestration.StepExecution, nonce int64) error {
	if err := chaosLedger(ctx, x, nonce); err != nil {
		return err
	}
	tx, err := x.Tx(ctx)
	if err == nil {
		_, err = tx.Exec(ctx, "update totals set n = n + 1 where bucket = $1", x.TaskID%32)
	}
	return err
}

// chaosWork is the life of a worker of TestChaos. It ends with a signal.
func chaosWork(url string) error {
	ctx := context.Background()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return err
	}
	config.MaxConns = 32
	orchestration.ConfigurePool(config)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	handlers := funcs{"Ledger": chaosStep(chaosLedger), "Quiet": chaosStep(chaosQuiet), "Total": chaosStep(chaosTotal)}
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	for {
		e, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: resolver(handlers), Logger: logger})
		if err == nil {
			return e.Work(ctx, orchestration.WorkerConfig{MaxTasks: chaosMaxTasks})
		}
		logger.Error("no engine; trying again", "error", err)
		time.Sleep(100 * time.Millisecond) // between two tries to reach the server
	}
}

// chaosWorker is a worker's process, and the network between it and the server.
type chaosWorker struct {
	process *exec.Cmd
	proxy   *pgproxy.Proxy
	busy    bool // a fault that lasts has not ended
}

func (w *chaosWorker) pid() int { return w.process.Process.Pid }

// start starts a worker.
func (c *chaos) start() {
	w := &chaosWorker{proxy: pgproxy.Start(c.t, c.url), process: exec.Command(os.Args[0])}
	w.process.Env = append(os.Environ(), chaosVariable+"="+w.proxy.URL(c.url))
	w.process.Stdout = &chaosFates{all: &c.fates}
	c.started++
	log, err := os.Create(filepath.Join(c.logs, strconv.Itoa(c.started)+".log"))
	require.NoError(c.t, err)
	defer func() { _ = log.Close() }() // the worker has its own
	w.process.Stderr = log
	w.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(c.t, w.process.Start())
	c.workers = append(c.workers, w)
}

// end kills a worker, also one that is stopped.
func (c *chaos) end(w *chaosWorker) {
	require.NoError(c.t, w.process.Process.Kill())
	_ = w.process.Wait() // it was killed
}

// fates has what workers have said about the fate of each attempt, by the attempt's
// number.
type fates struct {
	mu   sync.Mutex
	told map[int64]sqlsession.Fate
}

// chaosFates reads the standard output of a worker.
type chaosFates struct {
	all  *fates
	rest []byte // the beginning of a line
}

func (f *chaosFates) Write(b []byte) (int, error) {
	f.all.mu.Lock()
	defer f.all.mu.Unlock()
	f.rest = append(f.rest, b...)
	for {
		line, rest, found := bytes.Cut(f.rest, []byte("\n"))
		if !found {
			return len(b), nil
		}
		f.rest = rest
		var nonce int64
		var fate int
		if _, err := fmt.Sscan(string(line), &nonce, &fate); err != nil {
			return 0, err
		}
		f.all.told[nonce] = sqlsession.Fate(fate)
	}
}
