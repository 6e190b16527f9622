-- Invariant 3: the bytes that were signed never change; a signature names their SHA-256.
ALTER TABLE consent_conventiondocument
    ADD CONSTRAINT document_sha256_is_of_its_bytes CHECK (sha256 = encode(sha256(pdf), 'hex'));
ALTER TABLE consent_sealeddocument
    ADD CONSTRAINT sealed_sha256_is_of_its_bytes CHECK (sha256 = encode(sha256(pdf), 'hex'));
ALTER TABLE consent_signature
    ADD CONSTRAINT signature_names_a_document FOREIGN KEY (convention_id, document_sha256)
    REFERENCES consent_conventiondocument (convention_id, sha256) DEFERRABLE INITIALLY IMMEDIATE;

CREATE FUNCTION consent_sealed_extends_document() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE signed bytea;
BEGIN
    SELECT pdf INTO signed FROM consent_conventiondocument WHERE id = NEW.document_id;
    IF substring(NEW.pdf FROM 1 FOR octet_length(signed)) IS DISTINCT FROM signed THEN
        RAISE EXCEPTION 'a sealed document begins with the exact bytes that were signed'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER sealed_extends_document BEFORE INSERT ON consent_sealeddocument
    FOR EACH ROW EXECUTE FUNCTION consent_sealed_extends_document();

CREATE TRIGGER document_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON consent_conventiondocument
    FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only();
CREATE TRIGGER sealed_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON consent_sealeddocument
    FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only();
CREATE TRIGGER signature_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON consent_signature
    FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only();
CREATE TRIGGER mandate_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON consent_standingmandate
    FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only();
REVOKE UPDATE, DELETE, TRUNCATE ON consent_conventiondocument, consent_sealeddocument, consent_signature,
    consent_standingmandate FROM terrain_app;

-- Invariant 6: what needs two persons has two. A decision names the object and, for an entry, its version.
CREATE FUNCTION consent_entry_needs_two_persons() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE wanted text;
BEGIN
    IF NEW.status <> 'accredited' OR (TG_OP = 'UPDATE' AND OLD.status = 'accredited') THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' THEN
        RAISE EXCEPTION 'an entry is not born accredited' USING ERRCODE = 'check_violation';
    END IF;
    wanted := CASE OLD.status
        WHEN 'under_review' THEN 'registry.accredit'
        WHEN 'suspended' THEN 'registry.reinstate'
        ELSE 'registry.order_reinstatement' END;
    IF NOT EXISTS (
        SELECT 1 FROM accounts_countersign c
        WHERE c.act = wanted AND c.object_ref = format('registry:%s@%s', OLD.id, OLD.version)
          AND c.concerned_id = OLD.organisation_id AND c.second_by_id IS NOT NULL AND c.second_by_id <> c.first_by_id
    ) THEN
        RAISE EXCEPTION 'entry % becomes accredited by two different persons only (%)', OLD.id, wanted
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER entry_needs_two_persons BEFORE INSERT OR UPDATE ON consent_registryentry
    FOR EACH ROW EXECUTE FUNCTION consent_entry_needs_two_persons();

CREATE FUNCTION consent_offer_needs_two_persons() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> 'published' OR (TG_OP = 'UPDATE' AND OLD.status = 'published') THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' THEN
        RAISE EXCEPTION 'an offer is not born published' USING ERRCODE = 'check_violation';
    END IF;
    IF NOT EXISTS (
        SELECT 1 FROM accounts_countersign c
        WHERE c.act = CASE OLD.status WHEN 'suspended' THEN 'offer.resume' ELSE 'offer.publish' END
          AND c.object_ref = format('offer:%s', OLD.id)
          AND c.second_by_id IS NOT NULL AND c.second_by_id <> c.first_by_id
    ) THEN
        RAISE EXCEPTION 'offer % is published by two different persons only', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER offer_needs_two_persons BEFORE INSERT OR UPDATE ON consent_offer
    FOR EACH ROW EXECUTE FUNCTION consent_offer_needs_two_persons();
