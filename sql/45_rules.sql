-- Purpose: the rules of an order: its money, its goods, its settings, its document. Read-only: planning and preview() both stand on them.
-- Rights: the engine's role and 'operator' (preview).

CREATE FUNCTION ref_key_namespace() RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '3d5c2a9e-7b1f-5e48-9c06-4f8a1b6d2e70'::uuid;
COMMENT ON FUNCTION ref_key_namespace() IS 'Namespace of every Ref_Key made here; a constant for ever';

CREATE FUNCTION order_ref_key(identity text, order_id bigint) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN uuid_v5(ref_key_namespace(), 'order/' || identity || '/' || order_id::text);
COMMENT ON FUNCTION order_ref_key(text, bigint) IS 'Ref_Key of the document of an order';

CREATE FUNCTION counterparty_ref_key(phone text) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN uuid_v5(ref_key_namespace(), 'counterparty/' || phone);
COMMENT ON FUNCTION counterparty_ref_key(text) IS 'Ref_Key of a counterparty created for a phone (international digits)';

CREATE FUNCTION entity_ref_key(entity text, phone text) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN uuid_v5(ref_key_namespace(), entity || '/' || phone);
COMMENT ON FUNCTION entity_ref_key(text, text) IS 'Ref_Key of a counterparty or partner created for a phone';

CREATE FUNCTION order_keys(account text, order_id bigint) RETURNS order_key[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY[(account, order_id)::order_key];
COMMENT ON FUNCTION order_keys(text, bigint) IS 'One order as a set, for the set-based rules';

-- Lines: money and goods of each.

CREATE TYPE document_line AS (
    account        text,
    order_id       bigint,
    line_no        integer,
    sku            text,
    name           text,
    quantity       numeric,
    price          numeric,
    discount       numeric,
    sum            numeric,
    kopecks        numeric,
    places         bigint,
    goods          text,
    product        uuid,
    characteristic uuid,
    unit           uuid,
    is_stock       boolean,
    vat_key        text,
    vat_rate       numeric,
    place          bigint,
    content        text
);
COMMENT ON TYPE document_line IS 'A line ready for a document: sum with its share of the remainder; kopecks: remainder of the whole order, places: lines that may take one kopeck of it; goods: ok, ask, create, absent, several, no_sku, no_unit, no_vat, no_characteristic or kit';
COMMENT ON COLUMN document_line.account IS 'Account';
COMMENT ON COLUMN document_line.order_id IS 'Order number';
COMMENT ON COLUMN document_line.line_no IS 'Line of the order it comes from; 0: delivery';
COMMENT ON COLUMN document_line.sku IS 'SKU';
COMMENT ON COLUMN document_line.name IS 'Name in SalesDrive';
COMMENT ON COLUMN document_line.quantity IS 'Quantity';
COMMENT ON COLUMN document_line.price IS 'Price of a unit before discount';
COMMENT ON COLUMN document_line.discount IS 'Discount in percent';
COMMENT ON COLUMN document_line.sum IS 'Sum of the line after discount, with its share of the remainder';
COMMENT ON COLUMN document_line.kopecks IS 'Remainder of the whole order, in kopecks';
COMMENT ON COLUMN document_line.places IS 'Lines that may take one kopeck of it';
COMMENT ON COLUMN document_line.goods IS 'ok, ask (to be searched for), create (to be made), absent, several, no_sku, no_unit, no_vat, no_characteristic or kit (parts cannot be read)';
COMMENT ON COLUMN document_line.product IS 'Ref_Key of the product';
COMMENT ON COLUMN document_line.characteristic IS 'Ref_Key of its characteristic';
COMMENT ON COLUMN document_line.unit IS 'Ref_Key of the unit';
COMMENT ON COLUMN document_line.is_stock IS 'Whether it is goods and not a service';
COMMENT ON COLUMN document_line.vat_key IS 'The VAT rate: Ref_Key, or value of an enumeration';
COMMENT ON COLUMN document_line.vat_rate IS 'The rate in percent';
COMMENT ON COLUMN document_line.place IS 'Position in the document from 1';
COMMENT ON COLUMN document_line.content IS 'What was ordered, where another product stands for it';

-- Into the body of its caller: rows of its own would be copied once more.
CREATE FUNCTION priced_lines(orders order_key[]) RETURNS TABLE (account text, order_id bigint, line_no integer, sku text, name text,
        quantity numeric, price numeric, discount numeric, sum numeric, kopecks numeric, places bigint)
    LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH exact AS (
        SELECT l.account, l.order_id, l.line_no, l.sku, l.name, l.amount, l.price, l.discount, l.is_percent, o.payment_amount, g.gross,
               g.gross - CASE WHEN l.discount = 0 THEN 0
                              WHEN l.is_percent THEN g.gross * l.discount * 0.01
                              WHEN l.account IN (SELECT a.name FROM account a WHERE a.money_discount = 'unit') THEN l.discount * l.amount
                              ELSE l.discount END AS exact_sum
        FROM few(orders) k
        JOIN crm_order o ON o.account = k.account AND o.order_id = k.order_id
        JOIN crm_order_line l ON l.account = k.account AND l.order_id = k.order_id
        CROSS JOIN LATERAL (SELECT l.price * l.amount AS gross OFFSET 0) g
    ), remainder AS (
        SELECT e.*, round(e.exact_sum, 2) AS rounded,
               100 * (e.payment_amount - sum(round(e.exact_sum, 2)) OVER (PARTITION BY e.account, e.order_id)) AS rest
        FROM exact e
    ), place AS (
        SELECT r.*, (r.discount <> 0 OR r.exact_sum <> r.rounded) AND r.rounded + sign(r.rest) * 0.01 >= 0 AS takes
        FROM remainder r
    ), ranked AS (
        SELECT p.*, count(*) FILTER (WHERE p.takes) OVER (PARTITION BY p.account, p.order_id) AS place_count,
               row_number() OVER (PARTITION BY p.account, p.order_id ORDER BY p.takes DESC, sign(p.rest) * (p.exact_sum - p.rounded) DESC, p.line_no) AS turn
        FROM place p
    )
    SELECT r.account, r.order_id, r.line_no, r.sku, r.name, r.amount, r.price,
           CASE WHEN r.is_percent THEN round(r.discount, 2)
                WHEN r.gross <> 0 THEN round(100 * (r.gross - r.exact_sum) / r.gross, 2) ELSE 0 END,
           r.rounded + CASE WHEN r.rest <> 0 AND abs(r.rest) <= r.place_count AND r.turn <= abs(r.rest) THEN sign(r.rest) * 0.01 ELSE 0 END,
           r.rest, r.place_count
    FROM ranked r;
END;
COMMENT ON FUNCTION priced_lines(order_key[]) IS 'Sum of each line, exact to the kopeck. The remainder against paymentAmount, at most one kopeck for each discounted or fractional line, goes one kopeck each to the lines that rounding has moved the most, then in order of lines';

-- Kits and delivery. What follows costs nothing where no account of the orders wants it.

CREATE FUNCTION kit_parts(kit jsonb) RETURNS TABLE (part_no integer, sku text, name text, count numeric, price numeric)
    LANGUAGE plpgsql IMMUTABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT k.n::integer, left(json_text(p -> 'sku'), 500), coalesce(json_text(p -> 'name'), json_text(p -> 'text')), json_numeric(coalesce(p -> 'count', p -> 'amount', p -> 'quantity')), json_numeric(p -> 'price')
    FROM jsonb_array_elements(json_rows(kit)) WITH ORDINALITY k (p, n);
END $$;
COMMENT ON FUNCTION kit_parts(jsonb) IS 'Parts of a kit as received';

CREATE FUNCTION kit_of(l crm_order_line) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF json_rows(l.kit) <> '[]' THEN
        RETURN l.kit;
    END IF;
    RETURN (SELECT p -> 'complect' FROM crm_order_version v CROSS JOIN LATERAL jsonb_array_elements(json_rows(v.data -> 'products')) p
            WHERE v.account = l.account AND v.order_id = l.order_id AND json_text(p -> 'productId') = l.product_id AND json_rows(nullif(p -> 'complect', 'null')) <> '[]'
            ORDER BY v.version DESC, v.update_at DESC NULLS LAST LIMIT 1);
END $$;
COMMENT ON FUNCTION kit_of(crm_order_line) IS 'Parts of the kit of a line; those of another delivery of the order where this one does not list them (rows of order/list)';

CREATE FUNCTION spread_kopecks(total numeric, weights numeric[]) RETURNS numeric[]
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    whole numeric := (SELECT sum(w) FROM few(weights) w);
BEGIN
    RETURN (
        SELECT array_agg((p.kopecks + CASE WHEN p.turn <= p.rest THEN 1 ELSE 0 END) / 100 ORDER BY p.n)
        FROM (SELECT f.n, trunc(f.exact) AS kopecks, round(total * 100 - sum(trunc(f.exact)) OVER ()) AS rest, row_number() OVER (ORDER BY f.exact - trunc(f.exact) DESC, f.n) AS turn
              FROM (SELECT w.n, total * 100 * w.weight / whole AS exact FROM few(weights) WITH ORDINALITY w (weight, n)) f) p);
END $$;
COMMENT ON FUNCTION spread_kopecks(numeric, numeric[]) IS 'A sum spread by weights in whole kopecks: rounded down, and one kopeck more to those that rounding has cut the most, then in their order';

CREATE FUNCTION composed_lines(orders order_key[]) RETURNS TABLE (account text, order_id bigint, line_no integer, sku text, name text,
        quantity numeric, price numeric, discount numeric, sum numeric, kopecks numeric, places bigint, place bigint, kit_wrong boolean)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF NOT EXISTS (SELECT FROM account a WHERE a.kits = 'explode' OR a.delivery_line <> 'none') THEN
        RETURN QUERY SELECT l.*, l.line_no::bigint, false FROM priced_lines(orders) l;
        RETURN;
    END IF;
    RETURN QUERY
    WITH line AS MATERIALIZED (
        SELECT l.*, CASE WHEN a.kits = 'explode' AND c.is_kit AND l.sum >= 0 AND l.quantity > 0 THEN coalesce(kit_of(c), '[]') END AS kit
        FROM priced_lines(orders) l
        JOIN crm_order_line c ON c.account = l.account AND c.order_id = l.order_id AND c.line_no = l.line_no
        JOIN account a ON a.name = l.account
    ), kit AS MATERIALIZED (
        SELECT l.account, l.order_id, l.line_no, k.readable, k.skus, k.names, k.counts, spread_kopecks(l.sum, k.weights) AS sums,
               CASE WHEN l.discount <> 0 THEN spread_kopecks(round(l.price * l.quantity, 2), k.weights) ELSE spread_kopecks(l.sum, k.weights) END AS grosses
        FROM line l
        CROSS JOIN LATERAL (
            SELECT count(*) > 0 AND bool_and(coalesce(p.count, 0) > 0) AS readable, array_agg(p.sku ORDER BY p.part_no) AS skus, array_agg(p.name ORDER BY p.part_no) AS names,
                   array_agg(p.count ORDER BY p.part_no) AS counts,
                   CASE WHEN bool_and(coalesce(p.price, -1) >= 0) AND sum(p.price * p.count) > 0 THEN array_agg(p.price * p.count ORDER BY p.part_no) ELSE array_agg(p.count ORDER BY p.part_no) END AS weights
            FROM kit_parts(l.kit) p) k
        WHERE l.kit IS NOT NULL AND k.readable
    ), row_of AS (
        SELECT l.account, l.order_id, l.line_no, 0 AS part, l.sku, l.name, l.quantity, l.price, l.discount, l.sum, l.kopecks, l.places, l.kit IS NOT NULL AS kit_wrong
        FROM line l WHERE NOT EXISTS (SELECT FROM kit k WHERE k.order_id = l.order_id AND k.account = l.account AND k.line_no = l.line_no)
        UNION ALL
        SELECT l.account, l.order_id, l.line_no, p.n::integer, p.sku, p.name, l.quantity * p.count, u.price,
               CASE WHEN l.discount <> 0 AND u.price > 0 THEN round(100 * (u.price * l.quantity * p.count - p.sum) / (u.price * l.quantity * p.count), 2) ELSE 0 END, p.sum, l.kopecks, l.places, false
        FROM kit k JOIN line l ON l.order_id = k.order_id AND l.account = k.account AND l.line_no = k.line_no
        CROSS JOIN LATERAL ROWS FROM (few(k.skus), few(k.names), few(k.counts), few(k.sums), few(k.grosses)) WITH ORDINALITY p (sku, name, count, sum, gross, n)
        CROSS JOIN LATERAL (SELECT CASE WHEN l.discount <> 0 THEN ceil(100 * p.gross / (l.quantity * p.count)) / 100 ELSE round(p.gross / (l.quantity * p.count), 2) END AS price) u
        UNION ALL
        SELECT o.account, o.order_id, 0, 0, a.delivery_sku, NULL, 1, round(o.shipping_costs, 2), CASE a.delivery_line WHEN 'charged' THEN 0 ELSE 100 END,
               CASE a.delivery_line WHEN 'charged' THEN round(o.shipping_costs, 2) ELSE 0 END, 0, 0, false
        FROM few(orders) k JOIN crm_order o ON o.account = k.account AND o.order_id = k.order_id JOIN account a ON a.name = k.account
        WHERE a.delivery_line <> 'none' AND round(o.shipping_costs, 2) > 0 AND o.line_count > 0
    )
    SELECT r.account, r.order_id, r.line_no, r.sku, r.name, r.quantity, r.price, r.discount, r.sum, r.kopecks, r.places,
           row_number() OVER (PARTITION BY r.account, r.order_id ORDER BY r.line_no = 0, r.line_no, r.part), r.kit_wrong
    FROM row_of r;
END $$;
COMMENT ON FUNCTION composed_lines(order_key[]) IS 'Lines of documents: those of the orders, kits in parts where the account wants it, and the line for delivery';

-- Settings: what the documents of an account carry in their header.

CREATE FUNCTION is_meant(wanted text, key text, code text, name text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN wanted IS NULL OR wanted IN (key, code, name) OR lower(wanted) = key;
COMMENT ON FUNCTION is_meant(text, text, text, text) IS 'Whether an element of a BAS dictionary is the one wanted: by Ref_Key, code or name; without a wish each is';

CREATE FUNCTION choice_problem(found bigint, wanted text, fallback_code text, fallback text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN found = 1 THEN NULL
                WHEN wanted IS NOT NULL THEN CASE WHEN found = 0 THEN 'is not in the base' ELSE 'is not unique in the base' END
                WHEN fallback_code IS NOT NULL THEN CASE WHEN fallback IS NULL THEN 'has no element with code ' || fallback_code END
                WHEN found = 0 THEN 'is empty' ELSE 'has several elements' END;
COMMENT ON FUNCTION choice_problem(bigint, text, text, text) IS 'Why so many elements that may be meant, and the one with the fallback code, do not say which; NULL when they do';

CREATE FUNCTION known_elements(infobase text, dictionary text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT string_agg(format('%s (%s)', d.name, coalesce(nullif(btrim(d.code), ''), d.key)), ', ' ORDER BY d.name)
            FROM dictionary_value d WHERE d.scope = known_elements.infobase AND d.side = 'bas' AND d.dictionary = known_elements.dictionary);
END $$;
COMMENT ON FUNCTION known_elements(text, text) IS 'Elements of a BAS dictionary, in words';

CREATE FUNCTION chosen_value(infobase text, dictionary text, wanted text, OUT ref uuid, OUT problem text, OUT candidates text) RETURNS record
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    found bigint;
    one   text;
BEGIN
    SELECT count(*) FILTER (WHERE is_meant(wanted, d.key, d.code, d.name)), min(d.key) FILTER (WHERE is_meant(wanted, d.key, d.code, d.name)) INTO found, one
    FROM dictionary_value d WHERE d.scope = infobase AND d.side = 'bas' AND d.dictionary = chosen_value.dictionary;
    problem := choice_problem(found, wanted, NULL, NULL);
    IF problem IS NULL THEN
        ref := one::uuid;
    ELSE
        candidates := known_elements(infobase, dictionary);
    END IF;
END $$;
COMMENT ON FUNCTION chosen_value(text, text, text) IS 'Element of a BAS dictionary by Ref_Key, code or name; without a wish the only one';

CREATE TYPE account_setting AS (
    account       text,
    infobase      text,
    profile       text,
    organisation  uuid,
    warehouse     uuid,
    currency      uuid,
    price_type    uuid,
    agreement     uuid,
    unread        text,
    wrong         text[],
    wrong_detail  text[],
    counterparty  uuid,
    shared_phone  text,
    creates       boolean,
    unknown_sku   text,
    by_characteristics boolean,
    identity      text,
    keeps_ref_key boolean,
    vat_included  boolean,
    time_zone     text
);
COMMENT ON TYPE account_setting IS 'Header values of an account; unread: a dictionary not read yet; wrong: settings that do not fit, with a sentence each';
COMMENT ON COLUMN account_setting.account IS 'Account';
COMMENT ON COLUMN account_setting.infobase IS 'Its infobase';
COMMENT ON COLUMN account_setting.profile IS 'Profile of the infobase';
COMMENT ON COLUMN account_setting.organisation IS 'Ref_Key of the organisation';
COMMENT ON COLUMN account_setting.warehouse IS 'Ref_Key of the warehouse';
COMMENT ON COLUMN account_setting.currency IS 'Ref_Key of the currency';
COMMENT ON COLUMN account_setting.price_type IS 'Ref_Key of the price type';
COMMENT ON COLUMN account_setting.agreement IS 'Ref_Key of the agreement';
COMMENT ON COLUMN account_setting.unread IS 'Dictionary that has not been read yet';
COMMENT ON COLUMN account_setting.wrong IS 'Settings that do not fit';
COMMENT ON COLUMN account_setting.wrong_detail IS 'Why each does not, in a sentence';
COMMENT ON COLUMN account_setting.counterparty IS 'Ref_Key of the one counterparty of all orders; NULL: by phone';
COMMENT ON COLUMN account_setting.shared_phone IS 'What is done where several counterparties have a phone';
COMMENT ON COLUMN account_setting.creates IS 'Whether counterparties are created';
COMMENT ON COLUMN account_setting.unknown_sku IS 'What is done with an SKU that the base does not have';
COMMENT ON COLUMN account_setting.by_characteristics IS 'Whether products kept by characteristics need one';
COMMENT ON COLUMN account_setting.identity IS 'Identity of the account';
COMMENT ON COLUMN account_setting.keeps_ref_key IS 'Whether the base keeps our Ref_Key; NULL: not known yet';
COMMENT ON COLUMN account_setting.vat_included IS 'Whether prices contain VAT';
COMMENT ON COLUMN account_setting.time_zone IS 'Time zone of the account';

CREATE FUNCTION profile_problem(infobase text, profile text, by_phone boolean) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    gaps text[] := profile_gaps(profile, by_phone);
BEGIN
    IF gaps = '{}' THEN
        RETURN NULL;
    END IF;
    RETURN CASE WHEN EXISTS (SELECT FROM profile_effective p WHERE p.name = profile) THEN format('Profile "%s" of infobase "%s" does not say what these are called: %s.', profile, infobase, array_to_string(gaps, ', '))
                ELSE format('There is no profile "%s", which infobase "%s" is to have, or it is switched off.', profile, infobase) END;
END $$;
COMMENT ON FUNCTION profile_problem(text, text, boolean) IS 'Why the profile of an infobase does not do for orders, in a sentence; NULL when it does';

CREATE FUNCTION setting_detail(infobase text, dictionary text, wanted text, problem text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    known text := known_elements(infobase, dictionary);
BEGIN
    RETURN CASE WHEN wanted IS NULL THEN format('The list of %s of infobase "%s" %s%s.', dictionary, infobase, problem, coalesce(': ' || known, ''))
                ELSE format('account.%s is "%s", which %s "%s" (there: %s).', dictionary, wanted, problem, infobase, coalesce(known, 'nothing')) END;
END $$;
COMMENT ON FUNCTION setting_detail(text, text, text, text) IS 'Why a setting of an account, or the lack of it, does not name an element of the base, in a sentence';

CREATE FUNCTION account_settings(accounts text[]) RETURNS account_setting[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN ARRAY(
    SELECT (a.name, a.infobase, i.profile, d.refs[1], d.refs[3], d.refs[2], d.refs[4], d.refs[5],
           CASE WHEN metadata_wanted(a.infobase) THEN 'metadata' ELSE d.unread END,
           CASE WHEN p.problem IS NULL THEN d.settings ELSE array_prepend('profile', d.settings) END, CASE WHEN p.problem IS NULL THEN d.details ELSE array_prepend(p.problem, d.details) END,
           CASE a.counterparty_mode WHEN 'fixed' THEN a.fixed_counterparty END, a.shared_phone, a.create_counterparties,
           a.unknown_sku, a.characteristics = 'required', a.identity, i.keeps_ref_key, a.vat_included, a.time_zone)::account_setting
    FROM account a
    JOIN infobase i ON i.name = a.infobase
    CROSS JOIN LATERAL (SELECT profile_problem(i.name, i.profile, a.counterparty_mode = 'phone') AS problem OFFSET 0) p
    CROSS JOIN LATERAL (    -- as chosen_value() does, all at once; without a wish, of several currencies the one with the code counts
        SELECT array_agg(CASE WHEN w.problem IS NULL THEN CASE WHEN f.found = 1 THEN f.one ELSE f.fallback END END::uuid ORDER BY s.n) AS refs,
               (array_agg(s.dictionary ORDER BY s.n) FILTER (WHERE r.entity_set IS NOT NULL AND l.dictionary IS NULL))[1] AS unread,
               array_agg(s.dictionary ORDER BY s.n) FILTER (WHERE w.wrong) AS settings,
               array_agg(setting_detail(a.infobase, s.dictionary, s.wanted, w.problem) ORDER BY s.n) FILTER (WHERE w.wrong) AS details
        FROM (VALUES (1, 'organisation', a.organisation, true, NULL), (2, 'currency', a.currency, true, '980'), (3, 'warehouse', a.warehouse, false, NULL), (4, 'price_type', a.price_type, false, NULL),
                     (5, 'agreement', a.agreement, false, NULL), (6, 'vat_rate', NULL, false, NULL)) s (n, dictionary, wanted, needed, code)
        LEFT JOIN profile_resolved r ON r.profile = i.profile AND r.entity = s.dictionary
        LEFT JOIN dictionary_load l ON l.infobase = a.infobase AND l.dictionary = s.dictionary
        CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE is_meant(s.wanted, d.key, d.code, d.name)) AS found, min(d.key) FILTER (WHERE is_meant(s.wanted, d.key, d.code, d.name)) AS one,
                                   min(d.key) FILTER (WHERE btrim(d.code) = s.code) AS fallback
                            FROM dictionary_value d WHERE d.scope = a.infobase AND d.side = 'bas' AND d.dictionary = s.dictionary AND s.n < 6) f
        CROSS JOIN LATERAL (SELECT p.problem, p.problem IS NOT NULL AND r.entity_set IS NOT NULL AND (s.needed OR s.wanted IS NOT NULL) AS wrong
                            FROM (SELECT choice_problem(f.found, s.wanted, s.code, f.fallback) AS problem OFFSET 0) p) w) d
    WHERE a.name = ANY (accounts));
END $$;
COMMENT ON FUNCTION account_settings(text[]) IS 'What the headers of an account''s documents carry: the account''s settings, else the only element of the base; warehouse, price type and agreement may stay empty';

-- Lines, with their goods.

CREATE FUNCTION stand_in(account text, order_id bigint, sku text, name text, fresh timestamptz) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    a        account;
    template text;
BEGIN
    SELECT * INTO a FROM account c WHERE c.name = stand_in.account;
    IF sku IS NOT NULL AND NOT EXISTS (SELECT FROM bas_product q LEFT JOIN product_pin h ON h.infobase = q.infobase AND h.sku = q.sku
                                       WHERE q.infobase = a.infobase AND q.sku = stand_in.sku AND q.state = 'absent' AND q.checked_at >= fresh AND q.pinned IS NOT DISTINCT FROM h.product) THEN
        RETURN sku;
    ELSIF a.unknown_sku = 'substitute' THEN
        RETURN a.substitute_sku;
    END IF;
    template := product_template(a, order_id, sku, name);
    RETURN CASE WHEN EXISTS (SELECT FROM bas_product q LEFT JOIN product_pin h ON h.infobase = q.infobase AND h.sku = q.sku
                             WHERE q.infobase = a.infobase AND q.sku = template AND q.state = 'found' AND q.pinned IS NOT DISTINCT FROM h.product) THEN sku
                WHEN sku IS NOT NULL THEN template END;
END $$;
COMMENT ON FUNCTION stand_in(text, bigint, text, text, timestamptz) IS 'SKU whose product a line takes where account.unknown_sku is not park: its own while that is not known to be absent, else the substitute; one that is to be made waits for its template';

CREATE FUNCTION is_to_be_made(account text, profile text, order_id bigint, sku text, name text) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN length(sku) <= coalesce(max_length(profile, 'product', 'article'), 150)
           AND sku <> (SELECT product_template(a, is_to_be_made.order_id, is_to_be_made.sku, is_to_be_made.name) FROM account a WHERE a.name = is_to_be_made.account);
END $$;
COMMENT ON FUNCTION is_to_be_made(text, text, bigint, text, text) IS 'Whether a product can be made for an SKU: it fits, and is no template itself';

CREATE FUNCTION document_lines(orders order_key[], settings account_setting[]) RETURNS document_line[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    fresh timestamptz := clock() - interval '10 min';
BEGIN
    RETURN ARRAY(
    SELECT (l.account, l.order_id, l.line_no, s.sku, l.name, l.quantity, l.price, l.discount, l.sum, l.kopecks, l.places,
           CASE WHEN l.kit_wrong THEN 'kit'
                WHEN s.sku IS NULL THEN 'no_sku'
                WHEN p.sku IS NULL OR p.pinned IS DISTINCT FROM pin.product OR p.state <> 'found' AND p.checked_at < fresh THEN 'ask'
                WHEN p.state = 'absent' AND t.unknown_sku = 'create' AND s.sku = l.sku AND p.pinned IS NULL AND p.candidates IS NULL AND is_to_be_made(t.account, t.profile, l.order_id, l.sku, l.name) THEN 'create'
                WHEN p.state <> 'found' THEN p.state
                WHEN t.by_characteristics AND p.uses_characteristics IS NULL THEN 'ask'
                WHEN section.names ? 'unit' AND u.unit IS NULL
                     OR units.infobase IS NOT NULL AND NOT EXISTS (SELECT FROM dictionary_value d WHERE d.scope = t.infobase AND d.side = 'bas' AND d.dictionary = 'unit' AND d.key = u.unit::text) THEN 'no_unit'
                WHEN p.vat_rate IS NOT NULL AND v.key IS NULL AND (rate.fixed ? p.vat_rate) IS NOT TRUE THEN 'no_vat'
                WHEN t.by_characteristics AND p.uses_characteristics AND pin.characteristic IS NULL THEN 'no_characteristic'
                ELSE 'ok' END,
           coalesce(pin.product, p.ref_key), pin.characteristic, u.unit, p.is_stock, p.vat_rate,
           CASE WHEN v.key IS NULL THEN json_numeric(rate.fixed -> p.vat_rate) ELSE coalesce(json_numeric(v.attributes -> (rates.names ->> 'rate')), 0) END, l.place,
           CASE WHEN t.unknown_sku = 'substitute' AND s.sku IS DISTINCT FROM l.sku THEN concat_ws(', ', l.sku, l.name) END)::document_line
    FROM few(settings) t
    LEFT JOIN profile_resolved section ON section.profile = t.profile AND section.entity = 'order_line'
    LEFT JOIN profile_resolved rates ON rates.profile = t.profile AND rates.entity = 'vat_rate'
    LEFT JOIN profile_resolved rate ON rate.profile = t.profile AND rate.entity = 'vat_value'
    LEFT JOIN dictionary_load units ON units.infobase = t.infobase AND units.dictionary = 'unit'
    JOIN composed_lines(orders) l ON l.account = t.account
    CROSS JOIN LATERAL (SELECT CASE WHEN t.unknown_sku = 'park' THEN l.sku ELSE stand_in(t.account, l.order_id, l.sku, l.name, fresh) END AS sku OFFSET 0) s    -- OFFSET 0: once for each line
    LEFT JOIN product_pin pin ON pin.infobase = t.infobase AND pin.sku = s.sku
    LEFT JOIN bas_product p ON p.infobase = t.infobase AND p.sku = s.sku
    LEFT JOIN dictionary_value v ON v.scope = t.infobase AND v.side = 'bas' AND v.dictionary = 'vat_rate' AND v.key = p.vat_rate
    CROSS JOIN LATERAL (SELECT coalesce(pin.unit, p.unit) AS unit) u);
END $$;
COMMENT ON FUNCTION document_lines(order_key[], account_setting[]) IS 'Lines with their money and goods; the pin of an SKU wins over the search by article; what was not found is asked again after 10 minutes';

-- Obstacles: what keeps an order from becoming a document. Every rule gives only the orders it stops.

CREATE TYPE obstacle AS (
    account    text,
    order_id   bigint,
    rank       integer,
    reason     text,
    detail     text,
    hint       text,
    blocked_on text,
    waits      boolean
);
COMMENT ON TYPE obstacle IS 'Why an order cannot go on: the lowest rank counts first; waits: it clears up by itself, else the user must act';
COMMENT ON COLUMN obstacle.account IS 'Account';
COMMENT ON COLUMN obstacle.order_id IS 'Order number';
COMMENT ON COLUMN obstacle.rank IS 'The lowest counts first';
COMMENT ON COLUMN obstacle.reason IS 'Code';
COMMENT ON COLUMN obstacle.detail IS 'Sentence';
COMMENT ON COLUMN obstacle.hint IS 'What to do';
COMMENT ON COLUMN obstacle.blocked_on IS 'Row or task it waits for, as kind:scope:key';
COMMENT ON COLUMN obstacle.waits IS 'It clears up by itself; else the user must act';

CREATE FUNCTION is_proper(quantity numeric, price numeric, discount numeric, sum numeric) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (quantity > 0 AND quantity = round(quantity, 3) AND quantity < 1e12 AND price >= 0 AND price < 1e12 AND discount >= 0 AND coalesce(sum >= 0 AND sum < 1e12, true)) IS TRUE;
COMMENT ON FUNCTION is_proper(numeric, numeric, numeric, numeric) IS 'Whether the figures of a line can stand in a document: BAS cuts what is too large for it and says nothing';

CREATE FUNCTION obstacles_money(orders order_key[], lines document_line[]) RETURNS obstacle[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF (SELECT count(*) FILTER (WHERE l.place = 1) = cardinality(orders) AND sum(l.sum) < 1e12 AND bool_and((is_proper(l.quantity, l.price, l.discount, l.sum) AND abs(l.kopecks) <= l.places AND l.kopecks = trunc(l.kopecks) AND l.sum IS NOT NULL) IS TRUE)
        FROM few(lines) l) THEN
        RETURN NULL;    -- each has lines, and all of these are right
    END IF;
    RETURN ARRAY(
    WITH s AS MATERIALIZED (
        SELECT l.account, l.order_id,
               (array_agg(l.line_no ORDER BY l.line_no) FILTER (WHERE b.bad))[1] AS bad, (array_agg(l.quantity ORDER BY l.line_no) FILTER (WHERE b.bad))[1] AS quantity,
               (array_agg(l.price ORDER BY l.line_no) FILTER (WHERE b.bad))[1] AS price, (array_agg(l.discount ORDER BY l.line_no) FILTER (WHERE b.bad))[1] AS discount,
               sum(l.sum) FILTER (WHERE l.line_no > 0) AS total, bool_and((l.sum IS NOT NULL AND abs(l.kopecks) <= l.places AND l.kopecks = trunc(l.kopecks)) IS TRUE) AS fits
        FROM few(lines) l
        JOIN (SELECT w.account, w.order_id, sum(w.sum) AS sum FROM few(lines) w GROUP BY 1, 2) whole ON whole.order_id = l.order_id AND whole.account = l.account
        CROSS JOIN LATERAL (SELECT NOT is_proper(l.quantity, l.price, l.discount, l.sum) OR whole.sum >= 1e12 AS bad) b
        GROUP BY l.account, l.order_id
    )
    SELECT (o.account, o.order_id, 10,
           CASE WHEN s.bad IS NOT NULL THEN 'line' WHEN o.line_count = 0 THEN 'no_lines' ELSE 'sum' END,
           CASE WHEN s.bad IS NOT NULL THEN format('Line %s has quantity %s, price %s, discount %s.', s.bad, coalesce(s.quantity::text, 'not a number'),
                       coalesce(s.price::text, 'not a number'), coalesce(s.discount::text, 'not a number'))
                WHEN o.line_count = 0 THEN 'The order has no lines.'
                WHEN o.payment_amount IS NULL THEN format('paymentAmount is not a number; the lines add up to %s.', s.total)
                ELSE format('The lines add up to %s, paymentAmount is %s: %s too %s.', to_char(s.total, 'FM999999999990.00'), o.payment_amount, abs(o.payment_amount - s.total),
                       CASE WHEN s.total > o.payment_amount THEN 'much' ELSE 'little' END) END,
           CASE WHEN s.bad IS NOT NULL THEN 'Correct the line in SalesDrive (quantity above 0 with at most 3 decimals, price and discount not negative, all lines together below 1 000 000 000 000); the new version goes on by itself. Or skip() the order.'
                WHEN o.line_count = 0 THEN 'Add goods to the order in SalesDrive, or skip() it.'
                ELSE 'Correct the order in SalesDrive: the new version goes on by itself. If discounts in money are meant for each unit, set account.money_discount to ''unit''. Or skip() the order.' END,
           CASE WHEN s.bad IS NULL AND o.line_count > 0 THEN format('account:%s:', o.account) END, false)::obstacle
    FROM few(orders) k
    JOIN crm_order o ON o.account = k.account AND o.order_id = k.order_id
    LEFT JOIN s ON s.order_id = o.order_id AND s.account = o.account
    WHERE o.line_count = 0 OR s.bad IS NOT NULL OR s.fits IS NOT TRUE);
END $$;
COMMENT ON FUNCTION obstacles_money(order_key[], document_line[]) IS 'Orders whose lines are no proper numbers or do not add up to paymentAmount';

CREATE FUNCTION profile_hint(infobase text, profile text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN format('Add rows of origin user for profile %L to salesdrive.profile_entity and salesdrive.profile_property (SELECT * FROM salesdrive.profile_reference WHERE profile = ''unf'' shows an example), or UPDATE salesdrive.infobase SET profile = ''…'' WHERE name = %L; its orders go on by themselves.', profile, infobase);
COMMENT ON FUNCTION profile_hint(text, text) IS 'What to do where a profile is not there or not complete';

CREATE FUNCTION obstacles_settings(orders order_key[], settings account_setting[], vals order_value[]) RETURNS obstacle[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM few(settings) s WHERE s.unread IS NOT NULL OR s.wrong IS NOT NULL) THEN
        RETURN NULL;
    END IF;
    RETURN ARRAY(
    SELECT (k.account, k.order_id, 20, CASE WHEN m.id IS NOT NULL THEN 'metadata' WHEN s.unread IS NOT NULL THEN 'dictionary' ELSE 'setting' END,
           CASE WHEN m.id IS NOT NULL THEN m.detail
                WHEN s.unread = 'metadata' THEN format('The $metadata of infobase "%s" is being read: it tells which variant of profile %s it is.', s.infobase, s.profile)
                WHEN s.unread IS NOT NULL THEN format('The list of %s is being read from infobase "%s".', s.unread, s.infobase) ELSE w.detail END,
           CASE WHEN m.id IS NOT NULL THEN m.hint || ' Or name the variant yourself, in infobase.profile.'
                WHEN s.unread IS NULL AND w.setting = 'profile' THEN profile_hint(s.infobase, s.profile)
                WHEN s.unread IS NULL THEN format('UPDATE salesdrive.account SET %s = ''name, code or Ref_Key'' WHERE name = %L; the order goes on by itself.', w.setting, s.account) END,
           CASE WHEN s.unread = 'metadata' THEN format('metadata:%s:$metadata', s.infobase)
                WHEN s.unread IS NOT NULL THEN format('dictionary:%s:%s', s.infobase, s.unread)
                WHEN w.setting = 'profile' THEN format('profile:%s:', s.infobase)
                ELSE coalesce(value_cause(k.account, k.order_id, w.setting), format('account:%s:', s.account)) END,    -- a row of value_map would do, too
           s.unread IS NOT NULL AND m.id IS NULL)::obstacle
    FROM few(orders) k JOIN few(settings) s ON s.account = k.account
    LEFT JOIN task m ON s.unread = 'metadata' AND m.scope = s.infobase AND m.kind = 'metadata' AND m.key = '$metadata' AND m.state = 'parked'
    LEFT JOIN LATERAL (
        SELECT x.setting, x.detail FROM ROWS FROM (few(s.wrong), few(s.wrong_detail)) WITH ORDINALITY x (setting, detail, n)
        WHERE NOT EXISTS (SELECT FROM few(vals) v WHERE v.order_id = k.order_id AND v.account = k.account AND v.dictionary = x.setting AND v.mapped) ORDER BY x.n LIMIT 1) w ON true
    WHERE s.unread IS NOT NULL OR w.setting IS NOT NULL);
END $$;
COMMENT ON FUNCTION obstacles_settings(order_key[], account_setting[], order_value[]) IS 'Orders whose header lacks a value: dictionary not read yet, setting missing or wrong and not replaced by value_map';

CREATE FUNCTION obstacles_goods(lines document_line[], settings account_setting[]) RETURNS obstacle[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM few(lines) l WHERE l.goods <> 'ok') THEN
        RETURN NULL;
    END IF;
    RETURN ARRAY(
    SELECT DISTINCT ON (l.account, l.order_id, l.goods = 'ask') (l.account, l.order_id, CASE l.goods WHEN 'ask' THEN 35 ELSE 40 END,
           CASE l.goods WHEN 'ask' THEN 'ask' WHEN 'create' THEN CASE WHEN t.state = 'parked' THEN t.reason ELSE 'product' END WHEN 'absent' THEN 'product_unknown' WHEN 'several' THEN 'product_several' WHEN 'no_sku' THEN 'product_no_sku'
                        WHEN 'no_unit' THEN 'product_unit' WHEN 'no_characteristic' THEN 'product_characteristic' WHEN 'kit' THEN 'kit' ELSE 'product_vat' END,
           CASE l.goods WHEN 'ask' THEN NULL ELSE format('%s, %s%s: ', CASE l.line_no WHEN 0 THEN 'The line for delivery' ELSE 'Line ' || l.line_no END, coalesce('SKU "' || l.sku || '", ', ''), coalesce('"' || l.name || '"', 'no name'))
           || CASE l.goods WHEN 'create' THEN CASE WHEN t.state = 'parked' THEN t.detail ELSE format('the product is being made in infobase "%s".', s.infobase) END
                           WHEN 'absent' THEN CASE WHEN p.pinned IS NOT NULL THEN format('it is pinned to product %s, which infobase "%s" does not have, or only marked for deletion or as a folder.', p.pinned, s.infobase) ELSE format('infobase "%s" has no product with this article%s.', s.infobase,
                                coalesce(' (only: ' || (SELECT string_agg(c ->> 'name', ', ') FROM jsonb_array_elements(p.candidates) c) || ', marked for deletion or a folder)', '')) END
                           WHEN 'several' THEN format('infobase "%s" has several products with this article: %s.', s.infobase,
                                (SELECT string_agg(format('%s (%s)', c ->> 'name', c ->> 'ref_key'), ', ') FROM jsonb_array_elements(p.candidates) c))
                           WHEN 'no_sku' THEN 'the line has no SKU.'
                           WHEN 'no_unit' THEN CASE WHEN l.unit IS NULL THEN 'the product has no unit in BAS.'
                                                    ELSE format('its unit %s is not in the list of units of infobase "%s".', l.unit, s.infobase) END
                           WHEN 'no_characteristic' THEN 'the product is kept by characteristics, and no pin says which one is meant.'
                           WHEN 'kit' THEN 'it is a kit, and its parts cannot be read: each needs a count above 0.'
                           ELSE 'the VAT rate of the product is not in the list of rates.' END END,
           CASE l.goods WHEN 'ask' THEN NULL
                        WHEN 'create' THEN CASE WHEN t.state = 'parked' THEN t.hint END
                        WHEN 'absent' THEN CASE WHEN p.pinned IS NOT NULL THEN format('UPDATE salesdrive.product_pin SET product = ''its Ref_Key'' WHERE infobase = %L AND sku = %L; or DELETE the pin; the order goes on by itself.', s.infobase, l.sku) ELSE format('Create the product with this article in BAS and call resume(), or say which product is meant: INSERT INTO salesdrive.product_pin (infobase, sku, product) VALUES (%L, %L, ''its Ref_Key''); then the order goes on by itself. Keys of known goods: salesdrive.bas_product.', s.infobase, l.sku) END
                        WHEN 'several' THEN format('Say which one is meant: INSERT INTO salesdrive.product_pin (infobase, sku, product) VALUES (%L, %L, ''its Ref_Key''); then the order goes on by itself.', s.infobase, l.sku)
                        WHEN 'no_sku' THEN 'Give the product an SKU in SalesDrive, equal to the article in BAS; the new version goes on by itself.'
                        WHEN 'no_unit' THEN 'Set the unit of the product in BAS and call resume(), or set product_pin.unit to one of: SELECT key, name FROM salesdrive.dictionary_value WHERE dictionary = ''unit''.'
                        WHEN 'no_characteristic' THEN format('Say which one: UPDATE or INSERT INTO salesdrive.product_pin (infobase, sku, product, characteristic) VALUES (%L, %L, %L, ''its Ref_Key''); then the order goes on by itself. Or set account.characteristics to ''pinned''.', s.infobase, l.sku, l.product)
                        WHEN 'kit' THEN 'Have SalesDrive send the order again (a list of orders does not carry the parts), or set account.kits to ''keep'', or skip() the order.'
                        ELSE 'Call resume() to read the rates again.' END,
           CASE WHEN l.goods IN ('create', 'absent', 'several', 'no_unit', 'no_characteristic') THEN format('product:%s:%s', s.infobase, l.sku)
                WHEN l.goods IN ('kit', 'no_sku') THEN format('account:%s:', l.account)
                WHEN l.goods = 'no_vat' THEN format('dictionary:%s:vat_rate', s.infobase) END,
           l.goods = 'create' AND t.state IS DISTINCT FROM 'parked')::obstacle
    FROM few(lines) l JOIN few(settings) s ON s.account = l.account
    LEFT JOIN bas_product p ON p.infobase = s.infobase AND p.sku = l.sku
    LEFT JOIN task t ON l.goods = 'create' AND t.scope = s.infobase AND t.kind = 'product' AND t.key = l.sku
    WHERE l.goods <> 'ok'
    ORDER BY l.account, l.order_id, l.goods = 'ask', l.goods = 'create', l.place);    -- what people must do comes first
END $$;
COMMENT ON FUNCTION obstacles_goods(document_line[], account_setting[]) IS 'Orders with a line whose product is unknown, ambiguous or incomplete in BAS: the first such line; ask: with one that is to be searched for';

-- Which of several counterparties with a phone counts. Only when all of them have been read.
CREATE FUNCTION tie_broken(p bas_counterparty_phone, policy text) RETURNS uuid
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF policy = 'park' OR p.state IS DISTINCT FROM 'several' OR (p.candidates <@ p.alive) IS NOT TRUE THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT CASE policy WHEN 'oldest' THEN (array_agg(b.ref_key ORDER BY b.code COLLATE "C", b.ref_key))[1]
                               WHEN 'newest' THEN (array_agg(b.ref_key ORDER BY b.code COLLATE "C" DESC NULLS LAST, b.ref_key))[1]
                               WHEN 'ours' THEN CASE WHEN count(*) FILTER (WHERE b.created_by_us) = 1 THEN (array_agg(b.ref_key) FILTER (WHERE b.created_by_us))[1] END END
            FROM few(p.alive) c JOIN bas_counterparty b ON b.infobase = p.infobase AND b.ref_key = c);
END $$;
COMMENT ON FUNCTION tie_broken(bas_counterparty_phone, text) IS 'Counterparty that a policy of account.shared_phone takes among several; NULL: none';

CREATE FUNCTION shared_phone_detail(p bas_counterparty_phone) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN format(CASE WHEN cardinality(p.candidates) = 1 THEN 'The counterparty made for the phone in infobase "%s" (%s) is marked for deletion or hidden: %s.' ELSE 'Several counterparties of infobase "%s" have the phone %s: %s.' END, p.infobase, p.phone,
                  (SELECT string_agg(format('%s (%s)', coalesce(b.name, 'not shown'), c), ', ' ORDER BY b.name) FROM few(p.candidates) c LEFT JOIN bas_counterparty b ON b.infobase = p.infobase AND b.ref_key = c));
END $$;
COMMENT ON FUNCTION shared_phone_detail(bas_counterparty_phone) IS 'Why a phone does not say which counterparty is meant, in a sentence';

CREATE FUNCTION shared_phone_hint(p bas_counterparty_phone) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN format('Decide: UPDATE salesdrive.bas_counterparty_phone SET state = ''known'', ref_key = ''the Ref_Key meant'' WHERE infobase = %L AND phone = %L AND entity = %L; its orders go on by themselves. Or set account.shared_phone.', p.infobase, p.phone, p.entity);
COMMENT ON FUNCTION shared_phone_hint(bas_counterparty_phone) IS 'What to do then';

CREATE FUNCTION obstacles_customer(orders order_key[], settings account_setting[]) RETURNS obstacle[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    fresh   timestamptz := clock() - interval '10 min';
    unknown order_key[] := ARRAY(
        SELECT k FROM few(settings) s
        LEFT JOIN profile_resolved q ON q.profile = s.profile AND q.entity = 'partner'
        LEFT JOIN bas_counterparty b ON b.infobase = s.infobase AND b.ref_key = s.counterparty
        JOIN few(orders) k ON k.account = s.account
        JOIN crm_order o ON o.account = k.account AND o.order_id = k.order_id
        LEFT JOIN bas_counterparty_phone p ON p.infobase = s.infobase AND p.phone = o.phone AND p.entity = 'counterparty'
        WHERE CASE WHEN s.counterparty IS NOT NULL THEN b.alive IS NOT TRUE ELSE (p.state IS DISTINCT FROM 'known' OR q.entity_set IS NOT NULL AND p.partner IS NULL) AND tie_broken(p, s.shared_phone) IS NULL END);
BEGIN
    IF unknown = '{}' THEN
        RETURN NULL;
    END IF;
    RETURN ARRAY(
    SELECT (o.account, o.order_id, CASE w.why WHEN 'phone' THEN 30 ELSE 50 END, CASE WHEN w.why = 'counterparty' AND t.state = 'parked' THEN t.reason ELSE w.why END,
           CASE w.why WHEN 'phone' THEN format('No usable phone: %s.', coalesce('"' || left(o.phone_raw, 200) || '"', 'none given'))
                WHEN 'counterparty_several' THEN shared_phone_detail(p)
                WHEN 'counterparty_unknown' THEN format('Infobase "%s" has no counterparty with phone %s, and account.create_counterparties is off.', s.infobase, o.phone)
                ELSE CASE WHEN t.state = 'parked' THEN t.detail ELSE format('The counterparty with phone %s is being found or created in infobase "%s".', o.phone, s.infobase) END END,
           CASE w.why WHEN 'phone' THEN 'Correct the phone of the contact in SalesDrive; the new version goes on by itself.'
                WHEN 'counterparty_several' THEN shared_phone_hint(p)
                WHEN 'counterparty_unknown' THEN 'Create it in BAS and call resume(), or set account.create_counterparties.'
                ELSE CASE WHEN t.state = 'parked' THEN t.hint END END,
           CASE w.why WHEN 'phone' THEN format('account:%s:', o.account) ELSE format('counterparty:%s:%s', s.infobase, o.phone) END,
           w.why = 'counterparty' AND t.state IS DISTINCT FROM 'parked')::obstacle
    FROM few(unknown) k
    JOIN crm_order o ON o.account = k.account AND o.order_id = k.order_id
    JOIN few(settings) s ON s.account = k.account
    LEFT JOIN bas_counterparty_phone p ON p.infobase = s.infobase AND p.phone = o.phone AND p.entity = 'counterparty'
    LEFT JOIN task t ON t.scope = s.infobase AND t.kind = 'counterparty' AND t.key = o.phone
    CROSS JOIN LATERAL (
        SELECT CASE WHEN o.phone IS NULL THEN 'phone'
                    WHEN t.id IS NULL AND p.state = 'several' AND (p.candidates <@ p.alive OR p.alive IS NULL) THEN 'counterparty_several'
                    WHEN t.id IS NULL AND p.state = 'absent' AND NOT s.creates AND p.checked_at >= fresh THEN 'counterparty_unknown'
                    ELSE 'counterparty' END AS why) w
    WHERE s.counterparty IS NULL
    UNION ALL
    SELECT (k.account, k.order_id, 50, CASE WHEN b.alive = false AND b.read_at >= fresh THEN 'counterparty_fixed' ELSE 'counterparty' END,
           CASE WHEN b.alive = false AND b.read_at >= fresh THEN format('The counterparty of all orders of account "%s" (%s) is not in infobase "%s", is a folder, or is marked for deletion.', k.account, s.counterparty, s.infobase)
                ELSE format('The counterparty %s is being read from infobase "%s".', s.counterparty, s.infobase) END,
           CASE WHEN b.alive = false AND b.read_at >= fresh THEN format('UPDATE salesdrive.account SET fixed_counterparty = ''its Ref_Key'' WHERE name = %L; the order goes on by itself. After a change in BAS call resume().', k.account) END,
           format('fixed_counterparty:%s:%s', s.infobase, s.counterparty), (b.alive = false AND b.read_at >= fresh) IS NOT TRUE)::obstacle
    FROM few(unknown) k
    JOIN few(settings) s ON s.account = k.account
    LEFT JOIN bas_counterparty b ON b.infobase = s.infobase AND b.ref_key = s.counterparty
    WHERE s.counterparty IS NOT NULL);
END $$;
COMMENT ON FUNCTION obstacles_customer(order_key[], account_setting[]) IS 'Orders without a usable phone, or whose counterparty is not known yet, cannot be told, or is not to be created; or whose fixed counterparty has not been seen in the base';

-- The document.

CREATE FUNCTION customer_reference(identity text, order_id bigint, keeps_ref_key boolean) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN keeps_ref_key THEN order_id::text ELSE identity || '/' || order_id::text END;
COMMENT ON FUNCTION customer_reference(text, bigint, boolean) IS 'Plain order number once the base has proved that it keeps our Ref_Key, else the marker identity/number (at most 30 characters)';

-- The base is asked for documents that carry a text: an exact customer reference, or a comment with the marker in it.
CREATE FUNCTION marked_comment(marker text, comment text, max_length integer) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN left(marker || coalesce(': ' || nullif(btrim(comment), ''), ''), coalesce(max_length, 2147483647));
COMMENT ON FUNCTION marked_comment(text, text, integer) IS 'Comment of a document that has no place for a customer reference: the marker, then the comment of the order';

CREATE FUNCTION carries_marker(profile text, body jsonb, marker text) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    names jsonb := property_names(profile, 'order');
BEGIN
    RETURN CASE WHEN names ? 'customer_reference' THEN rtrim(body ->> (names ->> 'customer_reference')) = marker
                ELSE body ->> (names ->> 'comment') ~ ('(^|\s)' || regexp_replace(marker, '([^A-Za-z0-9/])', '\\\1', 'g') || '(:|\s|$)') END;
END $$;
COMMENT ON FUNCTION carries_marker(text, jsonb, text) IS 'Whether a document carries exactly this marker';

CREATE FUNCTION line_vat(sum numeric, rate numeric, included boolean) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN coalesce(rate, 0) = 0 THEN 0 WHEN included THEN round(sum * rate / (100 + rate), 2) ELSE round(sum * rate / 100, 2) END;
COMMENT ON FUNCTION line_vat(numeric, numeric, boolean) IS 'VAT of a sum: the part contained in it, or the part on top of it';

CREATE FUNCTION order_documents(orders order_key[], lines document_line[], settings account_setting[], vals order_value[], fields order_fields[]) RETURNS TABLE (account text, order_id bigint, document jsonb)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT o.account, o.order_id,
           named_object(header.fixed, n.names,
               CASE WHEN f.header IS NOT NULL THEN f.header - ARRAY[coalesce(section.entity_set, ''), coalesce(n.names ->> 'customer_reference', ''),    -- by it documents are found again
                    CASE WHEN n.names ? 'customer_reference' AND f.notes IS NULL THEN '' ELSE coalesce(n.names ->> 'comment', '') END] END,    -- the marker, or attributes, stand in it
               'date', to_char(coalesce(o.order_time, o.update_at, o.received_at AT TIME ZONE s.time_zone), 'YYYY-MM-DD"T"HH24:MI:SS'), 'total', r.total,
               'comment', left(concat_ws(E'\n', nullif(CASE WHEN n.names ? 'customer_reference' THEN m.text ELSE marked_comment(customer_reference(s.identity, o.order_id, false), m.text, NULL) END, ''), f.notes), coalesce((header.max_lengths ->> 'comment')::integer, 2147483647)),
               'partner', CASE WHEN u.by_phone THEN nullif(p.partner, '00000000-0000-0000-0000-000000000000') ELSE fc.partner END, 'contract', CASE WHEN u.by_phone THEN p.contract ELSE fc.contract END,
               'currency', s.currency, 'agreement', s.agreement,
               'warehouse', CASE WHEN v.given ? 'warehouse' THEN v.given ->> 'warehouse' ELSE s.warehouse::text END,
               'price_type', CASE WHEN v.given ? 'price_type' THEN v.given ->> 'price_type' ELSE s.price_type::text END, 'counterparty', u.ref,
               'organisation', CASE WHEN v.given ? 'organisation' THEN v.given ->> 'organisation' ELSE s.organisation::text END, 'vat_included', s.vat_included,
               'customer_reference', coalesce(y.customer_reference, customer_reference(s.identity, o.order_id, s.keeps_ref_key)), 'lines', coalesce(r.rows, '{}'))
    FROM few(settings) s
    LEFT JOIN profile_resolved header ON header.profile = s.profile AND header.entity = 'order'
    LEFT JOIN profile_resolved section ON section.profile = s.profile AND section.entity = 'order_line'
    LEFT JOIN profile_resolved good ON good.profile = s.profile AND good.entity = 'product'
    CROSS JOIN LATERAL (SELECT CASE WHEN section.entity_set IS NULL THEN header.names ELSE header.names || jsonb_build_object('lines', section.entity_set) END AS names, good.constants ->> 'unit_set' AS unit_set OFFSET 0) n
    JOIN few(orders) k ON k.account = s.account
    JOIN crm_order o ON o.account = k.account AND o.order_id = k.order_id
    LEFT JOIN order_sync y ON y.account = k.account AND y.order_id = k.order_id
    LEFT JOIN header_values(vals) v ON v.order_id = o.order_id AND v.account = o.account
    LEFT JOIN few(fields) f ON f.order_id = o.order_id AND f.account = o.account
    CROSS JOIN LATERAL (SELECT CASE WHEN f.header ? (n.names ->> 'comment') THEN f.header ->> (n.names ->> 'comment') ELSE o.comment END AS text) m
    LEFT JOIN bas_counterparty_phone p ON p.infobase = s.infobase AND p.phone = o.phone AND p.entity = 'counterparty'
    CROSS JOIN LATERAL (SELECT s.counterparty IS NULL AND p.ref_key IS NOT NULL AS by_phone, coalesce(s.counterparty, p.ref_key, tie_broken(p, s.shared_phone)) AS ref OFFSET 0) u
    LEFT JOIN bas_counterparty fc ON NOT u.by_phone AND fc.infobase = s.infobase AND fc.ref_key = u.ref
    CROSS JOIN LATERAL (
        SELECT sum(w.total) AS total,
               array_agg(named_object(section.fixed, section.names, f.by_line -> l.line_no::text, 'sum', l.sum, 'unit', l.unit, 'packs', l.quantity, 'price', round(l.price, 2), 'total', w.total, 'content', l.content,
                    'line_no', l.place, 'product', l.product, 'vat_sum', w.vat, 'discount', l.discount, 'full_sum', l.sum + w.discount, 'is_stock', l.is_stock, 'quantity', l.quantity, 'vat_rate', l.vat_key,
                    'unit_type', n.unit_set, 'discount_sum', w.discount, 'characteristic', l.characteristic) ORDER BY l.place) AS rows
        FROM few(lines) l
        CROSS JOIN LATERAL (SELECT line_vat(l.sum, l.vat_rate, s.vat_included) AS vat OFFSET 0) v
        CROSS JOIN LATERAL (SELECT v.vat, greatest(round(l.price * l.quantity, 2) - l.sum, 0) AS discount, l.sum + CASE WHEN s.vat_included THEN 0 ELSE v.vat END AS total OFFSET 0) w
        WHERE l.order_id = o.order_id AND l.account = o.account) r;
END $$;
COMMENT ON FUNCTION order_documents(order_key[], document_line[], account_setting[], order_value[], order_fields[]) IS 'Documents the orders should be in BAS, in the names of its configuration, mapped fields over all others; without Ref_Key and additional attributes';
