-- The C functions of SQL that need no worker.
SET search_path = salesdrive;

-- uuid_v5: the vectors of RFC 4122 and of Python's uuid5()
SELECT uuid_v5('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'www.example.com');
SELECT uuid_v5('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'python.org');
SELECT uuid_v5('6ba7b810-9dad-11d1-80b4-00c04fd430c8', '');
SELECT uuid_v5('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'замовлення/17');
SELECT uuid_v5(NULL, 'x') IS NULL AS null_namespace, uuid_v5('6ba7b810-9dad-11d1-80b4-00c04fd430c8', NULL) IS NULL AS null_name;
SELECT count(DISTINCT uuid_v5('6ba7b810-9dad-11d1-80b4-00c04fd430c8', n::text)) FROM generate_series(1, 10000) n;

-- phone_e164: one number, many spellings
SELECT DISTINCT phone_e164(p) FROM unnest(ARRAY[
    '0671234567', '380671234567', '+38 (067) 123-45-67', '80671234567', '671234567', '00380671234567',
    'тел. 067 123–45–67 доб. 5', E'067\u00a0123\u00a045\u00a067', '0671234567, 0501234567']) p;
SELECT p, phone_e164(p) FROM unnest(ARRAY[
    '+48 601 234 567', '48601234567', '0503838388', '', 'передзвоніть на 0671234567', '12345', NULL]) p;

-- url_encode: everything but unreserved characters
SELECT url_encode('AZaz09-._~'), url_encode('a b+c&d=e/f?g#h%i'), url_encode('Склад №1'), url_encode(''), url_encode(NULL);
SELECT length(url_encode(repeat('ї', 100000)));

-- json_problem: NULL when the bytes are JSON, else what and where
SELECT json_problem('{"id": 17, "phone": ["0671234567"], "sum": 1e2}') IS NULL AS good;
SELECT json_problem(convert_to(t, 'UTF8')) FROM unnest(ARRAY[
    '', '{"a": x}', E'{\n  "a": 1,\n}', '[1', '{"a":1} tail', '{"ім''я": "Олена" "b": 1}']) t;
SELECT json_problem(b) FROM unnest(ARRAY[
    '\xff22', '\x22610022', '\x22d022', '\xefbbbf7b7d', '\x22cff0e8e2b3f222']::bytea[]) b;
SELECT json_problem(convert_to(repeat('[', 512) || repeat(']', 512), 'UTF8')) IS NULL AS deep_enough,
       json_problem(convert_to(repeat('[', 513) || repeat(']', 513), 'UTF8')) AS too_deep;
SELECT json_problem(convert_to('"\u0000"', 'UTF8')) IS NULL AS escaped_nul_is_json;

-- secret_value: a literal is itself; files only from the directory of secrets
SELECT secret_value('plain text'), secret_value('file'), secret_value(NULL);
SELECT secret_value('file:token');
SET salesdrive.secrets_directory = 'relative';
SELECT secret_value('file:token');
SET salesdrive.secrets_directory = '/nonexistent';
SELECT secret_value('file:token');
SELECT secret_value('file:../token');
SELECT secret_value('file:/etc/passwd');
SELECT secret_value('file:a/b');
SELECT secret_value('file:.hidden');
SELECT secret_value('file:');
SET salesdrive.secrets_directory = '/';
SELECT secret_value('file:dev');
RESET salesdrive.secrets_directory;
SELECT secret_value('env:SALESDRIVE_NO_SUCH_VARIABLE');
SELECT secret_value('env:');
SELECT secret_value('env:PATH') IS NOT NULL AS from_environment;

-- system_identity: what the server says of itself
SELECT i.system_identifier = c.system_identifier::text AS system, i.database_oid = d.oid AS oid, i.database_name = d.datname AS name
FROM system_identity() i, pg_control_system() c, pg_database d WHERE d.datname = current_database();

-- clock: the wall clock, moved by the setting that only tests use
SELECT clock() - clock_timestamp() BETWEEN '-1 min' AND '1 min' AS now;
SET salesdrive.clock_offset = '3 days 2 hours';
SELECT clock() - clock_timestamp() BETWEEN '3 days 01:59' AND '3 days 02:01' AS later;
SET salesdrive.clock_offset = '-1 day';
SELECT clock() - clock_timestamp() BETWEEN '-1 day -1 min' AND '-23:59' AS earlier;
SET salesdrive.clock_offset = 'tomorrow';
SELECT clock();
RESET salesdrive.clock_offset;
SELECT clock() - clock_timestamp() BETWEEN '-1 min' AND '1 min' AS now;
