-- Invariant 6: a switch is set by one person and lifted by two, in a decision about this very switch; the
-- decision of two clerks to accredit or reinstate an organisation lifts the switch that a suspension had set.
CREATE OR REPLACE FUNCTION switch_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP IN ('DELETE', 'TRUNCATE') THEN
        RAISE EXCEPTION 'a kill switch is lifted, never removed' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.lifted_at IS NOT NULL THEN
            RAISE EXCEPTION 'a kill switch is not born lifted' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.lifted_at IS NOT NULL
        OR (NEW.id, NEW.kind, NEW.ref, NEW.reason, NEW.set_by_id, NEW.set_at)
           IS DISTINCT FROM (OLD.id, OLD.kind, OLD.ref, OLD.reason, OLD.set_by_id, OLD.set_at)
    THEN
        RAISE EXCEPTION 'a kill switch is lifted once and never changed' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NOT EXISTS (
        SELECT 1 FROM accounts_countersign c
        WHERE c.id = NEW.lifted_under_id AND c.second_by_id IS NOT NULL AND c.second_by_id <> c.first_by_id
          AND c.first_at >= OLD.set_at
          AND ((c.act = 'switch.lift' AND c.object_ref = format('switch:%s', OLD.id))
               OR (c.act IN ('registry.reinstate', 'registry.accredit') AND OLD.kind = 'organisation' AND c.concerned_id::text = OLD.ref))
    ) THEN
        RAISE EXCEPTION 'kill switch % is lifted by two different persons only', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
DROP TRIGGER switch_guard ON epoch_killswitch;
CREATE TRIGGER switch_guard BEFORE INSERT OR UPDATE OR DELETE ON epoch_killswitch
    FOR EACH ROW EXECUTE FUNCTION switch_guard();
