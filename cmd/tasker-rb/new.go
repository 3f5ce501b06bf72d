package main

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"unicode"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"
)

//go:embed new_project/*.tmpl
var newProjectFiles embed.FS

type newCommand struct {
	dir      string
	minitest bool
	output   string
}

func newNew() *cobra.Command {
	n := &newCommand{}
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Write a folder with a template, its handlers and its tests",
		Long: `Write the folder NAME with a task that runs: a template of two steps, their
handlers, a suite of RSpec or minitest, and a README.md. The folder must be new or
empty.

NAME is the name of the template, such as order_fulfilment. The handlers are in the
module of that name, OrderFulfilment.`,
		Example: `  tasker-rb new order_fulfilment
  tasker-rb new order_fulfilment --dir orders --minitest`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error { return n.run(cmd, args[0]) },
	}
	cmd.Flags().StringVar(&n.dir, "dir", "", "write into the folder `DIR` (default NAME)")
	cmd.Flags().BoolVar(&n.minitest, "minitest", false, "write tests for minitest, not for RSpec")
	cmd.Flags().StringVar(&n.output, "output", "text", "print as `FORMAT`: text or json")
	return cmd
}

func (n *newCommand) run(cmd *cobra.Command, name string) error {
	if err := oneOf("output", n.output, "text", "json"); err != nil {
		return err
	}
	if err := checkNewName(name); err != nil {
		return err
	}
	dir := n.dir
	if dir == "" {
		dir = name
	}
	if err := checkNewFolder(dir); err != nil {
		return err
	}
	files, err := n.files(name)
	if err != nil {
		return err
	}
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = f.path
		path := filepath.Join(dir, f.path)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = os.WriteFile(path, f.content, 0o644)
		}
		if err != nil {
			return errors.WithHint(errors.Newf("%s cannot be written: %v", path, lastCause(err)), "Name another folder with --dir DIR.")
		}
	}
	next := []string{
		"cd " + shellWord(dir), fmt.Sprintf("tasker-rb run %s.yaml --context '{\"who\": \"Ada\"}'", name),
		fmt.Sprintf("tasker-rb dev %s.yaml", name), "tasker-rb test",
	}
	if n.output == "json" {
		return printJSON(cmd.OutOrStdout(), map[string]any{"folder": dir, "files": paths, "next": next})
	}
	return printDone(cmd, nil, "wrote %s\n  %s\n\nnext\n  %s", dir, strings.Join(paths, "\n  "), strings.Join(next, "\n  "))
}

var (
	newName   = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z][a-z0-9]*)*$`)
	plainWord = regexp.MustCompile(`^[\w./-]+$`)
)

func shellWord(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// checkNewName accepts what is both the name of a template and, in other letters, a module
// that Ruby and its libraries do not have.
func checkNewName(name string) error {
	if base := filepath.Base(name); base != name && newName.MatchString(base) {
		return errors.WithHintf(errors.Newf("NAME cannot be %q: it is a path", name), "Give the name, and the folder with --dir: `tasker-rb new %s --dir %s`.", base, shellWord(name))
	}
	if !newName.MatchString(name) {
		hint := "Use small letters, digits and single underscores, such as order_fulfilment. Begin with a letter, and put a letter after each underscore."
		if better := likeName(name); isASCII(name) && newName.MatchString(better) { // no letter is lost
			hint = fmt.Sprintf("Did you mean %s?", better)
		}
		return errors.WithHint(errors.Newf("NAME cannot be %q", name), hint)
	}
	if slices.Contains(notNames, name) {
		return errors.WithHintf(errors.Newf("NAME cannot be %q: YAML does not read that as text", name), "Give another name, such as %s_task.", name)
	}
	if slices.Contains(strings.Fields(takenNames), name) {
		return errors.WithHintf(errors.Newf("NAME cannot be %q: the handlers' module would be %s, which Ruby or a library has already", name, moduleOf(name)),
			"Give another name, such as %s_task.", name)
	}
	return nil
}

// notNames are the words that YAML, in one version or another, reads as something else.
var notNames = []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}

var (
	camelHump    = regexp.MustCompile(`([a-z0-9])([A-Z])`)
	notInNewName = regexp.MustCompile(`[^a-z0-9]+`)
)

// likeName is a text in the form of a name: order_fulfilment for Order-Fulfilment.
func likeName(text string) string {
	text = strings.ToLower(camelHump.ReplaceAllString(text, "${1}_$2"))
	return strings.Trim(notInNewName.ReplaceAllString(text, "_"), "_")
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII })
}

// moduleOf is the module for a name: OrderFulfilment for order_fulfilment.
func moduleOf(name string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "_") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// takenNames are the names whose module is a class or a module of Ruby, of its libraries, of
// this program, or of a library that handlers often use.
const takenNames = `
	abbrev active_model active_record active_support addrinfo arel argument_error array base64 basic_object basic_socket benchmark
	big_decimal big_math bigdecimal bignum binding bundler class closed_queue_error comparable complex concurrent condition_variable
	coverage data date date_and_time date_time delegator did_you_mean digest dir encoding encoding_error enumerable enumerator errno
	error_highlight etc exception false_class faraday fiber fiber_error fiddle file file_test file_utils find fixnum float
	float_domain_error forwardable frozen_error gem hash i18n index_error integer interrupt kernel key_error load_error
	local_jump_error logger marshal match_data math matrix method mini_test minitest module monitor monitor_mixin mutex name_error net
	nil_class no_matching_pattern_error no_memory_error no_method_error not_implemented_error numeric object object_space observable
	open3 open_struct opt_parse option_parser parse_error pathname prime proc process psych queue racc rack ractor rails random range
	range_error rational rb_config readline refinement regexp regexp_error reline resolv rinda ripper runtime_error scan_error
	script_error secure_random security_error sequel set shellwords signal signal_exception simple_delegator single_forwardable
	singleton sized_queue socket socket_error sorted_set standard_error stop_iteration string string_scanner struct symbol
	syntax_error system_call_error system_exit system_stack_error tasker tasker_core tempfile thread thread_error thread_group time
	timeout trace_point true_class type_error unbound_method uncaught_throw_error unicode_normalize vector warning weak_ref
	zero_division_error zlib`

// checkNewFolder refuses a folder that has something in it.
func checkNewFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case os.IsNotExist(err):
		return checkAbsent(dir)
	case err == nil && len(entries) == 0:
		return nil
	case err == nil:
		return errors.WithHint(errors.Newf("the folder %s is not empty; it has %s", dir, entries[0].Name()), "Name another folder with --dir DIR.")
	default:
		if info, statErr := os.Stat(dir); statErr == nil && !info.IsDir() {
			err = errors.New("it is a file")
		}
		return errors.WithHint(errors.Newf("the folder %s: %v", dir, lastCause(err)), "Name another folder with --dir DIR.")
	}
}

// checkAbsent refuses a link that leads nowhere: no folder can be made in its place.
func checkAbsent(dir string) error {
	for path := filepath.Clean(dir); ; path = filepath.Dir(path) {
		info, err := os.Lstat(path)
		if err != nil && path != filepath.Dir(path) {
			continue
		}
		if err == nil && info.Mode()&os.ModeSymlink != 0 {
			if target, err := os.Readlink(path); err == nil && !exists(path) {
				return errors.WithHint(errors.Newf("%s is a link to %s, which does not exist", path, target), "Make that folder, or name another with --dir DIR.")
			}
		}
		return nil
	}
}

// firstCommands are the commands of the README.md, with comments below each other.
func firstCommands(name string) []string {
	commands := [][2]string{
		{"tasker-rb run " + name + `.yaml --context '{"who": "Ada"}'`, "run the task once"},
		{"tasker-rb dev " + name + ".yaml", "run it again whenever you save a file"},
		{"tasker-rb test", "run the tests"},
		{"tasker-rb templates lint .", "check the template"},
		{"tasker-rb tasks list", "the tasks that have run here"},
	}
	lines := make([]string, len(commands))
	for i, c := range commands {
		lines[i] = fmt.Sprintf("%-*s   # %s", len(commands[0][0]), c[0], c[1]) // the first is the longest
	}
	return lines
}

type newFile struct {
	path    string
	content []byte
}

// files are the files of the folder, as they are to be written.
func (n *newCommand) files(name string) ([]newFile, error) {
	suite, test, tests := rspec.folder, name+"_spec.rb", "spec.rb"
	if n.minitest {
		suite, test, tests = minitest.folder, name+"_test.rb", "test.rb"
	}
	parsed, err := template.ParseFS(newProjectFiles, "new_project/*.tmpl")
	if err != nil {
		return nil, errors.Wrap(err, "the files of a new project")
	}
	var files []newFile
	for _, f := range [][2]string{
		{name + ".yaml", "template.yaml"}, {"handlers/prepare.rb", "prepare.rb"}, {"handlers/finish.rb", "finish.rb"},
		{suite + "/" + test, tests}, {"README.md", "README.md"}, {".gitignore", "gitignore"}, {".tasker-rb/README", "project"},
	} {
		var b bytes.Buffer
		words := map[string]any{"Name": name, "Module": moduleOf(name), "Suite": suite, "Commands": firstCommands(name)}
		if err := parsed.ExecuteTemplate(&b, f[1]+".tmpl", words); err != nil {
			return nil, errors.Wrap(err, "the files of a new project")
		}
		files = append(files, newFile{f[0], b.Bytes()})
	}
	return files, nil
}
