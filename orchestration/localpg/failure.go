package localpg

import (
	"strings"
	"syscall"

	"github.com/cockroachdb/errors"
)

// complaints returns the lines with errors from the output of initdb or postgres.
// If there are none, it returns the last line.
func complaints(output string) string {
	var found []string
	last := "it said nothing"
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		last = line
		for _, mark := range []string{"FATAL:", "PANIC:", "ERROR:", "DETAIL:", "HINT:", "error:", "could not"} {
			if at := strings.Index(line, mark); at >= 0 {
				found = append(found, strings.TrimSpace(line[at:]))
				break
			}
		}
	}
	if len(found) == 0 {
		return last
	}
	return strings.Join(found, "; ")
}

// remedies are hints for PostgreSQL's messages. The first one whose text is in the
// message is used. {dir} stands for the server's folder.
var remedies = []struct{ text, hint string }{
	{"No space left on device", "The disk is full. Make room on the file system of {dir}, or set XDG_STATE_HOME (TMPDIR for a temporary database) to a folder on another one."},
	{"Disk quota exceeded", "Your disk quota is used up. Make room, or set XDG_STATE_HOME to a folder on another file system."},
	{"File too large", "The limit on the size of files is too low. See `ulimit -f`."},
	{"shared memory segment", "PostgreSQL gets too little shared memory. In a container, give /dev/shm more room (--shm-size)."},
	{"could not map anonymous shared memory", "The machine has too little memory free for PostgreSQL."},
	{"Cannot allocate memory", "The machine has too little memory free for PostgreSQL."},
	{"could not locate a valid checkpoint record", "The data is damaged. Restore {dir} from a backup, or move it away to begin with an empty database."},
	{"invalid primary checkpoint record", "The data is damaged. Restore {dir} from a backup, or move it away to begin with an empty database."},
	{"incompatible with server", "The data was made by another version of PostgreSQL. Install that version, or move {dir} away to begin with an empty database."},
	{"could not look up effective user ID", "The user of this process has no entry in /etc/passwd, which PostgreSQL needs. Add one, or set DATABASE_URL."},
	{"Read-only file system", "Set XDG_STATE_HOME to a folder that you can write, or set DATABASE_URL."},
	{"ermission denied", "Make sure that the server's user can read and write {dir}, and can run PostgreSQL's binaries."},
}

// explain adds a hint to a failure of the server in dir, if remedies has one.
func explain(err error, dir string) error {
	for _, r := range remedies {
		if strings.Contains(err.Error(), r.text) || r.text == "No space left on device" && errors.Is(err, syscall.ENOSPC) {
			return errors.WithHint(err, strings.ReplaceAll(r.hint, "{dir}", dir))
		}
	}
	return err
}

// explainStart adds a hint to the error of a program that did not start.
func (c *cluster) explainStart(err error) error {
	err = errors.WithStack(err)
	if c.place.account != nil && (errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL)) {
		return errors.WithHint(errors.Wrapf(err, "root may not become the user %s here", c.place.account.Name),
			"Run the command as another user than root, or set DATABASE_URL.")
	}
	return explain(err, c.place.base)
}
