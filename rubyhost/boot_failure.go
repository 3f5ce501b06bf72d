package rubyhost

import (
	"regexp"
	"slices"
	"strings"

	"github.com/cockroachdb/errors"
)

// bootFailure words the message of a boot that failed. An exception comes as its
// class, its message and the lines of its backtrace.
func bootFailure(message, gemfile string) error {
	parts := strings.Split(strings.TrimSpace(message), "\x1f")
	if len(parts) < 3 {
		return errors.Newf("%s", strings.Join(parts, ": "))
	}
	if gemfile != "" && strings.HasPrefix(parts[0], "Bundler::") {
		return gemfileFailure(gemfile, parts[0], parts[1])
	}
	text, _, _ := strings.Cut(parts[1], "\n\n") // the code follows, which Ruby before 3.4 shows in some messages
	return errors.Newf("%s: %s, at %s", parts[0], strings.TrimSpace(text), outsideRuby(parts[2:])[0])
}

// gemfileError is an error that Bundler raised.
type gemfileError struct{ class, gemfile, cause string }

func (e *gemfileError) Error() string { return "the Gemfile " + e.gemfile + ": " + e.cause }

// gemfileFailure words an error of Bundler's: what is wrong, on one line.
func gemfileFailure(gemfile, class, message string) error {
	e := &gemfileError{class: class, gemfile: gemfile, cause: strings.Join(strings.Fields(message), " ")}
	if m := parsing.FindStringSubmatch(message); m != nil {
		e.cause = strings.TrimSpace(m[1])
		if at := lineOfGemfile.FindStringSubmatch(message); at != nil {
			e.cause = "line " + at[1] + ": " + e.cause
		}
	}
	return e
}

var (
	// parsing matches what Bundler says of a file that is no Ruby.
	parsing = regexp.MustCompile("There was an error (?:parsing|while loading) `[^`']*[`']: (?:\\S+:\\d+: )?([^\n]*)")
	// lineOfGemfile matches the line that it shows.
	lineOfGemfile = regexp.MustCompile(`(?m)^ #  from .*:(\d+)$`)
)

func (e *gemfileError) hint() string {
	if e.class == "Bundler::Dsl::DSLError" {
		return "Correct the Gemfile; `bundle check --gemfile " + e.gemfile + "` reads it too."
	}
	return "Install its gems with `bundle install --gemfile " + e.gemfile + "`, for the Ruby that `tasker-rb version` names, or take the missing one out of it."
}

// bootHint says what to do when Ruby is missing or does not start.
func bootHint(err error) string {
	var gemfile *gemfileError
	if errors.As(err, &gemfile) {
		return gemfile.hint()
	}
	if strings.HasPrefix(err.Error(), "libruby") {
		return "Install CRuby with its shared library, for example with `apt install ruby`, `dnf install ruby` or `apk add ruby`; " +
			"for another version of Ruby, build this program again."
	}
	if strings.HasPrefix(err.Error(), "LoadError: ") {
		return "Install what is missing: it comes with CRuby or as a gem, but a distribution may have left it out. " +
			"Then check RUBYOPT, RUBYLIB, GEM_HOME and the Gemfile."
	}
	return "Check that `ruby -rjson -e 0` works with the same RUBYOPT, RUBYLIB and GEM_HOME."
}

// rubysOwn matches the places of Ruby itself, with which a backtrace may begin.
// RubyVersions in the Ruby half has the reason.
var rubysOwn = regexp.MustCompile(`^<internal:|/bundled_gems\.rb:\d`)

// outsideRuby returns the lines of a backtrace from the first one on that is not
// Ruby's own; all of them, if all are.
func outsideRuby(backtrace []string) []string {
	first := slices.IndexFunc(backtrace, func(line string) bool { return !rubysOwn.MatchString(line) })
	return backtrace[max(first, 0):]
}
