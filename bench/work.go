package main

import (
	"strings"
	"time"
)

// Work is what a contender has to do in one round. Contenders in other processes get
// it as JSON, in the variable BENCH_WORK.
type Work struct {
	DatabaseURL  string `json:"database_url"`
	RedisURL     string `json:"redis_url"`
	Tasks        int    `json:"tasks"`
	Levels       []int  `json:"levels"`
	SQL          bool   `json:"sql"`
	WaitMS       int64  `json:"wait_ms"`
	ContextBytes int    `json:"context_bytes"`
	Lease        int    `json:"lease"` // how many tasks the loops take at a time

	dir string // for the files of this round
}

const workVariable = "BENCH_WORK"

// accounts is how many rows the application's table has. Step i of task t adds one to
// row (7t + i) mod accounts, so that tasks that run at the same time seldom meet.
const accounts = 1000

const updateSQL = "update accounts set n = n + 1 where id = $1"

func account(task int64, step int) int64 { return (7*task + int64(step)) % accounts }

// leaseOf is twenty, or less if the connections would not all get some of the tasks.
func leaseOf(tasks int) int { return max(1, min(20, tasks/(2*poolConnections))) }

// steps is how many steps the whole round has.
func (w Work) steps() int { return w.Tasks * Shape{Levels: w.Levels}.Steps() }

func (w Work) wait() time.Duration { return time.Duration(w.WaitMS) * time.Millisecond }

// taskContext is the input of a task: a JSON object.
func (w Work) taskContext() string {
	if w.ContextBytes == 0 {
		return "{}"
	}
	const around = `{"payload":""}`
	return `{"payload":"` + strings.Repeat("x", max(0, w.ContextBytes-len(around))) + `"}`
}

// stepResults are the results of each step.
const stepResults = `{"ok": true, "amount": "12.50"}`
