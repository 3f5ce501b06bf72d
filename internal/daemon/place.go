package daemon

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
)

// account returns the user that the programs run as; nil means the user of the test.
func account(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	found, err := user.Lookup("postgres")
	if err != nil {
		found, err = user.Lookup("nobody")
	}
	require.NoError(t, err, "these programs do not run as root")
	uid, err := strconv.ParseUint(found.Uid, 10, 32)
	require.NoError(t, err)
	gid, err := strconv.ParseUint(found.Gid, 10, 32)
	require.NoError(t, err)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// folderPrefix begins the names of all folders. The number of the test's process
// follows.
const folderPrefix = "tasker-daemon-"

// Dir makes an empty folder for the programs, in memory if there is room. It is
// removed when the test ends.
func Dir(t testing.TB) string {
	t.Helper()
	parent := pgtest.MemoryDir()
	if parent == "" {
		parent = os.TempDir()
	}
	sweep(parent)
	dir, err := os.MkdirTemp(parent, fmt.Sprintf("%s%d-", folderPrefix, os.Getpid()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	Give(t, dir)
	return dir
}

// Give makes the user of the programs the owner of a file.
func Give(t testing.TB, path string) {
	t.Helper()
	if as := account(t); as != nil {
		require.NoError(t, os.Chown(path, int(as.Uid), int(as.Gid)))
	}
}

// sweep removes the folders of test binaries that were killed.
func sweep(parent string) {
	folders, _ := filepath.Glob(filepath.Join(parent, folderPrefix+"*")) // the pattern is well formed
	for _, folder := range folders {
		var pid int
		_, err := fmt.Sscanf(filepath.Base(folder), folderPrefix+"%d-", &pid)
		if err == nil && pid > 0 && syscall.Kill(pid, 0) == syscall.ESRCH {
			_ = os.RemoveAll(folder) // it may be another user's
		}
	}
}
