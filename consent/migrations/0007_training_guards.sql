-- What a person learnt and undertook is written once; the undertaking names the SHA-256 of its own text.
ALTER TABLE consent_undertaking ADD CONSTRAINT undertaking_sha256_is_of_its_text
    CHECK (text_sha256 = encode(sha256(convert_to(text, 'UTF8')), 'hex'));
CREATE TRIGGER undertaking_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON consent_undertaking
    FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only();
CREATE TRIGGER training_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON consent_training
    FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only();
REVOKE UPDATE, DELETE, TRUNCATE ON consent_undertaking, consent_training FROM terrain_app;
