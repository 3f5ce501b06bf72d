package orchestration_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/effort"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// Lists with the same keys in different orders, of several templates that are new, wait for
// each other in turn and never in a circle. Each key has one task, and each answer is at
// the place of its submission.
func TestListsWithTheSameKeysInOppositeOrder(t *testing.T) {
	t.Parallel()
	for name, submit := range map[string]func(*bundle, []orchestration.Submission) ([]orchestration.Submitted, error){
		"SubmitMany": func(b *bundle, list []orchestration.Submission) ([]orchestration.Submitted, error) {
			return b.SubmitMany(t.Context(), list)
		},
		"SubmitManyTx": func(b *bundle, list []orchestration.Submission) (made []orchestration.Submitted, err error) {
			err = pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
				made, err = b.SubmitManyTx(t.Context(), tx, list)
				return err
			})
			return made, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := engine(t, nil)
			const sides, keys = 4, 2500 // more than one statement takes
			rounds := effort.Of(3, 10)
			for round := range rounds {
				kinds := []*templates.Template{named(t, fmt.Sprint("x", round), "a:", ""), named(t, fmt.Sprint("y", round), "a:\nb: a", "")}
				list := make([]orchestration.Submission, keys)
				for i := range list {
					list[i] = orchestration.Submission{Template: kinds[i%2], IdentityKey: fmt.Sprintf("%d of round %d", i, round)}
				}
				var made [sides][]orchestration.Submitted
				var failed [sides]error
				var all sync.WaitGroup
				for side := range sides {
					mine := slices.Clone(list)
					if side%2 == 1 {
						slices.Reverse(mine)
					}
					all.Go(func() { made[side], failed[side] = submit(b, mine) })
				}
				all.Wait()
				for side := range sides {
					require.NoError(t, failed[side])
					if side%2 == 1 {
						slices.Reverse(made[side])
					}
				}
				for i := range keys {
					created := 0
					for side := range sides {
						require.Equal(t, made[0][i].TaskID, made[side][i].TaskID)
						if !made[side][i].Existed {
							created++
						}
					}
					require.Equal(t, 1, created)
				}
			}
			var deadlocks, tasks, steps int
			require.NoError(t, b.pool.QueryRow(t.Context(), `select (select deadlocks from pg_stat_database where datname = current_database()),
				(select count(*) from tasker.tasks), (select count(*) from tasker.steps)`).Scan(&deadlocks, &tasks, &steps))
			require.Equal(t, []int{0, rounds * keys, rounds * keys * 3 / 2}, []int{deadlocks, tasks, steps})
		})
	}
}

// The numbers of the tasks have the order of the list, whatever the keys are.
func TestNumbersInTheOrderOfTheList(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	one, other := template(t, "a:", ""), named(t, "other", "a:", "")
	made, err := b.SubmitMany(t.Context(), []orchestration.Submission{
		{Template: one, IdentityKey: "z"}, {Template: other}, {Template: one, IdentityKey: "a"}, {Template: other, IdentityKey: "m"},
		{Template: one, IdentityKey: "m"}, {Template: one},
	})
	require.NoError(t, err)
	require.True(t, slices.IsSortedFunc(slices.Delete(slices.Clone(made), 4, 5), func(a, b orchestration.Submitted) int { return int(a.TaskID - b.TaskID) }), made)
	require.Equal(t, orchestration.Submitted{TaskID: made[3].TaskID, Existed: true}, made[4], "the first of the list has the key")
	d, err := b.Task(t.Context(), made[3].TaskID)
	require.NoError(t, err)
	require.Equal(t, "other", d.Name)
}
