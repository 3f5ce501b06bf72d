package localpg

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"

	"github.com/cockroachdb/errors"
)

// projectVariable names the project's folder, if it is not to be looked for.
const projectVariable = "TASKER_PROJECT"

// Project returns the folder of the project that the working folder is in, with all links
// resolved. It is the nearest folder upwards that has a .tasker-rb. If there is none, it is
// the nearest with a .git, and otherwise the working folder. TASKER_PROJECT in the
// environment names another.
func Project() (string, error) {
	named := os.Getenv(projectVariable)
	if named != "" {
		dir, err := realDir(named)
		if err != nil {
			err = errors.Newf("localpg: %s names %s, which is no folder: %v", projectVariable, named, reason(err))
		}
		return dir, errors.WithHintf(err, "Set %s to a folder, or unset it.", projectVariable)
	}
	dir, err := os.Getwd()
	if err == nil {
		dir, err = realDir(dir)
	}
	if err != nil {
		return "", errors.WithHintf(errors.Wrap(err, "localpg: the project's folder"), "Set %s to a folder.", projectVariable)
	}
	for _, mark := range []string{".tasker-rb", ".git"} {
		if found := upwards(dir, mark); found != "" {
			return found, nil
		}
	}
	return dir, nil
}

func realDir(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", errors.WithStack(err)
	}
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: path, Err: syscall.ENOTDIR}
	}
	return path, errors.WithStack(err)
}

// reason is the cause of an error about a path, without the path.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// upwards returns dir, or the nearest folder above it, that has the file; "" if none has.
func upwards(dir, name string) string {
	for {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

// notInName matches what the name of a folder of data leaves out of a project's name.
var notInName = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// dirOf returns the folder of a project's database below the state folder. The name begins
// with the project's, for people who look there; the sum makes it the project's own.
func dirOf(state, project string) string {
	sum := sha256.Sum256([]byte(project))
	name := notInName.ReplaceAllString(filepath.Base(project), "")
	if len(name) > 20 {
		name = name[:20]
	}
	if name != "" {
		name += "-"
	}
	return filepath.Join(state, "projects", name+hex.EncodeToString(sum[:6]))
}

// projectFile names the project, beside its data.
const projectFile = "project"

// note writes the project's folder beside its data, so that the data can be told from that
// of other projects. It does nothing if that is there: a start may have been killed before it
// was, and the folder of another project may have been renamed to this one.
func (p place) note(project string) error {
	file, text := filepath.Join(p.base, projectFile), project+"\n"
	if noted, err := os.ReadFile(file); err == nil && string(noted) == text {
		return nil
	}
	return errors.Wrap(os.WriteFile(file, []byte(text), 0o644), "localpg: note the project")
}
