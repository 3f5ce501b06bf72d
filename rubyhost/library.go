package rubyhost

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cockroachdb/errors"
)

// library is the Ruby half. CRuby loads files, so the Ruby half is written to
// the user's cache, in a folder named after its content. Each version has a
// folder of its own, no file changes in place, and two processes may write at
// once.
//
//go:embed all:ruby/lib
var library embed.FS

const libraryRoot = "ruby/lib"

// installLibrary returns the path of the file to load first.
func installLibrary() (string, error) {
	files, digest, err := libraryFiles()
	if err != nil {
		return "", err
	}
	var firstErr error
	for _, base := range libraryHomes() {
		dir := filepath.Join(base, "tasker-rb", "ruby-"+digest)
		if err := writeLibrary(dir, files); err == nil {
			return filepath.Join(dir, "tasker", "host.rb"), nil
		} else if firstErr == nil {
			firstErr = err
		}
	}
	return "", errors.WithHint(errors.Wrap(firstErr, "rubyhost: the Ruby half could not be written"),
		"Make $XDG_CACHE_HOME (or ~/.cache) or $TMPDIR writable.")
}

func libraryHomes() []string {
	var homes []string
	if dir, err := os.UserCacheDir(); err == nil {
		homes = append(homes, dir)
	}
	return append(homes, filepath.Join(os.TempDir(), "tasker-rb-"+hex.EncodeToString([]byte{byte(os.Getuid() >> 8), byte(os.Getuid())})))
}

func libraryFiles() (map[string][]byte, string, error) {
	files := map[string][]byte{}
	sum := sha256.New()
	err := fs.WalkDir(library, libraryRoot, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := library.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(libraryRoot, path)
		files[rel] = content
		sum.Write([]byte(rel + "\x00"))
		sum.Write(content)
		return err
	})
	return files, hex.EncodeToString(sum.Sum(nil)[:8]), errors.Wrap(err, "rubyhost: the embedded Ruby half")
}

// writeLibrary makes dir hold these files. It does not touch a file that has the
// right content already: anyone who can change it later can run code as this
// user anyway.
func writeLibrary(dir string, files map[string][]byte) error {
	for rel, content := range files {
		path := filepath.Join(dir, rel)
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
		if err != nil {
			return err
		}
		_, err = tmp.Write(content)
		err = errors.CombineErrors(err, tmp.Close())
		if err == nil {
			err = os.Rename(tmp.Name(), path)
		}
		if err != nil {
			_ = os.Remove(tmp.Name())
			return err
		}
	}
	return nil
}
