package runner

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/internal/soak"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
	"github.com/tasker-rb/tasker-rb/rubyhost"
	"github.com/tasker-rb/tasker-rb/templates"
)

// runner is one process under measurement.
type runner struct {
	spec   soak.Spec
	host   *rubyhost.Host
	sql    *rubysteps.SQL
	engine *engineRuns // nil without a database
	runs   interface { // one of engineRuns and bridgeRuns
		run(ctx context.Context, list []work, tell func(ended int64)) error
	}
	programs    []*program
	contexts    contexts
	calls       *calls
	tasks       int64
	environment soak.Environment
	answer      func(soak.Answer) error
}

// Options are what the program knows and a [soak.Spec] does not say.
type Options struct {
	Version string // of the program
	Logger  *slog.Logger
	// Boot starts Ruby, and Load loads the handlers, as other commands do.
	Boot func(*soak.Spec) (*rubyhost.Host, error)
	Load func(context.Context, *rubyhost.Host, *soak.Spec) error
	// Resolve finds all handlers, so that a missing one is known before any task runs.
	Resolve func(context.Context, *rubyhost.Host, ...*templates.Template) error
}

// Serve reads a [soak.Spec] and then orders, and writes answers, until in ends. What the
// user can do something about is an answer with a failure. An error is a broken pipe.
func Serve(ctx context.Context, in io.Reader, out io.Writer, o Options) (err error) {
	orders, encoder := json.NewDecoder(in), json.NewEncoder(out)
	r := &runner{calls: &calls{}, answer: func(a soak.Answer) error { return errors.WithStack(encoder.Encode(a)) }}
	if err := orders.Decode(&r.spec); err != nil {
		return errors.Wrap(err, "reading what is to run")
	}
	defer func() { err = errors.CombineErrors(err, r.close()) }()
	if err := r.open(ctx, o); err != nil {
		return r.answer(soak.Answer{Over: true, Failure: failed(err)})
	}
	if err := r.answer(soak.Answer{Over: true, Plan: r.plan()}); err != nil {
		return err
	}
	for {
		var order soak.Order
		if err := orders.Decode(&order); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return errors.Wrap(err, "reading an order")
		}
		a, err := r.obey(ctx, &order)
		if err != nil {
			a = soak.Answer{Failure: failed(err)}
		}
		a.Over = true
		if err := r.answer(a); err != nil {
			return err
		}
	}
}

func (r *runner) open(ctx context.Context, o Options) (err error) {
	if r.programs, err = loadPrograms(&r.spec); err != nil {
		return err
	}
	if r.host, err = o.Boot(&r.spec); err != nil {
		return err
	}
	if r.spec.Trace {
		if err := r.trace(ctx, "start", nil); err != nil {
			return err
		}
	}
	handlers := rubysteps.New(r.host)
	openPool := func(context.Context) (*pgxpool.Pool, error) {
		return nil, errors.WithHint(errors.New("with --no-db there is no database"), "Leave --no-db out.")
	}
	if r.spec.Database != "" {
		if r.engine, err = openEngine(ctx, &r.spec, handlers, r.calls); err != nil {
			return err
		}
		if err := makeConnections(ctx, r.engine.engine.Pool()); err != nil {
			return err
		}
		r.runs = r.engine
		openPool = func(context.Context) (*pgxpool.Pool, error) { return r.engine.engine.Pool(), nil }
	} else {
		r.runs = &bridgeRuns{host: r.host, calls: r.calls, threads: r.spec.Threads, allowFailed: r.spec.AllowFailed}
	}
	if r.sql, err = rubysteps.ServeLazySQL(ctx, r.host, openPool, o.Logger); err != nil {
		return err
	}
	if err := o.Load(ctx, r.host, &r.spec); err != nil {
		return err
	}
	if err := o.Resolve(ctx, r.host, r.templates()...); err != nil {
		return err
	}
	if err := makeThreads(); err != nil {
		return err
	}
	makeGoroutines()
	if r.contexts, err = openContexts(ctx, r.host, r.spec.Contexts); err != nil {
		return err
	}
	return r.describe(ctx, o.Version)
}

// templates are the whole ones.
func (r *runner) templates() []*templates.Template {
	var list []*templates.Template
	for _, p := range r.programs {
		list = append(list, p.whole)
	}
	return list
}

func (r *runner) plan() *soak.Plan {
	p := &soak.Plan{Environment: r.environment}
	for _, program := range r.programs {
		p.Templates = append(p.Templates, program.planned())
	}
	return p
}

// close ends Ruby first: its at_exit blocks may use the database.
func (r *runner) close() error {
	var err error
	if r.host != nil {
		err = r.host.Close()
	}
	if r.sql != nil {
		r.sql.Close(context.Background())
	}
	if r.engine != nil {
		err = errors.CombineErrors(err, r.engine.close())
	}
	return err
}

func (r *runner) obey(ctx context.Context, order *soak.Order) (a soak.Answer, err error) {
	switch order.Op {
	case soak.OpBatch:
		a.Sample, err = r.batch(ctx, order)
	case soak.OpMark:
		err = r.trace(ctx, "mark", nil)
	case soak.OpSuspects:
		err = r.trace(ctx, "suspects", &a.Suspects, order.Limit, append([]string{}, r.spec.Handlers...), order.Tasks)
	case soak.OpStores:
		err = r.trace(ctx, "stores", &a.Stores)
	case soak.OpExtensions:
		a.Extensions, err = r.extensions(ctx)
	default:
		err = errors.Newf("there is no order %q", order.Op)
	}
	return a, err
}

// batch runs tasks, and takes a sample after them.
func (r *runner) batch(ctx context.Context, order *soak.Order) (*soak.Sample, error) {
	list, err := r.works(ctx, order.Portions)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	err = r.runs.run(ctx, list, func(done int64) { _ = r.answer(soak.Answer{Done: done}) }) // a broken pipe is noticed at the next answer
	r.tasks += int64(len(list))
	ran := time.Since(began)
	if err != nil || order.NoSample {
		return nil, err
	}
	s, err := r.sample(ctx)
	if err != nil {
		return nil, err
	}
	s.Ran = ran
	return s, nil
}

// works are the tasks of the portions, mixed.
func (r *runner) works(ctx context.Context, portions []soak.Portion) ([]work, error) {
	var list []work
	rest := append([]soak.Portion{}, portions...)
	for more := true; more; {
		more = false
		for i := range rest {
			p := &rest[i]
			if p.Tasks == 0 {
				continue
			}
			p.Tasks--
			more = true
			part, err := r.programs[p.Template].part(p.Steps)
			if err != nil {
				return nil, err
			}
			list = append(list, work{template: part})
		}
	}
	return list, r.contexts.fill(ctx, list)
}

// trace calls a method of Tasker::Host::Memory.
func (r *runner) trace(ctx context.Context, name string, into any, args ...any) error {
	if err := r.host.Require(ctx, "tasker/host/memory"); err != nil {
		return err
	}
	method, err := r.host.Method(ctx, "Tasker::Host::Memory."+name)
	if err != nil {
		return err
	}
	value, err := method.Call(ctx, args...)
	if err != nil || into == nil {
		return err
	}
	return errors.Wrapf(json.Unmarshal(value, into), "the answer to %s", name)
}

// describe fills in the environment.
func (r *runner) describe(ctx context.Context, version string) error {
	value, err := r.host.Eval(ctx, "RUBY_DESCRIPTION", "soak")
	if err != nil {
		return err
	}
	e := &r.environment
	if err := json.Unmarshal(value, &e.Ruby); err != nil {
		return errors.Wrap(err, "RUBY_DESCRIPTION")
	}
	e.Version = version
	if r.engine != nil {
		if err := r.engine.engine.Pool().QueryRow(ctx, "select 'PostgreSQL ' || current_setting('server_version')").Scan(&e.Database); err != nil {
			return errors.Wrap(err, "the version of the database")
		}
	}
	machine(e)
	memory, err := r.host.Memory(ctx, rubyhost.MemoryOptions{})
	e.Allocator = memory.Allocator
	return err
}

// extensions are the loaded C extensions that do not come with Ruby.
func (r *runner) extensions(ctx context.Context) (list []string, err error) {
	value, err := r.host.Eval(ctx, `require "rbconfig"
		own = RbConfig::CONFIG.values_at("rubyarchdir", "rubylibdir").compact
		$LOADED_FEATURES.select { |f| f.end_with?(".so") && f.start_with?("/") && own.none? { |dir| f.start_with?(dir) } }`, "soak")
	if err != nil {
		return nil, err
	}
	return list, errors.Wrap(json.Unmarshal(value, &list), "the list of extensions")
}

// failed is an error as the command that reads it shows it.
func failed(err error) *soak.Failure {
	var f *soak.Failure
	if errors.As(err, &f) {
		return f
	}
	hint := errors.FlattenHints(err)
	var gone *pgconn.ConnectError
	if hint == "" && errors.As(err, &gone) {
		hint = "The database was there at the start. A restart of it ends the run: there is no verdict across one."
	}
	return &soak.Failure{Message: err.Error(), Hint: hint}
}
