-- The terms of an offer move in its draft alone: opinions, mandate, decision and conventions rest on them.
CREATE FUNCTION consent_offer_terms_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status = 'draft' THEN
        RETURN NEW;
    END IF;
    IF NEW.status = 'draft' OR (to_jsonb(NEW) - '{status,published_at,notice_published_at}'::text[])
        IS DISTINCT FROM (to_jsonb(OLD) - '{status,published_at,notice_published_at}'::text[]) THEN
        RAISE EXCEPTION 'the terms of offer % are fixed: prepare a new version', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER offer_terms_fixed BEFORE UPDATE ON consent_offer
    FOR EACH ROW EXECUTE FUNCTION consent_offer_terms_fixed();

CREATE FUNCTION consent_offer_columns_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE touched bigint[] := ARRAY[]::bigint[];
BEGIN
    IF TG_OP <> 'DELETE' THEN
        touched := touched || NEW.offer_id;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        touched := touched || OLD.offer_id;
    END IF;
    IF EXISTS (SELECT 1 FROM consent_offer WHERE id = ANY (touched) AND status <> 'draft') THEN
        RAISE EXCEPTION 'the columns of an offer are fixed once it is submitted: prepare a new version'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN COALESCE(NEW, OLD);
END $$;
CREATE TRIGGER offer_columns_fixed BEFORE INSERT OR UPDATE OR DELETE ON consent_offercolumn
    FOR EACH ROW EXECUTE FUNCTION consent_offer_columns_fixed();
CREATE TRIGGER offer_columns_whole BEFORE TRUNCATE ON consent_offercolumn
    FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only();
