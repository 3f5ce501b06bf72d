package exampletest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	found, err := faults("testdata/sample", map[string]string{
		"Thing.String": "fmt calls it",
		"Thing.Shown":  "for no reason",
		"Silent":       "",
		"Gone":         "it was here once",
	})
	require.NoError(t, err)
	require.Equal(t, []string{
		`ExampleThing_Shown has no // Output: comment, so it does not run`,
		`Forgotten has no example`,
		`Gone is said to need no example, and is not exported here`,
		`New has no example`,
		`Silent is said to need no example, without a reason`,
		`Thing.Do has no example`,
		`Thing.Shown is said to need no example, and has one`,
		`example_test.go imports "github.com/tasker-rb/tasker-rb/internal/pgtest"`,
		`example_test.go is not in a package of its own`,
		`package has no example`,
	}, found)
}

func TestThisPackageNeedsNone(t *testing.T) {
	t.Parallel()
	found, err := faults(".", map[string]string{"package": "it is internal", "Check": "its users are its examples"})
	require.NoError(t, err)
	require.Empty(t, found)
}
