package orchestration

import (
	"context"
	"slices"
	"sync"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/templates"
)

// repertoire is what a worker knows about templates: of which it runs the tasks, and of
// which not. It looks at a template when a task of it is ready for the first time.
type repertoire struct {
	engine *Engine
	config *WorkerConfig

	mu      sync.Mutex
	entries map[int32]*repertoireEntry // by templates.number
	all     []int32                    // their numbers
	serves  []int32                    // of these, the ones whose tasks the worker runs
	pools   []pool                     // what their handlers run on
	drains  bool                       // the worker has been told to stop
	over    bool                       // and has
}

// pool is something that handlers run on, and for how many more tasks it has room.
type pool struct {
	threads *Threads // nil for handlers that need none
	room    int
}

// repertoireEntry is what a worker knows about one template.
type repertoireEntry struct {
	serves  bool
	missing []string   // classes that it has not
	threads []*Threads // that its handlers run on; nil among them if some need none
}

func newRepertoire(e *Engine, config *WorkerConfig) *repertoire {
	return &repertoire{engine: e, config: config, entries: map[int32]*repertoireEntry{}}
}

// known returns the templates that the worker has looked at, and those of which it can run
// a task now, with how many it has room for, whatever their templates. If there is no room,
// tell receives a value once there is. The slices are not to be changed.
func (r *repertoire) known(tell chan struct{}) (known, serves []int32, room int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	full := false
	for i := range r.pools {
		p := &r.pools[i]
		if p.room = maxRoom; p.threads != nil {
			p.room = p.threads.room(tell)
		}
		if p.room <= 0 {
			full = true
		} else if room == 0 || p.room < room {
			room = p.room
		}
	}
	switch {
	case len(r.serves) == 0:
		return r.all, nil, 1 // to hear of other templates
	case !full:
		return r.all, r.serves, room
	}
	for _, number := range r.serves {
		if slices.ContainsFunc(r.pools, func(p pool) bool { return p.room > 0 && slices.Contains(r.entries[number].threads, p.threads) }) {
			serves = append(serves, number)
		}
	}
	return r.all, serves, room
}

// maxRoom is the room of handlers that need no threads.
const maxRoom = 1 << 20

// idle reports whether a thread waits for a task.
func (r *repertoire) idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.pools, func(p pool) bool { return p.threads != nil && p.threads.idle() })
}

const templatesSQL = `select number, digest, namespace, name, document::text from tasker.templates where number = any($1)`

// learn looks at templates of which tasks are ready.
func (r *repertoire) learn(ctx context.Context, numbers []int32) error {
	type row struct {
		number                            int32
		digest, namespace, name, document string
	}
	var rows []row
	var batch pgx.Batch
	batch.Queue(templatesSQL, numbers).Query(func(answer pgx.Rows) (err error) {
		rows, err = pgx.CollectRows(answer, func(a pgx.CollectableRow) (t row, err error) {
			return t, a.Scan(&t.number, &t.digest, &t.namespace, &t.name, &t.document)
		})
		return err
	})
	if err := r.engine.own.short(ctx, &batch); err != nil {
		return errors.Wrap(err, "reading templates")
	}
	for _, t := range rows {
		template, err := templates.Decode([]byte(t.document))
		if err != nil { // a later program may have written it
			r.engine.cfg.Logger.Error("a template cannot be read; its tasks are left to other workers",
				"template", t.namespace+"/"+t.name, "error", err)
			r.add(t.number, &repertoireEntry{})
			continue
		}
		entry := &repertoireEntry{}
		if r.config.takes(template) {
			if entry, err = r.look(ctx, template); err != nil {
				return err
			}
		}
		r.add(t.number, entry)
	}
	r.describe()
	return nil
}

func (r *repertoire) add(number int32, entry *repertoireEntry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.entries[number] != nil {
		return
	}
	r.entries[number] = entry
	r.all = append(slices.Clone(r.all), number)
	if !entry.serves {
		return
	}
	r.serves = append(slices.Clone(r.serves), number)
	for _, t := range entry.threads {
		if !slices.ContainsFunc(r.pools, func(p pool) bool { return p.threads == t }) {
			r.pools = append(r.pools, pool{threads: t})
		}
	}
}

// look finds out whether each class of a template is there.
func (r *repertoire) look(ctx context.Context, t *templates.Template) (*repertoireEntry, error) {
	entry := &repertoireEntry{serves: true}
	threaded, _ := r.engine.cfg.Handlers.(Threaded)
	for _, class := range classesOf(t) {
		absent, err := r.engine.isAbsent(ctx, class)
		switch {
		case err != nil:
			return nil, err
		case absent:
			entry.serves = false
			entry.missing = append(entry.missing, class)
			continue
		}
		var threads *Threads
		if threaded != nil {
			threads = threaded.ThreadsOf(class)
		}
		if !slices.Contains(entry.threads, threads) {
			entry.threads = append(entry.threads, threads)
		}
	}
	if !entry.serves {
		r.engine.cfg.Logger.Warn("this worker has not all handler classes of a template; it leaves the tasks to other workers",
			"template", t.ID(), "missing", entry.missing)
	}
	return entry, nil
}

// classesOf returns the handler classes of a template, each once.
func classesOf(t *templates.Template) []string {
	var classes []string
	for _, s := range t.Steps {
		if !slices.Contains(classes, s.HandlerClass) {
			classes = append(classes, s.HandlerClass)
		}
	}
	return classes
}

// isAbsent reports whether there is no such class. An error inside the class is another
// thing: it fails the step. err is only set if the question was not answered.
func (e *Engine) isAbsent(ctx context.Context, class string) (absent bool, err error) {
	err = guarded(func() error {
		_, err := e.cfg.Handlers.ResolveHandler(ctx, class)
		return err
	})
	if ctx.Err() != nil {
		return false, errors.Wrapf(context.Cause(ctx), "looking for the handler class %s", class)
	}
	return errors.Is(err, ErrHandlerNotFound), nil
}

// describe tells other processes, with the next heartbeat, what the worker has not.
func (r *repertoire) describe() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	d := workerDescription{works: true, draining: r.drains, queues: r.config.Queues, namespaces: r.config.Namespaces, names: r.config.Names,
		misses: []string{}, refuses: []int32{}}
	threads := 0
	for _, t := range r.threads() {
		threads += t.Count()
	}
	for number, entry := range r.entries {
		if len(entry.missing) > 0 {
			d.refuses = append(d.refuses, number)
		}
		for _, class := range entry.missing {
			if !slices.Contains(d.misses, class) {
				d.misses = append(d.misses, class)
			}
		}
	}
	slices.Sort(d.misses)
	slices.Sort(d.refuses)
	if threads > 0 {
		d.threads = &threads
	}
	r.engine.session.describe(&d)
}

// drain tells other processes that the worker has been told to stop. What is killed after
// that has not crashed.
func (r *repertoire) drain() {
	r.mu.Lock()
	r.drains = true
	r.mu.Unlock()
	r.describe()
}

// forget tells other processes that the engine works no more.
func (r *repertoire) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	r.engine.session.describe(&workerDescription{misses: []string{}, refuses: []int32{}})
}

// threads are those that the worker's handlers run on, as far as it has looked.
func (r *repertoire) threads() (all []*Threads) {
	if threaded, ok := r.engine.cfg.Handlers.(Threaded); ok {
		if t := threaded.ThreadsOf(""); t != nil { // most resolvers give all classes the same
			all = append(all, t)
		}
	}
	for _, p := range r.pools {
		if p.threads != nil && !slices.Contains(all, p.threads) {
			all = append(all, p.threads)
		}
	}
	return all
}

// takes reports whether the filters let the template's tasks pass.
func (c *WorkerConfig) takes(t *templates.Template) bool {
	passes := func(filter []string, value string) bool { return len(filter) == 0 || slices.Contains(filter, value) }
	return passes(c.Namespaces, t.Namespace) && passes(c.Names, t.Name) && passes(c.Queues, t.Queue)
}
