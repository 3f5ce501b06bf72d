package rubyhost

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOutsideRuby(t *testing.T) {
	own, users := "<internal:kernel>:168:in 'Kernel#loop'", "handlers/a.rb:3:in 'A#process'"
	require.Equal(t, []string{users, own}, outsideRuby([]string{own, "/usr/lib/ruby/3.4.0/bundled_gems.rb:82:in 'Kernel.require'", users, own}))
	require.Equal(t, []string{own}, outsideRuby([]string{own}))
	require.Empty(t, outsideRuby(nil))
}
