package bench_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// ticket is River's job for one task.
type ticket struct {
	TaskID int64 `json:"task_id"`
}

func (ticket) Kind() string { return "tasker_task" }

type ticketWorker struct {
	river.WorkerDefaults[ticket]
	engine *orchestration.Engine
}

func (w *ticketWorker) Work(ctx context.Context, job *river.Job[ticket]) error {
	out, err := w.engine.Handle(ctx, job.Args.TaskID)
	if err == nil && !out.State.Final() {
		return river.JobSnooze(time.Until(out.Next))
	}
	return err
}

// byRiver has River hand out the tasks, with one job for each.
func byRiver(b *testing.B, h orchestration.StepHandlerFunc) {
	pool := newPool(b)
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, nil)
	require.NoError(b, err)
	_, err = migrator.Migrate(b.Context(), rivermigrate.DirectionUp, nil)
	require.NoError(b, err)
	e, all := newEngine(b, pool, h)
	workers := river.NewWorkers()
	river.AddWorker(workers, &ticketWorker{engine: e})
	client, err := river.NewClient(driver, &river.Config{
		Queues:        map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 100}},
		Workers:       workers,
		FetchCooldown: time.Millisecond,
		Logger:        slog.New(slog.DiscardHandler),
	})
	require.NoError(b, err)
	submitting := time.Now()
	made, err := e.SubmitMany(b.Context(), diamonds(b, b.N))
	require.NoError(b, err)
	jobs := make([]river.InsertManyParams, len(made))
	for i, m := range made {
		jobs[i].Args = ticket{m.TaskID}
	}
	_, err = client.InsertMany(b.Context(), jobs)
	require.NoError(b, err)
	submitted := time.Since(submitting)
	defer reportSubmitted(b, submitted)
	b.ResetTimer()
	require.NoError(b, client.Start(b.Context()))
	<-all
	reportComplete(b, pool)
	require.NoError(b, client.Stop(context.Background()))
}
