package rubysteps_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// The pg gem's connection and ours answer the same calls in the same way.
func TestConnectionIsShapedLikeThePgGems(t *testing.T) {
	newDatabase(t)
	require.NoError(t, host.Load(t.Context(), "../../test/ruby/sql/connection_oracle.rb"))
	out, err := host.Eval(t.Context(), "ConnectionOracle.differences", "differences.rb")
	require.NoError(t, err)
	var differences []string
	require.NoError(t, json.Unmarshal(out, &differences))
	for _, d := range differences {
		t.Error(d)
	}
}
