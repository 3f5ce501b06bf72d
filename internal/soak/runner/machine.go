package runner

import (
	"os"
	"runtime"
	"strings"

	"github.com/tasker-rb/tasker-rb/internal/soak"
)

// machine notes what this process runs on.
func machine(e *soak.Environment) {
	e.Go = runtime.Version()
	e.CPUs = runtime.NumCPU()
	e.System = runtime.GOOS + "/" + runtime.GOARCH
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err == nil {
		e.System += " " + strings.TrimSpace(string(release))
	}
}
