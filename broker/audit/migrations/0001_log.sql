CREATE FUNCTION terrain_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TABLE clock_step (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    seconds bigint NOT NULL CHECK (seconds > 0),
    stepped_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TRIGGER clock_step_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON clock_step
    FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only();

CREATE TABLE audit_sequencer (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    generation int NOT NULL,
    last_xid xid8 NOT NULL,
    last_id bigint NOT NULL,
    size bigint NOT NULL
);
INSERT INTO audit_sequencer (generation, last_xid, last_id, size) VALUES (1, '0', 0, 0);

CREATE TABLE audit_event (
    id bigint GENERATED ALWAYS AS IDENTITY,
    generation int NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at_day date NOT NULL,
    payload text NOT NULL CHECK (octet_length(payload) <= 8192)
) PARTITION BY RANGE (at_day);
CREATE INDEX audit_event_order ON audit_event (generation, xid, id);
CREATE TABLE audit_event_default PARTITION OF audit_event DEFAULT;
CREATE TRIGGER audit_event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only();
CREATE TRIGGER audit_event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_event_default
    FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only();

CREATE TABLE audit_detail (
    event_id bigint PRIMARY KEY,
    salt bytea NOT NULL CHECK (octet_length(salt) = 32),
    body text NOT NULL
);

CREATE TABLE audit_subject_key (
    subject_ref text NOT NULL,
    period text NOT NULL,
    pseudonym bytea NOT NULL CHECK (octet_length(pseudonym) = 16),
    PRIMARY KEY (subject_ref, period),
    UNIQUE (pseudonym)
);

REVOKE UPDATE, DELETE, TRUNCATE ON audit_event, audit_event_default, clock_step FROM terrain_app;
REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON audit_sequencer FROM terrain_app;
REVOKE DELETE, TRUNCATE ON audit_detail, audit_subject_key FROM terrain_app;
