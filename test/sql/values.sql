-- Single values of SalesDrive: what each becomes, and that the C functions follow the rules written in SQL.
SET search_path = salesdrive;
SET timezone = 'UTC';

SELECT v, json_text(v), json_numeric(v), json_bigint(v), json_flag(v), json_time(v), order_number(v) FROM unnest(ARRAY[
    'null', '""', '"  "', '" a b "', '"ї "', 'true', 'false', '"true"', '"t"', '"T"', '1', '"1"', '1.0', '0', '"0"', '-1', '"-1"', '"+6,50"', '" 6.5 "', '"6."', '".5"', '"1 000"', '"1e3"', '1e3', '1e-2', '"٣"', '"6 "',
    '9223372036854775807', '9223372036854775808', '"12345678901"', '123456789012', '"017"', '17', '"17 "', '{}', '{"a": 1}', '[]', '[null, 1]', '["x", 1]', '[[1, 2]]', '[{"a": "b"}]', '[" "]',
    '"2026-11-20"', '"2026-11-20 14:46"', '"2026-11-20T14:46:31"', '"2026-11-20 14:46:31Z"', '"2026-02-29"', '"2024-02-29 23:59:59"', '"2026-11-20 24:00:00"', '"2026-11-20 14:60"', '"0000-00-00 00:00:00"', '"0999-01-01"', '"9999-12-31"', '"2026-1-2"', '"20.11.2026"', '"2026-11-20 14.46"', '"2026-11-20 14:46.31"', '"2026-00-10"', '"2026-13-10"']::jsonb[]) v;
SELECT json_text(NULL), json_numeric(NULL), json_bigint(NULL), json_flag(NULL), json_time(NULL), order_number(NULL), text_time(NULL), text_time(''), text_time('2026-11-20 ї1:46');
SELECT json_numeric(to_jsonb(repeat('9', 30) || '.' || repeat('9', 30))), json_numeric(to_jsonb(repeat('9', 31))), json_numeric(to_jsonb('1.' || repeat('9', 31)));

-- The same rules written in SQL, over values that are nearly right.
CREATE FUNCTION pg_temp.json_text(value jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT nullif(btrim(CASE jsonb_typeof(value) WHEN 'null' THEN NULL WHEN 'array' THEN value #>> '{0}' ELSE value #>> '{}' END), '')
$$;
CREATE FUNCTION pg_temp.json_numeric(value jsonb) RETURNS numeric LANGUAGE sql AS $$
    SELECT CASE jsonb_typeof(value)
        WHEN 'number' THEN (value #>> '{}')::numeric
        WHEN 'string' THEN CASE WHEN value #>> '{}' ~ '^[ \t\n\v\f\r]*[-+]?[0-9]{1,30}([.,][0-9]{1,30})?[ \t\n\v\f\r]*$' THEN replace(value #>> '{}', ',', '.')::numeric END END
$$;
CREATE FUNCTION pg_temp.json_bigint(value jsonb) RETURNS bigint LANGUAGE sql AS $$
    SELECT CASE WHEN n BETWEEN 0 AND 9223372036854775807 AND n = trunc(n) THEN n::bigint END FROM pg_temp.json_numeric(value) n
$$;
CREATE FUNCTION pg_temp.json_flag(value jsonb) RETURNS boolean LANGUAGE sql AS $$ SELECT coalesce(value #>> '{}' IN ('1', 'true', 't'), false) $$;
CREATE FUNCTION pg_temp.json_time(value jsonb) RETURNS timestamp LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE WHEN value #>> '{}' ~ '^[1-9]\d{3}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])([ T]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?)?$' THEN (value #>> '{}')::timestamp END;
EXCEPTION WHEN datetime_field_overflow THEN    -- no such day
    RETURN NULL;
END $$;
CREATE FUNCTION pg_temp.order_number(value jsonb) RETURNS bigint LANGUAGE sql AS $$ SELECT CASE WHEN value #>> '{}' ~ '^[1-9]\d{0,10}$' THEN (value #>> '{}')::bigint END $$;

-- A sample with up to two characters put in the place of others, or in between.
CREATE FUNCTION pg_temp.draw(seed text, n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT ('x' || substr(md5(seed), 1, 7))::bit(28)::integer % n $$;
CREATE FUNCTION pg_temp.bent(sample text, seed text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE pg_temp.draw(seed || 'p', 3) WHEN 0 THEN sample ELSE overlay(sample PLACING (ARRAY['0', '1', '9', ' ', '-', '.', ',', ':', 'T', '+', 'e', E'\t', 'ї'])[1 + pg_temp.draw(seed || 'c', 13)]
                                                                              FROM 1 + pg_temp.draw(seed || 'a', length(sample) + 1) FOR pg_temp.draw(seed || 'l', 2)) END
$$;
CREATE TEMP TABLE value AS
SELECT CASE pg_temp.draw('w' || n, 12) WHEN 0 THEN jsonb_build_array(x, n) WHEN 1 THEN jsonb_build_object('a', x) WHEN 2 THEN to_jsonb((n - 3000)::numeric / power(10, n % 5)) WHEN 3 THEN to_jsonb(n % 2 = 0) ELSE to_jsonb(x) END AS v
FROM (SELECT n, pg_temp.bent(pg_temp.bent((ARRAY['2026-02-28 14:46:31', '2024-02-29', '1999-12-31T00:00', '6.50', '-17,5', ' 1000 ', '9223372036854775807', '12345678901', 'true', '1', 't', '  abc '])[1 + n % 12], 'a' || n), 'b' || n) AS x FROM generate_series(1, 12000) n) g;

SELECT count(json_text(v)) > 8000 AS texts, count(json_numeric(v)) > 2000 AS numbers, count(json_bigint(v)) > 800 AS whole, count(*) FILTER (WHERE json_flag(v)) > 500 AS flags, count(json_time(v)) > 250 AS times, count(order_number(v)) > 350 AS orders FROM value;
SELECT v FROM value WHERE json_text(v) IS DISTINCT FROM pg_temp.json_text(v) OR json_numeric(v)::text IS DISTINCT FROM pg_temp.json_numeric(v)::text OR json_bigint(v) IS DISTINCT FROM pg_temp.json_bigint(v)
    OR json_flag(v) IS DISTINCT FROM pg_temp.json_flag(v) OR json_time(v) IS DISTINCT FROM pg_temp.json_time(v) OR text_time(v #>> '{}') IS DISTINCT FROM pg_temp.json_time(v) OR order_number(v) IS DISTINCT FROM pg_temp.order_number(v);
