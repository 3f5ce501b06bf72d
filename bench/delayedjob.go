package main

import (
	"context"
	"os/exec"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// delayedJob is one worker of delayed_job with ActiveRecord, which is what its command
// starts by default. A job is a step. It is deleted after the step's SQL is committed, so
// the two are not atomic.
type delayedJob struct{}

func (delayedJob) Name() string { return "delayed_job" }

func (delayedJob) Missing() []requirement {
	return append(needGem("delayed_job_active_record", installContenders), needGem("pg", installContenders)...)
}

// It does some dozens of steps a second.
func (delayedJob) Runs(s Shape) bool { return s.Beside.empty() && s.Steps() <= 10 }

func (delayedJob) Prepare(ctx context.Context, conn *pgx.Conn, w Work) error {
	if err := makeJobTables(ctx, conn); err != nil {
		return err
	}
	return runScript(ctx, w, "ruby", "contenders/delayed_job_submit.rb")
}

func (delayedJob) Command(ctx context.Context, w Work) *exec.Cmd {
	return scriptCommand(ctx, w, "ruby", "contenders/delayed_job.rb")
}

func (delayedJob) Verify(ctx context.Context, conn *pgx.Conn, w Work) error {
	return errors.CombineErrors(verifyJobTables(ctx, conn, w), expect(ctx, conn, 0, "jobs left", "select count(*) from delayed_jobs"))
}

// makeJobTables makes the tables of contenders whose jobs push the next ones: how many
// steps of a level have ended, and which tasks.
func makeJobTables(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `
		create table job_joins (task bigint not null, level int not null, ended int not null, primary key (task, level));
		create table job_tasks (task bigint primary key, at timestamptz not null default now())`)
	return errors.WithStack(err)
}

const joinSQL = `insert into job_joins values ($1, $2, 1) on conflict (task, level) do update set ended = job_joins.ended + 1 returning ended`

func verifyJobTables(ctx context.Context, conn *pgx.Conn, w Work) error {
	return expect(ctx, conn, w.Tasks, "tasks done", "select count(*) from job_tasks")
}
