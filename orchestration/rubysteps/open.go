package rubysteps

import (
	"context"
	"log/slog"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// Config configures [Open]. The zero value is an engine without handlers.
type Config struct {
	// Folders hold the files of the handlers in Ruby, see [rubyhost.Host.LoadDir].
	Folders []string

	// Go are the handlers in Go, by class name. A class that is here is not looked for in
	// Ruby.
	Go map[string]orchestration.StepHandler

	// Ruby says how to boot the interpreter. A process boots it once.
	Ruby rubyhost.Options

	// Host is an interpreter that runs already. Then Ruby is not used, and Close leaves the
	// host alone. Optional.
	Host *rubyhost.Host

	// Engine configures the engine. Its Pool and Handlers must not be set.
	Engine orchestration.Config
}

// Engine is an engine with its interpreter.
type Engine struct {
	*orchestration.Engine
	Host *rubyhost.Host

	sql      *SQL
	events   Events
	ownsHost bool
}

// Open opens an engine on the database of a PostgreSQL URL, as [orchestration.Open] does.
// It boots Ruby, gives it the database, and loads the handlers. Subscribers in Ruby are told of
// the events of tasks. Close closes all of it.
//
//	engine, err := rubysteps.Open(ctx, os.Getenv("DATABASE_URL"), rubysteps.Config{Folders: []string{"handlers"}})
func Open(ctx context.Context, url string, cfg Config) (*Engine, error) {
	if cfg.Engine.Handlers != nil {
		return nil, errors.WithHint(errors.New("rubysteps: Config.Engine.Handlers is set, and Open makes the handlers itself"),
			"Put handlers in Go into Config.Go.")
	}
	if cfg.Engine.Logger == nil {
		cfg.Engine.Logger = slog.Default()
	}
	e := &Engine{Host: cfg.Host, ownsHost: cfg.Host == nil}
	if err := e.open(ctx, url, cfg); err != nil {
		return nil, errors.CombineErrors(err, e.Close())
	}
	return e, nil
}

// open reaches the database before it boots Ruby: a process boots it once, and may try
// another address.
func (e *Engine) open(ctx context.Context, url string, cfg Config) (err error) {
	ruby := &Handlers{}
	cfg.Engine.Handlers = orchestration.Handlers{ByClass: cfg.Go, Next: ruby}
	if own := cfg.Engine.OnEvent; own != nil {
		cfg.Engine.OnEvent = func(event orchestration.Event) {
			own(event)
			e.events.OnEvent(event)
		}
	} else {
		cfg.Engine.OnEvent = e.events.OnEvent
	}
	if e.Engine, err = orchestration.Open(ctx, url, cfg.Engine); err != nil {
		return err
	}
	if e.ownsHost {
		if cfg.Ruby.Logger == nil {
			cfg.Ruby.Logger = cfg.Engine.Logger
		}
		if e.Host, err = rubyhost.Boot(cfg.Ruby); err != nil {
			return err
		}
	}
	*ruby = *New(e.Host)
	if e.sql, err = ServeSQL(ctx, e.Host, e.Pool(), cfg.Engine.Logger); err != nil {
		return err
	}
	if len(cfg.Folders) > 0 {
		if err := e.Host.LoadDir(ctx, cfg.Folders...); err != nil {
			return err
		}
	}
	return e.events.Serve(ctx, e.Host, cfg.Engine.Logger)
}

// Close tells the subscribers of the events so far. It ends the interpreter, then the engine, and
// then its pool: Ruby's at_exit blocks may use the database. All other calls must have returned. A second Close does nothing.
func (e *Engine) Close() error {
	var err error
	e.events.Flush(context.Background())
	if e.ownsHost && e.Host != nil {
		err = e.Host.Close()
	}
	if e.sql != nil {
		e.sql.Close(context.Background())
	}
	if e.Engine != nil {
		err = errors.CombineErrors(err, e.Engine.Close())
	}
	return err
}
