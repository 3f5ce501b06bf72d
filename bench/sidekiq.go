package main

import (
	"context"
	"os/exec"

	"github.com/jackc/pgx/v5"
)

// sidekiq has a job for each step, in Redis. Its SQL, if there is any, is in
// PostgreSQL, so the two are not atomic.
type sidekiq struct{}

func (sidekiq) Name() string { return "Sidekiq" }

func (sidekiq) Missing() []requirement {
	missing := append(needProgram("redis-server", installContenders), needProgram("sidekiq", installContenders)...)
	return append(missing, needGem("pg", installContenders)...)
}

func (sidekiq) Runs(s Shape) bool { return s.Beside.empty() }
func (sidekiq) usesRedis()        {}

func (sidekiq) Prepare(ctx context.Context, _ *pgx.Conn, w Work) error {
	return runScript(ctx, w, "ruby", "contenders/sidekiq_submit.rb")
}

func (sidekiq) Command(ctx context.Context, w Work) *exec.Cmd {
	return scriptCommand(ctx, w, "sidekiq", "-r", "./contenders/sidekiq_steps.rb")
}

func (sidekiq) Verify(_ context.Context, _ *pgx.Conn, w Work) error {
	return expectInRedis(w.RedisURL, w.Tasks, "tasks done", "done")
}
