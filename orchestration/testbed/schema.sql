-- What the schema of the database is, to notice what a test changes in it.

-- What the schema was, see shape.
create unlogged table tasker_testbed.shapes (kind text, id oid, name text not null, hash bigint not null, primary key (kind, id));

-- fingerprint changes with the schema. It may also change when nothing has changed in the
-- end; then shape says so. TRUNCATE and the like update a row of pg_class, so there only
-- some columns count.
create function tasker_testbed.fingerprint() returns text language plpgsql stable set search_path = pg_catalog as $$
begin
    return concat_ws(' ',
        (select count(*) || ':' || coalesce(sum(hashtextextended(concat_ws(' ', c.oid, c.relname, c.relnamespace, c.relkind, c.reloptions, c.relrowsecurity), 0)::numeric), 0)
            from pg_class c where c.oid >= 16384 and c.relpersistence <> 't' and c.relkind <> 't'
            and (c.relkind <> 'i' or c.relnamespace <> 'pg_toast'::regnamespace)),
        (select count(*) || ':' || coalesce(sum(a.xmin::text::bigint), 0) from pg_attribute a where a.attrelid >= 16384),
        (select count(*) || ':' || coalesce(sum(a.xmin::text::bigint), 0) from pg_attrdef a),
        (select count(*) || ':' || coalesce(sum(a.xmin::text::bigint), 0) from pg_constraint a where a.oid >= 16384),
        (select count(*) || ':' || coalesce(sum(a.xmin::text::bigint), 0) from pg_trigger a where a.oid >= 16384),
        (select count(*) || ':' || coalesce(sum(a.xmin::text::bigint), 0) from pg_rewrite a where a.oid >= 16384),
        (select count(*) || ':' || coalesce(sum(a.xmin::text::bigint), 0) from pg_type a where a.oid >= 16384),
        (select count(*) || ':' || coalesce(sum(a.xmin::text::bigint), 0) from pg_enum a),
        (select count(*) || ':' || coalesce(sum(a.xmin::text::bigint), 0) from pg_proc a where a.oid >= 16384),
        (select count(*) || ':' || coalesce(sum(a.xmin::text::bigint), 0) from pg_extension a),
        (select count(*) || ':' || coalesce(sum(a.xmin::text::bigint), 0) from pg_namespace a where a.oid >= 16384 and a.nspname !~ '^pg_'));
end $$;

-- shape describes the schema: each thing in it, with a hash of what it is.
create function tasker_testbed.shape() returns table (kind text, id oid, name text, hash bigint) language sql stable set search_path = pg_catalog as $$
    with spaces as materialized (
        select n.oid, n.nspname from pg_namespace n where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'tasker_testbed')),
    relations as materialized (
        select c.* from pg_class c where c.relnamespace in (select s.oid from spaces s) and c.relpersistence <> 't'),
    things (kind, id, name, what) as (
        select case c.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence' when 'f' then 'foreign table' else 'table' end,
            c.oid, c.oid::regclass::text,
            concat_ws(' ', c.relkind, c.relpersistence, c.reloptions, c.relrowsecurity, c.relforcerowsecurity,
                (select string_agg(r.ev_action::text, ' ' order by r.rulename) from pg_rewrite r where r.ev_class = c.oid))
        from relations c where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
        union all
        select 'columns of the table', a.attrelid, a.attrelid::regclass::text,
            string_agg(concat_ws(' ', a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attidentity, a.attgenerated, d.adbin), ',' order by a.attnum)
        from pg_attribute a join relations c on c.oid = a.attrelid left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where c.relkind in ('r', 'p', 'f') and a.attnum > 0 and not a.attisdropped group by a.attrelid
        union all
        select 'index', i.indexrelid, i.indexrelid::regclass::text, concat_ws(' ', i.indrelid, i.indkey, i.indisunique, i.indexprs, i.indpred, c.relam)
        from pg_index i join relations c on c.oid = i.indexrelid
        union all
        select 'constraint', k.oid, format('%I of %s', k.conname, k.conrelid::regclass),
            concat_ws(' ', k.contype, k.conkey, k.confrelid, k.confkey, k.conbin, k.condeferrable, k.condeferred, k.convalidated, k.confdeltype, k.confupdtype)
        from pg_constraint k where k.conrelid in (select c.oid from relations c)
        union all
        select 'trigger', t.oid, format('%I of %s', t.tgname, t.tgrelid::regclass), concat_ws(' ', t.tgfoid, t.tgtype, t.tgenabled, t.tgqual)
        from pg_trigger t where not t.tgisinternal and t.tgrelid in (select c.oid from relations c)
        union all
        select 'function', p.oid, p.oid::regprocedure::text,
            concat_ws(' ', p.prosrc, p.probin, p.prorettype, p.prolang, p.provolatile, p.proconfig, p.prosqlbody)
        from pg_proc p where p.pronamespace in (select s.oid from spaces s)
        union all
        select 'type', y.oid, y.oid::regtype::text,
            concat_ws(' ', y.typtype, y.typbasetype, y.typnotnull, y.typdefault, (select string_agg(e.enumlabel, ',' order by e.enumsortorder) from pg_enum e where e.enumtypid = y.oid))
        from pg_type y where y.typnamespace in (select s.oid from spaces s) and y.typtype in ('e', 'd', 'r')
        union all
        select 'schema', s.oid, quote_ident(s.nspname), '' from spaces s
        union all
        select 'extension', e.oid, quote_ident(e.extname), e.extversion from pg_extension e)
    select t.kind, t.id, t.name, hashtextextended(t.name || ' ' || t.what, 0) from things t
$$;

-- keep_shape takes the schema as it is for what it is to be.
create function tasker_testbed.keep_shape() returns void language sql set search_path = pg_catalog as $$
    truncate tasker_testbed.shapes;
    insert into tasker_testbed.shapes select * from tasker_testbed.shape();
    update tasker_testbed.settings set fingerprint = tasker_testbed.fingerprint();
$$;

-- mend drops the tables that are new, and takes what else has changed for what is to be. It
-- returns a line about each such change.
create function tasker_testbed.mend() returns setof text language plpgsql set search_path = pg_catalog set lock_timeout = '5s' as $$
declare
    new record;
begin
    for new in
        select s.name from tasker_testbed.shape() s left join tasker_testbed.shapes b on b.id = s.id and b.kind = s.kind
        where s.kind = 'table' and b.id is null
    loop
        execute format('drop table if exists %s cascade', new.name); -- an earlier one may have taken it along
    end loop;
    return query
        select case
            when b.id is null then format('the %s %s is new, and stays', s.kind, s.name)
            when s.id is null then format('the %s %s %s gone', b.kind, b.name, case when b.kind like 'columns%' then 'are' else 'is' end)
            else format('the %s %s %s', b.kind, b.name, case when b.kind like 'columns%' then 'have changed' else 'has changed' end)
        end
        from tasker_testbed.shapes b full join tasker_testbed.shape() s on s.id = b.id and s.kind = b.kind
        where s.hash is distinct from b.hash
            and not (s.id is null and b.kind <> 'table' and ( -- it went with its table
                not exists (select from pg_class c where c.oid = b.id) and b.kind = 'columns of the table'
                or b.kind in ('index', 'constraint', 'trigger', 'sequence') and exists (
                    select from tasker_testbed.shapes gone where gone.kind = 'table' and not exists (select from pg_class c where c.oid = gone.id))))
        order by 1;
    -- The rows that were saved do not fit other columns.
    for new in
        select b.id from tasker_testbed.shapes b join tasker_testbed.shape() s on s.id = b.id and s.kind = b.kind
        where b.kind = 'columns of the table' and s.hash <> b.hash and exists (select from tasker_testbed.states x where x.relid = b.id)
    loop
        delete from tasker_testbed.states where relid = new.id;
        delete from tasker_testbed.rows where relid = new.id;
        insert into tasker_testbed.altered values (new.id) on conflict do nothing;
        return next format('the rows of the table %s cannot be put back any more', new.id::regclass);
    end loop;
    delete from tasker_testbed.sequences s where not exists (select from pg_class c where c.oid = s.relid);
    perform tasker_testbed.look_for_tables();
    perform tasker_testbed.keep_shape();
end $$;
