package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/cockroachdb/errors"
)

// suite is what the command runs.
type suite struct {
	framework framework
	given     []string // the paths as they were given, often none
	paths     []string // those, or the one folder; files only for minitest
	files     []string // below the paths, in order, each once
}

// framework is one of the frameworks for tests.
type framework struct {
	name             string // as tasker/host/suite.rb has it
	title            string
	folder           string // where its files are by custom
	gem              string
	apt              string
	example, pending string // what it calls them
	isTest           func(file string) bool
}

var (
	rspec = framework{
		name: "rspec", title: "RSpec", folder: "spec", gem: "rspec", apt: "ruby-rspec", example: "example", pending: "pending",
		isTest: func(file string) bool { return strings.HasSuffix(file, "_spec.rb") },
	}
	minitest = framework{
		name: "minitest", title: "minitest", folder: "test", gem: "minitest", apt: "ruby-minitest", example: "run", pending: "skipped",
		isTest: func(file string) bool {
			name := filepath.Base(file)
			return strings.HasSuffix(name, "_test.rb") || strings.HasPrefix(name, "test_") && strings.HasSuffix(name, ".rb") && name != "test_helper.rb"
		},
	}
)

// places is what RSpec takes after the name of a file: lines, or numbers of examples.
var places = regexp.MustCompile(`((:\d+)+|\[[\d:,]+\])$`)

func withoutPlace(path string) string { return places.ReplaceAllString(path, "") }

// chooseSuite finds the framework and the files.
func chooseSuite(paths []string) (suite, error) {
	if len(paths) == 0 {
		return chooseFolder()
	}
	var s suite
	var helpers []string // files whose names do not say
	for _, path := range paths {
		bare := withoutPlace(path)
		info, err := os.Stat(bare)
		if err != nil {
			return s, errors.WithHint(errors.Newf("there is no file or folder %s", bare), "Name files and folders of the suite, or none for all of it.")
		}
		if !info.IsDir() {
			if !rspec.isTest(bare) && !minitest.isTest(bare) {
				helpers = append(helpers, bare)
			}
			s.files = append(s.files, bare)
			continue
		}
		files, err := testFiles(bare, func(f string) bool { return rspec.isTest(f) || minitest.isTest(f) })
		if err != nil {
			return s, err
		}
		if len(files) == 0 {
			return s, noTests(bare)
		}
		s.files = append(s.files, files...)
	}
	slices.Sort(s.files)
	s.files = slices.Compact(s.files)
	specs, tests := slices.ContainsFunc(s.files, rspec.isTest), slices.ContainsFunc(s.files, minitest.isTest)
	switch {
	case specs && tests:
		return s, errors.WithHint(errors.Newf("%s and %s are of different frameworks",
			s.files[slices.IndexFunc(s.files, rspec.isTest)], s.files[slices.IndexFunc(s.files, minitest.isTest)]),
			"One run is of *_spec.rb or of *_test.rb; name the folders or files of one.")
	case specs:
		s.framework = frameworkOfSpecs(s.files)
	case tests:
		s.framework = minitest
	case slices.ContainsFunc(helpers, func(f string) bool { return slices.Contains(strings.Split(filepath.ToSlash(f), "/"), rspec.folder) }):
		s.framework = frameworkOfSpecs(s.files)
	case slices.ContainsFunc(helpers, func(f string) bool { return slices.Contains(strings.Split(filepath.ToSlash(f), "/"), minitest.folder) }):
		s.framework = minitest
	case exists(".rspec"):
		s.framework = rspec
	default:
		return s, errors.WithHintf(errors.Newf("the name of %s does not say which framework it is for", helpers[0]),
			"Call it %s_spec.rb for RSpec, or %[1]s_test.rb for minitest.", strings.TrimSuffix(filepath.Base(helpers[0]), ".rb"))
	}
	s.given, s.paths = paths, paths
	if s.framework.name == minitest.name {
		s.paths = s.files
		if i := slices.IndexFunc(paths, places.MatchString); i >= 0 {
			return s, errors.WithHint(errors.Newf("%s names a place in a file, which minitest cannot run", paths[i]),
				"Name the file, and the test with -- --name PATTERN.")
		}
	}
	return s, nil
}

// chooseFolder is chooseSuite without paths.
func chooseFolder() (suite, error) {
	for _, f := range []framework{rspec, minitest} {
		if !isFolder(f.folder) {
			continue
		}
		files, err := testFiles(f.folder, f.isTest)
		if err != nil {
			return suite{}, err
		}
		if len(files) == 0 && exists(".rspec") {
			return suite{framework: rspec}, nil // which may name another pattern
		}
		if len(files) == 0 && !isFolder(minitest.folder) {
			return suite{}, noTests(f.folder)
		}
		if len(files) == 0 {
			continue
		}
		s := suite{framework: f, paths: []string{f.folder}, files: files}
		if f.name == rspec.name {
			s.framework = frameworkOfSpecs(files)
		}
		if s.framework.name == minitest.name {
			s.paths = files
		}
		return s, nil
	}
	if isFolder(minitest.folder) {
		return suite{}, noTests(minitest.folder)
	}
	return suite{}, errors.WithHint(errors.New("there is no folder spec or test here"),
		"Go to the project's folder, or name the files: tasker-rb test PATH.")
}

func noTests(folder string) error {
	return errors.WithHint(errors.Newf("there is no test in the folder %s", folder),
		"The names of RSpec's files end in _spec.rb; those of minitest end in _test.rb, or begin with test_.")
}

// minitestSpec matches what loads minitest in files that are called like RSpec's.
var minitestSpec = regexp.MustCompile(`(?m)^\s*require ["']minitest/`)

// frameworkOfSpecs is RSpec, unless the files or their helper load minitest.
func frameworkOfSpecs(files []string) framework {
	if exists(".rspec") {
		return rspec
	}
	for _, file := range append([]string{"spec/spec_helper.rb"}, files...) {
		if content, err := os.ReadFile(file); err == nil && minitestSpec.Match(content) {
			return minitest
		}
	}
	return rspec
}

// testFiles lists the files of tests below a folder, in order.
func testFiles(dir string, isTest func(string) bool) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && isTest(path) {
			files = append(files, path)
		}
		return err
	})
	return files, errors.WithHint(errors.Wrapf(err, "reading %s", dir), "Make the folder readable.")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// missing is the error of a framework that is not installed.
func (f framework) missing(gemfile string) error {
	err := errors.Newf("%s is not installed", f.title)
	switch {
	case gemfile != "":
		err = errors.Newf("%s is not in %s", f.title, gemfile)
		return errors.WithHintf(err, "Add `gem \"%s\"` to it, and run `bundle install`.", f.gem)
	case exists("Gemfile"):
		return errors.WithHintf(err, "Give --gemfile Gemfile if it is in the Gemfile here. Otherwise install it with `gem install %s`, or on Debian `apt install %s`.", f.gem, f.apt)
	default:
		return errors.WithHintf(err, "Install it with `gem install %s`, or on Debian `apt install %s`; or name a Gemfile with --gemfile.", f.gem, f.apt)
	}
}
