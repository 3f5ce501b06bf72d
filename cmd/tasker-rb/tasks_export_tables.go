package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A suite's database has none of the handlers' tables until a file of the suite makes them.
// A spec that is run alone needs them, too.

// loads matches a line that runs a file of the project, such as load "schema.rb".
var loads = regexp.MustCompile(`^(?:(?:load|require_relative)[ (]+["']|require[ (]+["']\.).*["']\)?$`)

// helpers returns the helpers of the suite, which each of its files requires.
func (s specFile) helpers() []string {
	return slices.DeleteFunc([]string{"spec_helper", "test_helper"}, func(helper string) bool {
		return !exists(filepath.Join(s.framework.folder, helper+".rb"))
	})
}

// tables writes the place where the tables are made, if there is no helper to do it: what
// other tests of the folder load, or else a comment.
func (s specFile) tables(b *strings.Builder) {
	folder := s.framework.folder
	if s.path != "" {
		folder = filepath.Dir(s.path)
	}
	file, lines := s.loadedIn(folder)
	if len(lines) > 0 {
		fmt.Fprintf(b, "\n# As in %s: the tables of the handlers have to be in the suite's database.\n%s\n", printable(file), strings.Join(lines, "\n"))
		return
	}
	b.WriteString("\n# The suite has a database of its own. If the handlers need tables, make them here, as in:\n#\n#   load \"schema.rb\"\n")
}

// loadedIn finds the first test of a folder that loads files of the project, and the lines
// that do it: those before its first class or block.
func (s specFile) loadedIn(folder string) (file string, lines []string) {
	tests, err := filepath.Glob(filepath.Join(folder, "*.rb"))
	if err != nil {
		return "", nil
	}
	for _, file := range tests {
		if !s.framework.isTest(file) || isSpecial(file) {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.SplitSeq(string(content), "\n") {
			line = strings.TrimRight(line, " \t\r")
			if loads.MatchString(line) {
				lines = append(lines, line)
			} else if line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "require") {
				break
			}
		}
		if len(lines) > 0 {
			return filepath.Base(file), lines
		}
	}
	return "", nil
}
