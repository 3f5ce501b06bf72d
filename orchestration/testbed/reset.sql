-- What the testbed keeps in the database of the tests, in a schema of its own: what the
-- database was at some moments, the saves, and functions that put it back in one round trip.
-- Save 0 is what the first test found.
create schema if not exists tasker_testbed;
drop table if exists tasker_testbed.tables, tasker_testbed.states, tasker_testbed.rows, tasker_testbed.sequences,
    tasker_testbed.objects, tasker_testbed.shapes, tasker_testbed.settings;
drop function if exists tasker_testbed.take(), tasker_testbed.save(int), tasker_testbed.restore(int), tasker_testbed.fill(int, oid),
    tasker_testbed.look_for_tables(), tasker_testbed.fingerprint(), tasker_testbed.shape();

-- The tables that hold rows, which the tests may change.
create unlogged table tasker_testbed.tables (
    relid   oid primary key,
    kind    "char" not null,  -- r: a table, or a part of one; m: a materialized view
    columns text not null,    -- those that can be inserted
    depth   int not null      -- what it refers to has a smaller one
);

-- The contents of tables at a save. Tables without rows are not here.
create unlogged table tasker_testbed.states (
    save  int, relid oid, count bigint not null, hash numeric not null,
    primary key (save, relid)
);
create unlogged table tasker_testbed.rows (save int, relid oid, content text not null);
create index on tasker_testbed.rows (save, relid);
create unlogged table tasker_testbed.sequences (
    save int, relid oid, last bigint not null, called boolean not null,
    primary key (save, relid)
);
-- Large objects. Only that there are more is noticed.
create unlogged table tasker_testbed.objects (save int, id oid, primary key (save, id));
-- Whether triggers and foreign keys can be switched off for a transaction.
create unlogged table tasker_testbed.settings (replica boolean not null);

-- fingerprint changes with the schema, and only then. A table of pg_class is updated by
-- TRUNCATE and the like, so not its rows count there, but some of their columns.
create function tasker_testbed.fingerprint() returns text language sql stable set search_path = pg_catalog as $$
    select concat_ws(' ',
        (select count(*) || ':' || coalesce(sum(hashtextextended(concat_ws(' ', c.oid, c.relname, c.relnamespace, c.relkind, c.reloptions::text), 0)::numeric), 0)
            from pg_class c where c.oid >= 16384 and c.relpersistence <> 't' and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'i', 'I')
            and c.relnamespace not in ('pg_toast'::regnamespace)),
        (select count(*) || ':' || coalesce(sum(a.xmin::text::bigint), 0) from pg_attribute a where a.attrelid >= 16384),
        (select count(*) || ':' || coalesce(sum(a.xmin::text::bigint), 0) from pg_attrdef a),
        (select count(*) || ':' || coalesce(sum(a.xmin::text::bigint), 0) from pg_constraint a where a.oid >= 16384),
        (select count(*) || ':' || coalesce(sum(a.xmin::text::bigint), 0) from pg_trigger a where a.oid >= 16384),
        (select count(*) || ':' || coalesce(sum(a.xmin::text::bigint), 0) from pg_rewrite a where a.oid >= 16384),
        (select count(*) || ':' || coalesce(sum(a.xmin::text::bigint), 0) from pg_type a where a.oid >= 16384),
        (select count(*) || ':' || coalesce(sum(a.xmin::text::bigint), 0) from pg_enum a),
        (select count(*) || ':' || coalesce(sum(a.xmin::text::bigint), 0) from pg_proc a where a.oid >= 16384),
        (select count(*) || ':' || coalesce(sum(a.xmin::text::bigint), 0) from pg_namespace a where a.oid >= 16384 and a.nspname !~ '^pg_(toast_)?temp_'))
$$;

-- look_for_tables fills tables. Of Tasker's own tables it leaves out what engines and
-- migrations write; the others are taken to be empty.
create function tasker_testbed.look_for_tables() returns void language plpgsql set search_path = pg_catalog as $$
declare
    changed int;
begin
    truncate tasker_testbed.tables;
    insert into tasker_testbed.tables
    select c.oid, c.relkind,
        coalesce((select string_agg(quote_ident(a.attname), ', ' order by a.attnum) from pg_attribute a
            where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''), ''), 0
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'm') and c.relpersistence <> 't'
        and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'tasker_testbed')
        and not (n.nspname = 'tasker' and c.relname in ('workers', 'schema_version', 'schema_support'));
    for round in 1..100 loop -- a cycle of references has no order
        update tasker_testbed.tables t set depth = round
        where depth = round - 1 and exists (
            select from pg_constraint k join tasker_testbed.tables u on u.relid = k.confrelid
            where k.contype = 'f' and k.conrelid = t.relid and k.confrelid <> t.relid and u.depth >= round - 1);
        get diagnostics changed = row_count;
        exit when changed = 0;
    end loop;
end $$;

-- save remembers what is in the database.
create function tasker_testbed.save(wanted int) returns void language plpgsql
set search_path = pg_catalog set datestyle = 'ISO' set intervalstyle = 'postgres' set extra_float_digits = 3 set bytea_output = 'hex' set row_security = off as $$
declare
    tab record;
    seq record;
begin
    delete from tasker_testbed.states where save = wanted;
    delete from tasker_testbed.rows where save = wanted;
    delete from tasker_testbed.sequences where save = wanted;
    delete from tasker_testbed.objects where save = wanted;
    for tab in select * from tasker_testbed.tables loop
        continue when coalesce(pg_relation_size(tab.relid), 0) = 0;
        continue when tab.kind = 'm' and not (select relispopulated from pg_class where oid = tab.relid);
        execute format('insert into tasker_testbed.rows select %s, %s, (r.*)::text from only %s r', wanted, tab.relid, tab.relid::regclass);
        insert into tasker_testbed.states
        select wanted, tab.relid, count(*), sum(hashtextextended(content, 0)::numeric)
        from tasker_testbed.rows r where r.save = wanted and r.relid = tab.relid having count(*) > 0;
    end loop;
    for seq in select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind = 'S' and c.relpersistence <> 't' and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'tasker_testbed') loop
        execute format('insert into tasker_testbed.sequences select %s, %s, last_value, is_called from %s', wanted, seq.oid, seq.oid::regclass);
    end loop;
    insert into tasker_testbed.objects select wanted, oid from pg_largeobject_metadata;
end $$;

-- take remembers what the tests begin with. Tasker's tables are empty then.
create function tasker_testbed.take() returns void language plpgsql set search_path = pg_catalog as $$
begin
    insert into tasker_testbed.settings values (true);
    begin
        set local session_replication_role = replica;
    exception when insufficient_privilege then
        update tasker_testbed.settings set replica = false;
    end;
    set local session_replication_role = origin;
    perform tasker_testbed.look_for_tables();
    perform tasker_testbed.save(0);
    delete from tasker_testbed.states where save = 0 and relid in (select oid from pg_class where relnamespace = 'tasker'::regnamespace);
    delete from tasker_testbed.rows where save = 0 and relid in (select oid from pg_class where relnamespace = 'tasker'::regnamespace);
    perform tasker_testbed.restore(0);
end $$;

-- fill puts the rows of a save into a table.
create function tasker_testbed.fill(wanted int, filled oid) returns void language plpgsql set search_path = pg_catalog as $$
declare
    t tasker_testbed.tables;
begin
    select * into t from tasker_testbed.tables where relid = filled;
    execute format('insert into %1$s (%2$s) overriding system value select %3$s from (
            select content::%1$s as v from tasker_testbed.rows where save = %4$s and relid = %5$s offset 0) x',
        t.relid::regclass, t.columns, (select string_agg('(x.v).' || c, ', ' order by n) from unnest(string_to_array(t.columns, ', ')) with ordinality u (c, n)),
        wanted, t.relid);
end $$;

-- restore makes the database what it was at a save. It returns the fingerprint of the schema.
create function tasker_testbed.restore(wanted int) returns boolean language plpgsql
set search_path = pg_catalog set datestyle = 'ISO' set intervalstyle = 'postgres' set extra_float_digits = 3 set bytea_output = 'hex' set row_security = off
set lock_timeout = '5s' as $$
declare
    tab record;
    size bigint;
    replica boolean := (select s.replica from tasker_testbed.settings s);
    there record;
    cleared oid[] := '{}';
    filled oid[] := '{}';
begin
    if replica then
        perform set_config('session_replication_role', 'replica', true);
    end if;
    for tab in
        select t.relid, t.kind, t.depth, coalesce(s.count, 0) as count, s.hash
        from tasker_testbed.tables t left join tasker_testbed.states s on s.save = wanted and s.relid = t.relid
        where t.kind = 'r'
    loop
        size := pg_relation_size(tab.relid);
        continue when size is null or size = 0 and tab.count = 0;
        if tab.count > 0 then
            execute format('select count(*), sum(hashtextextended((r.*)::text, 0)::numeric) as hash from only %s r', tab.relid::regclass) into there;
            continue when there.count = tab.count and there.hash = tab.hash;
            filled := filled || tab.relid;
        end if;
        if replica and size < 1048576 then
            execute 'delete from only ' || tab.relid::regclass;
        else
            cleared := cleared || tab.relid;
        end if;
    end loop;
    if cleared <> '{}' then
        raise exception 'not yet';
    end if;
    for tab in select relid from tasker_testbed.tables where relid = any(filled) order by depth loop
        perform tasker_testbed.fill(wanted, tab.relid);
    end loop;
    perform setval(s.relid, s.last, s.called)
    from tasker_testbed.sequences s join pg_class c on c.oid = s.relid
    where s.save = wanted and case when s.called then s.last end is distinct from pg_sequence_last_value(s.relid);
    perform lo_unlink(o.oid) from pg_largeobject_metadata o where not exists (select from tasker_testbed.objects k where k.save = wanted and k.id = o.oid);
    return false;
end $$;
