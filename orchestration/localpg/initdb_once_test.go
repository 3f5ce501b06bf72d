package localpg_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

// realVariable tells the commands and the tests which PostgreSQL the machine has.
const realVariable = "LOCALPG_TEST_REAL"

// initdb is most of the work of a start that makes the data. So in this test binary, and in
// its commands, the newest PostgreSQL is one whose initdb runs once for each user and each
// list of options. Later it copies what it made.
const initdbScript = `#!/bin/sh
dir=$2
shift 2
made=%[2]s/$(id -u)-$(echo "$*" | cksum | tr -d ' ')
if [ ! -d "$made" ]; then
	half=$(mktemp -d %[2]s/half.XXXXXX) && %[1]s/initdb -D "$half" "$@" || { ended=$?; rm -rf "$half"; exit $ended; }
	mv -T "$half" "$made" 2>/dev/null || rm -rf "$half" # another was first
fi
exec cp -a "$made/." "$dir"
`

// makeInitdbOnce puts that PostgreSQL into PATH.
func makeInitdbOnce() (remove func(), err error) {
	if os.Getenv(realVariable) != "" {
		return func() {}, nil // another test binary has started this one
	}
	found := localpg.Installations(context.Background())
	if len(found) == 0 {
		return func() {}, nil // the tests say so
	}
	bin, err := os.MkdirTemp("", "localpg-test-bin-")
	if err != nil {
		return nil, err
	}
	data, err := os.MkdirTemp(pgtest.MemoryDir(), "localpg-test-data-")
	if err != nil {
		return nil, err
	}
	server := fmt.Sprintf("#!/bin/sh\nexec %s/postgres \"$@\"\n", found[0].BinDir)
	for path, script := range map[string]string{"postgres": server, "initdb": fmt.Sprintf(initdbScript, found[0].BinDir, data)} {
		if err := os.WriteFile(filepath.Join(bin, path), []byte(script), 0o755); err != nil {
			return nil, err
		}
	}
	// Servers run as other users, too.
	for path, mode := range map[string]os.FileMode{bin: 0o755, data: 0o777 | os.ModeSticky} {
		if err := os.Chmod(path, mode); err != nil {
			return nil, err
		}
	}
	remove = func() { _, _ = os.RemoveAll(bin), os.RemoveAll(data) }
	if err := os.Setenv(realVariable, found[0].BinDir); err != nil {
		return nil, err
	}
	return remove, os.Setenv("PATH", bin+":"+os.Getenv("PATH"))
}

// realBinDir is for tests of what PostgreSQL's own initdb does, or of its end.
func realBinDir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv(realVariable)
	require.NotEmpty(t, dir, "PostgreSQL is not installed")
	return dir
}
