package templates_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tasker-rb/tasker-rb/templates"
)

func TestGraph(t *testing.T) {
	t.Parallel()
	tmpl := load(t, "")
	require.Equal(t, []string{"validate"}, names(tmpl.Roots()))
	require.Equal(t, []string{"validate", "reserve", "charge"}, names(tmpl.Ancestors("ship")))
	require.Empty(t, tmpl.Ancestors("validate"))
	require.Nil(t, tmpl.Ancestors("nobody"))
	require.True(t, tmpl.DependsOn("ship", "validate"))
	require.False(t, tmpl.DependsOn("validate", "ship"))
	require.False(t, tmpl.DependsOn("ship", "nobody"))
	levels := tmpl.Levels()
	require.Len(t, levels, 3)
	require.Equal(t, []string{"reserve", "charge"}, names(levels[1]))
}

func TestDependenciesAreMerged(t *testing.T) {
	t.Parallel()
	tmpl := parse(t, `
name: x
step_templates:
  - {name: c, handler_class: C, depends_on_step: b, depends_on_steps: [a, b, a]}
  - {name: b, handler_class: B}
  - {name: a, handler_class: A}
`)
	require.Equal(t, []string{"b", "a", "c"}, names(tmpl.Steps), "as written where dependencies allow")
	require.Equal(t, []string{"b", "a"}, tmpl.Step("c").Parents)
}

// drawGraph makes a random DAG. It returns the parents of each step, which have a
// lower number, and an order in which the steps are written.
func drawGraph(t *rapid.T) (parents [][]int, written []int) {
	n := rapid.IntRange(1, 25).Draw(t, "steps")
	parents = make([][]int, n)
	for i := 1; i < n; i++ {
		parents[i] = rapid.SliceOfNDistinct(rapid.IntRange(0, i-1), 0, min(i, 4), rapid.ID).Draw(t, "parents")
	}
	written = make([]int, n)
	for i := range written {
		written[i] = i
	}
	return parents, rapid.Permutation(written).Draw(t, "written")
}

func graphYAML(parents [][]int, written []int) string {
	var out strings.Builder
	out.WriteString("name: x\nstep_templates:\n")
	for _, i := range written {
		var list []string
		for _, p := range parents[i] {
			list = append(list, fmt.Sprintf("s%d", p))
		}
		fmt.Fprintf(&out, "  - {name: s%d, handler_class: S, depends_on_steps: [%s]}\n", i, strings.Join(list, ", "))
	}
	return out.String()
}

func TestTopologicalOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		parents, written := drawGraph(t)
		tmpl, err := templates.Parse([]byte(graphYAML(parents, written)), "t.yml")
		require.NoError(t, err)
		require.Len(t, tmpl.Steps, len(parents))

		// Reachability by brute force.
		reach := make([][]bool, len(parents))
		for i := range parents {
			reach[i] = make([]bool, len(parents))
			for _, p := range parents[i] {
				reach[i][p] = true
				for a := range reach[p] {
					reach[i][a] = reach[i][a] || reach[p][a]
				}
			}
		}
		for i := range parents {
			s := tmpl.Step(fmt.Sprintf("s%d", i))
			require.Same(t, s, tmpl.Steps[s.Index])
			require.Len(t, s.Parents, len(parents[i]))
			var ancestors []string
			for _, a := range tmpl.Steps {
				n := 0
				_, err := fmt.Sscanf(a.Name, "s%d", &n)
				require.NoError(t, err)
				require.Equal(t, reach[i][n], tmpl.DependsOn(s.Name, a.Name))
				if reach[i][n] {
					require.Less(t, a.Index, s.Index)
					require.Less(t, a.Level, s.Level)
					ancestors = append(ancestors, a.Name)
				}
				require.Equal(t, slices.Contains(parents[i], n), slices.Contains(a.Children, s.Name))
			}
			require.Equal(t, ancestors, append([]string(nil), names(tmpl.Ancestors(s.Name))...))
		}

		// The order is stable: a step that could have come earlier was written
		// later.
		place := make(map[string]int)
		for at, i := range written {
			place[fmt.Sprintf("s%d", i)] = at
		}
		for k := 1; k < len(tmpl.Steps); k++ {
			before, s := tmpl.Steps[k-1], tmpl.Steps[k]
			if !slices.Contains(s.Parents, before.Name) {
				require.Less(t, place[before.Name], place[s.Name])
			}
		}

		// The digest does not depend on the order of writing, and the encoding
		// loses nothing.
		straight := slices.Sorted(slices.Values(written))
		other, err := templates.Parse([]byte(graphYAML(parents, straight)), "other.yml")
		require.NoError(t, err)
		require.Equal(t, other.Digest(), tmpl.Digest())
		require.Empty(t, templates.Diff(other, tmpl))
		decoded, err := templates.Decode(tmpl.Encode())
		require.NoError(t, err)
		require.Equal(t, names(tmpl.Steps), names(decoded.Steps))
		require.Equal(t, tmpl.Encode(), decoded.Encode())

		// The drawing has a line for each step, with its name.
		rows := strings.Split(strings.TrimSpace(tmpl.Draw(templates.Drawing{ASCII: true})), "\n")
		require.Len(t, rows, len(tmpl.Steps))
		for k, s := range tmpl.Steps {
			require.Contains(t, rows[k]+" ", " "+s.Name+" ")
		}
	})
}

func TestRandomCyclesAreNamed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		parents, written := drawGraph(t)
		length := rapid.IntRange(2, 6).Draw(t, "length")
		first := len(parents)
		for i := range length { // a cycle at the end that depends on the rest
			parents = append(parents, []int{first + (i+1)%length})
			written = append(written, first+i)
		}
		parents[first] = append(parents[first], rapid.IntRange(0, first-1).Draw(t, "hook"))
		_, err := templates.Parse([]byte(graphYAML(parents, written)), "t.yml")
		var ring []string
		for i := range length {
			ring = append(ring, fmt.Sprintf("s%d", first+i))
		}
		require.ErrorContains(t, err, "cycle: "+strings.Join(ring, " -> ")+" -> "+ring[0])
	})
}

func TestLongChains(t *testing.T) {
	t.Parallel()
	const n = 3000
	parents, written := make([][]int, n), make([]int, n)
	for i := range n {
		written[i] = n - 1 - i
		if i > 0 {
			parents[i] = []int{i - 1}
		}
	}
	tmpl := parse(t, graphYAML(parents, written))
	require.Equal(t, n-1, tmpl.Steps[n-1].Level)
	require.Len(t, tmpl.Ancestors("s2999"), n-1)
	parents[0] = []int{n - 1}
	_, err := templates.Parse([]byte(graphYAML(parents, written)), "t.yml")
	require.ErrorContains(t, err, "in a cycle: s2999 -> s2998 -> ")
}
