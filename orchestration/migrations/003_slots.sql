-- The permits of concurrency keys. Steps with the same key share a limit on how
-- many of them run at a time. A row is a step that holds a permit of its key, or
-- that waits for one. Of a step that holds one, claimant and attempt are those
-- of its claim. Of a step that waits, both are null.
--
-- A permit counts while the step still has that claim and the claim is alive. So
-- freeing a permit takes no statement. The next step that asks for a permit of
-- the key deletes the rows that do not count any more, under an advisory lock on
-- the key.
create table tasker.slots (
    step_id  bigint primary key references tasker.steps on delete cascade,
    key      text not null,
    capacity int not null check (capacity > 0),
    claimant bigint,
    attempt  int,
    since    timestamptz not null,
    -- When the waiting step was told that a permit may be free. For a moment,
    -- other steps do not take that permit.
    woken_at timestamptz,
    check ((claimant is null) = (attempt is null))
);

create index slots_taken on tasker.slots (key) where claimant is not null;
create index slots_wanted on tasker.slots (key, since, step_id) where claimant is null;

---- create above / drop below ----

drop table tasker.slots;
