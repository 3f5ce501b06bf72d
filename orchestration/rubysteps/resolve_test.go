package rubysteps_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
)

// A class that is absent is another worker's. Any other trouble with a class is a failure
// of its step.
func TestAbsentAndBrokenClasses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for file, source := range map[string]string{
		"typo":  "class ResolveTypo < Tasker::StepHandler::Base\n  NoSuchConstant\nend\n",
		"other": "class ResolveOtherName\nend\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "resolve_"+file+".rb"), []byte(source), 0o600))
	}
	_, err := host.Eval(t.Context(), fmt.Sprintf(`
		Object.autoload(:ResolveTypo, %q)
		Object.autoload(:ResolveOther, %q)
		module ResolveModule; class Inner; end; end
		nil`, filepath.Join(dir, "resolve_typo.rb"), filepath.Join(dir, "resolve_other.rb")), "autoloads.rb")
	require.NoError(t, err)
	for class, absent := range map[string]bool{
		"ResolveNowhere":          true,
		"ResolveNowhere::Inner":   true,
		"ResolveModule::Nowhere":  true,
		"ResolveOther":            true,  // its file defines something else
		"ResolveTypo":             false, // a NameError of its own
		"ResolveModule":           false, // no class
		"ResolveModule::Inner":    false, // no handler
		"no class name":           false,
		"ResolveModule::Inner::X": true,
	} {
		_, err := rubysteps.New(host).ResolveHandler(t.Context(), class)
		require.Error(t, err, class)
		require.Equal(t, absent, errors.Is(err, orchestration.ErrHandlerNotFound), "%s: %v", class, err)
	}
}
