-- Columns for operators, who change tasks by hand, and for workers, which share
-- the tasks among them.

-- revision counts the changes to a task that the engine running it did not make.
-- An engine that read an older revision cannot end the task.
-- held_by is the number of the engine whose worker holds the task. wake_at is
-- the time from which a worker may take a task that no worker holds.
alter table tasker.tasks
    add column revision int not null default 0,
    add column held_by  bigint,
    add column wake_at  timestamptz;
update tasker.tasks set wake_at = run_at;
alter table tasker.tasks alter column wake_at set not null;

drop index tasker.tasks_open;
create index tasks_due on tasker.tasks (priority desc, wake_at)
    where state in ('pending', 'in_progress') and held_by is null;
create index tasks_held on tasker.tasks (held_by) where held_by is not null and state in ('pending', 'in_progress');
create index tasks_unfinished on tasker.tasks (state, task_id) where state <> 'complete';
create index tasks_by_name on tasker.tasks (namespace, name, task_id);

-- steps.attempts is the number of the last attempt; a number is never used
-- again after its attempt was recorded. forgiven is the number of attempts that
-- do not count any more, because an operator retried the step.
alter table tasker.steps add column forgiven int not null default 0;
alter table tasker.steps set (fillfactor = 80);

alter table tasker.task_transitions add column actor text;
alter table tasker.step_transitions add column actor text;

alter table tasker.attempts
    add column error_class text,
    drop constraint attempts_outcome_check,
    add constraint attempts_outcome_check check (outcome in ('complete', 'error', 'resolved_manually', 'lost', 'cancelled'));
create index attempts_by_error on tasker.attempts (error_class, step_id) where error_class is not null;

---- create above / drop below ----

drop index tasker.attempts_by_error;
-- The older check does not allow cancelled attempts.
delete from tasker.attempts where outcome = 'cancelled';
alter table tasker.attempts
    drop column error_class,
    drop constraint attempts_outcome_check,
    add constraint attempts_outcome_check check (outcome in ('complete', 'error', 'resolved_manually', 'lost'));
alter table tasker.step_transitions drop column actor;
alter table tasker.task_transitions drop column actor;
alter table tasker.steps reset (fillfactor);
alter table tasker.steps drop column forgiven;
drop index tasker.tasks_by_name, tasker.tasks_unfinished, tasker.tasks_held, tasker.tasks_due;
alter table tasker.tasks drop column wake_at, drop column held_by, drop column revision;
create index tasks_open on tasker.tasks (priority desc, run_at, task_id) where state in ('pending', 'in_progress');
