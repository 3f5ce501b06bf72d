-- What the testbed keeps in the database of the tests, in a schema of its own: what the
-- database was at some moments, the saves, and functions that put it back in one round trip.
-- Save 0 is what the first test found.
create schema if not exists tasker_testbed;
drop table if exists tasker_testbed.tables, tasker_testbed.states, tasker_testbed.rows, tasker_testbed.sequences,
    tasker_testbed.objects, tasker_testbed.altered, tasker_testbed.silenced, tasker_testbed.settings, tasker_testbed.shapes;
drop function if exists tasker_testbed.take(), tasker_testbed.save(int), tasker_testbed.restore(int), tasker_testbed.fill(int, oid), tasker_testbed.run(text),
    tasker_testbed.clear(oid[]), tasker_testbed.defer(oid[]), tasker_testbed.check_deferred(oid[]), tasker_testbed.switch(oid[], text), tasker_testbed.look_for_tables(), tasker_testbed.contents(oid), tasker_testbed.horizon(), tasker_testbed.untouched(oid, bigint, xid),
    tasker_testbed.fingerprint(), tasker_testbed.shape(), tasker_testbed.keep_shape(), tasker_testbed.mend();

-- The tables that hold rows, which the tests may change.
create unlogged table tasker_testbed.tables (
    relid   oid primary key,
    kind    "char" not null,  -- r: a table, or a part of one; m: a materialized view
    columns text[] not null,  -- those that can be inserted
    depth   int not null      -- what it refers to has a smaller one
);

-- The contents of tables at a save. Tables without rows are not here. A row of the transaction
-- seen, or of a later one, may be another one than at the save. If there is none, and the
-- number of rows is the same, nothing has changed; that is cheaper to find out than the hash.
create unlogged table tasker_testbed.states (
    save  int, relid oid, count bigint not null, hash numeric not null, seen xid not null,
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
-- Tables whose columns a test has changed. Their rows stay as they are.
create unlogged table tasker_testbed.altered (relid oid primary key);
create unlogged table tasker_testbed.silenced (relid oid, name name); -- triggers, in a transaction that puts rows back
create unlogged table tasker_testbed.settings (
    replica     boolean not null, -- the session that puts things back runs no triggers and checks no foreign keys
    path        text not null,    -- the search_path of that session
    fingerprint text
);

-- look_for_tables fills tables. Of Tasker's own tables it leaves out what engines and
-- migrations write; the others are taken to be empty.
create function tasker_testbed.look_for_tables() returns void language plpgsql set search_path = pg_catalog as $$
declare
    changed int;
begin
    truncate tasker_testbed.tables;
    insert into tasker_testbed.tables
    select c.oid, c.relkind,
        array(select quote_ident(a.attname) from pg_attribute a
            where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' order by a.attnum), 0
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'm') and c.relpersistence <> 't'
        and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'tasker_testbed')
        and c.oid not in (select relid from tasker_testbed.altered)
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

-- contents says what is in a table now.
create function tasker_testbed.contents(wanted oid, out count bigint, out hash numeric) language plpgsql set search_path = pg_catalog as $$
begin
    execute format('select count(*), coalesce(sum(hashtextextended((r.*)::text, 0)::numeric), 0) from only %s r', wanted::regclass) into count, hash;
end $$;

-- horizon returns the first transaction whose rows are not all here now: the oldest one that
-- is open, or else the next one.
create function tasker_testbed.horizon() returns xid language plpgsql set search_path = pg_catalog as $$
declare
    own xid8 := pg_current_xact_id();
    oldest xid8 := pg_snapshot_xmin(pg_current_snapshot());
begin
    return case when oldest < own then oldest else (own::text::bigint + 1)::text::xid8 end::xid;
end $$;

-- untouched reports whether a table has as many rows as it had, and none of a transaction or a
-- later one.
create function tasker_testbed.untouched(wanted oid, had bigint, seen xid) returns boolean language plpgsql set search_path = pg_catalog as $$
declare
    same boolean;
begin
    execute format('select count(*) = %s and count(*) filter (where age(xmin) <= %s) = 0 from only %s', had, age(seen), wanted::regclass) into same;
    return same;
end $$;

-- save remembers what is in the database. A materialized view without data has a count of -1.
create function tasker_testbed.save(wanted int) returns void language plpgsql
set search_path = pg_catalog set datestyle = 'ISO' set intervalstyle = 'postgres' set extra_float_digits = 3 set bytea_output = 'hex' set row_security = off as $$
declare
    tab record;
    seq record;
begin
    for tab in select t.*, c.relispopulated from tasker_testbed.tables t join pg_class c on c.oid = t.relid loop
        if not tab.relispopulated then
            insert into tasker_testbed.states values (wanted, tab.relid, -1, 0, tasker_testbed.horizon());
        elsif pg_relation_size(tab.relid) > 0 or tab.kind = 'm' then
            if tab.kind = 'r' then
                execute format('insert into tasker_testbed.rows select %s, %s, (r.*)::text from only %s r', wanted, tab.relid, tab.relid::regclass);
            end if;
            insert into tasker_testbed.states select wanted, tab.relid, c.*, tasker_testbed.horizon()
            from tasker_testbed.contents(tab.relid) c where c.count > 0;
        end if;
    end loop;
    for seq in select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind = 'S' and c.relpersistence <> 't' and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'tasker_testbed')
    loop
        execute format('insert into tasker_testbed.sequences select %s, %s, last_value, is_called from %s', wanted, seq.oid, seq.oid::regclass);
    end loop;
    insert into tasker_testbed.objects select wanted, oid from pg_largeobject_metadata;
end $$;

-- take remembers what the tests begin with. Tasker's tables are empty then.
create function tasker_testbed.take() returns void language plpgsql set search_path = pg_catalog as $$
begin
    insert into tasker_testbed.settings
    select current_setting('session_replication_role') = 'replica', reset_val from pg_settings where name = 'search_path';
    perform tasker_testbed.look_for_tables();
    perform tasker_testbed.save(0);
    delete from tasker_testbed.states where save = 0 and relid in (select oid from pg_class where relnamespace = 'tasker'::regnamespace);
    delete from tasker_testbed.rows where save = 0 and relid in (select oid from pg_class where relnamespace = 'tasker'::regnamespace);
    perform tasker_testbed.keep_shape();
    analyze tasker_testbed.tables, tasker_testbed.states, tasker_testbed.rows, tasker_testbed.sequences;
end $$;

-- switch switches the triggers of tables off, and those on again that it has switched off.
create function tasker_testbed.switch(wanted oid[], how text) returns void language plpgsql set search_path = pg_catalog as $$
declare
    one record;
begin
    if how = 'disable' then
        insert into tasker_testbed.silenced
        select tgrelid, tgname from pg_trigger where tgrelid = any(wanted) and not tgisinternal and tgenabled = 'O';
    end if;
    for one in select * from tasker_testbed.silenced loop
        execute format('alter table %s %s trigger %I', one.relid::regclass, how, one.name);
    end loop;
    if how = 'enable' then
        delete from tasker_testbed.silenced;
    end if;
end $$;

-- run runs a statement that calls functions of the user: for checks, generated columns and
-- indexes. They may name things without a schema.
create function tasker_testbed.run(statement text) returns void language plpgsql set search_path = pg_catalog as $$
begin
    perform set_config('search_path', (select path from tasker_testbed.settings), true);
    execute statement;
end $$;

-- fill puts the rows of a save into a table.
create function tasker_testbed.fill(wanted int, filled oid) returns void language plpgsql set search_path = pg_catalog as $$
declare
    names text[] := (select t.columns from tasker_testbed.tables t where t.relid = filled);
begin
    if names = '{}' then
        perform tasker_testbed.run(format('insert into %s select from tasker_testbed.rows where save = %s and relid = %s', filled::regclass, wanted, filled));
        return;
    end if;
    perform tasker_testbed.run(format('insert into %1$s (%2$s) overriding system value select %3$s from (
            select content::%1$s as v from tasker_testbed.rows where save = %4$s and relid = %5$s offset 0) x',
        filled::regclass, array_to_string(names, ', '), '(x.v).' || array_to_string(names, ', (x.v).'), wanted, filled));
end $$;

-- clear empties tables at once, and with them those that refer to them. It returns all.
create function tasker_testbed.clear(wanted oid[]) returns oid[] language plpgsql set search_path = pg_catalog as $$
declare
    more oid[];
begin
    loop
        select array_agg(distinct k.conrelid) into more from pg_constraint k join pg_class c on c.oid = k.conrelid
        where k.contype = 'f' and k.confrelid = any(wanted) and c.relkind = 'r' and k.conrelid <> all(wanted);
        exit when more is null;
        wanted := wanted || more;
    end loop;
    execute 'truncate ' || (select string_agg('only ' || r::regclass, ', ') from unnest(wanted) r);
    return wanted;
end $$;

-- defer has references between the tables checked later, if no order of the tables suits
-- them. It returns those that are not checked later otherwise.
create function tasker_testbed.defer(filled oid[]) returns oid[] language plpgsql set search_path = pg_catalog as $$
declare
    circular oid[];
    one record;
begin
    set constraints all deferred;
    circular := array(
        select k.oid from pg_constraint k
        join tasker_testbed.tables r on r.relid = k.conrelid join tasker_testbed.tables t on t.relid = k.confrelid
        where k.contype = 'f' and k.conparentid = 0 and not k.condeferrable and k.conrelid <> k.confrelid
            and k.conrelid = any(filled) and k.confrelid = any(filled) and r.depth <= t.depth);
    for one in select k.conname, k.conrelid from pg_constraint k where k.oid = any(circular) loop
        execute format('alter table %s alter constraint %I deferrable initially deferred', one.conrelid::regclass, one.conname);
    end loop;
    return circular;
end $$;

-- check_deferred ends what defer began.
create function tasker_testbed.check_deferred(circular oid[]) returns void language plpgsql set search_path = pg_catalog as $$
declare
    one record;
begin
    set constraints all immediate;
    for one in select k.conname, k.conrelid from pg_constraint k where k.oid = any(circular) loop
        execute format('alter table %s alter constraint %I not deferrable', one.conrelid::regclass, one.conname);
    end loop;
end $$;

-- restore makes the database what it was at a save. It does nothing and returns false if the
-- schema may have changed; mend must come first then. A materialized view whose contents
-- differ is refreshed.
create function tasker_testbed.restore(wanted int) returns boolean language plpgsql
set search_path = pg_catalog set datestyle = 'ISO' set intervalstyle = 'postgres' set extra_float_digits = 3 set bytea_output = 'hex' set row_security = off
set lock_timeout = '5s' as $$
declare
    tab record;
    size bigint;
    settings tasker_testbed.settings;
    cleared oid[] := '{}';
    filled oid[] := '{}';
    circular oid[] := '{}';
begin
    select * into settings from tasker_testbed.settings;
    if settings is null then -- the server has crashed, and with it all unlogged tables
        raise exception 'the server has lost what the tests began with';
    end if;
    if settings.fingerprint <> tasker_testbed.fingerprint() then
        return false;
    end if;
    for tab in
        select t.relid, coalesce(s.count, 0) as count, s.hash, s.seen
        from tasker_testbed.tables t left join tasker_testbed.states s on s.save = wanted and s.relid = t.relid
        where t.kind = 'r'
    loop
        size := pg_relation_size(tab.relid);
        continue when size = 0 and tab.count = 0;
        if tab.count > 0 then
            continue when tasker_testbed.untouched(tab.relid, tab.count, tab.seen);
            update tasker_testbed.states set seen = tasker_testbed.horizon() where save = wanted and relid = tab.relid;
            continue when (select (c.count, c.hash) = (tab.count, tab.hash) from tasker_testbed.contents(tab.relid) c);
            filled := filled || tab.relid;
        end if;
        if settings.replica and (size < 1048576 or exists (select from pg_constraint k where k.contype = 'f' and k.confrelid = tab.relid)) then
            execute 'delete from only ' || tab.relid::regclass;
        else
            cleared := cleared || tab.relid;
        end if;
    end loop;
    if cleared <> '{}' then
        cleared := tasker_testbed.clear(cleared);
        filled := array(
            select s.relid from tasker_testbed.states s where s.save = wanted and (s.relid = any(filled) or s.relid = any(cleared)));
    end if;
    if not settings.replica then
        perform tasker_testbed.switch(filled, 'disable');
        circular := tasker_testbed.defer(filled);
    end if;
    for tab in select t.relid from tasker_testbed.tables t where t.relid = any(filled) order by t.depth loop
        perform tasker_testbed.fill(wanted, tab.relid);
    end loop;
    if not settings.replica then
        perform tasker_testbed.check_deferred(circular);
        perform tasker_testbed.switch(filled, 'enable');
    end if;
    for tab in
        select t.relid, c.relispopulated, coalesce(s.count, 0) as count, coalesce(s.hash, 0) as hash
        from tasker_testbed.tables t join pg_class c on c.oid = t.relid left join tasker_testbed.states s on s.save = wanted and s.relid = t.relid
        where t.kind = 'm'
    loop
        if tab.count < 0 then
            if tab.relispopulated then
                perform tasker_testbed.run(format('refresh materialized view %s with no data', tab.relid::regclass));
            end if;
        elsif not tab.relispopulated or (select (c.count, c.hash) <> (tab.count, tab.hash) from tasker_testbed.contents(tab.relid) c) then
            perform tasker_testbed.run(format('refresh materialized view %s', tab.relid::regclass));
        end if;
    end loop;
    perform setval(s.relid, s.last, s.called)
    from tasker_testbed.sequences s join pg_class c on c.oid = s.relid
    where s.save = wanted and case when s.called then s.last end is distinct from pg_sequence_last_value(s.relid)
        and not exists (select from tasker_testbed.altered a join pg_depend d on d.refobjid = a.relid
            where d.classid = 'pg_class'::regclass and d.objid = s.relid and d.deptype in ('a', 'i')); -- the numbers of rows that stay
    perform lo_unlink(o.oid) from pg_largeobject_metadata o
    where not exists (select from tasker_testbed.objects k where k.save = wanted and k.id = o.oid);
    return true;
end $$;
