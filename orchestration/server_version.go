package orchestration

import (
	"regexp"
	"strconv"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// OldestServer is the oldest major version of PostgreSQL that the engine works on. Its
// tests were run on it; docs/versions.md says on which others.
const OldestServer = 14

// ErrServerTooOld says that the database's server is older than [OldestServer].
var ErrServerTooOld = errors.New("the database's PostgreSQL is too old")

var leadingNumber = regexp.MustCompile(`^\d+`)

// checkServer looks at the version that the server has said when it was connected to.
func checkServer(conn *pgx.Conn) error {
	version := conn.PgConn().ParameterStatus("server_version")
	major, err := strconv.Atoi(leadingNumber.FindString(version))
	if err != nil || major >= OldestServer { // a pooler may say something of its own, and that is no reason to refuse it
		return nil
	}
	return errors.WithHintf(errors.Wrapf(ErrServerTooOld, "the server is PostgreSQL %s", version),
		"Use PostgreSQL %d or later.", OldestServer)
}
