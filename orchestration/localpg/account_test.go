package localpg_test

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/effort"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

// nobody returns the user nobody, or skips the test: only root may become another
// user.
func nobody(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can run a process as another user")
	}
	found, err := user.Lookup("nobody")
	require.NoError(t, err)
	uid, err := strconv.ParseUint(found.Uid, 10, 32)
	require.NoError(t, err)
	gid, err := strconv.ParseUint(found.Gid, 10, 32)
	require.NoError(t, err)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// All other tests of this package pass as a user other than root, too.
func TestAsAnotherUser(t *testing.T) {
	t.Parallel()
	as := nobody(t)
	home := stateDir(t) // other users may not enter a test's own folder
	require.NoError(t, os.Chown(home, int(as.Uid), int(as.Gid)))
	// Its folder has no source, which TestExamples reads. Examples and damaged archives are
	// the same for every user.
	skip := "^TestExamples$"
	if !effort.Thorough() {
		skip += "|^TestADamaged|^Example"
	}
	cmd := exec.Command("/proc/self/exe", "-test.v", "-test.timeout=10m", "-test.count=1", "-test.skip="+skip)
	cmd.Dir = home
	cmd.Env = append(os.Environ(), "HOME="+home, "TMPDIR="+home, "XDG_STATE_HOME=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", output)
	require.Contains(t, string(output), "--- PASS: TestCommandsThatStartAtOnceShareOneServer")
}

func TestRootsServerIsAnotherUsersAndOthersCannotReachIt(t *testing.T) {
	t.Parallel()
	as := nobody(t)
	dir := stateDir(t)
	c := startCommand(t, dir)
	info, err := os.Stat(filepath.Join(dir, "data"))
	require.NoError(t, err)
	require.NotZero(t, info.Sys().(*syscall.Stat_t).Uid)

	// Not the user nobody: the server may run as that one.
	as.Uid, as.Gid = as.Uid-1, as.Gid-1
	what, rest := begin(t, order{Dial: c.url}, as).said()
	require.Equal(t, "failed", what)
	require.Contains(t, rest, "permission denied")

	// That user may not start a server on this data either, or share it.
	what, rest = begin(t, order{Options: localpg.Options{Dir: dir}}, as).said()
	require.Equal(t, "failed", what)
	require.Contains(t, rest, "belongs to the user")
	c.leave()
}

func TestAUsersDataIsRunAsThatUserByRoot(t *testing.T) {
	t.Parallel()
	as := nobody(t)
	dir := stateDir(t)
	require.NoError(t, os.Chown(dir, int(as.Uid), int(as.Gid)))
	theirs := begin(t, order{Options: localpg.Options{Dir: dir}}, as).up()
	ask(t, theirs.url, "create table notes as select 'kept' as note")
	theirs.leave()

	roots := startCommand(t, dir)
	require.Equal(t, "kept", ask(t, roots.url, "select note from notes"))
	var stat syscall.Stat_t
	require.NoError(t, syscall.Stat(filepath.Join("/proc", strconv.Itoa(postmaster(t, dir))), &stat))
	require.Equal(t, as.Uid, stat.Uid)
	roots.leave()

	again := begin(t, order{Options: localpg.Options{Dir: dir}}, as).up()
	require.Equal(t, "kept", ask(t, again.url, "select note from notes"))
	again.leave()
}

func TestRootIsToldOfAFolderThatTheServerCannotEnter(t *testing.T) {
	t.Parallel()
	nobody(t)
	closed := stateDir(t)
	require.NoError(t, os.Chmod(closed, 0o700))
	_, err := localpg.Start(t.Context(), localpg.Options{Dir: filepath.Join(closed, "state")})
	requireRefusal(t, err, "may not enter "+closed, "chmod o+x "+closed)
	_, err = localpg.Start(t.Context(), localpg.Options{Ephemeral: true, Dir: closed})
	requireRefusal(t, err, "may not enter "+closed, "TMPDIR")
	entries, err := os.ReadDir(filepath.Join(closed))
	require.NoError(t, err)
	require.Len(t, entries, 1, "the ephemeral one leaves nothing")
}

func TestAFullDiskIsReported(t *testing.T) {
	t.Parallel()
	nobody(t) // for the mount
	dir := stateDir(t)
	require.NoError(t, syscall.Mount("none", dir, "tmpfs", 0, "size=8m,mode=0711"))
	defer func() {
		requireSoonGone(t, dir)
		// A child that another test has forked may have the log open until its exec.
		require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH))
	}()
	_, err := localpg.Start(t.Context(), localpg.Options{Dir: filepath.Join(dir, "state"), BinDir: realBinDir(t)})
	requireRefusal(t, err, "No space left on device", "The disk is full. Make room")
}
