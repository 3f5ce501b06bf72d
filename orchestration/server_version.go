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

// serverVersion is how PostgreSQL writes its version: 15.18 (Debian 15.18-0+deb12u1), 18rc1.
var serverVersion = regexp.MustCompile(`^(\d+)(\.\d+)*((devel|beta|rc)\d*)?( |$)`)

// checkServer looks at the version that the server has said when it was connected to.
func checkServer(conn *pgx.Conn) error {
	version := conn.PgConn().ParameterStatus("server_version")
	match := serverVersion.FindStringSubmatch(version)
	if match == nil { // a pooler may say something of its own, and that is no reason to refuse it
		return nil
	}
	if major, err := strconv.Atoi(match[1]); err != nil || major >= OldestServer {
		return errors.Wrap(err, "reading the server's version")
	}
	return errors.WithHintf(errors.Wrapf(ErrServerTooOld, "the server is PostgreSQL %s", version),
		"Use PostgreSQL %d or later.", OldestServer)
}
