package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/templates"
)

func TestChooseShapes(t *testing.T) {
	t.Parallel()
	all := shapes(1_000_000)
	chosen, err := chooseShapes("", all)
	require.NoError(t, err)
	require.Equal(t, []string{"noop", "diamond-sql", "diamond"}, names(chosen))
	chosen, err = chooseShapes("all", all)
	require.NoError(t, err)
	require.Len(t, chosen, len(all))
	chosen, err = chooseShapes("later,io", all)
	require.NoError(t, err)
	require.Equal(t, []string{"later", "io"}, names(chosen))
	require.Equal(t, tables{Later: 2_000_000}, chosen[0].Beside)
	_, err = chooseShapes("io,diamonds", all)
	require.ErrorContains(t, err, `"diamonds"`)
}

// Each shape is a template that tasker-rb accepts, with the steps and the edges that
// the levels say.
func TestShapesAreTemplates(t *testing.T) {
	t.Parallel()
	for _, s := range shapes(1) {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			template, err := templates.Parse([]byte(templateYAML(Work{Levels: s.Levels, SQL: s.SQL, WaitMS: s.Wait.Milliseconds(), ContextBytes: s.ContextBytes})), "t.yaml")
			require.NoError(t, err)
			require.Len(t, template.Steps, s.Steps())
		})
	}
}

func TestContextsHaveTheirSize(t *testing.T) {
	t.Parallel()
	require.Equal(t, "{}", Work{}.taskContext())
	for _, size := range []int{14, 1 << 10, 100 << 10} {
		require.Len(t, Work{ContextBytes: size}.taskContext(), size)
	}
}

// Steps that may run at the same time have different accounts, unless their tasks are
// far apart.
func TestAccountsSeldomMeet(t *testing.T) {
	t.Parallel()
	seen := map[int64]bool{}
	for task := range int64(100) {
		for step := range 4 {
			id := account(task, step)
			require.False(t, seen[id])
			require.Less(t, id, int64(accounts))
			seen[id] = true
		}
	}
}
