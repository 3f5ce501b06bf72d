package localpg

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"github.com/cockroachdb/errors"
)

// Prepared is a database that is made once. Its data is kept in a file, and each start
// begins with a copy of it. That takes a tenth of the time of initdb and migrations.
//
// Many commands may start at the same time. A file that is damaged is made again.
type Prepared struct {
	// Key says what Fill makes: two programs whose Fill differs have different keys. It is
	// part of the file's name, so it has small letters, digits and hyphens.
	Key string

	// Fill writes the content into the new database at the address url. It must leave no
	// connection open.
	Fill func(ctx context.Context, url string) error

	// Dir is the folder of the file. Default: tasker-rb in the user's cache folder.
	Dir string
}

// keptFor is how long a file that no command has used is kept. Each version of
// PostgreSQL and each key has its own, of some 40 MB.
const keptFor = 30 * 24 * time.Hour

// The names of files, and of those that are being written.
const (
	archivePattern = "postgres-*.tar"
	halfPattern    = ".postgres-*"
)

var keyPattern = regexp.MustCompile(`^[a-z0-9-]+$`)

// archive returns the path of the file for a version of PostgreSQL, in a folder that
// exists.
func (p *Prepared) archive(in Installation) (string, error) {
	if !keyPattern.MatchString(p.Key) || p.Fill == nil {
		return "", errors.WithHint(errors.Newf("localpg: the prepared database has the key %q", p.Key),
			"Prepared.Key has small letters, digits and hyphens, and Prepared.Fill is set.")
	}
	dir := p.Dir
	if dir == "" {
		dir = preparedDir()
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", errors.WithHint(errors.Wrap(err, "localpg: no place for the prepared database"),
			"Set XDG_CACHE_HOME or TMPDIR to a folder that you can write.")
	}
	// Anyone can make a folder in /tmp, and the data says which programs the server runs.
	if info, err := os.Stat(dir); err != nil || int(info.Sys().(*syscall.Stat_t).Uid) != os.Geteuid() {
		return "", errors.WithHint(errors.Newf("localpg: the folder %s of the prepared database belongs to another user", dir),
			"Set XDG_CACHE_HOME to a folder of your own.")
	}
	return filepath.Join(dir, "postgres-"+in.Version+"-"+p.Key+".tar"), nil
}

// preparedDir is the default of [Prepared.Dir].
func preparedDir() string {
	if cache, err := os.UserCacheDir(); err == nil {
		dir := filepath.Join(cache, "tasker-rb")
		if os.MkdirAll(dir, 0o700) == nil {
			return dir
		}
	}
	return filepath.Join(os.TempDir(), "tasker-rb-cache-"+strconv.Itoa(os.Geteuid()))
}

// startPrepared starts an ephemeral server on a copy of the prepared data. It makes the
// data first, unless it is there already.
func startPrepared(ctx context.Context, o Options) (*Server, error) {
	if !o.Ephemeral {
		return nil, errors.WithHint(errors.New("localpg: a prepared database is an ephemeral one"), "Set Options.Ephemeral too.")
	}
	in, err := choose(ctx, o, "")
	if err != nil {
		return nil, err
	}
	o.BinDir = in.BinDir
	archive, err := o.Prepared.archive(in)
	if err != nil {
		return nil, err
	}
	for again := false; ; again = true {
		if _, err := os.Stat(archive); errors.Is(err, os.ErrNotExist) {
			if err := o.Prepared.make(ctx, o, archive); err != nil {
				return nil, err
			}
		}
		server, err := startOn(ctx, o, files{archive: archive})
		if err == nil {
			now := time.Now()
			_ = os.Chtimes(archive, now, now) // another command may have removed it
			return server, nil
		}
		if again || ctx.Err() != nil {
			return nil, err
		}
		_ = os.Remove(archive) // it may be damaged: make it again, once
	}
}

// make makes the file. The supervisor of the server writes it once the server has
// stopped.
func (p *Prepared) make(ctx context.Context, o Options, archive string) error {
	p.removeOld(filepath.Dir(archive))
	server, err := startOn(ctx, o, files{packTo: archive})
	if err != nil {
		return err
	}
	err = errors.Wrap(p.Fill(ctx, server.URL()), "localpg: fill the prepared database")
	if err == nil {
		err = errors.WithStack(os.WriteFile(server.place.filled(), nil, 0o600))
	}
	if err = errors.CombineErrors(err, server.Close()); err != nil {
		return err
	}
	_, err = os.Stat(archive)
	return errors.WithHint(errors.Wrap(err, "localpg: the prepared database was not written"),
		"Make its folder writable, make room on its disk, or set XDG_CACHE_HOME to another folder.")
}

// removeOld deletes the files that were not used for a long time.
func (p *Prepared) removeOld(dir string) {
	found, _ := filepath.Glob(filepath.Join(dir, archivePattern)) // the patterns are well formed
	halves, _ := filepath.Glob(filepath.Join(dir, halfPattern))
	for _, path := range append(found, halves...) {
		if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > keptFor {
			_ = os.Remove(path)
		}
	}
}
