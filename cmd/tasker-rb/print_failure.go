package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// The most lines of a backtrace that are shown: of the user's own code, and of libraries
// when there is none of the user's.
const (
	mostOwnLines     = 8
	mostLibraryLines = 3
)

// printFailure prints an error and its causes. From a backtrace it prints the user's own
// lines, and in one line where in a library the error was raised. What an error has in
// common with the one that it caused is printed once.
func printFailure(b *strings.Builder, e *orchestration.StepError) {
	shown := map[string]bool{}
	for at := e; at != nil; at = at.Cause {
		if at != e {
			b.WriteString("  caused by\n")
		}
		text := shorten(at.Error(), mostOfText, "… (and %d more characters, which --output json has)")
		fmt.Fprintf(b, "  %s\n", strings.ReplaceAll(strings.TrimRight(printable(text), "\n "), "\n", "\n  "))
		if at.ErrorCode != "" {
			fmt.Fprintf(b, "  error code %s\n", printable(at.ErrorCode))
		}
		printBacktrace(b, at.Backtrace, shown)
	}
}

// printBacktrace prints the lines that are not shown yet, and adds them to shown.
func printBacktrace(b *strings.Builder, backtrace []string, shown map[string]bool) {
	var own, library []string
	for _, line := range backtrace {
		switch {
		case isRubysOwn(line):
		case ofLibrary.MatchString(line):
			library = append(library, line)
		default:
			own = append(own, line)
		}
	}
	raisedInLibrary := len(library) > 0 && len(own) > 0 && slices.Index(backtrace, library[0]) < slices.Index(backtrace, own[0])
	if len(own) == 0 {
		own = library[:min(len(library), mostLibraryLines)]
	}
	for _, line := range own[:min(len(own), mostOwnLines)] {
		if !shown[line] {
			shown[line] = true
			fmt.Fprintf(b, "    from %s\n", printable(line))
		}
	}
	if raisedInLibrary && !shown[library[0]] {
		shown[library[0]] = true
		fmt.Fprintf(b, "    raised in a library, at %s\n", printable(library[0]))
	}
}

// isRubysOwn reports whether the line is of the program's Ruby half, or of a method that
// Ruby has written in Ruby.
func isRubysOwn(line string) bool {
	return ofRubyHalf.MatchString(line) || strings.HasPrefix(line, "<internal:")
}

// ofRubyHalf matches the folder that the Ruby half is unpacked in. A stored backtrace may be of
// another version of the program, so this is the form of its name. A project may well be in a
// folder tasker-rb/ruby-shop.
var ofRubyHalf = regexp.MustCompile(`/tasker-rb/ruby-[0-9a-f]{16}/`)

// ofLibrary matches the lines of gems, and of Ruby's own library: where RubyGems, Bundler
// and the packages of Linux keep them.
var ofLibrary = regexp.MustCompile(`/gems/[^/]+/|/bundler/gems/|/lib/ruby/\d|/lib/ruby/(?:vendor_ruby|site_ruby)/|/rubygems-integration/|/share/ruby/`)
