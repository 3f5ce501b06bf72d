package main

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/cockroachdb/errors"
)

// list is a use of `tasker-rb tasks list`.
type list struct {
	flags   string
	matches int // how many tasks it has to show; the limit is 50
}

// startOnly is not a list: it is how long the program takes to start.
const startOnly = "--version, which asks nothing"

// lists are what operators ask for. The rare task is the oldest one, so a search for
// it cannot stop early.
var lists = []list{
	{startOnly, 0},
	{"", 50},
	{"--below 1000", 50},
	{"--state complete", 50},
	{"--state error", 1},
	{"--state cancelled", 0},
	{"--name measured", 50},
	{"--name rare", 1},
	{"--name absent", 0},
	{"--namespace bench --state error", 1},
	{"--namespace absent", 0},
	{"--version 9.9.9", 0},
	{"--tag rare", 1},
	{"--tag absent", 0},
	{"--error-class Tasker::PermanentError", 1},
	{"--error-class Absent", 0},
	{"--older-than 7d", 0},
	{"--state complete --tag absent", 0},
}

// ListReport has the times of one list.
type ListReport struct {
	Flags string          `json:"flags"`
	Times []ContenderTime `json:"times"`
}

// ContenderTime is how long the command took, from its start to its end.
type ContenderTime struct {
	Name  string          `json:"name"`
	Times []time.Duration `json:"times_ns"`
}

// Milliseconds is the spread of the times.
func (c ContenderTime) Milliseconds() Spread {
	var figures []float64
	for _, t := range c.Times {
		figures = append(figures, t.Seconds()*1000)
	}
	return spread(figures)
}

// timeLists times the lists on full tables, in turns.
func (b *bench) timeLists(ctx context.Context, running []contender, s Shape, rounds int) ([]ListReport, error) {
	var reports []ListReport
	for _, l := range lists {
		report := ListReport{Flags: l.flags}
		for round := range rounds {
			for _, c := range running {
				t, ok := c.(*tasker)
				if !ok || !t.full(s) {
					continue
				}
				took, err := t.timeList(ctx, Work{DatabaseURL: b.postgres.url(databaseName(t.Name() + "_" + s.Name))}, l)
				if err != nil {
					return nil, err
				}
				if round == 0 {
					report.Times = append(report.Times, ContenderTime{Name: t.Name()})
				}
				of := &report.Times[indexOf(report.Times, t.Name())]
				of.Times = append(of.Times, took)
			}
		}
		reports = append(reports, report)
	}
	return reports, nil
}

func indexOf(times []ContenderTime, name string) int {
	for i, t := range times {
		if t.Name == name {
			return i
		}
	}
	panic("the contender has no times yet")
}

func (t *tasker) timeList(ctx context.Context, w Work, l list) (time.Duration, error) {
	began := time.Now()
	if l.flags == startOnly {
		_, err := t.run(ctx, w, "--version")
		return time.Since(began), err
	}
	output, err := t.run(ctx, w, append([]string{"tasks", "list", "--output", "json"}, strings.Fields(l.flags)...)...)
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	var found []struct{}
	if err := json.Unmarshal(output, &found); err != nil {
		return 0, errors.Wrap(err, "tasker-rb tasks list")
	}
	if len(found) != l.matches {
		return 0, errors.Newf("tasker-rb tasks list %s: %d tasks, and %d match", l.flags, len(found), l.matches)
	}
	return took, nil
}
