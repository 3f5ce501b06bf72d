-- Steps with the same concurrency key share a limit on how many of them run at
-- a time. A row is a step that has a slot of its key (claimant and attempt are
-- those of its claim) or waits for one (they are null).
--
-- The step is the truth: a slot counts as long as the step has that claim and
-- the claim lives, so that nothing needs to be done to free one. Rows that do
-- not count any more are deleted by whoever next wants a slot of the key, under
-- an advisory lock on the key.
create table tasker.slots (
    step_id  bigint primary key references tasker.steps on delete cascade,
    key      text not null,
    capacity int not null check (capacity > 0),
    claimant bigint,
    attempt  int,
    since    timestamptz not null,
    -- When the waiting step was told that there may be a slot for it. For a
    -- moment others leave that slot to it.
    woken_at timestamptz,
    check ((claimant is null) = (attempt is null))
);

create index slots_taken on tasker.slots (key) where claimant is not null;
create index slots_wanted on tasker.slots (key, since, step_id) where claimant is null;

---- create above / drop below ----

drop table tasker.slots;
