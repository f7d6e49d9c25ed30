-- Sessions of our own connections.

-- name: settle
-- Over the defaults of the database and the role. READ COMMITTED, since work is handed over behind locks; the rest decides
-- how values are written and read.
SELECT pg_catalog.set_config(s.name, s.value, false) FROM (VALUES
    ('default_transaction_isolation', 'read committed'), ('default_transaction_deferrable', 'off'),
    ('client_encoding', 'UTF8'), ('datestyle', 'ISO, YMD'), ('intervalstyle', 'postgres'), ('bytea_output', 'hex'),
    ('extra_float_digits', '1'), ('array_nulls', 'on'), ('transform_null_equals', 'off'),
    ('standard_conforming_strings', 'on'), ('quote_all_identifiers', 'off')) s (name, value)
