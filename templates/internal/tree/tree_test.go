package tree_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// values makes random JSON values of the types that Plain gives.
func values(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		most := 5
		if depth == 0 {
			most = 3
		}
		switch rapid.IntRange(0, most).Draw(t, "kind") {
		case 0:
			return nil
		case 1:
			return rapid.Bool().Draw(t, "bool")
		case 2:
			return json.Number(rapid.StringMatching(`-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,5})?([eE][+-]?[0-9]{1,2})?`).Draw(t, "number"))
		case 3:
			return strings.ReplaceAll(rapid.String().Draw(t, "text"), "\x00", "")
		case 4:
			return append([]any{}, rapid.SliceOfN(values(depth-1), 0, 4).Draw(t, "list")...)
		default:
			key := rapid.Map(rapid.String(), func(s string) string { return strings.ReplaceAll(s, "\x00", "") })
			return rapid.MapOfN(key, values(depth-1), 0, 4).Draw(t, "object")
		}
	})
}

func TestJSONGoesThrough(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := values(3).Draw(t, "value")
		written := tree.FromPlain(value).AppendJSON(nil)
		read, err := tree.ParseJSON(written)
		require.NoError(t, err)
		require.Equal(t, value, read.Plain())
		require.Equal(t, string(written), string(read.AppendJSON(nil)))

		// encoding/json escapes other characters. Its JSON must read the same.
		other, err := json.MarshalIndent(value, "", "\t")
		require.NoError(t, err)
		read, err = tree.ParseJSON(other)
		require.NoError(t, err)
		require.Equal(t, value, read.Plain())
	})
}

func TestAt(t *testing.T) {
	t.Parallel()
	n, err := tree.ParseYAML([]byte("a:\n  - b: 1\n    c: 2\n"))
	require.NoError(t, err)
	for _, tc := range []struct {
		path         []string
		line, column int
	}{
		{nil, 1, 1},
		{[]string{"a"}, 1, 1},
		{[]string{"a", "0"}, 2, 5},
		{[]string{"a", "0", "c"}, 3, 5},
		{[]string{"a", "7", "c"}, 1, 1},
		{[]string{"a", "0", "d"}, 2, 5},
	} {
		line, column := n.At(tc.path)
		require.Equal(t, [2]int{tc.line, tc.column}, [2]int{line, column}, tc.path)
	}
}

func TestErrorsAreListed(t *testing.T) {
	t.Parallel()
	_, err := tree.ParseJSON([]byte("{\"a\": 1, \"a\": 2,\n \"a\": 3}"))
	require.EqualError(t, err, "1:10: the key \"a\" is given twice, first at line 1\n2:2: the key \"a\" is given twice, first at line 1")
}

func TestOneLongLineIsReadInLinearTime(t *testing.T) {
	t.Parallel()
	n, err := tree.ParseJSON([]byte("[" + strings.Repeat("1,", 1_000_000) + "1]"))
	require.NoError(t, err)
	require.Len(t, n.Items, 1_000_001)
	require.Equal(t, 2_000_002, n.Items[1_000_000].Column)
}
