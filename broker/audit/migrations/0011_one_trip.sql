-- One event in one trip: whose tokens stand, the leaf, its detail. A trip to the server costs as much as the work.
--
-- The rights are the caller's: this writes nothing that INSERT on the three tables would not.

-- Whose token `subject` has this year; `fresh` becomes it where none stands. Asked again when another transaction was
-- quicker: READ COMMITTED sees its row once it has committed.
CREATE FUNCTION audit_pseudonym(subject text, year text, fresh bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE standing bytea;
BEGIN
    LOOP
        SELECT pseudonym INTO standing FROM audit_subject_key WHERE subject_ref = subject AND period = year;
        EXIT WHEN FOUND;
        INSERT INTO audit_subject_key (subject_ref, period, pseudonym) VALUES (subject, year, fresh)
            ON CONFLICT (subject_ref, period) DO NOTHING;
    END LOOP;
    RETURN standing;
END $$;

-- Write the event of `leaf`, and its detail where there is one; the leaf as it was written is returned. `subjects`
-- holds references and, after each, the token (32 hexadecimal signs) that the leaf was drafted with: where another
-- one stands, it takes its place.
CREATE FUNCTION audit_write(leaf text, day date, year text, salt bytea, body text, VARIADIC subjects text[])
    RETURNS text LANGUAGE plpgsql AS $$
DECLARE event bigint;
BEGIN
    FOR place IN 1 .. cardinality(subjects) BY 2 LOOP
        leaf := replace(leaf, subjects[place + 1],
                        encode(audit_pseudonym(subjects[place], year, decode(subjects[place + 1], 'hex')), 'hex'));
    END LOOP;
    INSERT INTO audit_event (at_day, payload) VALUES (day, leaf) RETURNING id INTO event;
    IF body IS NOT NULL THEN
        INSERT INTO audit_detail (event_id, salt, body) VALUES (event, audit_write.salt, audit_write.body);
    END IF;
    RETURN leaf;
END $$;

REVOKE ALL ON FUNCTION audit_pseudonym(text, text, bytea), audit_write(text, date, text, bytea, text, text[])
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_pseudonym(text, text, bytea), audit_write(text, date, text, bytea, text, text[])
    TO terrain_app, terrain_seq;
