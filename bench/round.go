package main

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// Round is what was measured of one contender in one round.
type Round struct {
	Tasks    int           `json:"tasks"`
	Took     time.Duration `json:"took_ns"`
	Host     time.Duration `json:"host_ns"`     // processors' time of the contender's processes
	Postgres time.Duration `json:"postgres_ns"` // of the PostgreSQL server
	Redis    time.Duration `json:"redis_ns"`    // of the Redis server, if there is one
	Pruned   int           `json:"pruned"`      // old tasks that were deleted meanwhile
}

// Rate is how many tasks a second were done.
func (r Round) Rate() float64 { return float64(r.Tasks) / r.Took.Seconds() }

// pollInterval is how often the program asks whether a contender is done that does not
// say so.
const pollInterval = 10 * time.Millisecond

// roundTimeout is how long the tasks of one round may take.
const roundTimeout = 5 * time.Minute

// bench has what all rounds share.
type bench struct {
	postgres *postgres
	dir      string
	log      func(format string, args ...any)
	filled   map[string]bool // databases whose tables are full
}

// round has a contender run so many tasks on a new database, and verifies its work. The
// clock runs from the moment when the contender, which has started and connected, takes
// its first task, until the last one is done. All tasks are submitted before.
func (b *bench) round(ctx context.Context, c contender, s Shape, tasks int) (r Round, err error) {
	dir, err := os.MkdirTemp(b.dir, "round-")
	if err != nil {
		return r, errors.WithStack(err)
	}
	defer func() { err = errors.CombineErrors(err, os.RemoveAll(dir)) }()
	w := Work{Tasks: tasks, Levels: s.Levels, SQL: s.SQL, WaitMS: s.Wait.Milliseconds(), ContextBytes: s.ContextBytes,
		Lease: leaseOf(tasks), dir: dir}
	database, done, err := b.database(ctx, c, s)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.CombineErrors(err, done()) }()
	w.DatabaseURL = b.postgres.url(database)
	var redis *redisServer
	if _, uses := c.(redisUser); uses {
		if redis, err = startRedis(ctx, dir); err != nil {
			return r, err
		}
		defer func() { err = errors.CombineErrors(err, redis.stop()) }()
		w.RedisURL = redis.url()
	}
	err = b.postgres.with(ctx, database, func(conn *pgx.Conn) error {
		if err := resetAccounts(ctx, conn); err != nil {
			return err
		}
		if err := c.Prepare(ctx, conn, w); err != nil {
			return err
		}
		if err := settle(ctx, conn); err != nil {
			return err
		}
		stopped := func() (Pruned, error) { return Pruned{}, nil }
		if t, ok := c.(*tasker); ok && t.full(s) && s.Beside.Pruned {
			if stopped, err = t.startPrune(ctx, w); err != nil {
				return err
			}
		}
		r, err = b.measure(ctx, c, conn, w, redis)
		pruned, failed := stopped()
		if err = errors.CombineErrors(err, failed); err != nil {
			return err
		}
		r.Pruned = pruned.Tasks
		return errors.CombineErrors(verifyAccounts(ctx, conn, w), c.Verify(ctx, conn, w))
	})
	return r, errors.Wrapf(err, "%s, %s", c.Name(), s.Name)
}

// database returns the name of a database for a round, and what to do afterwards. Full
// tables are kept from round to round.
func (b *bench) database(ctx context.Context, c contender, s Shape) (string, func() error, error) {
	t, ok := c.(*tasker)
	if !ok || !t.full(s) {
		const name = "round"
		return name, func() error { return b.postgres.drop(context.WithoutCancel(ctx), name) }, b.postgres.create(ctx, name)
	}
	name := databaseName(c.Name() + "_" + s.Name)
	keep := func() error { return nil }
	if b.filled[name] {
		return name, keep, nil
	}
	b.filled[name] = true
	if err := b.postgres.create(ctx, name); err != nil {
		return name, keep, err
	}
	return name, keep, b.fill(ctx, t, name, s.Beside)
}

func databaseName(text string) string {
	return "full_" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(text))
}

// measure starts the contender's program and stops it when the tasks are done.
func (b *bench) measure(ctx context.Context, c contender, conn *pgx.Conn, w Work, redis *redisServer) (r Round, err error) {
	ctx, cancel := context.WithTimeout(ctx, roundTimeout)
	defer cancel()
	p, err := start(c.Command(ctx, w), w.dir)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.CombineErrors(err, p.stop()) }()
	q, isQuiet := c.(quiet)
	if isQuiet {
		err = p.until(ctx, time.Millisecond, func() (bool, error) { return p.logged(q.Working()) })
	} else {
		err = p.await(ctx, "working")
	}
	if err != nil {
		return r, err
	}
	began := time.Now()
	before, err := b.used(p, redis)
	if err != nil {
		return r, err
	}
	if isQuiet {
		err = p.until(ctx, pollInterval, func() (bool, error) { return q.Done(ctx, conn) })
	} else {
		err = p.await(ctx, "done")
	}
	if err != nil {
		return r, err
	}
	r = Round{Tasks: w.Tasks, Took: time.Since(began)}
	after, err := b.used(p, redis)
	r.Host, r.Postgres, r.Redis = after.host-before.host, after.postgres-before.postgres, after.redis-before.redis
	return r, err
}

// used is the processors' time that everything has used so far.
type used struct{ host, postgres, redis time.Duration }

func (b *bench) used(p *process, redis *redisServer) (u used, err error) {
	if u.host, err = processTime(p.cmd.Process.Pid); err != nil {
		return u, err
	}
	if u.postgres, err = processTime(b.postgres.pid); err != nil {
		return u, err
	}
	if redis != nil {
		u.redis, err = processTime(redis.cmd.Process.Pid)
	}
	return u, err
}

// calibrate finds out how many tasks keep a contender busy for about the time. It
// begins with few tasks, and does it again if these were over too soon to tell.
func (b *bench) calibrate(ctx context.Context, c contender, s Shape, busy time.Duration) (int, error) {
	const firstSteps, soon = 200, 2
	tasks := max(1, firstSteps/s.Steps())
	for range 4 {
		r, err := b.round(ctx, c, s, tasks)
		if err != nil {
			return 0, err
		}
		b.log("%s, trying out, %s: %d tasks, %.1f/s", s.Name, c.Name(), r.Tasks, r.Rate())
		enough := max(1, int(r.Rate()*busy.Seconds()))
		if r.Took > busy/soon || enough <= tasks {
			return enough, nil
		}
		tasks = enough
	}
	return tasks, nil
}
