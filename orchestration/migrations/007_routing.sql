-- A worker takes only what it can serve, and says so; steps that were there when their
-- process died run alone; ended tasks may go. docs/engine.md explains the design.
--
-- Programs of version 6 may go on while this runs, and after it. They submit nothing any
-- more: they do not know the keys of pruned tasks.
set local lock_timeout = '500ms';
lock table tasker.steps, tasker.attempts, tasker.tasks, tasker.queue in access exclusive mode;
set local lock_timeout = 0;

update tasker.schema_support set oldest = 7;

-- What a worker takes, and how busy it is. An engine that only submits or changes tasks has
-- works = false. A filter that is null lets everything pass.
alter table tasker.workers
    add column works      boolean not null default false,
    add column draining   boolean not null default false, -- it has been told to stop
    add column queues     text[],
    add column namespaces text[],
    add column names      text[],
    add column threads    int,                        -- null: without a limit
    add column busy       int not null default 0,     -- written with the heartbeat
    add column misses     text[] not null default '{}', -- handler classes that it has not
    add column refuses    int[] not null default '{}';  -- templates.number that name one of them

-- A worker looks at the tasks of the templates that it can serve, and not at others.
drop index tasker.queue_ready;
create index queue_ready on tasker.queue (template, priority desc, due_at) where ready and held_by is null;

-- crashes is how many attempts, since the operator's last retry, ended because their process
-- died. A step with several runs with nothing beside it.
alter table tasker.steps add column crashes int not null default 0;

-- The engines that were found dead, although whoever found them had no trouble with the
-- server itself. Their processes have probably died. Rows go after a day.
create table tasker.crashes (
    number bigint primary key,
    host   text not null,
    pid    int not null,
    at     timestamptz not null
);

-- The column has another name, so that a submission of version 6 fails: it would not look
-- for pruned tasks.
alter table tasker.tasks rename column identity_key to identity;

-- The identity keys of pruned tasks. A task with such a key is not submitted again.
create table tasker.tombstones (
    identity_key text primary key,
    task_id      bigint not null,
    state        text not null,
    ended_at     timestamptz not null,
    pruned_at    timestamptz not null
);

-- The worker that prunes at present, in one row at most.
create table tasker.pruning (
    only_row boolean primary key default true check (only_row),
    number   bigint not null, -- of the engine
    until    timestamptz not null
);

-- The size of results that are too large to be loaded with their task; null for others.
alter table tasker.attempts add column results_bytes int;

---- create above / drop below ----

alter table tasker.attempts drop column results_bytes;
drop table tasker.pruning, tasker.tombstones, tasker.crashes;
alter table tasker.tasks rename column identity to identity_key;
alter table tasker.steps drop column crashes;
drop index tasker.queue_ready;
create index queue_ready on tasker.queue (priority desc, due_at) where ready and held_by is null;
alter table tasker.workers
    drop column refuses, drop column misses, drop column busy, drop column threads,
    drop column names, drop column namespaces, drop column queues, drop column draining, drop column works;
update tasker.schema_support set oldest = 6;
