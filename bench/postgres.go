package main

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

// postgres is a server of our own, with the settings that initdb gives, but for the
// number of connections.
type postgres struct {
	dir    string
	server *localpg.Server
	pid    int
}

// startPostgres starts a server with new data in a folder below parent.
func startPostgres(ctx context.Context, parent string) (*postgres, error) {
	dir, err := os.MkdirTemp(parent, "tasker-rb-bench-")
	if err != nil {
		return nil, errors.WithStack(err)
	}
	// The server may run as another user.
	if err := os.Chmod(dir, 0o711); err != nil {
		return nil, errors.WithStack(err)
	}
	p := &postgres{dir: dir}
	p.server, err = localpg.Start(ctx, localpg.Options{Dir: filepath.Join(dir, "postgres"), Settings: map[string]string{"max_connections": "300"}})
	if err != nil {
		return nil, errors.CombineErrors(err, p.stop())
	}
	if err := p.refuseWeakDurability(ctx); err != nil {
		return nil, errors.CombineErrors(err, p.stop())
	}
	first, err := os.ReadFile(filepath.Join(dir, "postgres", "data", "postmaster.pid"))
	if err != nil {
		return nil, errors.CombineErrors(errors.WithStack(err), p.stop())
	}
	line, _, _ := strings.Cut(string(first), "\n")
	if p.pid, err = strconv.Atoi(line); err != nil {
		return nil, errors.CombineErrors(errors.WithStack(err), p.stop())
	}
	return p, nil
}

// refuseWeakDurability fails if the figures would not be those of durable commits.
func (p *postgres) refuseWeakDurability(ctx context.Context) error {
	if inMemory(p.dir) {
		return errors.WithHint(errors.Newf("%s is in memory", p.dir), "Set TMPDIR, or -dir, to a folder on a disk.")
	}
	return p.with(ctx, "postgres", func(conn *pgx.Conn) error {
		for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
			var value string
			if err := conn.QueryRow(ctx, "select current_setting($1)", name).Scan(&value); err != nil {
				return errors.WithStack(err)
			}
			if value != "on" {
				return errors.Newf("the server has %s = %s", name, value)
			}
		}
		return nil
	})
}

func (p *postgres) stop() error {
	var err error
	if p.server != nil {
		err = p.server.Close()
	}
	return errors.CombineErrors(err, os.RemoveAll(p.dir))
}

func (p *postgres) url(database string) string {
	u, err := url.Parse(p.server.URL())
	if err != nil {
		panic(err) // localpg has built it
	}
	u.Path = "/" + database
	return u.String()
}

// with calls f with a connection to a database.
func (p *postgres) with(ctx context.Context, database string, f func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, p.url(database))
	if err != nil {
		return errors.WithStack(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return f(conn)
}

// version returns the server's version, such as 15.14.
func (p *postgres) version(ctx context.Context) (version string, err error) {
	err = p.with(ctx, "postgres", func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "show server_version").Scan(&version)
	})
	return version, err
}

// create makes a database with the application's table.
func (p *postgres) create(ctx context.Context, database string) error {
	err := p.with(ctx, "postgres", func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "create database "+database)
		return errors.WithStack(err)
	})
	if err != nil {
		return err
	}
	return p.with(ctx, database, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "create table accounts (id bigint primary key, n bigint not null) with (fillfactor = 50)")
		return errors.WithStack(err)
	})
}

func (p *postgres) drop(ctx context.Context, database string) error {
	return p.with(ctx, "postgres", func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "drop database if exists "+database+" with (force)")
		return errors.WithStack(err)
	})
}

// resetAccounts sets all accounts to zero.
func resetAccounts(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "truncate accounts")
	if err == nil {
		_, err = conn.Exec(ctx, "insert into accounts select id, 0 from generate_series(0, $1::int - 1) id", accounts)
	}
	if err == nil {
		_, err = conn.Exec(ctx, "vacuum analyze accounts")
	}
	return errors.WithStack(err)
}

// verifyAccounts fails unless each step has added one.
func verifyAccounts(ctx context.Context, conn *pgx.Conn, w Work) error {
	if !w.SQL {
		return nil
	}
	return expect(ctx, conn, w.steps(), "additions to the accounts", "select coalesce(sum(n), 0)::bigint from accounts")
}

// expect fails unless the query gives the number.
func expect(ctx context.Context, conn *pgx.Conn, want int, what, query string, args ...any) error {
	var got int
	if err := conn.QueryRow(ctx, query, args...).Scan(&got); err != nil {
		return errors.Wrap(err, what)
	}
	if got != want {
		return errors.Newf("%d %s, and %d were to be done", got, what, want)
	}
	return nil
}

// settle makes each round begin alike: nothing of the preparation is left to be
// written.
func settle(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "checkpoint")
	return errors.WithStack(err)
}

// inMemory says whether a folder is on a file system that has no disk.
func inMemory(dir string) bool {
	const tmpfs, ramfs = 0x01021994, 0x858458f6
	var s syscall.Statfs_t
	return syscall.Statfs(dir, &s) == nil && (s.Type == tmpfs || s.Type == ramfs)
}

// defaultDir is the folder for temporary files, or one that is on a disk if that is
// not.
func defaultDir() string {
	if dir := os.TempDir(); !inMemory(dir) {
		return dir
	}
	return "/var/tmp"
}
