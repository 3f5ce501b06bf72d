package templates_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/templates"
)

// graph makes a template of lines such as "c: a b".
func graph(t *testing.T, lines string) *templates.Template {
	t.Helper()
	var out strings.Builder
	out.WriteString("name: g\nstep_templates:\n")
	for _, line := range strings.Split(strings.TrimSpace(lines), "\n") {
		name, parents, _ := strings.Cut(strings.TrimSpace(line), ":")
		out.WriteString("  - {name: " + name + ", handler_class: S, depends_on_steps: [" +
			strings.Join(strings.Fields(parents), ", ") + "]}\n")
	}
	return parse(t, out.String())
}

const analytics = `
	extract_orders:
	extract_users:
	extract_products:
	customer_metrics: extract_orders extract_users
	product_metrics: extract_orders extract_products
	insights: customer_metrics product_metrics
	dashboard: insights
	notify: dashboard`

func TestText(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, graph, want string }{
		{"one step", "a:", `
default/g 0.1.0 (1 step, 1 level)

●  a
`},
		{"diamond", "validate:\nreserve: validate\ncharge: validate\nship: reserve charge", `
default/g 0.1.0 (4 steps, 3 levels)

●    validate
├─●  reserve
● │  charge
●─╯  ship  <- reserve, charge
`},
		{"analytics", analytics, `
default/g 0.1.0 (8 steps, 5 levels)

●      extract_orders
│ ●    extract_users
│ │ ●  extract_products
├─● │  customer_metrics  <- extract_orders, extract_users
●─│─╯  product_metrics  <- extract_orders, extract_products
●─╯    insights  <- customer_metrics, product_metrics
●      dashboard
●      notify
`},
		{"separate steps do not look joined", "a:\nb:\nc: b\nd:", `
default/g 0.1.0 (4 steps, 2 levels)

●    a
  ●  b
  ●  c
●    d
`},
		{"tree", "root:\nl: root\nr: root\nll: l\nlr: l\nrl: r\nrr: r", `
default/g 0.1.0 (7 steps, 3 levels)

●      root
├─●    l
● │    r
│ ├─●  ll
│ ●    lr
├───●  rl
●      rr
`},
		{"joins from both sides", "a:\nb:\nc:\nd: a c\ne: b\nf: d e", `
default/g 0.1.0 (6 steps, 3 levels)

●      a
│ ●    b
│ │ ●  c
●─│─╯  d  <- a, c
│ ●    e
●─╯    f  <- d, e
`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, strings.TrimPrefix(tc.want, "\n"), graph(t, tc.graph).Text())
		})
	}
}

func TestTextOfALongChain(t *testing.T) {
	t.Parallel()
	lines := "s00:"
	for i := 1; i < 30; i++ {
		lines += "\n" + stepName(i) + ": " + stepName(i-1)
	}
	rows := strings.Split(graph(t, lines).Draw(templates.Drawing{}), "\n")
	require.Len(t, rows, 31)
	for i, row := range rows[:30] {
		require.Equal(t, "●  "+stepName(i), row)
	}
}

func stepName(i int) string { return "s" + string(rune('0'+i/10)) + string(rune('0'+i%10)) }

func TestTextASCII(t *testing.T) {
	t.Parallel()
	require.Equal(t, `default/g 0.1.0 (8 steps, 5 levels)

*      extract_orders
| *    extract_users
| | *  extract_products
+-* |  customer_metrics  <- extract_orders, extract_users
*-|-'  product_metrics  <- extract_orders, extract_products
*-'    insights  <- customer_metrics, product_metrics
*      dashboard
*      notify
`, graph(t, analytics).TextASCII())
}

func TestDrawWithMarksAndLabels(t *testing.T) {
	t.Parallel()
	drawn := graph(t, "a:\nb: a\nc: a").Draw(templates.Drawing{
		Mark: func(s *templates.Step) string {
			if s.Name == "a" {
				return "✔"
			}
			return ""
		},
		Label: func(s *templates.Step) string { return strings.ToUpper(s.Name) },
	})
	require.Equal(t, "✔    A\n├─●  B\n●    C\n", drawn)
}

// A thousand steps side by side are listed by level. A step with a thousand
// parents names only some of them.
func TestWideTemplatesAreListed(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString("name: wide\nstep_templates:\n  - {name: root, handler_class: A}\n")
	var all []string
	for i := range 998 {
		all = append(all, fmt.Sprintf("s%d", i))
		fmt.Fprintf(&text, "  - {name: s%d, handler_class: A, depends_on_step: root}\n", i)
	}
	fmt.Fprintf(&text, "  - {name: last, handler_class: A, depends_on_steps: [%s]}\n", strings.Join(all, ", "))
	wide, err := templates.Parse([]byte(text.String()), "wide.yaml")
	require.NoError(t, err)
	lines := strings.Split(wide.Text(), "\n")
	require.Equal(t, []string{"default/wide 0.1.0 (1000 steps, 3 levels)", "", "level 1 (1 step)", "  ●  root", "level 2 (998 steps)", "  ●  s0  <- root"}, lines[:6])
	require.Equal(t, []string{"level 3 (1 step)", "  ●  last  <- s0, s1, s2, s3, s4, s5, s6, s7, s8, s9 and 988 more", ""}, lines[len(lines)-3:])
	require.Contains(t, wide.TextASCII(), "\n  *  s997  <- root\n")
}
