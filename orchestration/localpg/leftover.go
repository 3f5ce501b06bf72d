package localpg

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/errors"
)

// Leftover is the database of a project whose folder is gone, or has moved: no command finds
// it any more.
type Leftover struct {
	Dir     string // the folder of the database, as [DefaultDir] returned it in the project
	Project string // the folder of the project
	Bytes   int64  // what the files in Dir hold
	Running bool   // a server runs in Dir
}

// Leftovers returns the databases of the user that have no project any more. A database is
// not one of them if it does not say whose it is.
func Leftovers() ([]Leftover, error) {
	state, err := stateDir()
	if err != nil {
		return nil, err
	}
	notes, _ := filepath.Glob(filepath.Join(literally(state), "projects", "*", projectFile)) // the pattern is well formed
	var all []Leftover
	for _, note := range notes {
		text, err := os.ReadFile(note)
		project := strings.TrimSuffix(string(text), "\n")
		if err != nil || !filepath.IsAbs(project) {
			continue
		}
		if _, err := os.Stat(project); !errors.Is(err, os.ErrNotExist) {
			continue
		}
		dir := filepath.Dir(note)
		running, err := isRunning(place{base: dir})
		if err != nil {
			return nil, err
		}
		all = append(all, Leftover{Dir: dir, Project: project, Bytes: sizeOf(dir), Running: running})
	}
	return all, nil
}

// literally returns the path as a pattern that matches it alone.
func literally(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// isRunning reports whether a command uses the server, or the server has not ended yet.
func isRunning(p place) (bool, error) {
	f, err := os.Open(p.lock())
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, errors.Wrap(err, "localpg")
	}
	lock := &lockFile{f}
	defer func() { _ = lock.Close() }()
	for _, b := range []lockByte{clientsByte, supervisorByte, serverByte} {
		if kind, err := lock.holder(b); kind != free || err != nil {
			return true, err
		}
	}
	return false, nil
}

// sizeOf returns the bytes of the files that this user may see.
func sizeOf(dir string) (bytes int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // it is gone, or another user's
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return nil
	})
	return bytes
}
