//go:build !linux

package procstat

import (
	"runtime"

	"github.com/cockroachdb/errors"
)

// Read says that it cannot.
func Read() (Stat, error) { return Stat{}, unsupported() }

// RSS says that it cannot.
func RSS() (uint64, error) { return 0, unsupported() }

func unsupported() error {
	return errors.WithHint(errors.Newf("procstat: %s has no /proc", runtime.GOOS),
		"The memory of a process is read on Linux alone.")
}
