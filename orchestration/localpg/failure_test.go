package localpg

import (
	"testing"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"
)

func TestComplaints(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, output, want string }{
		{"nothing", "", "it said nothing"},
		{"only chatter", "creating directory ... ok\nsyncing data\n\n", "syncing data"},
		{"a log", "2026-01-01 [7] LOG:  starting\n2026-01-01 [7] FATAL:  no\n2026-01-01 [7] HINT:  do\n2026-01-01 [7] LOG:  stopped\n", "FATAL:  no; HINT:  do"},
		{"initdb", "fixing permissions\ninitdb: error: could not create directory \"x\": No space left on device\ninitdb: removing\n",
			"error: could not create directory \"x\": No space left on device"},
	} {
		require.Equal(t, c.want, complaints(c.output), c.name)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"write: No space left on device":                   "Make room on the file system of /state,",
		"could not resize shared memory segment: No such":  "--shm-size",
		"FATAL:  could not map anonymous shared memory: x": "too little memory",
		"invalid primary checkpoint record":                "Restore /state from a backup",
		"could not look up effective user ID 7":            "/etc/passwd",
		"mkdir: Permission denied":                         "can read and write /state",
		"fork/exec /usr/bin/postgres: permission denied":   "can run PostgreSQL's binaries",
	} {
		require.Contains(t, errors.FlattenHints(explain(errors.New(text), "/state")), want, text)
	}
	require.Empty(t, errors.FlattenHints(explain(errors.New("something else"), "/state")))
}
