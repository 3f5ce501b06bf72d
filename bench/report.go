package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/cockroachdb/errors"
)

// Report is all that was measured. It is written as JSON.
type Report struct {
	At         time.Time         `json:"at"`
	Processors int               `json:"processors"`
	Load       string            `json:"load"` // the load averages at the beginning
	Versions   map[string]string `json:"versions"`
	Shapes     []ShapeReport     `json:"shapes"`
	LeftOut    []LeftOut         `json:"left_out"`
}

// ShapeReport has the contenders that ran a shape. The first one is what the others are
// compared with.
type ShapeReport struct {
	Shape
	Contenders []ContenderReport `json:"contenders"`
	Lists      []ListReport      `json:"lists,omitempty"`
	Prunes     []Pruned          `json:"prunes,omitempty"` // with nothing beside
}

// ContenderReport has the rounds of a contender.
type ContenderReport struct {
	Name   string  `json:"name"`
	Tasks  int     `json:"tasks"` // in each round
	Rounds []Round `json:"rounds"`
}

// Rate is the spread of the tasks a second.
func (c ContenderReport) Rate() Spread {
	return c.spread(Round.Rate)
}

// Host is the spread of the milliseconds of processors' time a task, of the contender's
// own processes.
func (c ContenderReport) Host() Spread {
	return c.each(func(r Round) time.Duration { return r.Host })
}

// Postgres is the same of PostgreSQL's processes.
func (c ContenderReport) Postgres() Spread {
	return c.each(func(r Round) time.Duration { return r.Postgres })
}

// Redis is the same of Redis.
func (c ContenderReport) Redis() Spread {
	return c.each(func(r Round) time.Duration { return r.Redis })
}

func (c ContenderReport) each(of func(Round) time.Duration) Spread {
	return c.spread(func(r Round) float64 { return of(r).Seconds() * 1000 / float64(r.Tasks) })
}

func (c ContenderReport) spread(of func(Round) float64) Spread {
	figures := make([]float64, len(c.Rounds))
	for i, r := range c.Rounds {
		figures[i] = of(r)
	}
	return spread(figures)
}

// Ratio is the spread of the rates as parts of another contender's rate in the same
// round.
func (c ContenderReport) Ratio(to ContenderReport) Spread {
	var figures []float64
	for i := range min(len(c.Rounds), len(to.Rounds)) {
		figures = append(figures, c.Rounds[i].Rate()/to.Rounds[i].Rate())
	}
	return spread(figures)
}

func newReport(ctx context.Context, b *bench, o options) *Report {
	r := &Report{At: time.Now().UTC(), Processors: runtime.NumCPU(), Versions: map[string]string{"go": runtime.Version()}}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		r.Load = strings.TrimSpace(string(load))
	}
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			for _, name := range []string{"dbos-inc/dbos-transact-golang", "riverqueue/river", "jackc/pgx/v5"} {
				if module.Path == "github.com/"+name {
					r.Versions[name] = module.Version
				}
			}
		}
	}
	if version, err := b.postgres.version(ctx); err == nil {
		r.Versions["postgresql"] = version
	}
	for name, command := range map[string][]string{
		"ruby": {"ruby", "-e", "print RUBY_VERSION"}, "redis": {"sh", "-c", `redis-server --version | sed 's/.* v=\([^ ]*\).*/\1/'`}, "tasker-rb": {o.program, "--version"},
		"sidekiq":     {"ruby", "-e", `require "sidekiq"; print Sidekiq::VERSION`},
		"delayed_job": {"ruby", "-e", `print Gem.loaded_specs.fetch("delayed_job") { Gem::Specification.find_by_name("delayed_job") }.version`},
		"pg":          {"ruby", "-e", `require "pg"; print PG::VERSION`},
	} {
		if output, err := exec.CommandContext(ctx, command[0], command[1:]...).Output(); err == nil {
			r.Versions[name] = strings.TrimSpace(string(output))
		}
	}
	return r
}

// write writes the report into a folder.
func (r *Report) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return errors.WithStack(err)
	}
	var text bytes.Buffer
	if err := r.print(&text); err != nil {
		return err
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return errors.WithStack(err)
	}
	err = errors.CombineErrors(
		errors.WithStack(os.WriteFile(filepath.Join(dir, "report.txt"), text.Bytes(), 0o644)),
		errors.WithStack(os.WriteFile(filepath.Join(dir, "report.json"), append(data, '\n'), 0o644)))
	return errors.CombineErrors(err, r.draw(dir))
}

// print writes the report as text.
func (r *Report) print(out io.Writer) error {
	fmt.Fprintf(out, "%s, %d processors, load %s, %v\n", r.At.Format(time.DateTime), r.Processors, r.Load, r.Versions)
	for _, s := range r.Shapes {
		if err := r.printShape(out, s); err != nil {
			return err
		}
	}
	for _, l := range r.LeftOut {
		fmt.Fprintf(out, "left out: %s\n", l)
	}
	return nil
}

// printShape writes a table. Figures are medians, with the quartiles in brackets.
func (r *Report) printShape(out io.Writer, s ShapeReport) error {
	fmt.Fprintf(out, "\n%s (%s)\n", s.Title, s.Name)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "contender\ttasks/s\tratio\tms a task: host\tPostgreSQL\tRedis\ttasks a round")
	for _, c := range s.Contenders {
		redis := "-"
		if median := c.Redis().Median; median > 0 {
			redis = figure(median)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.Name, c.Rate(), c.Ratio(s.Contenders[0]), figure(c.Host().Median), figure(c.Postgres().Median),
			redis, thousands(c.Tasks))
	}
	if err := table.Flush(); err != nil {
		return errors.WithStack(err)
	}
	for _, p := range s.Prunes {
		fmt.Fprintf(out, "%s: tasks prune deletes %.0f tasks a second with nothing beside (%s tasks)\n", p.Name, p.Rate(), thousands(p.Tasks))
	}
	return printLists(out, s.Lists)
}

// printLists writes a table of the times of the lists.
func printLists(out io.Writer, lists []ListReport) error {
	if len(lists) == 0 {
		return nil
	}
	fmt.Fprintln(out)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "ms for tasks list")
	for _, t := range lists[0].Times {
		fmt.Fprintf(table, "\t%s", t.Name)
	}
	fmt.Fprintln(table)
	for _, l := range lists {
		fmt.Fprint(table, cmp.Or(l.Flags, "(all)"))
		for _, t := range l.Times {
			fmt.Fprintf(table, "\t%s", t.Milliseconds())
		}
		fmt.Fprintln(table)
	}
	return errors.WithStack(table.Flush())
}
