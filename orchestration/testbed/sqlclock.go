package testbed

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// sqlClock has now() in SQL follow the clock.
type sqlClock struct {
	pool *pgxpool.Pool
	on   bool
}

func openSQLClock(ctx context.Context, pool *pgxpool.Pool, on bool) (*sqlClock, error) {
	return &sqlClock{pool: pool, on: on}, nil
}

func (c *sqlClock) configure(*pgxpool.Config) {}
func (c *sqlClock) follow() func(time.Time)   { return nil }
func (c *sqlClock) look(*attempt, string)     {}
