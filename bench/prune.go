package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/cockroachdb/errors"
)

// Pruned says how many old tasks `tasker-rb tasks prune` has deleted.
type Pruned struct {
	Name  string        `json:"name"` // of the contender
	Tasks int           `json:"tasks"`
	Took  time.Duration `json:"took_ns"`
}

// Rate is how many tasks a second were deleted.
func (p Pruned) Rate() float64 { return float64(p.Tasks) / p.Took.Seconds() }

// pruneArgs deletes the tasks that fill the tables, and not the measured ones.
var pruneArgs = []string{"tasks", "prune", "--older-than", "1h", "--output", "json"}

// startPrune deletes old tasks until the function that it returns is called.
func (t *tasker) startPrune(ctx context.Context, w Work) (stop func() (Pruned, error), err error) {
	dir := filepath.Join(w.dir, "prune") // the worker has a log of the same name
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, errors.WithStack(err)
	}
	began := time.Now()
	p, err := start(t.command(ctx, w, pruneArgs...), dir)
	if err != nil {
		return nil, err
	}
	return func() (Pruned, error) {
		done := Pruned{Name: t.name, Took: time.Since(began)}
		if err := p.stop(); err != nil {
			return done, err
		}
		output, err := os.ReadFile(p.log)
		if err != nil {
			return done, errors.WithStack(err)
		}
		for line := range bytes.Lines(output) {
			if json.Unmarshal(line, &done) == nil {
				return done, nil
			}
		}
		return done, p.failure("it did not say how many tasks it has deleted")
	}, nil
}

// pruneRest deletes the old tasks that are left, with nothing beside.
func (b *bench) pruneRest(ctx context.Context, running []contender, s Shape) (all []Pruned, err error) {
	for _, c := range running {
		t, ok := c.(*tasker)
		if !ok || !t.full(s) {
			continue
		}
		done := Pruned{Name: t.name}
		began := time.Now()
		output, err := t.run(ctx, Work{DatabaseURL: b.postgres.url(databaseName(t.Name() + "_" + s.Name))}, pruneArgs...)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(output, &done); err != nil {
			return nil, errors.Wrap(err, "tasker-rb tasks prune")
		}
		done.Took = time.Since(began)
		b.log("%s, %s: %s tasks deleted with nothing beside, %.0f/s", s.Name, t.name, thousands(done.Tasks), done.Rate())
		all = append(all, done)
	}
	return all, nil
}
