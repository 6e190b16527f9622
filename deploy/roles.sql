-- The four roles of a cluster, none of which is a superuser or may make roles or databases; run again, it changes
-- nothing. The launcher reads this file; in production, once, as the cluster's administrator (then give each role its
-- password or its line of pg_hba.conf): psql -f deploy/roles.sql
--
--   terrain_owner    owns the tables, migrates, restores; no process of the running product connects as it
--   terrain_app      pages, downloads, workers: of the log it writes the bytes and the day of an event, nothing else
--   terrain_seq      the sequencer: leaves, tiles, index, checkpoints
--   terrain_auditor  reads
--
-- A transaction left idle would hold back the whole log (its snapshot's xmin): it is ended after 30 s.
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['terrain_owner', 'terrain_app', 'terrain_seq', 'terrain_auditor'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS', role);
        END IF;
        IF NOT EXISTS (
            SELECT FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole
            WHERE r.rolname = role AND s.setdatabase = 0 AND 'idle_in_transaction_session_timeout=30s' = ANY(setconfig)
        ) THEN
            EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = ''30s''', role);
        END IF;
    END LOOP;
END $$;
