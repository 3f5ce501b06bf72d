package localpg

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"syscall"

	"github.com/cockroachdb/errors"
)

// libpq derives the name of the socket's file from the port.
const (
	port       = "5432"
	socketName = ".s.PGSQL." + port
)

// maxSocketPath is the longest path of a Unix socket on Linux, in bytes.
const maxSocketPath = 107

// plainPath matches the paths that every client takes for a folder. Some clients
// split a host at a comma, or decode a space in another way.
var plainPath = regexp.MustCompile(`^[A-Za-z0-9/._-]+$`)

// place is where a server has its files, and the user who owns them.
type place struct {
	base      string // the folder of the lock, the log and the data
	socketDir string // the folder of the socket; in base, unless base is too long
	account   *account
}

func (p place) dataDir() string { return filepath.Join(p.base, "data") }
func (p place) lock() string    { return filepath.Join(p.base, "lock") }
func (p place) filled() string  { return filepath.Join(p.base, "filled") }
func (p place) log() string     { return filepath.Join(p.base, "postgres.log") }
func (p place) socket() string  { return filepath.Join(p.socketDir, socketName) }

// DefaultDir returns the folder of the database that persists between commands. Each
// [Project] has one, below tasker-rb/projects in $XDG_STATE_HOME or ~/.local/state.
func DefaultDir() (string, error) {
	project, err := Project()
	if err != nil {
		return "", err
	}
	state, err := stateDir()
	if err != nil {
		return "", err
	}
	return dirOf(state, project), nil
}

// stateDir returns the folder of all databases. For root it is in /var/lib, because other
// users may not enter root's home.
func stateDir() (string, error) {
	state := os.Getenv("XDG_STATE_HOME")
	if filepath.IsAbs(state) { // the XDG specification: ignore it if it is relative
		return filepath.Join(state, "tasker-rb"), nil
	}
	if os.Geteuid() == 0 {
		return "/var/lib/tasker-rb", nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", errors.WithHint(errors.Wrap(err, "localpg: no place for the database"),
			"Set HOME or XDG_STATE_HOME, or set DATABASE_URL.")
	}
	return filepath.Join(home, ".local", "state", "tasker-rb"), nil
}

// prepare makes the folders that the options ask for.
func prepare(o Options) (place, error) {
	var p place
	var err error
	if o.Ephemeral {
		p.base, err = os.MkdirTemp(o.Dir, "tasker-rb-")
		err = errors.WithHint(errors.Wrap(err, "localpg: no place for the database"), "Set TMPDIR to a folder that you can write.")
	} else {
		p.base, err = persistentBase(o.Dir)
	}
	if err != nil {
		return p, err
	}
	if err := p.prepareForAccount(); err != nil {
		if o.Ephemeral {
			_ = os.RemoveAll(p.base)
		}
		return p, err
	}
	return p, nil
}

// persistentBase makes dir, or DefaultDir if dir is empty.
func persistentBase(dir string) (string, error) {
	if dir == "" {
		var err error
		if dir, err = DefaultDir(); err != nil {
			return "", err
		}
	}
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = makeDirs(dir)
	}
	return dir, errors.WithHint(errors.Wrap(err, "localpg: no place for the database"),
		"Set XDG_STATE_HOME to a folder that you can write, or set DATABASE_URL.")
}

// makeDirs makes dir as os.MkdirAll does. Other users may enter the folders that
// root makes, whatever the umask is, because the server runs as another user.
func makeDirs(dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return errors.Newf("%s is not a folder", dir)
		}
		return nil
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := makeDirs(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return errors.WithStack(err)
	}
	if os.Geteuid() == 0 {
		return errors.WithStack(os.Chmod(dir, 0o711))
	}
	return nil
}

// prepareForAccount finds the server's user and the folder of the socket.
func (p *place) prepareForAccount() error {
	var err error
	if p.account, err = accountFor(p.dataDir()); err != nil {
		return err
	}
	if p.account != nil {
		if err := os.Chmod(p.base, 0o711); err != nil {
			return errors.WithStack(err)
		}
	}
	if err := p.account.checkReach(p.base); err != nil {
		return err
	}
	p.socketDir = filepath.Join(p.base, "run")
	if len(p.socket()) > maxSocketPath || !plainPath.MatchString(p.socketDir) {
		// Every command must find the same name, so the name depends on the base
		// alone. TMPDIR and XDG_RUNTIME_DIR differ between a login and a service.
		sum := sha256.Sum256([]byte(p.base))
		p.socketDir = filepath.Join("/tmp", "tasker-rb-"+hex.EncodeToString(sum[:12]))
	}
	return nil
}

// makeSocketDir makes the socket's folder. If there is one already, it fails unless
// only the server's user may enter it: anyone can make a folder in /tmp.
func (p *place) makeSocketDir() error {
	dir := p.socketDir
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		return p.account.give(dir)
	}
	if !errors.Is(err, os.ErrExist) {
		return errors.WithHint(errors.Wrap(err, "localpg: no place for the database's socket"),
			"Make the folder writable, set XDG_STATE_HOME to one that is, or set DATABASE_URL.")
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return errors.WithStack(err)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	if os.Geteuid() == 0 && owner == 0 && info.IsDir() {
		// A command was killed before it could give the folder away.
		return p.account.give(dir)
	}
	if !info.IsDir() || owner != p.account.uid() || info.Mode().Perm()&0o077 != 0 {
		return errors.WithHintf(errors.Newf("localpg: %s, where the database's socket belongs, is not a folder that user %d alone may enter", dir, p.account.uid()),
			"Remove %s if nothing uses it.", dir)
	}
	return nil
}

// remove deletes the folders of an ephemeral server.
func (p place) remove() error {
	return errors.CombineErrors(errors.WithStack(os.RemoveAll(p.base)), errors.WithStack(os.RemoveAll(p.socketDir)))
}
