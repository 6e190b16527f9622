-- Events: when they were really recorded (the demo's clock moves, the lag must not), and only two columns to write:
-- an application that could choose `xid` or `generation` could place an event behind the sequencer, where it is
-- never seen.
CREATE FUNCTION audit_generation() RETURNS int LANGUAGE sql STABLE AS 'SELECT generation FROM audit_sequencer';
ALTER TABLE audit_event
    ADD COLUMN recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ALTER COLUMN generation SET DEFAULT audit_generation(),
    ADD CONSTRAINT audit_event_is_one_line CHECK (position(E'\n' IN payload) = 0);
REVOKE ALL ON audit_event, audit_event_default FROM terrain_app;
GRANT SELECT ON audit_event TO terrain_app, terrain_seq, terrain_auditor;
GRANT INSERT (at_day, payload) ON audit_event TO terrain_app;
GRANT INSERT (generation, at_day, payload) ON audit_event TO terrain_seq;  -- the genesis record is of generation 0

-- The watermark: everything up to (last_generation, last_xid, last_id) is in the tree.
ALTER TABLE audit_sequencer ADD COLUMN last_generation int NOT NULL DEFAULT 0;
CREATE FUNCTION audit_only_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.size < OLD.size OR NEW.generation < OLD.generation
       OR (NEW.last_generation, NEW.last_xid, NEW.last_id) < (OLD.last_generation, OLD.last_xid, OLD.last_id) THEN
        RAISE EXCEPTION 'the log only grows' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_sequencer_only_forward BEFORE UPDATE ON audit_sequencer
    FOR EACH ROW EXECUTE FUNCTION audit_only_forward();
CREATE TRIGGER audit_sequencer_one_row BEFORE DELETE OR TRUNCATE ON audit_sequencer
    FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only();

-- Search: a function of the leaf's bytes alone, but for its place (leaf_index) and where to read it again.
CREATE TABLE audit_index (
    leaf_index bigint NOT NULL,
    event_id bigint NOT NULL,
    generation int NOT NULL,
    xid xid8 NOT NULL,
    at timestamptz NOT NULL,
    ulid text,
    zone text, actor bytea, org text, conv text, obj text, act text NOT NULL, out text, sub bytea, purp text,
    PRIMARY KEY (leaf_index, at)
) PARTITION BY RANGE (at);
CREATE TABLE audit_index_default PARTITION OF audit_index DEFAULT;
CREATE INDEX audit_index_actor ON audit_index (actor, leaf_index);
CREATE INDEX audit_index_obj ON audit_index (obj, leaf_index) WHERE obj IS NOT NULL;
CREATE INDEX audit_index_sub ON audit_index (sub, leaf_index) WHERE sub IS NOT NULL;
CREATE INDEX audit_index_conv ON audit_index (conv) WHERE conv <> '';
CREATE INDEX audit_index_zone ON audit_index (zone) WHERE zone <> '';
CREATE INDEX audit_index_org ON audit_index (org) WHERE org <> '';
CREATE INDEX audit_index_act ON audit_index (act);
CREATE INDEX audit_index_refusals ON audit_index (leaf_index) WHERE out <> 'allow';
CREATE INDEX audit_index_at ON audit_index USING brin (at);

CREATE TABLE audit_rollup_day (
    day date NOT NULL,
    zone text NOT NULL, org text NOT NULL, conv text NOT NULL, act text NOT NULL, out text NOT NULL, purp text NOT NULL,
    n bigint NOT NULL CHECK (n > 0),
    PRIMARY KEY (day, zone, org, conv, act, out, purp)
);

-- The tree: a tile only grows at its end, up to 256 hashes.
CREATE TABLE audit_tile (
    level smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
    n bigint NOT NULL CHECK (n >= 0),
    hashes bytea NOT NULL CHECK (octet_length(hashes) BETWEEN 32 AND 8192 AND octet_length(hashes) % 32 = 0),
    PRIMARY KEY (level, n)
);
ALTER TABLE audit_tile ALTER hashes SET STORAGE EXTERNAL;
CREATE FUNCTION audit_tile_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.level, NEW.n) <> (OLD.level, OLD.n)
       OR substring(NEW.hashes FOR octet_length(OLD.hashes)) <> OLD.hashes THEN
        RAISE EXCEPTION 'audit_tile is append-only: a tile only grows' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_tile_grows BEFORE UPDATE ON audit_tile FOR EACH ROW EXECUTE FUNCTION audit_tile_grows();
CREATE TRIGGER audit_tile_append_only BEFORE DELETE OR TRUNCATE ON audit_tile
    FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only();

-- Checkpoints: `proof` shows that this one extends the one before (hashes one after the other; empty for the first).
CREATE TABLE audit_checkpoint (
    size bigint PRIMARY KEY CHECK (size > 0),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    note text NOT NULL,
    proof bytea NOT NULL CHECK (octet_length(proof) % 32 = 0),
    cosignatures text NOT NULL DEFAULT '',
    tsr bytea,
    tsr_at timestamptz,
    published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((tsr IS NULL) = (tsr_at IS NULL))
);
CREATE FUNCTION audit_checkpoint_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF EXISTS (SELECT FROM audit_checkpoint WHERE size >= NEW.size) THEN
            RAISE EXCEPTION 'a checkpoint is larger than those before' USING ERRCODE = 'insufficient_privilege';
        END IF;
    ELSIF (NEW.size, NEW.root, NEW.note, NEW.proof, NEW.published_at)
          IS DISTINCT FROM (OLD.size, OLD.root, OLD.note, OLD.proof, OLD.published_at)
          OR OLD.tsr IS NOT NULL AND (NEW.tsr, NEW.tsr_at) IS DISTINCT FROM (OLD.tsr, OLD.tsr_at)
          OR NOT starts_with(NEW.cosignatures, OLD.cosignatures) THEN
        RAISE EXCEPTION 'audit_checkpoint is append-only' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_checkpoint_stands BEFORE INSERT OR UPDATE ON audit_checkpoint
    FOR EACH ROW EXECUTE FUNCTION audit_checkpoint_stands();
CREATE TRIGGER audit_checkpoint_append_only BEFORE DELETE OR TRUNCATE ON audit_checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only();

-- What the sequencer found when it recomputed the whole log from the events.
CREATE TABLE audit_verification (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    size bigint NOT NULL,
    problems text[] NOT NULL,
    seconds double precision NOT NULL,
    verified_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TRIGGER audit_verification_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_verification
    FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only();

REVOKE ALL ON audit_index, audit_index_default, audit_rollup_day, audit_tile, audit_checkpoint, audit_verification
    FROM terrain_app;
GRANT SELECT ON audit_index, audit_rollup_day, audit_tile, audit_checkpoint, audit_verification, audit_sequencer
    TO terrain_app, terrain_seq, terrain_auditor;
GRANT INSERT ON audit_index, audit_rollup_day, audit_tile, audit_checkpoint, audit_verification TO terrain_seq;
GRANT UPDATE ON audit_rollup_day, audit_tile, audit_sequencer TO terrain_seq;
GRANT UPDATE (cosignatures, tsr, tsr_at) ON audit_checkpoint TO terrain_seq;

-- Monthly partitions, made at start and every night. A month of which the default partition already holds rows stays
-- there: nothing is ever moved. The owner's rights are borrowed, for this and nothing else.
CREATE FUNCTION audit_partitions(from_day date, ahead int DEFAULT 3) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    first date; after date; made text; busy boolean;
BEGIN
    IF ahead NOT BETWEEN 0 AND 12 THEN
        RAISE EXCEPTION 'between 0 and 12 months ahead';
    END IF;
    FOR i IN 0..ahead LOOP
        first := date_trunc('month', from_day)::date + make_interval(months => i);
        after := first + interval '1 month';
        made := 'audit_event_' || to_char(first, 'YYYY_MM');
        EXECUTE 'SELECT EXISTS (SELECT FROM audit_event_default WHERE at_day >= $1 AND at_day < $2)'
            INTO busy USING first, after;
        IF to_regclass(made) IS NULL AND NOT busy THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF audit_event FOR VALUES FROM (%L) TO (%L)', made, first, after);
            EXECUTE format('CREATE TRIGGER audit_event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
                           'FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only()', made);
            EXECUTE format('REVOKE ALL ON %I FROM terrain_app, terrain_seq', made);
            RETURN NEXT made;
        END IF;
        made := 'audit_index_' || to_char(first, 'YYYY_MM');
        EXECUTE 'SELECT EXISTS (SELECT FROM audit_index_default WHERE at >= $1 AND at < $2)'
            INTO busy USING first::timestamp AT TIME ZONE 'UTC', after::timestamp AT TIME ZONE 'UTC';
        IF to_regclass(made) IS NULL AND NOT busy THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF audit_index FOR VALUES FROM (%L) TO (%L)', made,
                           first::timestamp AT TIME ZONE 'UTC', after::timestamp AT TIME ZONE 'UTC');
            EXECUTE format('REVOKE ALL ON %I FROM terrain_app, terrain_seq', made);
            RETURN NEXT made;
        END IF;
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION audit_partitions(date, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_partitions(date, int) TO terrain_seq;
SELECT audit_partitions(current_date, 3);
