-- What a worker's program reports about itself: Engine.Report. The row goes with its engine,
-- and so does the report. Each heartbeat copies the row, so a report is small.
--
-- Programs of version 7 may go on while this runs, and after it, as before: they neither read
-- nor write the column. So schema_support.oldest stays 7.
set local lock_timeout = '500ms';
alter table tasker.workers add column report jsonb;

---- create above / drop below ----

alter table tasker.workers drop column report;
