package templates_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tasker-rb/tasker-rb/templates"
)

func load(t *testing.T, environment string) *templates.Template {
	t.Helper()
	tmpl, err := templates.Load("testdata/order.yml", templates.WithEnvironment(environment))
	require.NoError(t, err)
	return tmpl
}

func parse(t testing.TB, yaml string, opts ...templates.Option) *templates.Template {
	t.Helper()
	tmpl, err := templates.Parse([]byte(yaml), "t.yml", opts...)
	require.NoError(t, err)
	return tmpl
}

func names(steps []*templates.Step) []string {
	list := make([]string, len(steps))
	for i, s := range steps {
		list[i] = s.Name
	}
	return list
}

func TestEveryKey(t *testing.T) {
	t.Parallel()
	tmpl := load(t, "")
	require.Equal(t, "ecommerce/fulfil_order 1.2.0", tmpl.ID())
	require.Equal(t, "Takes a paid cart to the doorstep.", tmpl.Description)
	require.Equal(t, "Ecommerce::FulfilOrder", tmpl.TaskHandlerClass)
	require.Equal(t, "Ecommerce", tmpl.ModuleNamespace)
	require.Equal(t, "shop", tmpl.DefaultDependentSystem)
	require.True(t, tmpl.Concurrent)
	require.Equal(t, []string{"test", "staging"}, tmpl.Environments)
	require.Equal(t, "testdata/order.yml:1:7", tmpl.Position.String())

	require.Equal(t, []string{"validate", "reserve", "charge", "ship"}, names(tmpl.Steps))
	charge := tmpl.Step("charge")
	require.Equal(t, &templates.Step{
		Index: 2, Name: "charge", Description: "charge", HandlerClass: "Ecommerce::ChargeCard",
		DependentSystem: "payments", Retryable: true, RetryLimit: 5,
		HandlerConfig: json.RawMessage(`{"url":"https://payments.example/charge",` +
			`"limit":1606938044258990275541962092341162602522202993782792835301376,"params":{"currency":"EUR","retries":0.10}}`),
		CustomEvents: []templates.CustomEvent{{Name: "order.charged", Description: "The money is there"}},
		Backoff:      templates.DefaultBackoff(),
		Transaction:  templates.TransactionAlways, Isolation: templates.IsolationSerializable, ConcurrencyKey: "payments", ConcurrencyLimit: 1,
		Parents: []string{"validate"}, Children: []string{"ship"}, Level: 1,
		Position:        templates.Position{File: "testdata/order.yml", Line: 46, Column: 11},
		HandlerPosition: templates.Position{File: "testdata/order.yml", Line: 47, Column: 20},
	}, charge)
	require.Equal(t, templates.Backoff{
		Curve: templates.CurveLinear, Base: 250 * time.Millisecond, Max: 5 * time.Second,
	}, tmpl.Step("reserve").Backoff)
	require.Equal(t, "Ecommerce::ReserveStock", tmpl.Step("reserve").HandlerClass, "a leading :: means the same")
	require.Equal(t, 30*time.Second, tmpl.Step("ship").Timeout)
	require.Equal(t, "Checks the cart", tmpl.Step("validate").Description)
	require.Nil(t, tmpl.Step("nobody"))
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	tmpl := parse(t, "name: x\nstep_templates:\n  - {name: a, handler_class: A}\n")
	require.Equal(t, "default/x 0.1.0", tmpl.ID())
	require.True(t, tmpl.Concurrent)
	require.Empty(t, tmpl.TaskHandlerClass)
	require.JSONEq(t, "{}", string(tmpl.HandlerConfig))
	require.Nil(t, tmpl.Schema)
	a := tmpl.Step("a")
	require.Equal(t, "a", a.Description)
	require.Equal(t, "unknown", a.DependentSystem)
	require.True(t, a.Retryable)
	require.Equal(t, 3, a.RetryLimit)
	require.False(t, a.Skippable)
	require.JSONEq(t, "{}", string(a.HandlerConfig))
	require.Zero(t, a.Timeout)
	require.Equal(t, templates.TransactionLazy, a.Transaction)
	require.Equal(t, templates.IsolationDefault, a.Isolation)
	require.Equal(t, templates.Backoff{
		Curve: templates.CurveExponential, Base: time.Second, Max: 5 * time.Minute, Min: time.Second, Jitter: 0.1,
	}, a.Backoff)
}

func TestScalars(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]string{
		"yes": "true", "Off": "false", "TRUE": "true", "y": `"y"`, "'yes'": `"yes"`, "~": "null", "": "null", "null": "null",
		"1_000": "1000", "+5": "5", "-0": "-0", "0x1F": "31", "0b101": "5", "0o17": "15", "017": "15", "08540": `"08540"`,
		"12:30": `"12:30"`, "1,000": `"1,000"`, "2024-01-01": `"2024-01-01"`, ":name": `":name"`,
		"0.10": "0.10", ".5": "0.5", "1.": "1.0", "-1.5e3": "-1.5e3", "1_0.5": "10.5", "1e3": "1e3", "1.2.3": `"1.2.3"`,
		"!!str 5": `"5"`, "!!float 5": "5", "|\n    two\n    lines": `"two\nlines\n"`, `"\u00e9\t"`: `"é\t"`,
		"115792089237316195423570985008687907853269984665640564039457584007913129639936": "115792089237316195423570985008687907853269984665640564039457584007913129639936",
	} {
		tmpl := parse(t, "name: x\nhandler_config:\n  v: "+written+"\n"+steps)
		require.Equal(t, `{"v":`+want+`}`, string(tmpl.HandlerConfig), written)
	}
}

func TestAnchorsAndMergeKeys(t *testing.T) {
	t.Parallel()
	tmpl := parse(t, `
name: x
step_templates:
  - &first
    name: a
    handler_class: &class A
    default_retry_limit: 7
    handler_config: &config {url: u, n: 1}
  - <<: *first
    name: b
    depends_on_step: a
  - name: c
    handler_class: *class
    handler_config: {<<: [*config, {n: 2, m: 3}], url: own}
`)
	require.Equal(t, 7, tmpl.Step("b").RetryLimit)
	require.JSONEq(t, `{"url":"u","n":1}`, string(tmpl.Step("b").HandlerConfig))
	require.Equal(t, `{"url":"own","n":1,"m":3}`, string(tmpl.Step("c").HandlerConfig))
	require.Equal(t, "A", tmpl.Step("c").HandlerClass)
}

func TestByteOrderMarkAndLineEnds(t *testing.T) {
	t.Parallel()
	tmpl := parse(t, "\ufeffname: x\r\nstep_templates:\r\n  - {name: a, handler_class: A}\r\n")
	require.Equal(t, "x", tmpl.Name)
	require.Equal(t, 3, tmpl.Step("a").Position.Line)
}

func TestEnvironments(t *testing.T) {
	t.Parallel()
	charge := load(t, "test").Step("charge")
	require.Equal(t, 1, charge.RetryLimit)
	require.JSONEq(t, `{"url":"http://localhost:3000/charge",
		"limit":1606938044258990275541962092341162602522202993782792835301376,
		"params":{"currency":"EUR","retries":0.10,"debug":true}}`, string(charge.HandlerConfig))
	require.Equal(t, 90*time.Second, load(t, "staging").Step("ship").Timeout)
	require.Equal(t, load(t, "").Digest(), load(t, "unheard-of").Digest())

	tmpl := parse(t, `
name: x
default_dependent_system: one
schema: {properties: {a: {default: 1}, b: {default: 2}}}
step_templates:
  - {name: a, handler_class: A, timeout_seconds: 5, backoff: {jitter: 0.5, base_seconds: 2}, handler_config: {k: 1, l: [1, 2]}}
  - {name: b, handler_class: B}
environments:
  test:
    concurrent: false
    default_dependent_system: two
    schema: {properties: {b: {default: 3}}}
    step_templates:
      - {name: a, timeout_seconds: ~, backoff: {base_seconds: ~}, depends_on_steps: [b], handler_config: {k: ~, l: [3]}}
    step_overrides:
      a: {handler_class: C}
  empty:
`, templates.WithEnvironment("test"))
	require.False(t, tmpl.Concurrent)
	a := tmpl.Step("a")
	require.Equal(t, "two", a.DependentSystem)
	require.Zero(t, a.Timeout, "null takes a key away")
	require.Equal(t, "C", a.HandlerClass)
	require.Equal(t, "t.yml:16:26", a.HandlerPosition.String(), "the place in the environment")
	require.Equal(t, []string{"b"}, a.Parents)
	require.Equal(t, templates.Backoff{
		Curve: templates.CurveExponential, Base: time.Second, Max: 300 * time.Second, Min: time.Second, Jitter: 0.5,
	}, a.Backoff)
	require.Equal(t, `{"k":null,"l":[3]}`, string(a.HandlerConfig), "null is a value in free data")
	filled, err := tmpl.ValidateContext([]byte(`{}`))
	require.NoError(t, err)
	require.Equal(t, `{"a":1,"b":3}`, string(filled))
}

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

// drawGraph makes a random DAG: the parents of each step, which are among the
// steps with a lower number, and an order in which to write them.
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

		// Stable: a step that could have come earlier was written later.
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

		// The digest does not see the order of writing, and the encoding keeps all.
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
		for i := range length { // a ring at the end, hung on the rest
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

func BenchmarkParse(b *testing.B) {
	data, err := os.ReadFile("testdata/order.yml")
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		_, err := templates.Parse(data, "order.yml")
		require.NoError(b, err)
	}
}
