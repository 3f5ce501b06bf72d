package rubyhost_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

func init() {
	children["boot fails"] = func() {
		_, err := rubyhost.Boot(rubyhost.Options{Threads: 1})
		fmt.Printf("error: %v\nhint: %s\n", err, errors.FlattenHints(err))
	}
}

// A boot that fails says what was raised, and where: not in Ruby's own require.
func TestBootFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, early, failure, hint string }{
		{
			"AFeatureIsMissing", `class Object
  private def require(feature) = super(feature == "time" ? "no_such_time" : feature)
end`, `LoadError: cannot load such file -- no_such_time, at \S*/early\.rb:2:in \S+`, "Install what is missing",
		},
		{
			"AMethodIsReplaced", `class Object
  private def require(feature) = feature == "time" ? raise(ArgumentError, "no time for <that>") : super
end`, `ArgumentError: no time for <that>, at \S*/early\.rb:2:in \S+`, "Check that `ruby -rjson -e 0` works",
		},
		{
			"AConstantIsTaken", `module Tasker; module StepHandler; Base = 1; end; end`, `TypeError: Base is not a class(.|\n)*, at \S*/tasker/step_handler/base\.rb:\d+:in \S+`, "Check that",
		},
		{
			"AMethodIsMissing", `module Tasker; HandlerLoader = 1; end`, `NoMethodError: undefined method .new' for [^\n]*, at \S*/tasker/host\.rb:\d+:in \S+`, "Check that",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "early.rb"), []byte(c.early), 0o600))
			out, err := inChild(t, "boot fails", "RUBYLIB="+dir, "RUBYOPT=-rearly")
			require.NoError(t, err, out)
			require.Regexp(t, `(?m)^error: rubyhost: Ruby did not boot: `+c.failure, out)
			require.Contains(t, out, "\nhint: "+c.hint)
			require.NotContains(t, out, "<internal:")
		})
	}
}
