-- One row for each engine that lives. The number is drawn at random, so that no
-- two engines ever have the same one: a sequence repeats its numbers after a
-- failover to a server that is behind.
--
-- An engine lives while its row is here, its heartbeat is fresh, and its session
-- holds the advisory lock on its number. Who finds an engine dead deletes its row.
-- From then on the engine can claim nothing, also if it was only frozen.
create table tasker.workers (
    number           bigint primary key,
    host             text not null,
    pid              int not null,
    version          text not null,
    -- The session's backend, and the application_name of the engine's other
    -- connections; empty if that is not the engine's alone. Who declares the
    -- engine dead ends these backends, and with them their row locks.
    backend_pid      int not null,
    backend_start    timestamptz not null,
    application_name text not null,
    started_at       timestamptz not null,
    heartbeat_at     timestamptz not null
) with (fillfactor = 50);

-- losses is the number of attempts, since the operator's last retry, that ended
-- through no fault of their handler: the process died, or the claim was lost. They
-- do not count towards retry_limit, and have a limit of their own.
alter table tasker.steps add column losses int not null default 0;

drop sequence tasker.engines;

---- create above / drop below ----

create sequence tasker.engines;
alter table tasker.steps drop column losses;
drop table tasker.workers;
