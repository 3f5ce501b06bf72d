package localpg

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/cockroachdb/errors"
)

// account is the user that PostgreSQL runs as, if that is not the user of the
// command.
type account struct {
	Name     string
	UID, GID uint32
}

// accountFor returns the user that runs the server on the data in dataDir; nil
// means the user of this process. Root's server runs as the owner of the data. If
// there is no data yet, it runs as the user postgres or the user nobody.
func accountFor(dataDir string) (*account, error) {
	info, err := os.Stat(dataDir)
	switch {
	case err == nil:
		stat := info.Sys().(*syscall.Stat_t)
		return ownerAccount(dataDir, stat.Uid, stat.Gid)
	case !errors.Is(err, os.ErrNotExist):
		return nil, errors.Wrap(err, "localpg: look at the data")
	case os.Geteuid() != 0:
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(found.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(found.Gid, 10, 32)
		if uidErr == nil && gidErr == nil && uid != 0 {
			return &account{name, uint32(uid), uint32(gid)}, nil
		}
	}
	return nil, errors.WithHint(
		errors.New("localpg: PostgreSQL does not run as root, and there is no user postgres or nobody to run it as"),
		"Run the command as another user, add a user named postgres, or set DATABASE_URL.")
}

// ownerAccount returns the user uid, who owns the data, as accountFor does.
func ownerAccount(dataDir string, uid, gid uint32) (*account, error) {
	name := strconv.FormatUint(uint64(uid), 10)
	owner, lookupErr := user.LookupId(name)
	if lookupErr == nil {
		name = owner.Username
	}
	switch {
	case uint32(os.Geteuid()) == uid && uid != 0:
		return nil, nil
	case os.Geteuid() != 0:
		return nil, errors.WithHintf(errors.Newf("localpg: the data in %s belongs to the user %s", dataDir, name),
			"Run the command as %s, set XDG_STATE_HOME to another folder, or set DATABASE_URL.", name)
	case uid == 0:
		return nil, errors.WithHintf(errors.Newf("localpg: the data in %s belongs to root, and PostgreSQL does not run as root", dataDir),
			"Give it to another user, as with `chown -R postgres %s`.", dataDir)
	case lookupErr != nil:
		return nil, errors.WithHintf(errors.Wrapf(lookupErr, "localpg: the data in %s belongs to a user that does not exist", dataDir),
			"Give it to one that does, as with `chown -R postgres %s`.", dataDir)
	}
	return &account{name, uid, gid}, nil
}

// credential returns the account for [syscall.SysProcAttr].
func (a *account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: a.UID, Gid: a.GID}
}

// uid returns the user that owns the server's files.
func (a *account) uid() uint32 {
	if a == nil {
		return uint32(os.Geteuid())
	}
	return a.UID
}

// give makes the account the owner of path.
func (a *account) give(path string) error {
	if a == nil {
		return nil
	}
	return errors.WithStack(os.Chown(path, int(a.UID), int(a.GID)))
}

// checkReach fails if the account may not enter dir. Without this check initdb
// would fail, with a message about another folder.
func (a *account) checkReach(dir string) error {
	if a == nil {
		return nil
	}
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return errors.WithStack(err)
		}
		stat := info.Sys().(*syscall.Stat_t)
		enter := os.FileMode(0o001)
		if stat.Uid == a.UID {
			enter = 0o100
		} else if stat.Gid == a.GID {
			enter = 0o010
		}
		if info.Mode()&enter == 0 {
			return errors.WithHintf(errors.Newf("localpg: the user %s, who runs PostgreSQL for root, may not enter %s", a.Name, at),
				"Choose a folder that every user may enter (XDG_STATE_HOME, or TMPDIR for a temporary database), or `chmod o+x %s`.", at)
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}
