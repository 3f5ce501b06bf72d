package rubysteps_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

func TestAnnotations(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	ruby(t, `
		class AnnotatedStep
			def process(task, sequence, step)
				task.annotations.create!(annotation_type: "by_the_handler", content: { n: 2**70, f: 1e20, z: "ü", a: nil })
				raise "not yet" if step.attempts == 1
				{ amount: 1200 }
			end
		end
		class Annotates
			include Tasker::TaskHandler
			def update_annotations(task, _sequence, steps)
				done = steps.filter { |s| s.status == Tasker::Constants::WorkflowStepStatuses::COMPLETE }
				type = Tasker::AnnotationType.find_or_create_by!(name: "done") { |made| made.description = "a step is" }
				same = Tasker::AnnotationType.find_or_create_by!(name: :done)
				raise "#{same} is another" unless same == type && same.description == "a step is"
				done.each do |s|
					Tasker::TaskAnnotation.create(task: task, task_id: task.task_id, annotation_type_id: type.annotation_type_id, annotation_type: type,
						annotation: { step_name: s.name, results: s.results })
				end
				Tasker.db.exec("insert into ledger (entry) values ($1)", [
					[task.annotations.map { |a| [a.annotation_type.name, a.annotation.keys.join(" "), a.annotation["f"].class, a.annotation["results"] && a.annotation["results"]["amount"]] }, task.task_annotations.count, task.annotations.where(annotation_type: "done").size,
					 task.annotations.find_by(annotation_type: type).annotation["step_name"], task.annotations.first.created_at.class,
					 Tasker::AnnotationType.find_by(name: "none"), Tasker::TaskAnnotation.where(annotation_type_id: type.id).size].inspect])
			end
		end`)
	const steps = "  - {name: only, handler_class: AnnotatedStep, backoff: {base_seconds: 0.01, jitter: 0}}\n"
	task := d.within(t, "Annotates", `{}`, steps)
	require.Equal(t, orchestration.TaskComplete, task.State, fmt.Sprint(task.Steps[0].Last().Err))
	require.Len(t, task.Steps[0].History, 2)
	require.Len(t, task.Annotations, 2, "those of the first attempt went with it")
	require.Equal(t, "by_the_handler", task.Annotations[0].Type)
	require.Regexp(t, `^{"n":1180591620717411303424,"f":[\d.e+]*,"z":"ü","a":null}$`, string(task.Annotations[0].Value), "every digit, in its order")
	require.Equal(t, "done", task.Annotations[1].Type)
	require.JSONEq(t, `{"step_name": "only", "results": {"amount": 1200}}`, string(task.Annotations[1].Value))
	require.WithinDuration(t, time.Now(), task.Annotations[1].At, time.Hour)
	require.Equal(t, []string{`[[["by_the_handler", "n f z a", Float, nil], ["done", "step_name results", NilClass, 1200]], 2, 1, "only", Time, nil, 1]`}, d.entries(t))

	exported, err := d.engine.Export(t.Context(), task.TaskID)
	require.NoError(t, err)
	document, err := exported.Encode()
	require.NoError(t, err)
	again, err := orchestration.DecodeExport(document)
	require.NoError(t, err)
	require.Equal(t, "by_the_handler", again.Task.Annotations[0].Type)
	require.Contains(t, string(again.Task.Annotations[0].Value), `1180591620717411303424`)

	// The task's annotations go with it.
	second := d.within(t, "Annotates", `{}`, steps)
	_, err = d.pool.Exec(t.Context(), "update tasker.tasks set ended_at = ended_at - interval '2 days' where task_id = $1", task.TaskID)
	require.NoError(t, err)
	pruned, err := d.engine.Prune(t.Context(), orchestration.PruneOptions{OlderThan: 24 * time.Hour})
	require.NoError(t, err)
	require.EqualValues(t, 1, pruned.Tasks)
	rows, err := d.pool.Query(t.Context(), "select distinct task_id from tasker.task_annotations")
	require.NoError(t, err)
	left, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	require.NoError(t, err)
	require.Equal(t, []int64{second.TaskID}, left)
}
