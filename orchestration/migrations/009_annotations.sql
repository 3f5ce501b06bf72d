-- What handlers write about tasks: Tasker::TaskAnnotation. A row is written in its step's
-- transaction, and goes with its task.
--
-- Programs of version 7 and 8 may go on while this runs, and after it, as before: they
-- neither read nor write the tables, and what they delete takes its annotations along. So
-- schema_support.oldest stays 7.
set local lock_timeout = '500ms';

create table tasker.annotation_types (
    annotation_type_id bigint generated always as identity primary key,
    name               text not null unique,
    description        text,
    created_at         timestamptz not null
);

create table tasker.task_annotations (
    task_annotation_id bigint generated always as identity primary key,
    task_id            bigint not null references tasker.tasks on delete cascade,
    annotation_type_id bigint not null references tasker.annotation_types,
    annotation         json not null,
    created_at         timestamptz not null
);

create index task_annotations_task on tasker.task_annotations (task_id);
create index task_annotations_type on tasker.task_annotations (annotation_type_id);

---- create above / drop below ----

drop table tasker.task_annotations, tasker.annotation_types;
