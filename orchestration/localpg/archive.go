package localpg

import (
	"archive/tar"
	"bufio"
	"bytes"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cockroachdb/errors"
)

// files are the file that a server's data comes from, and the one that it goes to.
type files struct{ archive, packTo string }

// complete is the name of an archive's last entry, which holds the checksum of all others.
// Without it the archive was cut off.
const complete = "complete"

// newChecksum returns the checksum of entries: of their names and contents, in order.
// PostgreSQL itself notices few damages of its files.
func newChecksum() hash.Hash32 { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }

// pack writes the data to the archive of the specification, if the command has filled
// it. The archive appears when it is whole.
func (c *cluster) pack() error {
	if _, err := os.Stat(c.place.filled()); err != nil {
		return nil // the command has ended before that
	}
	f, err := os.CreateTemp(filepath.Dir(c.spec.PackTo), halfPattern)
	if err != nil {
		return errors.WithStack(err)
	}
	err = writeArchive(f, c.place.dataDir())
	err = errors.CombineErrors(err, f.Close())
	if err == nil {
		err = errors.WithStack(os.Rename(f.Name(), c.spec.PackTo))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

func writeArchive(f io.Writer, dir string) error {
	buffered := bufio.NewWriterSize(f, 1<<20)
	w := tar.NewWriter(buffered)
	sum := newChecksum()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir || !d.IsDir() && !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			name += "/"
			sum.Write([]byte(name))
			return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o700})
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: int64(len(content))}); err != nil {
			return err
		}
		sum.Write([]byte(name))
		sum.Write(content)
		_, err = w.Write(content)
		return err
	})
	total := sum.Sum(nil)
	if err == nil {
		err = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: complete, Size: int64(len(total))})
	}
	if err == nil {
		_, err = w.Write(total)
	}
	if err == nil {
		err = w.Close()
	}
	return errors.WithStack(errors.CombineErrors(err, buffered.Flush()))
}

// unpack fills the folder, which exists and is the server user's, from the archive of the
// specification.
func (c *cluster) unpack(dir string) error {
	f, err := os.Open(c.spec.Archive)
	if err != nil {
		return errors.WithStack(err)
	}
	defer func() { _ = f.Close() }()
	r := tar.NewReader(bufio.NewReaderSize(f, 1<<20))
	sum := newChecksum()
	for {
		entry, err := r.Next()
		switch {
		case err != nil:
			return errors.Wrapf(err, "%s is damaged", c.spec.Archive)
		case entry.Name == complete:
			if total, err := io.ReadAll(r); err != nil || !bytes.Equal(total, sum.Sum(nil)) {
				return errors.Newf("%s is damaged: its checksum is another", c.spec.Archive)
			}
			return nil
		case !filepath.IsLocal(entry.Name):
			return errors.Newf("%s is damaged: it has %q", c.spec.Archive, entry.Name)
		}
		sum.Write([]byte(entry.Name))
		path := filepath.Join(dir, entry.Name)
		if entry.Typeflag == tar.TypeDir {
			err = os.Mkdir(path, 0o700)
		} else {
			err = writeEntry(path, io.TeeReader(r, sum))
		}
		if err == nil {
			err = c.place.account.give(path)
		}
		if err != nil {
			return explain(errors.WithStack(err), c.place.base)
		}
	}
}

func writeEntry(path string, content io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.CombineErrors(err, f.Close())
}
