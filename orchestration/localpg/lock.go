package localpg

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/cockroachdb/errors"
	"golang.org/x/sys/unix"
)

// lockByte is a byte of the lock file; doc.go has the table.
type lockByte int64

const (
	clientsByte lockByte = iota
	startByte
	supervisorByte
	serverByte
)

type lockKind int16

const (
	free      lockKind = unix.F_UNLCK
	shared    lockKind = unix.F_RDLCK
	exclusive lockKind = unix.F_WRLCK
)

// pollInterval is the pause between two looks at a lock, or at a file that another
// process changes.
const pollInterval = 2 * time.Millisecond

// lockFile is one open file description of the lock file. Locks belong to the
// description. Two descriptions in one process exclude each other as two processes
// do. A child that inherits a description holds its locks too.
type lockFile struct{ f *os.File }

func openLock(path string) (*lockFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errors.WithStack(err)
	}
	return &lockFile{f}, nil
}

func (l *lockFile) Close() error { return l.f.Close() }

// control calls fcntl for one byte of the file.
func (l *lockFile) control(command int, b lockByte, kind lockKind) (unix.Flock_t, error) {
	region := unix.Flock_t{Type: int16(kind), Whence: io.SeekStart, Start: int64(b), Len: 1}
	for {
		err := unix.FcntlFlock(l.f.Fd(), command, &region)
		if err != unix.EINTR {
			return region, err
		}
	}
}

// try takes a lock if it is free.
func (l *lockFile) try(b lockByte, kind lockKind) (bool, error) {
	_, err := l.control(unix.F_OFD_SETLK, b, kind)
	if err == unix.EAGAIN || err == unix.EACCES {
		return false, nil
	}
	return err == nil, errors.Wrapf(err, "lock %s", l.f.Name())
}

// acquire waits for a lock and takes it. It polls, so that the end of ctx can end
// the wait.
func (l *lockFile) acquire(ctx context.Context, b lockByte, kind lockKind) error {
	for {
		if ok, err := l.try(b, kind); ok || err != nil {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// wait waits for a lock and takes it. Waiters get the lock in their order.
func (l *lockFile) wait(b lockByte, kind lockKind) error {
	_, err := l.control(unix.F_OFD_SETLKW, b, kind)
	return errors.Wrapf(err, "lock %s", l.f.Name())
}

func (l *lockFile) release(b lockByte) error {
	_, err := l.control(unix.F_OFD_SETLK, b, free)
	return errors.Wrapf(err, "unlock %s", l.f.Name())
}

// holder returns the kind of lock that another description has on the byte.
func (l *lockFile) holder(b lockByte) (lockKind, error) {
	found, err := l.control(unix.F_OFD_GETLK, b, exclusive)
	return lockKind(found.Type), errors.Wrapf(err, "lock %s", l.f.Name())
}

// pause waits for pollInterval. It fails if ctx ends before.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return errors.WithStack(ctx.Err())
	case <-time.After(pollInterval):
		return nil
	}
}
