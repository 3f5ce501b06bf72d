package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tasker-rb/tasker-rb/internal/nearest"
)

// usageError returns an error about the command line, with a hint at --help.
func usageError(cmd *cobra.Command, format string, args ...any) error {
	return errors.WithHintf(errors.Newf(format, args...), "`%s --help` shows how it is used.", cmd.CommandPath())
}

// exactly accepts exactly these arguments. The names are those of the command's
// Use line.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usageError(cmd, "%s is missing", names[len(args)])
		case len(args) > len(names):
			return usageError(cmd, "one argument too many: %s", args[len(names)])
		default:
			return nil
		}
	}
}

// atLeastOne accepts one argument or more.
func atLeastOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usageError(cmd, "%s is missing", name)
		}
		return nil
	}
}

// subcommand refuses arguments of a command that only has subcommands.
func subcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := errors.Newf("%s has no command %q", cmd.CommandPath(), args[0])
	cmd.SuggestionsMinimumDistance = 1
	near := cmd.SuggestionsFor(args[0])
	if len(near) == 0 {
		cmd.SuggestionsMinimumDistance = 2
		near = cmd.SuggestionsFor(args[0])
	}
	if len(near) > 0 {
		return errors.WithHintf(err, "Did you mean %s?", strings.Join(near, " or "))
	}
	return errors.WithHintf(err, "`%s --help` shows the commands there are.", cmd.CommandPath())
}

var badValue = regexp.MustCompile(`^invalid argument "(.*)" for "(?:-\w, )?(--[\w-]+)" flag: `)

// flagError rewords an error of the flag library.
func flagError(cmd *cobra.Command, err error) error {
	if m := badValue.FindStringSubmatch(err.Error()); m != nil {
		if hint := valueHint(cmd, strings.TrimPrefix(m[2], "--")); hint != "" {
			return errors.WithHint(errors.Newf("%s cannot be %q", m[2], m[1]), hint)
		}
		return usageError(cmd, "%s cannot be %q", m[2], m[1])
	}
	if args := cmd.Flags().Args(); cmd.HasSubCommands() && len(args) > 0 {
		return subcommand(cmd, args) // the flag is for a command that there is not
	}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		if hint := nearFlag(cmd, unknown); hint != "" {
			return errors.WithHint(errors.Newf("%s", err), hint)
		}
		if cmd.Name() == "test" {
			written := "--" + unknown.GetSpecifiedName()
			if short := unknown.GetSpecifiedShortnames(); short != "" {
				written = "-" + short
			}
			return errors.WithHintf(errors.Newf("%s", err), "If it is an option of RSpec or minitest, write it after --, as in `%s -- %s`.", cmd.CommandPath(), written)
		}
	}
	return usageError(cmd, "%s", err)
}

// nearFlag names the flags that an unknown one may be a misspelling of, or "". One dash
// before a whole word is a misspelling, too.
func nearFlag(cmd *cobra.Command, unknown *pflag.NotExistError) string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	written := unknown.GetSpecifiedName()
	if short := unknown.GetSpecifiedShortnames(); short != "" {
		if written, _, _ = strings.Cut(short, "="); len(written) < 3 {
			return ""
		}
		if slices.Contains(names, written) {
			return "Write --" + written + ", with two dashes."
		}
	}
	near := nearest.Names(written, names)
	for _, name := range names { // --template for --templates, and --context-file for --context
		if len(near) == 0 && (strings.HasPrefix(name, written) || strings.HasPrefix(written, name+"-")) {
			near = append(near, name)
		}
	}
	if len(near) == 0 {
		return ""
	}
	return "Did you mean --" + strings.Join(near, " or --") + "?"
}

// valueHint says which values a flag accepts.
func valueHint(cmd *cobra.Command, flag string) string {
	f := cmd.Flags().Lookup(flag)
	if f == nil {
		return ""
	}
	switch f.Value.Type() {
	case "duration":
		return timeSpanHint
	case "size":
		return sizeHint
	case "int16":
		return "Give a whole number from -32768 to 32767."
	default:
		return ""
	}
}

// oneOf checks that a flag has one of the allowed values.
func oneOf(flag, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	last := len(allowed) - 1
	return errors.WithHint(errors.Newf("--%s cannot be %q", flag, value),
		fmt.Sprintf("Give %s or %s.", strings.Join(allowed[:last], ", "), allowed[last]))
}
