package main

import (
	"regexp"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// parseAddress reads the address in an environment variable. It may contain settings of
// a pool.
func parseAddress(variable, address string) (*pgxpool.Config, error) {
	if strayAt(address) {
		return nil, errors.WithHint(errors.Newf("%s is not a PostgreSQL address: it has an @ that is not the one before the host", variable),
			"It looks like postgres://user:password@host:5432/database. "+inPasswords)
	}
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, addressError(variable, address, err)
	}
	setConnectTimeout(config.ConnConfig)
	return config, nil
}

const inPasswords = "In a password, @ is written %40, / is %2F, # is %23 and % is %25."

// scheme is what is before the slashes of an address. A password never is.
var scheme = regexp.MustCompile(`^([A-Za-z]\w*):?//`)

// strayAt reports whether an address has an @ that may belong to the password: a second one
// before the path, or one behind a character that ends the host. A part of the password would
// count as the host or the database then, and be shown. In a setting, an @ is fine.
func strayAt(address string) bool {
	server, rest, ok := splitAddress(address)
	if !ok {
		return false
	}
	path, query, _ := strings.Cut(rest, "?")
	name, _, _ := strings.Cut(query, "=")
	_, fragment, _ := strings.Cut(query, "#")
	return strings.Count(server, "@") > 1 || strings.Contains(path+name+fragment, "@")
}

// splitAddress returns what is between the slashes of an address and the character that ends
// the host, and the rest.
func splitAddress(address string) (server, rest string, ok bool) {
	m := scheme.FindString(address)
	if m == "" {
		return "", "", false
	}
	rest = address[len(m):]
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		return rest[:end], rest[end:], true
	}
	return rest, "", true
}

// addressError explains what is wrong with the address in a variable. It never shows
// the password.
func addressError(variable, address string, err error) error {
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) && parse.Unwrap() != nil {
		// The texts of these errors quote no other part of the address.
		switch reason := parse.Unwrap().Error(); {
		case strings.HasPrefix(reason, "sslmode "):
			return errors.WithHint(errors.Newf("%s: %s", variable, reason), "Give sslmode as disable, allow, prefer, require, verify-ca or verify-full.")
		case strings.HasPrefix(reason, "unable to read CA file"):
			return errors.WithHint(errors.Newf("%s: %s", variable, reason), "Correct sslrootcert, or take it out.")
		}
	}
	if m := scheme.FindStringSubmatch(address); m != nil && m[1] != "postgres" && m[1] != "postgresql" {
		return errors.WithHint(errors.Newf("%s is not a PostgreSQL address: it begins with %s", variable, m[0]),
			"Begin it with postgres://, as in postgres://user:password@host:5432/database. "+inPasswords)
	}
	if strings.Contains(err.Error(), "invalid port") {
		return errors.WithHint(errors.Newf("%s is not a PostgreSQL address: its port is not a number from 1 to 65535", variable),
			"The port is after the host, as in postgres://user:password@host:5432/database.")
	}
	return errors.WithHint(errors.Newf("%s is not a PostgreSQL address", variable), "It looks like postgres://user:password@host:5432/database. "+inPasswords)
}

// unknownParameter explains that the server refuses a parameter of the address. It returns
// nil if that is not what it refuses.
func unknownParameter(variable, where string, config *pgconn.Config, pg *pgconn.PgError) error {
	if pg.Code != "42704" && pg.Code != "22023" && pg.Code != "08P01" { // the last one is a pooler's
		return nil
	}
	for name := range config.RuntimeParams {
		switch {
		case !strings.Contains(pg.Message, name):
		case pg.Code == "22023":
			return errors.WithHint(errors.Newf("the database at %s: %s", where, pg.Message), "Correct "+name+" in "+variable+".")
		default:
			return errors.WithHint(errors.Newf("%s has the parameter %s, which the database at %s does not know: %s", variable, name, where, pg.Message),
				"Take "+name+" out of "+variable+", or correct its name.")
		}
	}
	return nil
}
