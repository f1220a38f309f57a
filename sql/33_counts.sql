-- Purpose: what was exchanged, counted for ever: by target and class, with the times it took. The log expires; these do not go backwards.
-- Rights: written by the engine, once a turn; readers read.

CREATE TABLE exchange_count (
    target    text NOT NULL,
    class     text NOT NULL,
    exchanges bigint NOT NULL,
    seconds   double precision NOT NULL,
    within    bigint[] NOT NULL,
    PRIMARY KEY (target, class)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
COMMENT ON TABLE exchange_count IS 'Requests answered, or not, since the target was added; one row for each class of answers';
COMMENT ON COLUMN exchange_count.target IS 'Infobase, or account:NAME for the API of an account';
COMMENT ON COLUMN exchange_count.class IS 'As in exchange_log';
COMMENT ON COLUMN exchange_count.exchanges IS 'How many';
COMMENT ON COLUMN exchange_count.seconds IS 'Their durations added up';
COMMENT ON COLUMN exchange_count.within IS 'How many took no longer than each of latency_bounds()';

CREATE FUNCTION latency_bounds() RETURNS double precision[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY[0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]::double precision[];
COMMENT ON FUNCTION latency_bounds() IS 'Durations, in seconds, up to which exchanges are counted apart';

CREATE FUNCTION count_exchanges(results http_result[]) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    INSERT INTO exchange_count AS c (target, class, exchanges, seconds, within)
    SELECT g.target, g.class, g.n, g.seconds, ARRAY(SELECT (SELECT count(*) FROM few(g.each) s WHERE s <= b.most) FROM few(latency_bounds()) WITH ORDINALITY b (most, n) ORDER BY b.n)
    FROM (SELECT u.target, u.class, count(*) AS n, sum(d.seconds) AS seconds, array_agg(d.seconds) AS each
          FROM few(results) u CROSS JOIN LATERAL (SELECT coalesce(u.ms_total, 0) / 1000 AS seconds) d WHERE u.target IS NOT NULL AND u.class IS NOT NULL GROUP BY u.target, u.class) g
    ORDER BY g.target, g.class
    ON CONFLICT (target, class) DO UPDATE SET exchanges = c.exchanges + excluded.exchanges, seconds = c.seconds + excluded.seconds,
        within = ARRAY(SELECT w.a + w.b FROM ROWS FROM (few(c.within), few(excluded.within)) WITH ORDINALITY w (a, b, n) ORDER BY w.n);
END $$;
COMMENT ON FUNCTION count_exchanges(http_result[]) IS 'Adds a set of answers to exchange_count';
