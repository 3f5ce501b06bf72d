package rubyhost

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// doc.go says that only the bridge_*.go files name C.
func TestOnlyTheBridgeNamesC(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, imported := range parsed.Imports {
			if imported.Path.Value == `"C"` {
				require.True(t, strings.HasPrefix(file, "bridge_"), file)
			}
		}
	}
}
