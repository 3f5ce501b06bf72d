package localpg

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func newLock(t *testing.T, path string) *lockFile {
	t.Helper()
	l, err := openLock(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() }) // some are closed by the test
	return l
}

func requireTry(t *testing.T, want bool, l *lockFile, b lockByte, kind lockKind) {
	t.Helper()
	got, err := l.try(b, kind)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func requireHolder(t *testing.T, want lockKind, l *lockFile, b lockByte) {
	t.Helper()
	got, err := l.holder(b)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestLocksExcludeEachOtherInOneProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	a, b := newLock(t, path), newLock(t, path)
	requireTry(t, true, a, clientsByte, shared)
	requireTry(t, true, b, clientsByte, shared)
	requireTry(t, false, b, clientsByte, exclusive)
	requireTry(t, true, b, startByte, exclusive)
	requireTry(t, false, a, startByte, shared)
	requireHolder(t, shared, a, clientsByte)
	requireHolder(t, exclusive, a, startByte)
	requireHolder(t, free, b, startByte)
	require.NoError(t, b.release(clientsByte))
	requireHolder(t, free, a, clientsByte)
	require.NoError(t, b.Close())
	requireTry(t, true, a, startByte, exclusive)
}

func TestAChildThatInheritsALockHoldsIt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	ours, looks := newLock(t, path), newLock(t, path)
	requireTry(t, true, ours, serverByte, exclusive)
	child := exec.Command("cat")
	child.ExtraFiles = append(child.ExtraFiles, ours.f)
	input, err := child.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	require.NoError(t, ours.Close())
	requireHolder(t, exclusive, looks, serverByte)
	require.NoError(t, input.Close())
	require.NoError(t, child.Wait())
	requireHolder(t, free, looks, serverByte)
}

func TestWaitingForALockEndsWithItsContext(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	a, b := newLock(t, path), newLock(t, path)
	requireTry(t, true, a, startByte, exclusive)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, b.acquire(ctx, startByte, exclusive), context.DeadlineExceeded)

	got := make(chan error, 1)
	go func() { got <- b.wait(startByte, exclusive) }()
	require.NoError(t, a.release(startByte))
	require.NoError(t, <-got)
}
