package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cockroachdb/errors"
)

// options are the flags.
type options struct {
	shapes     string
	contenders string
	rounds     int
	busy       time.Duration
	filled     int
	program    string
	before     string
	dir        string
	out        string
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "child" {
		exit(runChild(os.Args[2]))
	}
	var o options
	flag.StringVar(&o.shapes, "shapes", "", "measure these shapes, separated by commas, or all (default noop,diamond-sql,diamond)")
	flag.StringVar(&o.contenders, "contenders", "", "measure only contenders whose name contains one of these texts, separated by commas")
	flag.IntVar(&o.rounds, "rounds", 5, "measure each so often, in turns")
	flag.DurationVar(&o.busy, "for", 2*time.Second, "give each contender tasks for about so long a round")
	flag.IntVar(&o.filled, "filled", 1_000_000, "so many finished tasks are in full tables, and twice as many that wait for their time")
	flag.StringVar(&o.program, "tasker-rb", "../bin/tasker-rb", "the program to measure")
	flag.StringVar(&o.before, "before", "", "another build of it to measure beside")
	flag.StringVar(&o.dir, "dir", defaultDir(), "keep the data of the servers in a folder below this one, on a disk")
	flag.StringVar(&o.out, "out", "../.build/bench", "write report.txt, report.json, report.svg and report.png into this folder")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(run(ctx, o))
}

// exit ends the program. It prints the error, if there is one, with its hints.
func exit(err error) {
	if err == nil {
		os.Exit(0)
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	for _, hint := range errors.GetAllHints(err) {
		fmt.Fprintln(os.Stderr, hint)
	}
	os.Exit(1)
}

func run(ctx context.Context, o options) (err error) {
	if o.rounds < 1 {
		return errors.Newf("-rounds %d: it must be 1 or more", o.rounds)
	}
	chosen, err := chooseShapes(o.shapes, shapes(o.filled))
	if err != nil {
		return err
	}
	list, missing, err := chooseContenders(o)
	if err != nil {
		return err
	}
	log := func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	for _, m := range missing {
		log("left out: %s", m)
	}
	b, stop, err := newBench(ctx, o.dir, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, stop()) }()
	report := newReport(ctx, b, o)
	report.LeftOut = missing
	// What was measured before something failed is kept, too.
	return errors.CombineErrors(b.compare(ctx, report, chosen, list, o), report.write(o.out))
}

// newBench starts the server. The function that it returns stops it.
func newBench(ctx context.Context, parent string, log func(string, ...any)) (*bench, func() error, error) {
	server, err := startPostgres(ctx, parent)
	if err != nil {
		return nil, nil, err
	}
	b := &bench{postgres: server, dir: filepath.Join(server.dir, "rounds"), log: log, filled: map[string]bool{}}
	if err := os.Mkdir(b.dir, 0o755); err != nil {
		return nil, nil, errors.CombineErrors(errors.WithStack(err), server.stop())
	}
	return b, server.stop, nil
}

// compare measures all contenders with all shapes, in turns, and adds to the report.
func (b *bench) compare(ctx context.Context, report *Report, chosen []Shape, list []contender, o options) (err error) {
	for _, s := range chosen {
		of := ShapeReport{Shape: s}
		running := beside(list, s)
		for _, c := range running {
			tasks, err := b.calibrate(ctx, c, s, o.busy)
			if err != nil {
				return err
			}
			of.Contenders = append(of.Contenders, ContenderReport{Name: c.Name(), Tasks: tasks})
		}
		for round := range o.rounds {
			for turn := range running {
				i := (round + turn) % len(running) // none always comes after the same one
				c := running[i]
				r, err := b.round(ctx, c, s, of.Contenders[i].Tasks)
				if err != nil {
					return err
				}
				b.log("%s, round %d of %d, %s: %d tasks, %.1f/s", s.Name, round+1, o.rounds, c.Name(), r.Tasks, r.Rate())
				of.Contenders[i].Rounds = append(of.Contenders[i].Rounds, r)
			}
		}
		if s.Beside.Pruned {
			if of.Prunes, err = b.pruneRest(ctx, running, s); err != nil {
				return err
			}
		} else if s.Beside.Finished > 0 {
			lists, err := b.timeLists(ctx, running, s, o.rounds)
			if err != nil {
				return err
			}
			of.Lists = lists
		}
		report.Shapes = append(report.Shapes, of)
		if err := report.printShape(os.Stdout, of); err != nil {
			return err
		}
	}
	return nil
}
