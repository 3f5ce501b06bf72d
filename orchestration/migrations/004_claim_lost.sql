-- An outcome is sent together with the COMMIT that follows it. When the claim was
-- lost, the statement must fail, so that nothing is committed.
create function tasker.claim_lost() returns boolean language plpgsql as $$
begin
    raise exception 'the claim on the step was lost' using errcode = 'TK001';
end $$;

---- create above / drop below ----

drop function tasker.claim_lost();
