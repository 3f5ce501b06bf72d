package localpg

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/errors"
)

// Installation is a set of PostgreSQL server binaries of one version.
type Installation struct {
	// BinDir is the folder of postgres and initdb, with symbolic links resolved.
	BinDir string
	// Version is the version that postgres reports, such as "15.18".
	Version string
	// Major is the first part of the version, such as 15. It decides about the
	// format of the data on disk.
	Major int
}

// ErrNoBinaries is the error of [Start] if no PostgreSQL server is installed. Its
// hint says what to install.
var ErrNoBinaries = errors.WithHint(
	errors.New("localpg: no PostgreSQL server binaries (postgres, initdb) were found"),
	"Install PostgreSQL's server, for example with `apt install postgresql`, `dnf install postgresql-server`, "+
		"`apk add postgresql`, `pacman -S postgresql` or `brew install postgresql`, or set DATABASE_URL to a server of your own.")

// usualBinDirs are the folders where distributions put PostgreSQL's binaries
// outside of PATH, separated by colons. It is a string so that the linker can
// replace it, for a test of a machine without PostgreSQL.
var usualBinDirs = "/usr/lib/postgresql/*/bin" + // Debian, Ubuntu
	":/usr/pgsql-*/bin" + // PostgreSQL's own packages for Fedora and RHEL
	":/usr/libexec/postgresql*" + // Alpine
	":/usr/lib/postgresql*/bin" + // openSUSE
	":/usr/lib64/pgsql/bin" + // Mageia
	":/usr/local/pgsql/bin" + // built from source
	":/home/linuxbrew/.linuxbrew/opt/postgresql*/bin" + // Homebrew on Linux
	":/opt/homebrew/opt/postgresql*/bin" + // Homebrew on ARM
	":/usr/local/opt/postgresql*/bin" + // Homebrew on Intel
	":/run/current-system/sw/bin" + // NixOS
	":/nix/var/nix/profiles/default/bin" + // Nix
	":/home/linuxbrew/.linuxbrew/Cellar/postgresql*/*/bin" + // Homebrew, not linked
	":/opt/local/lib/postgresql*/bin:/opt/pgsql*/bin" // MacPorts, others

// Installations returns the PostgreSQL servers of this machine, newest first:
// those in PATH, the one that pg_config names, and those where the
// distributions put them.
func Installations(ctx context.Context) []Installation {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for _, pattern := range filepath.SplitList(usualBinDirs) {
		found, _ := filepath.Glob(pattern) // the patterns are well formed
		dirs = append(dirs, found...)
	}
	var all []Installation
	for _, dir := range dirs {
		in, err := inspect(ctx, dir)
		known := func(other Installation) bool { return other.BinDir == in.BinDir }
		if err == nil && !slices.ContainsFunc(all, known) {
			all = append(all, in)
		}
	}
	slices.SortStableFunc(all, func(a, b Installation) int { return b.Major - a.Major })
	return all
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) ((\d+)\S*)`)

// inspect looks for a server in dir. It follows symbolic links, because initdb
// looks for postgres beside itself.
func inspect(ctx context.Context, dir string) (Installation, error) {
	if !filepath.IsAbs(dir) {
		return Installation{}, errors.Newf("localpg: %q is not an absolute path", dir)
	}
	postgres, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
	if err != nil {
		return Installation{}, errors.WithStack(err)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(postgres), "initdb")); err != nil {
		return Installation{}, errors.WithStack(err)
	}
	out, err := exec.CommandContext(ctx, postgres, "--version").Output()
	if err != nil {
		return Installation{}, errors.Wrapf(err, "run %s --version", postgres)
	}
	match := versionPattern.FindStringSubmatch(string(out))
	if match == nil {
		return Installation{}, errors.Newf("%s --version says %q", postgres, out)
	}
	major, err := strconv.Atoi(match[2])
	return Installation{BinDir: filepath.Dir(postgres), Version: match[1], Major: major}, errors.WithStack(err)
}

// oldestMajor is the oldest PostgreSQL that the engine works on (a test compares it
// with orchestration.OldestServer, which this package cannot import).
const oldestMajor = 14

// Choose returns the installation that [Start] runs with these options: the newest one.
// If there is data already, it is the one of the version that made the data, because no
// other can read it. It starts and changes nothing.
func Choose(ctx context.Context, o Options) (Installation, error) {
	base := o.Dir
	if o.Ephemeral {
		base = "" // its data is yet to be made
	} else if base == "" {
		dir, err := DefaultDir()
		if err != nil {
			return Installation{}, err
		}
		base = dir
	}
	return choose(ctx, o, place{base: base}.dataDir())
}

// choose is Choose for the data in dataDir.
func choose(ctx context.Context, o Options, dataDir string) (Installation, error) {
	var candidates []Installation
	if o.BinDir == "" {
		candidates = Installations(ctx)
	} else {
		in, err := inspect(ctx, o.BinDir)
		if err != nil && ctx.Err() == nil {
			return in, errors.WithHint(errors.Wrapf(err, "localpg: no PostgreSQL server in %s", o.BinDir),
				"Name the folder that holds postgres and initdb.")
		}
		candidates = []Installation{in}
	}
	if err := ctx.Err(); err != nil {
		return Installation{}, errors.WithStack(err)
	}
	if len(candidates) == 0 {
		return Installation{}, ErrNoBinaries
	}
	content, err := os.ReadFile(filepath.Join(dataDir, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		newest := candidates[0]
		if newest.Major < oldestMajor {
			return newest, errors.WithHintf(errors.Newf("localpg: PostgreSQL %s in %s is too old", newest.Version, newest.BinDir),
				"Install PostgreSQL %d or newer.", oldestMajor)
		}
		return newest, nil
	}
	if err != nil {
		return Installation{}, errors.Wrap(err, "localpg: read the version of the data")
	}
	wanted := strings.TrimSpace(string(content))
	var versions []string
	for _, in := range candidates {
		if strconv.Itoa(in.Major) == wanted {
			return in, nil
		}
		versions = append(versions, in.Version)
	}
	return Installation{}, errors.WithHintf(
		errors.Newf("localpg: the data in %s was made by PostgreSQL %s, but only %s is installed",
			dataDir, wanted, strings.Join(versions, ", ")),
		"Install PostgreSQL %s again (on Debian: `apt install postgresql-%s`; PostgreSQL's own packages at apt.postgresql.org have it for later releases, too). "+
			"Then keep both, or convert the data with pg_upgrade as `tasker-rb docs versions` says. Or move %s away to begin with an empty database.",
		wanted, wanted, dataDir)
}
