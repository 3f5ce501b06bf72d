package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// defaultConnectTimeout is how long to wait for a server that does not answer.
// connect_timeout in the address overrides it. The driver alone would wait
// forever.
const defaultConnectTimeout = 10 * time.Second

func setConnectTimeout(config *pgx.ConnConfig) {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = defaultConnectTimeout
	}
}

// The environment variables with an address.
const (
	databaseURL = "DATABASE_URL"
	sessionURL  = "TASKER_SESSION_URL"
)

// ownName is the application_name of connections that have no other one. Those of a pool
// and of an engine's session have one of their own each, see [orchestration.ConfigurePool].
const ownName = "tasker-rb"

// dial opens a connection to the server of an address. A pooler may be in between, so
// it has no prepared statements.
func dial(ctx context.Context, variable, address string) (*pgx.Conn, error) {
	config, err := parseAddress(variable, address)
	if err != nil {
		return nil, err
	}
	if config.ConnConfig.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = ownName
	}
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return nil, connectError(variable, &config.ConnConfig.Config, err)
	}
	return conn, nil
}

// connectError names the server that could not be reached, and says what to check.
// variable has its address.
func connectError(variable string, config *pgconn.Config, err error) error {
	where := shownAddress(config)
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		if unknown := unknownParameter(variable, where, config, pg); unknown != nil {
			return unknown
		}
	}
	var dns *net.DNSError
	var network net.Error
	switch {
	case errors.As(err, &pg) && (pg.Code == "28P01" || pg.Code == "28000"):
		return errors.WithHint(errors.Newf("the database at %s refused the login: %s", where, pg.Message),
			"Check the user and the password in "+variable+", and the server's pg_hba.conf.")
	case errors.As(err, &pg) && pg.Code == "3D000":
		return errors.WithHint(errors.Newf("the database at %s: %s", where, pg.Message), "Create it with createdb, or name another one in "+variable+".")
	case errors.As(err, &pg):
		return errors.WithHint(errors.Newf("the database at %s: %s (SQLSTATE %s)", where, pg.Message, pg.Code), sqlHint(pg))
	case errors.As(err, &dns):
		return errors.WithHint(errors.Newf("the host of the database at %s is not known", where), "Check the host name in "+variable+".")
	case errors.As(err, &network) && network.Timeout():
		return errors.WithHint(errors.Newf("the database at %s did not answer within %s", where, config.ConnectTimeout),
			"Check the host and the port, and whether a firewall is in between; connect_timeout=SECONDS in "+variable+" waits longer.")
	case strings.Contains(err.Error(), "server refused TLS") && !maySpeakPlainly(config):
		return errors.WithHint(errors.Newf("the database at %s does not speak TLS", where),
			"Turn ssl on in the server, or write sslmode=disable in "+variable+" where the network is trusted.")
	case strings.Contains(err.Error(), "tls: ") || strings.Contains(err.Error(), "x509: "):
		return errors.WithHint(errors.Newf("the database at %s: %v", where, lastCause(err)),
			"Check sslmode and sslrootcert in "+variable+", and the server's certificate.")
	}
	return errors.WithHint(errors.Wrapf(lastCause(err), "the database at %s cannot be reached", where),
		remedyUnreachable(variable))
}

// maySpeakPlainly reports whether a connection without TLS was tried, too.
func maySpeakPlainly(config *pgconn.Config) bool {
	return config.TLSConfig == nil || slices.ContainsFunc(config.Fallbacks, func(f *pgconn.FallbackConfig) bool { return f.TLSConfig == nil })
}

// reconnectError is the error of a pool or a session that could not open one more connection.
func reconnectError(err *pgconn.ConnectError) error {
	if os.Getenv(databaseURL) != "" {
		return connectError(variableOf(err.Config), err.Config, err)
	}
	cause := lastCause(err)
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		cause = errors.Newf("%s (SQLSTATE %s)", pg.Message, pg.Code)
	}
	return errors.WithHint(errors.Newf("the private database does not answer: %v", cause),
		"Its server starts again by itself; if it does not, `tasker-rb doctor` says why.")
}

// remedyUnreachable says what to do about a server that is not there.
func remedyUnreachable(variable string) string {
	if variable == sessionURL {
		return "Start that server, or correct " + variable + "."
	}
	return startOr + "unset " + variable + " to use the private one."
}

const startOr = "Start that server, or "

// withoutPrivate is a hint for a program that has begun with a database, and for a worker.
// Neither would change to the private one.
func withoutPrivate(hint string) string {
	return strings.ReplaceAll(hint, remedyUnreachable(databaseURL), startOr+"correct "+databaseURL+".")
}

// sqlHint returns the server's own hint. If it has none, sqlHint says what to do.
func sqlHint(pg *pgconn.PgError) string {
	switch {
	case pg.Hint != "":
		return pg.Hint
	case pg.Code == "42501":
		return "Connect as the role that ran `tasker-rb migrate up`, or let it grant this one usage on the schema tasker, and " +
			"select, insert, update and delete on its tables and usage on its sequences."
	case pg.Code == "25006":
		return "Connect to the primary server, as a role whose default_transaction_read_only is off."
	case pg.Code == "53300":
		return "Raise the server's max_connections or the role's connection limit, or lower --threads."
	case pg.Code == "57P03":
		return "Wait until the server is up."
	default:
		return "The server's log may say more."
	}
}

func lastCause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return errors.UnwrapAll(err)
}

// redact returns an address that is safe to show.
func redact(address string) string {
	config, err := parseAddress("", address)
	if err != nil {
		return "an address that cannot be read"
	}
	return shownAddress(&config.ConnConfig.Config)
}

// shownAddress returns the address without the password and the settings.
// Servers that are tried one after the other are separated by commas.
func shownAddress(config *pgconn.Config) string {
	u := url.URL{Scheme: "postgres", Path: "/" + config.Database}
	if config.User != "" {
		u.User = url.User(config.User)
	}
	if strings.HasPrefix(config.Host, "/") {
		u.RawQuery = fmt.Sprintf("host=%s&port=%d", config.Host, config.Port)
		return u.String()
	}
	hosts := []string{hostAndPort(config.Host, config.Port)}
	for _, f := range config.Fallbacks {
		if h := hostAndPort(f.Host, f.Port); !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	u.Host = strings.Join(hosts, ",")
	return u.String()
}

func hostAndPort(host string, port uint16) string { return net.JoinHostPort(host, fmt.Sprint(port)) }
