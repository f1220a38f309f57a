-- Purpose: what a DBA calls: connections, secrets, orders.
-- Rights: 'admin' for connections and secrets, 'operator' for orders (85_access.sql).

-- Help with clear errors.

CREATE FUNCTION require_account(account text) RETURNS account
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    a account;
BEGIN
    SELECT * INTO a FROM account x WHERE x.name = require_account.account;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no account "%"', account
            USING ERRCODE = 'SD003', HINT = coalesce('Accounts: ' || (SELECT string_agg(name, ', ' ORDER BY name) FROM account) || '.', 'Make one with salesdrive.add_account().');
    END IF;
    RETURN a;
END $$;
COMMENT ON FUNCTION require_account(text) IS 'The account of that name, or a clear error';

CREATE FUNCTION require_infobase(infobase text) RETURNS infobase
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    i infobase;
BEGIN
    SELECT * INTO i FROM infobase x WHERE x.name = require_infobase.infobase;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no infobase "%"', infobase
            USING ERRCODE = 'SD004', HINT = coalesce('Infobases: ' || (SELECT string_agg(name, ', ' ORDER BY name) FROM infobase) || '.', 'Make one with salesdrive.add_infobase().');
    END IF;
    RETURN i;
END $$;
COMMENT ON FUNCTION require_infobase(text) IS 'The infobase of that name, or a clear error';

CREATE FUNCTION require_profile(profile text) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM profile_effective p WHERE p.name = require_profile.profile) THEN
        RAISE EXCEPTION 'there is no profile "%"', profile
            USING ERRCODE = 'SD006', HINT = 'Profiles: ' || (SELECT string_agg(p.name, ', ' ORDER BY p.name) FROM profile_effective p) || '. A configuration of its own is added by rows in profile, profile_entity and profile_property.';
    END IF;
END $$;
COMMENT ON FUNCTION require_profile(text) IS 'Raises SD006 with the names there are when there is no such profile';

CREATE FUNCTION require_order(account text, order_id bigint) RETURNS crm_order
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    o crm_order;
BEGIN
    PERFORM require_account(account);
    SELECT * INTO o FROM crm_order x WHERE x.account = require_order.account AND x.order_id = require_order.order_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'order % of account "%" has not been received', order_id, account
            USING ERRCODE = 'SD005', HINT = 'Rejected deliveries are in salesdrive.inbox_reject.';
    END IF;
    RETURN o;
END $$;
COMMENT ON FUNCTION require_order(text, bigint) IS 'The order, or a clear error';

-- Connections and secrets.

CREATE FUNCTION token_problem(token text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN length(token) < 16 THEN format('The webhook token has %s characters; it needs 16 or more, for it alone protects the address.', length(token)) END;
COMMENT ON FUNCTION token_problem(text) IS 'Why a webhook token is too weak; NULL when it is not';

CREATE FUNCTION set_secret(name text, value text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    source text := CASE WHEN value ~ '^(file|env):' THEN split_part(value, ':', 1) ELSE 'literal' END;
    parts  text[] := coalesce(regexp_match(name, '^(account):([^:]+):(?:api_key|account_key|yml_key|webhook_token)$'), regexp_match(name, '^(infobase):([^:]+):password$'));
BEGIN
    IF value IS NULL OR value = '' THEN
        RAISE EXCEPTION 'secret "%" is empty', name USING ERRCODE = '22023', HINT = 'Give the value itself, file:NAME or env:NAME.';
    END IF;
    IF parts IS NULL THEN
        RAISE EXCEPTION 'there is no secret "%"', name
            USING ERRCODE = '22023', DETAIL = 'Nothing would ever read it.', HINT = 'Names are infobase:NAME:password, account:NAME:api_key, account:NAME:account_key, account:NAME:yml_key and account:NAME:webhook_token.';
    ELSIF parts[1] = 'account' THEN
        PERFORM require_account(parts[2]);
    ELSE
        PERFORM require_infobase(parts[2]);
    END IF;
    IF source = 'literal' AND name LIKE '%:webhook_token' AND token_problem(value) IS NOT NULL THEN    -- what is read from elsewhere, check() looks at
        RAISE EXCEPTION 'the webhook token of account "%" is too short', parts[2]
            USING ERRCODE = '22023', DETAIL = token_problem(value), HINT = 'SalesDrive signs nothing. Take for example the output of: openssl rand -hex 16.';
    END IF;
    PERFORM secret_value(value);    -- says at once when the file or the variable is missing
    DELETE FROM credential_secret s WHERE s.name = set_secret.name;
    INSERT INTO credential AS c VALUES (set_secret.name, source, CASE WHEN source <> 'literal' THEN substr(value, length(source) + 2) END, clock())
    ON CONFLICT ON CONSTRAINT credential_pkey DO UPDATE SET kind = excluded.kind, reference = excluded.reference, set_at = excluded.set_at;
    IF source = 'literal' THEN
        INSERT INTO credential_secret VALUES (set_secret.name, value);
    END IF;
END $$;
COMMENT ON FUNCTION set_secret(text, text) IS 'Sets a secret (infobase:NAME:password, account:NAME:api_key, account:NAME:account_key, account:NAME:yml_key, account:NAME:webhook_token): the value itself, file:NAME or env:NAME';

CREATE FUNCTION secret_problem(name text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF NOT has_function_privilege('secret_value(text)', 'EXECUTE') THEN
        RETURN NULL;    -- an operator may not read it
    END IF;
    RETURN (SELECT CASE WHEN c.name LIKE 'account:%:webhook_token' THEN token_problem(v) END
            FROM credential c CROSS JOIN LATERAL secret_value(c.kind || ':' || c.reference) v WHERE c.name = secret_problem.name AND c.kind <> 'literal');
EXCEPTION WHEN OTHERS THEN
    RETURN 'It cannot be used: ' || SQLERRM;
END $$;
COMMENT ON FUNCTION secret_problem(text) IS 'What is wrong with a secret in a file or in the environment; NULL when nothing, or when the caller may not read secrets';

CREATE FUNCTION record_instance() RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    INSERT INTO instance (system_identifier, database_oid, database_name) SELECT * FROM system_identity() ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM prepare_partitions();
    END IF;
END $$;
COMMENT ON FUNCTION record_instance() IS 'Writes down the identity of this database when its first connection is made';

CREATE FUNCTION refuse_url(what text, name text, url text, example text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the address of % "%" is none that can be used', what, name
        USING ERRCODE = '22023', DETAIL = regexp_replace(url, '//[^/]*@', '//…@'),
              HINT = format('An address begins with http:// or https:// and has no user, password, blank, ? or #, for example %s.', example);
END $$;
COMMENT ON FUNCTION refuse_url(text, text, text, text) IS 'Error for an address that the rule of its column refuses; shows no password that stands in it';

CREATE FUNCTION add_infobase(name text, profile text, url text, username text, password text, allow_http boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    broken text;
BEGIN
    PERFORM require_profile(profile);
    IF EXISTS (SELECT FROM infobase i WHERE i.name = add_infobase.name) THEN
        RAISE EXCEPTION 'there is an infobase "%" already', name
            USING ERRCODE = '42710', HINT = format('Its options are columns: UPDATE salesdrive.infobase SET … WHERE name = %L; its password: SELECT salesdrive.set_secret(%L, …).', name, 'infobase:' || name || ':password');
    END IF;
    BEGIN
        INSERT INTO infobase (name, profile, url, username, allow_http)
        VALUES (add_infobase.name, add_infobase.profile, rtrim(add_infobase.url, '/'), add_infobase.username, add_infobase.allow_http);
    EXCEPTION WHEN check_violation THEN
        GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME;
        IF broken = 'infobase_url_check' THEN
            PERFORM refuse_url('infobase', name, url, 'https://bas.example.com/base');
        END IF;
        RAISE;
    END;
    IF NOT allow_http AND url ~* '^http://' AND url !~* '^http://(localhost|127\.[0-9.]+|\[::1\])(:[0-9]+)?(/|$)' THEN
        RAISE EXCEPTION 'infobase "%" is on another host, and its address is plain http', name
            USING ERRCODE = '22023', DETAIL = 'User, password and customers would travel readable for everyone on the way.',
                  HINT = 'Give an address that begins with https://; or, within a network you trust, pass allow_http => true (column infobase.allow_http).';
    END IF;
    PERFORM set_secret('infobase:' || name || ':password', password);
    PERFORM record_instance();
    PERFORM enqueue(add_infobase.name, 'dictionary', d, add_infobase.name)    -- read at once, so that the first order need not wait for it
    FROM unnest(dictionaries() || ARRAY['unit']) d WHERE entity_set(add_infobase.profile, d) IS NOT NULL;
    PERFORM load_metadata(add_infobase.name) WHERE metadata_wanted(add_infobase.name);
END $$;
COMMENT ON FUNCTION add_infobase(text, text, text, text, text, boolean) IS 'Adds a BAS infobase: name, profile, address of the publication, user and password (or file:NAME, env:NAME), whether plain http to another host will do; further options are columns of infobase';

CREATE FUNCTION add_account(name text, url text, api_key text, infobase text, webhook_token text, identity text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    own text := coalesce(identity, substring(lower(url) FROM '^https?://([a-z0-9-]+)\.salesdrive\.me(?:[:/]|$)'), name);
    broken text;
    other text;
BEGIN
    PERFORM require_infobase(infobase);
    IF own !~ '^[A-Za-z0-9._-]{1,18}$' THEN
        RAISE EXCEPTION 'account "%" needs an identity', name
            USING ERRCODE = '22023', DETAIL = format('"%s" is not 1 to 18 Latin letters, digits, dots, dashes or underscores.', own),
                  HINT = 'Pass identity => ''a short Latin name''; it becomes part of every key in BAS and never changes.';
    END IF;
    IF EXISTS (SELECT FROM account a WHERE a.name = add_account.name) THEN
        RAISE EXCEPTION 'there is an account "%" already', name
            USING ERRCODE = '42710', HINT = format('Its options are columns: UPDATE salesdrive.account SET … WHERE name = %L; its secrets: SELECT salesdrive.set_secret(%L, …), and likewise :webhook_token.', name, 'account:' || name || ':api_key');
    END IF;
    other := (SELECT a.name FROM account a WHERE a.identity = own);
    IF other IS NOT NULL THEN
        RAISE EXCEPTION 'account "%" has the identity "%" already', other, own
            USING ERRCODE = '42710', DETAIL = 'Keys of documents are made of it: with the same identity the orders of both would be the same documents.',
                  HINT = 'For another order base of SalesDrive pass identity => ''another short name''. The same one needs no second account.';
    END IF;
    other := (SELECT a.name FROM account a WHERE lower(a.url) = lower(rtrim(add_account.url, '/')) ORDER BY a.name LIMIT 1);
    IF other IS NOT NULL THEN
        RAISE WARNING 'account "%" has the address % already', other, rtrim(url, '/')
            USING DETAIL = 'An order that both receive becomes two documents, one for each account.',
                  HINT = 'Give each account orders of its own: its own webhook in SalesDrive with conditions there, or rows of salesdrive.order_filter.';
    END IF;
    BEGIN
        INSERT INTO account (name, url, infobase, identity) VALUES (add_account.name, rtrim(url, '/'), add_account.infobase, own);
    EXCEPTION WHEN check_violation THEN
        GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME;
        IF broken = 'account_url_check' THEN
            PERFORM refuse_url('account', name, url, 'https://demo-shop.salesdrive.me');
        END IF;
        RAISE;
    END;
    PERFORM set_secret('account:' || name || ':api_key', api_key);
    PERFORM set_secret('account:' || name || ':webhook_token', webhook_token);
    PERFORM record_instance();
END $$;
COMMENT ON FUNCTION add_account(text, text, text, text, text, text) IS 'Adds a SalesDrive account whose orders go to an infobase; identity (by default the subdomain) becomes part of every key in BAS; further options are columns of account';

CREATE FUNCTION webhook_url(account text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    base  text := nullif(current_setting('salesdrive.public_url', true), '');
    token text;
BEGIN
    PERFORM require_account(account);
    token := secret('account:' || account || ':webhook_token');
    IF token IS NULL THEN
        RAISE EXCEPTION 'account "%" has no webhook token in this database', account
            USING ERRCODE = 'SD013', HINT = format('SELECT salesdrive.set_secret(%L, ''16 characters or more, file:NAME or env:NAME''); a dump does not carry literal secrets.', 'account:' || account || ':webhook_token');
    END IF;
    IF base IS NULL THEN
        base := format('http%s://%s:%s', CASE WHEN coalesce(current_setting('salesdrive.tls_certificate', true), '') <> '' THEN 's' ELSE '' END,
                       coalesce(nullif(current_setting('salesdrive.listen_address', true), ''), '127.0.0.1'), coalesce(current_setting('salesdrive.port', true), '8787'));
    END IF;
    RETURN rtrim(base, '/') || '/webhook/' || url_encode(account) || '/' || url_encode(token);
END $$;
COMMENT ON FUNCTION webhook_url(text) IS 'The address to paste into SalesDrive; it contains the token. Its beginning is salesdrive.public_url, else the receiver''s own address';

CREATE FUNCTION pause(account text, reason text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM require_account(account);
    UPDATE account a SET paused_at = coalesce(a.paused_at, clock()), paused_reason = coalesce(reason, 'no reason given') WHERE a.name = pause.account;
END $$;
COMMENT ON FUNCTION pause(text, text) IS 'Stops sending the orders of an account; deliveries are still accepted and kept';

CREATE FUNCTION unpause(account text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM require_account(account);
    UPDATE account a SET paused_at = NULL, paused_reason = NULL WHERE a.name = unpause.account;
END $$;
COMMENT ON FUNCTION unpause(text) IS 'Goes on with the orders of an account';

CREATE FUNCTION pause_infobase(infobase text, reason text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM require_infobase(infobase);
    UPDATE infobase i SET paused_at = coalesce(i.paused_at, clock()), paused_reason = coalesce(reason, 'no reason given') WHERE i.name = pause_infobase.infobase;
END $$;
COMMENT ON FUNCTION pause_infobase(text, text) IS 'Stops sending anything to an infobase';

CREATE FUNCTION unpause_infobase(infobase text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM require_infobase(infobase);
    UPDATE infobase i SET paused_at = NULL, paused_reason = NULL, circuit_failures = 0, circuit_open_until = NULL WHERE i.name = unpause_infobase.infobase;
    PERFORM wake_later(format('infobase:%s:', infobase));
END $$;
COMMENT ON FUNCTION unpause_infobase(text) IS 'Goes on sending to an infobase, at once';

CREATE FUNCTION adopt() RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    missing text := (SELECT string_agg(c.name, ', ' ORDER BY c.name) FROM credential c
                     WHERE c.kind = 'literal' AND NOT EXISTS (SELECT FROM credential_secret s WHERE s.name = c.name)
                       AND (EXISTS (SELECT FROM account a WHERE split_part(c.name, ':', 1) = 'account' AND split_part(c.name, ':', 2) = a.name)
                            OR EXISTS (SELECT FROM infobase i WHERE split_part(c.name, ':', 1) = 'infobase' AND split_part(c.name, ':', 2) = i.name)));
BEGIN
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'secrets are not set in this database: %', missing
            USING ERRCODE = 'SD013', DETAIL = 'A dump does not carry literal secrets, and without them every request would be refused.',
                  HINT = 'SELECT salesdrive.set_secret(''the name'', ''the value, file:NAME or env:NAME''); for each, then call adopt() again.';
    END IF;
    INSERT INTO instance (only_row, system_identifier, database_oid, database_name, adopted_at, recorded_at)
    SELECT true, s.system_identifier, s.database_oid, s.database_name, clock(), clock() FROM system_identity() s
    ON CONFLICT (only_row) DO UPDATE SET system_identifier = excluded.system_identifier, database_oid = excluded.database_oid, database_name = excluded.database_name,
        adopted_at = excluded.adopted_at, recorded_at = excluded.recorded_at;
    LOCK TABLE account, value_map, cancel_rule, dictionary_rule, order_filter, header_rule, field_map, product_pin, bas_product, bas_counterparty_phone IN SHARE MODE;    -- changes made while it was quiet woke nothing
    INSERT INTO wake_pending SELECT DISTINCT t.blocked_on FROM task t WHERE t.state = 'parked' AND t.blocked_on IS NOT NULL;
    UPDATE order_sync SET must_read = true, read_version = NULL;
    UPDATE crm_change SET state = CASE WHEN is_note(field) THEN 'unknown' ELSE state END, doubted = NOT is_note(field), sent = CASE WHEN is_note(field) THEN wanted ELSE sent END,
        detail = CASE WHEN is_note(field) THEN 'The database this one is a copy of may have added it.' ELSE detail END
    WHERE state = 'wanted';
    PERFORM adopt_pushes();
    INSERT INTO wake_pending VALUES ('wanted:*:');
    UPDATE payment_sync SET must_read = true WHERE bas_ref IS NULL;
    UPDATE bas_payment SET must_look = true WHERE state IN ('seen', 'refused', 'skipped');
    UPDATE followup SET must_read = true WHERE state = 'wanted' AND action <> 'close';
    UPDATE bas_counterparty_phone SET state = 'unknown', candidates = NULL WHERE state IN ('absent', 'several');
    UPDATE bas_attribute SET state = 'unknown' WHERE state = 'absent';
    UPDATE product_creation SET searched_at = NULL;
    UPDATE folder_creation SET searched_at = NULL;
    UPDATE infobase SET creating_task = NULL;
    PERFORM resolve_profiles();    -- a restore without triggers did not
    PERFORM prepare_partitions();
END $$;
COMMENT ON FUNCTION adopt() IS 'Makes this database, a copy, the one that speaks. Stop the other one first. Every order is read back from BAS before its first write';

-- Orders.

CREATE FUNCTION read_followups_anew(account text, order_id bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    UPDATE followup f SET source_body = NULL, due = false, must_read = f.must_read OR f.bas_ref IS NOT NULL
    FROM (SELECT w.action FROM followup w WHERE w.account = read_followups_anew.account AND w.order_id = read_followups_anew.order_id AND w.state = 'wanted' FOR UPDATE SKIP LOCKED) k    -- one that is held is being made right by the engine
    WHERE f.account = read_followups_anew.account AND f.order_id = read_followups_anew.order_id AND f.action = k.action;
END $$;
COMMENT ON FUNCTION read_followups_anew(text, bigint) IS 'For resume(): what is known of the documents that are to follow an order is read again';

CREATE FUNCTION order_task(account text, order_id bigint) RETURNS bigint
    LANGUAGE sql SET search_path = salesdrive, pg_temp AS $$
    SELECT enqueue_orders(order_keys(account, order_id));
    SELECT t.id FROM task t WHERE t.scope = order_task.account AND t.kind = 'order' AND t.key = order_task.order_id::text
$$;
COMMENT ON FUNCTION order_task(text, bigint) IS 'Asks for an order to be made right; returns its task';

CREATE FUNCTION resume(account text, order_id bigint) RETURNS bigint
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    o crm_order := require_order(account, order_id);
    a account := require_account(account);
    before task;
    id bigint;
BEGIN
    -- First the task, as the engine does. What it holds besides is being asked or told by it at this moment: passed over, so that neither waits for the other.
    SELECT * INTO before FROM task t WHERE t.scope = o.account AND t.kind = 'order' AND t.key = o.order_id::text FOR UPDATE;
    id := order_task(o.account, o.order_id);
    UPDATE task t SET state = 'ready', run_at = clock(), wish = t.wish + 1, blocked_on = NULL    -- and what that waits for: the folder of a product
    WHERE t.id = (SELECT v.id FROM regexp_match(before.blocked_on, '^([^:]+):([^:]+):(.+)$') part JOIN task w ON w.scope = part[2] AND w.kind = part[1] AND w.key = part[3]
                  CROSS JOIN LATERAL regexp_match(w.blocked_on, '^([^:]+):([^:]+):(.+)$') deeper JOIN task v ON v.scope = deeper[2] AND v.kind = deeper[1] AND v.key = deeper[3] WHERE v.state = 'parked' FOR UPDATE OF v SKIP LOCKED);
    UPDATE task t SET state = 'ready', run_at = clock(), wish = t.wish + 1, blocked_on = NULL
    WHERE t.id = (SELECT w.id FROM regexp_match(before.blocked_on, '^([^:]+):([^:]+):(.+)$') part JOIN task w ON w.scope = part[2] AND w.kind = part[1] AND w.key = part[3]
                  WHERE w.state <> 'in_flight' FOR UPDATE OF w SKIP LOCKED);
    UPDATE task t SET state = 'ready', run_at = clock(), wish = t.wish + 1, blocked_on = NULL
    WHERE t.id = (SELECT w.id FROM task w WHERE w.scope = a.infobase AND w.kind = 'partner' AND w.key = o.phone AND w.state = 'parked' FOR UPDATE OF w SKIP LOCKED);
    UPDATE task t SET state = 'ready', run_at = clock(), wish = t.wish + 1, blocked_on = NULL
    WHERE t.id IN (SELECT w.id FROM task w WHERE w.scope = o.account AND (w.kind IN ('order_update', 'order_record') AND w.key = o.order_id::text OR w.kind = 'followup' AND w.key IN (o.order_id || '/sale', o.order_id || '/close', o.order_id || '/return')) AND w.state = 'parked' FOR UPDATE OF w SKIP LOCKED);
    PERFORM read_followups_anew(o.account, o.order_id);
    DELETE FROM bas_product p
    WHERE p.infobase = a.infobase AND p.sku IN (SELECT q.sku FROM crm_order_line l JOIN bas_product q ON q.infobase = a.infobase AND q.sku = l.sku
        WHERE l.account = o.account AND l.order_id = o.order_id AND (q.state <> 'found' OR q.unit IS NULL OR before.reason = 'product_unit') FOR UPDATE OF q SKIP LOCKED);
    DELETE FROM dictionary_load d
    WHERE d.infobase = a.infobase AND d.dictionary IN (SELECT e.dictionary FROM dictionary_load e WHERE e.infobase = a.infobase AND (before.reason IN ('setting', 'value_wrong', 'product_vat', 'product_unit', 'field')
        OR e.dictionary = 'contact_kind' AND NOT EXISTS (SELECT FROM dictionary_value v WHERE v.scope = a.infobase AND v.side = 'bas' AND v.dictionary = 'contact_kind')) FOR UPDATE OF e SKIP LOCKED);
    UPDATE bas_counterparty_phone p SET state = 'unknown', candidates = NULL
    WHERE p.infobase = a.infobase AND p.state IN ('several', 'absent') AND p.phone IN (SELECT q.phone FROM bas_counterparty_phone q WHERE q.infobase = a.infobase AND q.phone = o.phone AND q.state IN ('several', 'absent') FOR UPDATE SKIP LOCKED);
    DELETE FROM bas_counterparty c
    WHERE c.infobase = a.infobase AND c.ref_key IN (SELECT q.ref_key FROM bas_counterparty q WHERE q.infobase = a.infobase AND q.ref_key = a.fixed_counterparty AND NOT q.alive FOR UPDATE SKIP LOCKED);
    UPDATE order_sync y SET skipped_at = NULL, skip_reason = NULL, read_version = NULL WHERE y.account = o.account AND y.order_id = o.order_id;
    INSERT INTO order_event (account, order_id, event, version, text) VALUES (o.account, o.order_id, 'resumed', o.version, format('Resumed by %s.', session_user));
    RETURN id;
END $$;
COMMENT ON FUNCTION resume(text, bigint) IS 'Lets a parked or skipped order go on, and what it waits for; asks BAS again for goods it did not find';

CREATE FUNCTION resume(task_id bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    t task;
BEGIN
    SELECT * INTO t FROM task x WHERE x.id = resume.task_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no task %', task_id USING ERRCODE = 'SD007', HINT = 'A task is gone when it is done.';
    ELSIF t.kind = 'order' THEN
        PERFORM resume(t.account, t.key::bigint);
    ELSE
        UPDATE task x SET state = 'ready', run_at = clock(), wish = x.wish + 1, blocked_on = NULL WHERE x.id = t.id AND x.state <> 'in_flight';
        IF t.kind = 'followup' THEN
            PERFORM read_followups_anew(t.account, split_part(t.key, '/', 1)::bigint);
        ELSIF t.kind = 'product' THEN    -- what stood in its way is mended: looked at anew
            UPDATE product_creation c SET problem = NULL, searched_at = NULL WHERE c.infobase = t.scope AND c.sku = t.key;
        END IF;
    END IF;
END $$;
COMMENT ON FUNCTION resume(bigint) IS 'Lets a parked task go on';

-- resume() of many in one statement holds some while it waits for others, in an order of its own. Here all are taken first, and none is waited for:
-- what another session holds is under way by itself. An order that skip() took out can be parked, too, for its document is read back first all the same.
CREATE FUNCTION resume_parked(account text, reason text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    tasks  bigint[];
    orders bigint[];
BEGIN
    PERFORM require_account(account);
    tasks := ARRAY(SELECT t.id FROM task t WHERE t.account = resume_parked.account AND t.state = 'parked' AND (resume_parked.reason IS NULL OR t.reason = resume_parked.reason) ORDER BY t.id FOR UPDATE SKIP LOCKED);
    orders := ARRAY(SELECT y.order_id FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t JOIN order_sync y ON y.account = t.account AND y.order_id = task_order(t.kind, t.key)
                   WHERE t.kind = 'order' AND y.skipped_at IS NULL AND EXISTS (SELECT FROM crm_order o WHERE o.account = y.account AND o.order_id = y.order_id) ORDER BY y.order_id FOR UPDATE OF y SKIP LOCKED);
    tasks := ARRAY(SELECT k FROM few(tasks) k CROSS JOIN LATERAL task_of(k) t
                   WHERE t.kind <> 'order' OR task_order(t.kind, t.key) = ANY (orders)
                      OR NOT EXISTS (SELECT FROM order_sync y WHERE y.account = t.account AND y.order_id = task_order(t.kind, t.key)) AND EXISTS (SELECT FROM crm_order o WHERE o.account = t.account AND o.order_id = task_order(t.kind, t.key)));
    PERFORM resume(k) FROM few(tasks) k;
    RETURN cardinality(tasks);
END $$;
COMMENT ON FUNCTION resume_parked(text, text) IS 'Lets all parked tasks of an account go on, or those parked for one reason, and what their orders wait for; returns how many. What another session holds at this moment is passed over, and what skip() took out stays out';

CREATE FUNCTION skip(account text, order_id bigint, reason text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    o crm_order := require_order(account, order_id);
    why text := coalesce(nullif(btrim(reason), ''), 'no reason given');
BEGIN
    PERFORM order_task(o.account, o.order_id);    -- first the task, as the engine does
    PERFORM begin_orders(order_keys(o.account, o.order_id));
    UPDATE order_sync y SET skipped_at = clock(), skip_reason = why WHERE y.account = o.account AND y.order_id = o.order_id;
    INSERT INTO order_event (account, order_id, event, version, text) VALUES (o.account, o.order_id, 'skipped', o.version, format('Skipped by %s: %s', session_user, why));
END $$;
COMMENT ON FUNCTION skip(text, bigint, text) IS 'Takes an order out of the exchange; later versions are staged but not sent until resume()';

CREATE FUNCTION resend(account text, order_id bigint) RETURNS bigint
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    o crm_order := require_order(account, order_id);
    id bigint := order_task(o.account, o.order_id);    -- first the task, as the engine does
BEGIN
    UPDATE order_sync y SET force = true, must_read = true, read_version = NULL, skipped_at = NULL, skip_reason = NULL WHERE y.account = o.account AND y.order_id = o.order_id;
    UPDATE bas_record r SET read_at = NULL WHERE r.account = o.account AND r.order_id = o.order_id;
    UPDATE task t SET state = 'ready', run_at = clock(), wish = t.wish + 1, blocked_on = NULL
    WHERE t.id = (SELECT w.id FROM task w WHERE w.scope = o.account AND w.kind = 'order_record' AND w.key = o.order_id::text AND w.state = 'parked' FOR UPDATE OF w SKIP LOCKED);
    INSERT INTO order_event (account, order_id, event, version, text) VALUES (o.account, o.order_id, 'resent', o.version, format('Sent again by %s.', session_user));
    RETURN id;
END $$;
COMMENT ON FUNCTION resend(text, bigint) IS 'Compares the document with the order once more and writes what differs, even over changes made in BAS; makes a new one if it was deleted';

CREATE FUNCTION preview(account text, order_id bigint, profile text DEFAULT NULL) RETURNS TABLE (step text, method text, url text, body jsonb)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
DECLARE
    o crm_order := require_order(account, order_id);
    decided order_decision[];
BEGIN
    IF preview.profile IS NOT NULL THEN
        PERFORM require_profile(preview.profile);
        RETURN QUERY
        SELECT format('document under profile %s', preview.profile), NULL::text, entity_set(preview.profile, 'order'), order_document(o.account, o.order_id, preview.profile);
        RETURN;
    END IF;
    decided := order_decisions(order_keys(o.account, o.order_id), cancel_states(order_keys(o.account, o.order_id)));
    RETURN QUERY
    SELECT coalesce(d.purpose, concat_ws(': ', d.step, d.reason, d.detail)), CASE WHEN d.step = 'request' THEN d.method END,
           CASE WHEN d.step = 'request' THEN i.url || '/odata/standard.odata/' || d.path END, d.body || coalesce(merged_comment(d), '{}')
    FROM few(decided) d JOIN account a ON a.name = o.account JOIN infobase i ON i.name = a.infobase
    UNION ALL
    SELECT 'document as it should be', NULL, NULL, coalesce(d.document, order_document(o.account, o.order_id)) FROM few(decided) d
    UNION ALL
    SELECT CASE c.action WHEN 'read' THEN 'read records' ELSE c.action || ' record' END, CASE c.action WHEN 'create' THEN 'POST' WHEN 'change' THEN 'PATCH' WHEN 'delete' THEN 'DELETE' ELSE 'GET' END,
           i.url || '/odata/standard.odata/' || CASE WHEN c.action IN ('change', 'delete') THEN record_address(c.profile, c.document, c.property) ELSE entity_set(c.profile, 'record') END,
           CASE WHEN c.action IN ('create', 'change') THEN record_body(c.profile, c.document, c.property, c.wanted, c.action = 'create') END
    FROM record_changes(mapped_fields(order_keys(o.account, o.order_id))) c JOIN infobase i ON i.name = c.infobase
    UNION ALL
    SELECT format('cancelled (status %s): %s', c.title, c.action || CASE WHEN c.may_unpost THEN ', unposted first' ELSE '' END), NULL, NULL, NULL FROM cancellations(order_keys(o.account, o.order_id)) c
    UNION ALL
    SELECT format('%s to follow: %s', f.action, coalesce(s.purpose, concat_ws(': ', s.step, s.reason, s.detail))), s.method, i.url || '/odata/standard.odata/' || s.path, s.body
    FROM followup f JOIN infobase i ON i.name = f.infobase CROSS JOIN LATERAL followup_steps(ARRAY[f]) s WHERE f.account = o.account AND f.order_id = o.order_id AND f.state = 'wanted'
    UNION ALL
    SELECT format('%s by status %s', w.action, w.status), NULL, NULL, NULL FROM followups_reached(order_keys(o.account, o.order_id)) w
    WHERE NOT EXISTS (SELECT FROM followup f WHERE f.account = w.account AND f.order_id = w.order_id AND f.action = w.action)
    UNION ALL
    SELECT 'change order in SalesDrive', 'POST', a.url || '/api/order/update/', jsonb_build_object('id', o.order_id, 'data', jsonb_object_agg(c.field, crm_value(c.field, c.wanted)))
    FROM crm_change c JOIN account a ON a.name = c.account WHERE c.account = o.account AND c.order_id = o.order_id AND c.state = 'wanted' AND NOT is_note(c.field) GROUP BY a.url
    UNION ALL
    SELECT 'add note in SalesDrive', 'POST', a.url || '/api/order/note/', to_jsonb(c.wanted)
    FROM crm_change c JOIN account a ON a.name = c.account WHERE c.account = o.account AND c.order_id = o.order_id AND c.state = 'wanted' AND is_note(c.field)
    UNION ALL
    SELECT * FROM preview_payments(o.account, o.order_id);
END $$;
COMMENT ON FUNCTION preview(text, bigint, text) IS 'What the next step of an order would be and send, the document as it should be, what SalesDrive is to be told, and its payments, without sending anything; or the document under another profile, in whose set it would be';
