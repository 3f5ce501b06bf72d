package main

import (
	"context"
	"os/exec"

	"github.com/jackc/pgx/v5"
)

// rubyPG is a loop in plain ruby with the pg gem. It writes what the floor writes, one
// transaction a step.
type rubyPG struct{}

func (rubyPG) Name() string           { return "ruby+pg loop" }
func (rubyPG) Missing() []requirement { return needGem("pg", installContenders) }
func (rubyPG) Runs(s Shape) bool      { return s.Beside.empty() }

func (rubyPG) Prepare(ctx context.Context, conn *pgx.Conn, w Work) error {
	return makeLogTables(ctx, conn, w)
}

func (rubyPG) Command(ctx context.Context, w Work) *exec.Cmd {
	return scriptCommand(ctx, w, "ruby", "contenders/ruby_pg.rb")
}

func (rubyPG) Verify(ctx context.Context, conn *pgx.Conn, w Work) error {
	return verifyLogTables(ctx, conn, w)
}
