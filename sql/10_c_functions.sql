-- Purpose: functions written in C: small pure ones, and the handles of workers and engine.
-- Rights: granted in 85_access.sql; nothing to PUBLIC.

-- The planner takes a set of unknown size for small or large as it likes; the engine's sets must always lead it from key to key.
CREATE FUNCTION few(anyarray) RETURNS SETOF anyelement
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 1 AS 'MODULE_PATHNAME', 'sd_sql_few';
COMMENT ON FUNCTION few(anyarray) IS 'Elements of an array, as unnest(); to the planner always one row, so that what is joined to them is looked up by its keys';

CREATE FUNCTION uuid_v5(namespace uuid, name text) RETURNS uuid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_sql_uuid_v5';
COMMENT ON FUNCTION uuid_v5(uuid, text) IS 'Name-based UUID, version 5 (RFC 4122), of a UTF-8 name';

CREATE FUNCTION phone_e164(phone text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_sql_phone_e164';
COMMENT ON FUNCTION phone_e164(text) IS 'Digits of a phone number in international form without plus; NULL when the text is no usable phone';

CREATE FUNCTION url_encode(value text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_sql_url_encode';
COMMENT ON FUNCTION url_encode(text) IS 'Percent-encodes everything but unreserved characters; a space becomes %20';

CREATE FUNCTION json_problem(body bytea) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_sql_json_problem';
COMMENT ON FUNCTION json_problem(bytea) IS 'NULL when the bytes are JSON in UTF-8, else a sentence that says what is wrong and where';

CREATE FUNCTION body_json(body bytea) RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_sql_body_json';
COMMENT ON FUNCTION body_json(bytea) IS 'The JSON of a body; a byte order mark is skipped, and an escape that stands for no character (\u0000, half of a cut emoji) becomes U+FFFD';

-- Single values. SalesDrive mixes numbers and texts of numbers, "" and null.

CREATE FUNCTION json_text(value jsonb) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_sql_json_text';
COMMENT ON FUNCTION json_text(jsonb) IS 'Text of a JSON value; of an array its first element; blank is NULL';

CREATE FUNCTION json_numeric(value jsonb) RETURNS numeric
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_sql_json_numeric';
COMMENT ON FUNCTION json_numeric(jsonb) IS 'Exact number of a JSON number or of a text that holds one (decimal point or comma), of at most some 60 digits; else NULL';

CREATE FUNCTION json_bigint(value jsonb) RETURNS bigint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_sql_json_bigint';
COMMENT ON FUNCTION json_bigint(jsonb) IS 'Whole number, not negative, that a bigint holds; NULL for anything else';

CREATE FUNCTION json_flag(value jsonb) RETURNS boolean
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_sql_json_flag';
COMMENT ON FUNCTION json_flag(jsonb) IS 'True for 1, "1", true; false for anything else';

CREATE FUNCTION text_time(value text) RETURNS timestamp
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_sql_text_time';
COMMENT ON FUNCTION text_time(text) IS 'Naive local time of a text YYYY-MM-DD HH:MM:SS, without raising an error; NULL for anything else';

CREATE FUNCTION json_time(value jsonb) RETURNS timestamp
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_sql_json_time';
COMMENT ON FUNCTION json_time(jsonb) IS 'Naive local time of a JSON text YYYY-MM-DD HH:MM:SS; NULL for anything else';

CREATE FUNCTION order_number(value jsonb) RETURNS bigint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_sql_order_number';
COMMENT ON FUNCTION order_number(jsonb) IS 'Order number of up to 11 digits; NULL for anything else';

CREATE FUNCTION renamed(object jsonb, names jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_sql_renamed';
COMMENT ON FUNCTION renamed(jsonb, jsonb) IS 'Object with concepts replaced by the names of the configuration; what it does not have, and nulls, fall away';

CREATE FUNCTION named_object(under jsonb, names jsonb, "over" jsonb, VARIADIC pairs "any") RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_sql_named_object';
COMMENT ON FUNCTION named_object(jsonb, jsonb, jsonb, "any") IS 'Object under, with pairs of concepts and values in the names of the configuration, and over these object over: of two with one name the latter counts. What the configuration does not have, and values that are null, fall away';

CREATE FUNCTION odata_equal(sent jsonb, kept jsonb) RETURNS boolean
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_sql_odata_equal';
COMMENT ON FUNCTION odata_equal(jsonb, jsonb) IS 'Whether BAS kept a value as sent, spelling of numbers and padding aside';

CREATE FUNCTION odata_differences(sent jsonb, kept jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_sql_odata_differences';
COMMENT ON FUNCTION odata_differences(jsonb, jsonb) IS 'Properties that BAS did not keep as sent: {property: {sent, kept}}; NULL when there are none';

CREATE FUNCTION odata_wanted(wanted jsonb, held jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_sql_odata_wanted';
COMMENT ON FUNCTION odata_wanted(jsonb, jsonb) IS 'Properties whose wanted value BAS does not hold; NULL when it holds them all';

CREATE FUNCTION changed_properties(wanted jsonb, accepted jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_sql_changed_properties';
COMMENT ON FUNCTION changed_properties(jsonb, jsonb) IS 'Properties whose wanted value is not the one accepted last; NULL when there are none';

CREATE FUNCTION same_keys(body jsonb, object jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_sql_same_keys';
COMMENT ON FUNCTION same_keys(jsonb, jsonb) IS 'Those properties of a body that the object has';

CREATE FUNCTION lineage_of(written jsonb, version bigint, rules jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_sql_lineage_of';
COMMENT ON FUNCTION lineage_of(jsonb, bigint, jsonb) IS 'Where each property written came from: {property: {version, rule}}; {} when there are none';

CREATE FUNCTION secret_value(reference text) RETURNS text
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'sd_sql_secret_value';
COMMENT ON FUNCTION secret_value(text) IS 'Value behind file:NAME (in salesdrive.secrets_directory) or env:NAME (environment of the server); any other text is itself';

CREATE FUNCTION system_identity(OUT system_identifier text, OUT database_oid oid, OUT database_name text) RETURNS record
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'sd_sql_system_identity';
COMMENT ON FUNCTION system_identity() IS 'What this database is: identifier of the cluster, oid and name of the database';

CREATE FUNCTION clock() RETURNS timestamptz
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'sd_sql_clock';
COMMENT ON FUNCTION clock() IS 'The time every rule uses: clock_timestamp() moved by salesdrive.clock_offset, which only tests set';

-- Takes any request: for the owner of the extension and the functions of check() alone.
CREATE FUNCTION probe(requests http_request[], timeout_ms integer) RETURNS SETOF http_result
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'sd_sql_probe';
COMMENT ON FUNCTION probe(http_request[], integer) IS 'Sends requests from this session, outside the queue, and returns the answers that came within the time-out; what has not ended gives no row';

CREATE FUNCTION wake() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'sd_sql_wake';
COMMENT ON FUNCTION wake() IS 'Statement trigger: at COMMIT sets the latch of the workers named in its arguments (exchanger, receiver, settings)';

CREATE FUNCTION wake_launcher() RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'sd_sql_wake_launcher';
COMMENT ON FUNCTION wake_launcher() IS 'At COMMIT makes the launcher look at this database again';

CREATE FUNCTION start_workers() RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'sd_sql_start_workers';
COMMENT ON FUNCTION start_workers() IS 'Starts receiver and exchanger for this database, and the launcher where it is not preloaded';

CREATE FUNCTION stop_workers() RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'sd_sql_stop_workers';
COMMENT ON FUNCTION stop_workers() IS 'Stops receiver and exchanger of this database until start_workers() or a restart of the cluster';

CREATE FUNCTION restart_workers() RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'sd_sql_restart_workers';
COMMENT ON FUNCTION restart_workers() IS 'Stops and starts the workers of this database, so that changed settings come into force';

CREATE FUNCTION worker_state(OUT role text, OUT pid integer, OUT state text, OUT started_at timestamptz, OUT restarts integer, OUT last_error text,
    OUT listen_address text, OUT port integer, OUT runs_as text, OUT configured_listen_address text, OUT configured_port integer, OUT configured_role text, OUT quiet boolean) RETURNS SETOF record
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'sd_sql_worker_state';
COMMENT ON FUNCTION worker_state() IS 'Launcher, receiver and exchanger as shared memory knows them; view worker_status shows more';

CREATE FUNCTION kind_steps(function text, argument anyarray) RETURNS plan_step[]
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'sd_sql_kind_steps';
COMMENT ON FUNCTION kind_steps(text, anyarray) IS 'Steps that the plan or settle function of a kind, given by name, decides on; its plan is kept';

CREATE FUNCTION kind_note(function text, argument anyarray) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'sd_sql_kind_note';
COMMENT ON FUNCTION kind_note(text, anyarray) IS 'Calls the note function of a kind, given by name; its plan is kept';

CREATE FUNCTION engine_alive() RETURNS boolean
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'sd_sql_engine_alive';
COMMENT ON FUNCTION engine_alive() IS 'True while a worker or a session runs the exchange engine in this database';

CREATE PROCEDURE run()
    LANGUAGE c AS 'MODULE_PATHNAME', 'sd_sql_run';
COMMENT ON PROCEDURE run() IS 'Drives the exchange in this session, committing as it goes, until nothing is due now';

CREATE PROCEDURE wait(task_id bigint, timeout interval DEFAULT '10 min')
    LANGUAGE c AS 'MODULE_PATHNAME', 'sd_sql_wait';
COMMENT ON PROCEDURE wait(bigint, interval) IS 'Commits, then waits until the task is done or parked; drives the engine itself when no worker does';
