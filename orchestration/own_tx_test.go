package orchestration_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// The server ends the session of a submission while that commits. The commit may have
// happened, so the submission is not repeated: that could make a second task.
func TestSubmissionWhoseCommitEndsTheSessionIsNotRepeated(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	_, err := b.pool.Exec(t.Context(), `
		create sequence commits;
		create function ended() returns trigger language plpgsql as $$ begin
			perform nextval('commits'); -- is not rolled back
			raise 'terminating connection because of crash of another server process' using errcode = '57P02';
		end $$;
		create constraint trigger ended after insert on tasker.tasks deferrable initially deferred for each row execute function ended()`)
	require.NoError(t, err)
	_, err = b.Submit(t.Context(), orchestration.Submission{Template: template(t, "a:", "")})
	require.ErrorContains(t, err, "it may have happened")
	var commits int
	require.NoError(t, b.pool.QueryRow(t.Context(), "select last_value from commits").Scan(&commits))
	require.Equal(t, 1, commits)
}
