-- The tables of tasker-rb. Results, errors, contexts and templates are json and
-- not jsonb. jsonb would reorder the keys and turn the float 1e20 into an
-- integer, so the next step would read other values than were written.

create table tasker.templates (
    digest      text primary key,
    namespace   text not null,
    name        text not null,
    version     text not null,
    environment text not null,
    document    json not null,
    created_at  timestamptz not null default now(),
    unique (namespace, name, version, environment)
);

create table tasker.tasks (
    task_id       bigint generated always as identity primary key,
    digest        text not null references tasker.templates,
    namespace     text not null,
    name          text not null,
    version       text not null,
    state         text not null default 'pending'
        check (state in ('pending', 'in_progress', 'complete', 'error', 'cancelled', 'resolved_manually')),
    context       json not null,
    identity_key  text unique,
    initiator     text,
    source_system text,
    reason        text,
    tags          text[] not null default '{}',
    priority      smallint not null default 0,
    run_at        timestamptz not null,
    created_at    timestamptz not null,
    ended_at      timestamptz
);

create index tasks_open on tasker.tasks (priority desc, run_at, task_id) where state in ('pending', 'in_progress');

create table tasker.steps (
    step_id                 bigint generated always as identity primary key,
    task_id                 bigint not null references tasker.tasks on delete cascade,
    name                    text not null,
    position                int not null,
    state                   text not null default 'pending'
        check (state in ('pending', 'in_progress', 'waiting_for_retry', 'complete', 'error', 'cancelled', 'resolved_manually')),
    attempts                int not null default 0,
    retry_limit             int not null,
    retryable               boolean not null,
    claimed_by              bigint,
    last_attempted_at       timestamptz,
    next_attempt_at         timestamptz,
    backoff_request_seconds double precision,
    ended_at                timestamptz,
    unique (task_id, name),
    check ((state = 'in_progress') = (claimed_by is not null))
);

create table tasker.edges (
    task_id   bigint not null references tasker.tasks on delete cascade,
    parent_id bigint not null references tasker.steps on delete cascade,
    child_id  bigint not null references tasker.steps on delete cascade,
    primary key (parent_id, child_id)
);

create index edges_task on tasker.edges (task_id);

-- The outcome of each attempt. Rows are added and never changed.
create table tasker.attempts (
    step_id    bigint not null references tasker.steps on delete cascade,
    attempt    int not null,
    outcome    text not null check (outcome in ('complete', 'error', 'resolved_manually', 'lost')),
    results    json,
    error      json,
    started_at timestamptz,
    ended_at   timestamptz not null,
    primary key (step_id, attempt)
);

create table tasker.task_transitions (
    transition_id bigint generated always as identity primary key,
    task_id       bigint not null references tasker.tasks on delete cascade,
    from_state    text,
    to_state      text not null,
    reason        text,
    metadata      json,
    at            timestamptz not null
);

create index task_transitions_task on tasker.task_transitions (task_id);

create table tasker.step_transitions (
    transition_id bigint generated always as identity primary key,
    step_id       bigint not null references tasker.steps on delete cascade,
    from_state    text,
    to_state      text not null,
    attempt       int not null,
    reason        text,
    metadata      json,
    at            timestamptz not null
);

create index step_transitions_step on tasker.step_transitions (step_id);

-- Each engine has a number. It holds an advisory lock on that number in a
-- session of its own. When the session ends, the server releases the lock, and
-- the engine's claims are void.
create sequence tasker.engines;

---- create above / drop below ----

drop sequence tasker.engines;
drop table tasker.step_transitions, tasker.task_transitions, tasker.attempts, tasker.edges, tasker.steps, tasker.tasks, tasker.templates;
