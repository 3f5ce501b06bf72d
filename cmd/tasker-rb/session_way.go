package main

import (
	"context"
	"os"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// Some work needs a backend of its own: the engine's session, and migrations. Through a
// pooler in transaction mode there is none. TASKER_SESSION_URL is the way around it.

const sessionHint = "Set " + sessionURL + " to an address that leads to the server itself. Everything else can go through the pooler. " +
	"Or use the pooler's session mode."

// dialSession opens a connection whose backend is its own. A migration needs one: it
// holds a lock of its session.
func (d *database) dialSession(ctx context.Context) (*pgx.Conn, error) {
	if d.direct != "" {
		if err := d.checkDirect(ctx); err != nil {
			return nil, err
		}
		return dial(ctx, sessionURL, d.direct)
	}
	conn, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	switch shared, err := sharesBackends(ctx, databaseURL, d.url, conn); {
	case err != nil:
		return nil, errors.CombineErrors(errors.Wrap(err, d.place()), conn.Close(ctx))
	case shared:
		err := errors.Newf("%s is behind a pooler in transaction mode, and that gives no session", d.place())
		return nil, errors.CombineErrors(errors.WithHint(err, sessionHint), conn.Close(ctx))
	}
	return conn, nil
}

// sharesBackends reports whether a connection goes through a pooler in transaction mode.
// address is its own.
func sharesBackends(ctx context.Context, variable, address string, conn *pgx.Conn) (bool, error) {
	if through, err := orchestration.ThroughPooler(ctx, conn); !through {
		return false, err
	}
	other, err := dial(ctx, variable, address)
	if err != nil {
		return false, err
	}
	shared, err := orchestration.SharesBackends(ctx, conn, other)
	return shared, errors.CombineErrors(err, other.Close(ctx))
}

// identitySQL tells databases apart.
const identitySQL = `
	select oid::text || ' ' || pg_catalog.pg_postmaster_start_time() from pg_catalog.pg_database where datname = current_database()`

// checkDirect fails if TASKER_SESSION_URL does not lead to the database of DATABASE_URL,
// or does not give a session.
func (d *database) checkDirect(ctx context.Context) error {
	var identities [2]string
	for i, way := range []struct{ variable, address string }{{sessionURL, d.direct}, {databaseURL, d.url}} {
		conn, err := dial(ctx, way.variable, way.address)
		if err != nil {
			return err
		}
		err = conn.QueryRow(ctx, identitySQL).Scan(&identities[i])
		shared := false
		if err == nil && way.variable == sessionURL {
			shared, err = sharesBackends(ctx, way.variable, way.address, conn)
		}
		if err := errors.CombineErrors(err, conn.Close(ctx)); err != nil {
			return errors.Wrapf(err, "the database at %s", redact(way.address))
		}
		if shared {
			return errors.WithHint(errors.Newf("%s leads to a pooler in transaction mode, and that gives no session", sessionURL),
				"Name the server itself, or another port of the pooler with pool_mode session.")
		}
	}
	if identities[0] != identities[1] {
		return errors.WithHint(errors.Newf("%s leads to another database than %s", sessionURL, databaseURL),
			"Name the same database on the same server in both, with and without the pooler.")
	}
	return nil
}

// newEngine starts an engine on a pool of the database.
func (d *database) newEngine(ctx context.Context, pool *pgxpool.Pool, config orchestration.Config) (*orchestration.Engine, error) {
	config.Pool, config.Version = pool, version().Version
	if d.direct != "" {
		if err := d.checkDirect(ctx); err != nil {
			return nil, err
		}
		session, err := parseAddress(sessionURL, d.direct)
		if err != nil {
			return nil, err
		}
		orchestration.ConfigureSession(session.ConnConfig)
		config.Session = session.ConnConfig
	}
	return orchestration.New(ctx, config)
}

// variableOf returns the variable that has the address of a connection.
func variableOf(config *pgconn.Config) string {
	for _, variable := range []string{databaseURL, sessionURL} {
		c, err := parseAddress(variable, os.Getenv(variable))
		if err == nil && c.ConnConfig.Host == config.Host && c.ConnConfig.Port == config.Port {
			return variable
		}
	}
	return databaseURL
}
