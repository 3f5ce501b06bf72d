-- What changes often moves to small rows of its own, and what other rows say already is
-- not written a second time. docs/engine.md explains the design.
--
-- Workers of version 5 may go on while this runs, and after it: they work on the tasks
-- that were submitted before. tasks.held_by, tasks.wake_at and the trigger follow are for
-- them. They submit nothing: their INSERT names a constraint that is gone.

-- Workers take locks in this order. The migration gives way before a worker would look for
-- a deadlock and lose its step's transaction; Migrate then tries again.
set local lock_timeout = '500ms';
lock table tasker.steps, tasker.attempts, tasker.step_transitions, tasker.edges, tasker.slots,
    tasker.tasks, tasker.task_transitions, tasker.templates in access exclusive mode;
set local lock_timeout = 0;

-- The oldest version of a program that may work on these tables. Each migration sets it.
create table tasker.schema_support (oldest int not null);
insert into tasker.schema_support values (6);

-- A short number of the template, for rows that are many.
alter table tasker.templates add column number int generated always as identity;
alter table tasker.templates add constraint templates_number unique (number);

-- tasks: what changes is in no index, so that updates are HOT. ended_otherwise changes
-- only when a task ends in one of the rare states.
drop index tasker.tasks_due, tasker.tasks_held, tasker.tasks_unfinished, tasker.tasks_by_name;
alter table tasker.tasks
    add column begun_at        timestamptz,
    add column ended_otherwise text generated always as (
        case when state in ('error', 'cancelled', 'resolved_manually') then state end) stored,
    alter column wake_at drop not null,
    drop constraint tasks_identity_key_key;
alter table tasker.tasks set (fillfactor = 85);
create unique index tasks_identity on tasker.tasks (identity_key) where identity_key is not null;
create index tasks_template on tasker.tasks (digest, task_id);
create index tasks_created on tasker.tasks (created_at);
-- Small: a list finds the tasks by it whose numbers and times are not in the same order.
-- Only expressions are in it, so that the planner cannot prefer another index.
create index tasks_order on tasker.tasks using brin ((task_id + 0), (created_at at time zone 'UTC'))
    with (pages_per_range = 32, autosummarize = on);
create index tasks_tags on tasker.tasks using gin (tags) where tags <> '{}';
create index tasks_ended_otherwise on tasker.tasks (ended_otherwise, task_id) include (digest) where ended_otherwise is not null;

-- The tasks that are pending or in progress. A row is what workers look at and change:
-- when the task is due, and who holds it. It goes when the task ends.
create table tasker.queue (
    task_id  bigint primary key references tasker.tasks on delete cascade,
    template int not null, -- templates.number
    priority smallint not null,
    due_at   timestamptz not null, -- from when a worker may take the task
    ready    boolean not null,     -- it is due; workers bring in what falls due
    begun    boolean not null default false,
    held_by  bigint,               -- the number of the engine whose worker holds the task
    check (ready or held_by is null)
) with (fillfactor = 80);
create index queue_ready on tasker.queue (priority desc, due_at) where ready and held_by is null;
create index queue_later on tasker.queue (due_at) where not ready;
create index queue_begun on tasker.queue (held_by) where begun;

insert into tasker.queue (task_id, template, priority, due_at, ready, begun)
select k.task_id, t.number, k.priority, coalesce(k.wake_at, k.run_at), coalesce(k.wake_at, k.run_at) <= clock_timestamp(), k.state = 'in_progress'
from tasker.tasks k join tasker.templates t using (digest)
where k.state in ('pending', 'in_progress');

-- A task that is opened again returns to the queue, whoever opens it.
create function tasker.requeue() returns trigger language plpgsql as $$
begin
    insert into tasker.queue (task_id, template, priority, due_at, ready, begun)
    select new.task_id, t.number, new.priority, 'epoch', true, true from tasker.templates t where t.digest = new.digest
    on conflict (task_id) do nothing;
    return null;
end $$;
create trigger requeue after update of state on tasker.tasks for each row
    when (old.state not in ('pending', 'in_progress') and new.state = 'in_progress') execute function tasker.requeue();

-- Workers of version 5 begin and end tasks without the queue. They do not set begun_at.
create function tasker.follow() returns trigger language plpgsql as $$
begin
    if new.state = 'in_progress' then
        update tasker.queue set begun = true where task_id = new.task_id;
    else
        delete from tasker.queue where task_id = new.task_id;
    end if;
    return null;
end $$;
create trigger follow after update of state on tasker.tasks for each row
    when (new.begun_at is null and old.state in ('pending', 'in_progress') and new.state <> old.state) execute function tasker.follow();

-- The edges of a task are those of its template.
drop table tasker.edges;

-- An attempt's row says what its claim and its outcome changed. So no transitions are
-- written for these. to_state and reason are null if the attempt is complete.
alter table tasker.attempts
    add column claimed_by bigint,
    add column to_state   text,
    add column reason     text,
    drop constraint attempts_step_id_fkey;
drop index tasker.attempts_by_error;
create index attempts_by_error on tasker.attempts (error_class, to_state, step_id) where error_class is not null;

-- An attempt is only written together with a change of its step, so nothing needs to check
-- that the step is there. Attempts are deleted with their steps.
create function tasker.delete_attempts() returns trigger language plpgsql as $$
begin
    delete from tasker.attempts a using gone where a.step_id = gone.step_id;
    return null;
end $$;
create trigger delete_attempts after delete on tasker.steps
    referencing old table as gone for each statement execute function tasker.delete_attempts();

-- The changes of steps: those that attempts show, and those that were written. Their order
-- does not depend on clocks. after_attempt is the number of the last attempt that had ended:
-- a written claim belongs to an attempt that was interrupted and does not count.
create view tasker.step_history as
select task_id, step_id,
    coalesce(from_state, lag(to_state) over changes, 'pending') as from_state, to_state,
    attempt, reason, actor, at, metadata, row_number() over changes as change
from (
    select s.task_id, a.step_id, null as from_state, 'in_progress' as to_state, a.attempt, 'claimed' as reason,
        'engine ' || a.claimed_by as actor, a.started_at as at, null::json as metadata,
        a.attempt as after_attempt, 0 as order_no, 0::bigint as written
    from tasker.attempts a join tasker.steps s using (step_id)
    where a.claimed_by is not null and a.started_at is not null and not exists (
        select from tasker.step_transitions w
        where w.step_id = a.step_id and w.attempt = a.attempt and w.to_state = 'in_progress' and w.at = a.started_at)
    union all
    select s.task_id, s.step_id, null, 'in_progress', s.attempts, 'claimed', 'engine ' || s.claimed_by, s.last_attempted_at, null, s.attempts, 0, 0
    from tasker.steps s
    where s.state = 'in_progress' and not exists (
        select from tasker.step_transitions w
        where w.step_id = s.step_id and w.attempt = s.attempts and w.to_state = 'in_progress' and w.at = s.last_attempted_at)
    union all
    select s.task_id, a.step_id, 'in_progress', coalesce(a.to_state, 'complete'), a.attempt, coalesce(a.reason, 'the handler returned'),
        null, a.ended_at, null, a.attempt, 1, 0
    from tasker.attempts a join tasker.steps s using (step_id)
    where a.claimed_by is not null and a.outcome in ('complete', 'error', 'lost')
    union all
    select s.task_id, w.step_id, w.from_state, w.to_state, w.attempt, w.reason, w.actor, w.at, w.metadata,
        case when w.to_state = 'in_progress' or w.from_state = 'in_progress' and w.to_state = 'pending' then w.attempt - 1 else w.attempt end,
        2, w.transition_id
    from tasker.step_transitions w join tasker.steps s using (step_id)) c
window changes as (partition by task_id, step_id order by after_attempt, order_no, written);

-- The same for tasks: the row of the task says when it was submitted and begun, and that
-- it is complete.
create view tasker.task_history as
select task_id, coalesce(from_state, lag(to_state) over changes) as from_state, to_state, reason, actor, at, metadata,
    row_number() over changes as change
from (
    select k.task_id, null as from_state, 'pending' as to_state, 'submitted' as reason, null as actor, k.created_at as at,
        null::json as metadata, 0 as order_no, 0::bigint as written
    from tasker.tasks k where not exists (
        select from tasker.task_transitions w where w.task_id = k.task_id and w.from_state is null)
    union all
    select k.task_id, 'pending', 'in_progress', 'begun', null, k.begun_at, null, 1, 0
    from tasker.tasks k where k.begun_at is not null
    union all
    select w.task_id, w.from_state, w.to_state, w.reason, w.actor, w.at, w.metadata, case when w.from_state is null then 0 else 2 end, w.transition_id
    from tasker.task_transitions w
    union all
    select k.task_id, 'in_progress', 'complete', 'every step is done', null, k.ended_at, null, 3, 0
    from tasker.tasks k where k.state = 'complete' and not exists (
        select from tasker.task_transitions w where w.task_id = k.task_id and w.to_state = 'complete')) c
window changes as (partition by task_id order by order_no, written);

---- create above / drop below ----

-- What only attempts and tasks show is written for the version before. Its audit has the
-- order of the numbers, so all is written anew.
create temporary table steps_changed on commit drop as select * from tasker.step_history;
create temporary table tasks_changed on commit drop as select * from tasker.task_history;
delete from tasker.step_transitions;
delete from tasker.task_transitions;
insert into tasker.step_transitions (step_id, from_state, to_state, attempt, reason, actor, metadata, at)
select step_id, from_state, to_state, attempt, reason, actor, metadata, at from steps_changed order by step_id, change;
insert into tasker.task_transitions (task_id, from_state, to_state, reason, actor, metadata, at)
select task_id, from_state, to_state, reason, actor, metadata, at from tasks_changed order by task_id, change;
drop view tasker.step_history, tasker.task_history;
drop trigger delete_attempts on tasker.steps;
drop function tasker.delete_attempts();
drop index tasker.attempts_by_error;
create index attempts_by_error on tasker.attempts (error_class, step_id) where error_class is not null;
alter table tasker.attempts
    drop column reason, drop column to_state, drop column claimed_by,
    add constraint attempts_step_id_fkey foreign key (step_id) references tasker.steps on delete cascade;
create table tasker.edges (
    task_id   bigint not null references tasker.tasks on delete cascade,
    parent_id bigint not null references tasker.steps on delete cascade,
    child_id  bigint not null references tasker.steps on delete cascade,
    primary key (parent_id, child_id)
);
insert into tasker.edges (task_id, parent_id, child_id)
select c.task_id, p.step_id, c.step_id
from tasker.tasks k join tasker.templates t using (digest)
cross join lateral json_array_elements(t.document -> 'step_templates') as s (step)
cross join lateral json_array_elements_text(s.step -> 'depends_on_steps') as d (parent)
join tasker.steps c on c.task_id = k.task_id and c.name = s.step ->> 'name'
join tasker.steps p on p.task_id = k.task_id and p.name = d.parent;
create index edges_task on tasker.edges (task_id);
drop trigger follow on tasker.tasks;
drop trigger requeue on tasker.tasks;
drop function tasker.follow(), tasker.requeue();
update tasker.tasks k set held_by = null, wake_at = coalesce((select q.due_at from tasker.queue q where q.task_id = k.task_id), k.run_at);
drop table tasker.queue;
drop index tasker.tasks_ended_otherwise, tasker.tasks_tags, tasker.tasks_order, tasker.tasks_created, tasker.tasks_template, tasker.tasks_identity;
alter table tasker.tasks reset (fillfactor);
alter table tasker.tasks
    add constraint tasks_identity_key_key unique (identity_key),
    alter column wake_at set not null,
    drop column ended_otherwise,
    drop column begun_at;
create index tasks_due on tasker.tasks (priority desc, wake_at)
    where state in ('pending', 'in_progress') and held_by is null;
create index tasks_held on tasker.tasks (held_by) where held_by is not null and state in ('pending', 'in_progress');
create index tasks_unfinished on tasker.tasks (state, task_id) where state <> 'complete';
create index tasks_by_name on tasker.tasks (namespace, name, task_id);
alter table tasker.templates drop constraint templates_number, drop column number;
drop table tasker.schema_support;
