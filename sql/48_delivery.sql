-- Purpose: parcels of an order, out of both shapes of delivery data and out of all its versions; and with them the order out of all its versions.
-- Rights: the engine's role.
--
-- Bodies are taken in the order of their versions. One with ord_delivery_data as a list says which parcels there are; one with only a block of a
-- carrier speaks of that carrier's parcel; one with neither says nothing. A key that is there and blank is a value removed; an absent one is kept.

CREATE FUNCTION carrier_name(name text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE regexp_replace(lower(btrim(name)), '[^a-z0-9]', '', 'g') WHEN 'novaposhta' THEN 'novaposhta' WHEN 'ukrposhta' THEN 'ukrposhta' WHEN 'meest' THEN 'meest'
                WHEN 'rozetka' THEN 'rozetka' WHEN 'rozetkadelivery' THEN 'rozetka' WHEN 'justin' THEN 'justin' ELSE left(folded_name(name), 63) END;
COMMENT ON FUNCTION carrier_name(text) IS 'Carrier in one spelling';

CREATE FUNCTION parcel_match(parcel jsonb, parcels jsonb, taken integer[]) RETURNS integer
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT o.n FROM jsonb_array_elements(parcels) WITH ORDINALITY o (p, n)
            WHERE o.n <> ALL (taken) AND o.p ->> 'carrier' = parcel ->> 'carrier'
              AND (o.p ->> 'ttn' = parcel ->> 'ttn' OR (o.p ->> 'ttn' IS NULL OR parcel ->> 'ttn' IS NULL) AND coalesce(o.p ->> 'entity' = parcel ->> 'entity', true))
            ORDER BY (o.p ->> 'ttn' = parcel ->> 'ttn') DESC NULLS LAST, (o.p ->> 'entity' = parcel ->> 'entity') DESC NULLS LAST, o.n LIMIT 1);
END $$;
COMMENT ON FUNCTION parcel_match(jsonb, jsonb, integer[]) IS 'Which of some parcels this one is: same carrier and TTN, else the first of the carrier that can be it; NULL: none';

CREATE FUNCTION tells_parcels(data jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN data ?| ARRAY['ord_delivery_data', 'ord_novaposhta', 'ord_ukrposhta', 'ord_meest', 'ord_rozetka', 'ord_rozetka_delivery', 'ord_justin'];
COMMENT ON FUNCTION tells_parcels(jsonb) IS 'Whether a body may say something of parcels: most do not';

CREATE FUNCTION body_parcels(data jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    -- what the keys of a row of ord_delivery_data, and of the block of a carrier, are called here
    row_keys   CONSTANT jsonb := '{"type": "service", "ukrposhtaType": "service", "trackingNumber": "ttn", "trackingNumberRef": "ttn_ref", "parentTrackingNumber": "parent_ttn", "status": "status", "statusCode": "status_code",
        "areaName": "area", "regionName": "district", "cityName": "city", "cityType": "city_type", "cityRef": "city_ref", "settlementRef": "settlement_ref", "branchNumber": "branch", "branchRef": "branch_ref",
        "address": "branch_name", "streetName": "street", "house": "house", "flat": "flat", "payer": "payer", "paymentMethod": "payment_method", "hasPostpay": "postpay", "backDelivery": "postpay", "postpaySum": "postpay_sum",
        "postpayPayer": "postpay_payer", "cost": "cost", "cargoType": "cargo_type", "senderId": "sender", "idEntity": "entity", "deliveryDateAndTime": "expected_at"}'::jsonb;
    block_keys CONSTANT jsonb := '{"EN": "ttn", "barcode": "ttn", "ttn": "ttn", "trackingNumber": "ttn", "ENref": "ttn_ref", "barcodeUuid": "ttn_ref", "status": "status", "statusCode": "status_code", "dateStatusUpdate": "status_at",
        "typeUkrPoshta": "service", "type": "service", "areaName": "area", "regionName": "district", "districtName": "district", "cityName": "city", "city": "city_ref", "settlementRef": "settlement_ref", "branch": "branch_ref",
        "branchNumber": "branch", "branchName": "branch_name", "streetName": "street", "house": "house", "flat": "flat", "note": "note", "payer": "payer", "paymentMethod": "payment_method", "backDelivery": "postpay",
        "hasPostpay": "postpay", "postpaySum": "postpay_sum", "backDeliverySum": "postpay_sum", "postpayPayer": "postpay_payer", "cost": "cost", "cargoType": "cargo_type", "senderId": "sender", "idEntity": "entity",
        "deliveryDateAndTime": "expected_at", "receiveDateTime": "received_at", "recipientDateTime": "received_at"}'::jsonb;
    ukr_keys   CONSTANT jsonb := block_keys || '{"regionName": "area", "branch": "branch"}';
    listed  boolean := coalesce(jsonb_typeof(data -> 'ord_delivery_data') IN ('array', 'object'), false);
    parcels jsonb;
    blocks  jsonb[];
    part    jsonb;
    n       integer;
    taken   integer[] := '{}';
BEGIN
    SELECT coalesce(jsonb_agg(p.part ORDER BY p.n) FILTER (WHERE NOT p.is_block), '[]'), coalesce(array_agg(p.part ORDER BY p.n) FILTER (WHERE p.is_block), '{}') INTO parcels, blocks
    FROM (SELECT s.n, s.is_block, (
              SELECT coalesce(jsonb_object_agg(k.target, v.value ORDER BY v.value IS NOT NULL, k.key = 'EN', k.key), '{}')    -- of several spellings of one thing a filled one
              FROM (SELECT e.key, e.value, s.keys ->> e.key AS target FROM jsonb_each(s.source) e OFFSET 0) k
              CROSS JOIN LATERAL (SELECT CASE k.target WHEN 'status_code' THEN nullif(json_text(k.value), '0')
                                                       WHEN 'postpay' THEN CASE WHEN k.key = 'backDelivery' THEN CASE WHEN json_text(k.value) NOT IN ('0', 'None') THEN '1' END ELSE json_text(k.value) END
                                                       ELSE left(json_text(k.value), 1000) END AS value) v
              WHERE k.target IS NOT NULL) || jsonb_build_object('carrier', s.carrier) AS part
          FROM (SELECT d.k AS n, false AS is_block, carrier_name(coalesce(json_text(d.e -> 'provider'), json_text(data -> 'ord_delivery'), 'unknown')) AS carrier, row_keys AS keys, d.e AS source
                FROM jsonb_array_elements(CASE WHEN listed THEN json_rows(data -> 'ord_delivery_data') ELSE '[]' END) WITH ORDINALITY d (e, k) WHERE jsonb_typeof(d.e) = 'object'
                UNION ALL
                SELECT b.n, true, b.carrier, CASE b.carrier WHEN 'ukrposhta' THEN ukr_keys ELSE block_keys END, data -> b.key
                FROM (VALUES (1, 'justin', 'ord_justin'), (2, 'meest', 'ord_meest'), (3, 'novaposhta', 'ord_novaposhta'), (4, 'rozetka', 'ord_rozetka'), (5, 'rozetka', 'ord_rozetka_delivery'), (6, 'ukrposhta', 'ord_ukrposhta')) b (n, carrier, key)
                WHERE jsonb_typeof(data -> b.key) = 'object') s OFFSET 0) p;
    FOREACH part IN ARRAY blocks LOOP
        n := CASE WHEN parcels <> '[]' THEN parcel_match(part, parcels, taken) END;
        IF n IS NULL AND parcels <> '[]' AND NOT part ? 'entity' THEN    -- the block of a carrier is its first parcel, whatever the list says of its TTN
            n := (SELECT o.n FROM jsonb_array_elements(parcels) WITH ORDINALITY o (p, n) WHERE o.n <> ALL (taken) AND o.p ->> 'carrier' = part ->> 'carrier' ORDER BY o.n LIMIT 1);
        END IF;
        IF n IS NOT NULL THEN    -- both speak of it at one time: a filled value before a blank one, the block before the list
            parcels := jsonb_set(parcels, ARRAY[(n - 1)::text], part || (parcels -> (n - 1)) || jsonb_strip_nulls(part));
            taken := taken || n;
        ELSIF coalesce(part ->> 'ttn', part ->> 'city', part ->> 'city_ref', part ->> 'branch', part ->> 'branch_ref', part ->> 'branch_name', part ->> 'street') IS NOT NULL OR NOT listed AND part <> jsonb_build_object('carrier', part -> 'carrier') THEN
            parcels := parcels || part;
        END IF;
    END LOOP;
    RETURN CASE WHEN listed THEN jsonb_build_object('all', parcels) WHEN parcels <> '[]' THEN jsonb_build_object('some', parcels) END;
END $$;
COMMENT ON FUNCTION body_parcels(jsonb) IS 'What one body says of parcels: {"all": rows} when it lists them, {"some": rows} when it speaks of some, NULL when of none';

CREATE FUNCTION parcels_after(before jsonb, data jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    said    jsonb;
    parcels jsonb;
    part    jsonb;
    n       integer;
    taken   integer[] := '{}';
BEGIN
    said := body_parcels(data);
    IF said IS NULL OR before IS NULL OR before = '[]' THEN
        RETURN coalesce(said -> 'all', said -> 'some', before);
    END IF;
    parcels := CASE WHEN said ? 'all' THEN '[]' ELSE before END;
    FOR part IN SELECT e FROM jsonb_array_elements(coalesce(said -> 'all', said -> 'some')) WITH ORDINALITY s (e, k) ORDER BY k LOOP
        n := parcel_match(part, before, taken);
        IF n IS NULL AND said ? 'some' AND part ->> 'ttn' IS NOT NULL THEN    -- a new TTN of the only parcel of this carrier
            n := (SELECT CASE WHEN count(*) = 1 THEN min(o.n) END FROM jsonb_array_elements(before) WITH ORDINALITY o (p, n) WHERE o.p ->> 'carrier' = part ->> 'carrier' AND o.n <> ALL (taken));
        END IF;
        IF n IS NOT NULL THEN
            taken := taken || n;
            part := (before -> (n - 1)) || part;
        END IF;
        parcels := CASE WHEN said ? 'all' OR n IS NULL THEN parcels || jsonb_build_array(part) ELSE jsonb_set(parcels, ARRAY[(n - 1)::text], part) END;
    END LOOP;
    RETURN parcels;
END $$;
COMMENT ON FUNCTION parcels_after(jsonb, jsonb) IS 'Parcels of an order after a further body';

CREATE FUNCTION parcels_shown(parcels jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT jsonb_agg(e || jsonb_build_object('parcel_no', n, 'address', nullif(concat_ws(', ',
                CASE WHEN e ->> 'city' <> e ->> 'area' THEN (e ->> 'area') || CASE WHEN e ->> 'area' ~* 'обл|крим|област' THEN '' ELSE ' обл.' END END,
                CASE WHEN e ->> 'city' LIKE coalesce(e ->> 'city_type', '') || '%' AND e ->> 'city_type' IS NOT NULL THEN e ->> 'city' ELSE nullif(concat_ws(' ', e ->> 'city_type', e ->> 'city'), '') END,
                coalesce(e ->> 'branch_name', CASE WHEN e ->> 'street' IS NULL THEN CASE e ->> 'carrier' WHEN 'ukrposhta' THEN e ->> 'branch' ELSE 'відділення №' || (e ->> 'branch') END END),
                e ->> 'street', e ->> 'house', 'кв. ' || (e ->> 'flat')), '')) ORDER BY n)
            FROM jsonb_array_elements(parcels) WITH ORDINALITY p (e, n));
END $$;
COMMENT ON FUNCTION parcels_shown(jsonb) IS 'Parcels with their number and their address in one line; NULL when there are none';

CREATE AGGREGATE order_parcels(jsonb) (SFUNC = parcels_after, STYPE = jsonb, FINALFUNC = parcels_shown);
COMMENT ON AGGREGATE order_parcels(jsonb) IS 'Parcels of an order from all its bodies, in the order of their versions';

CREATE FUNCTION delivery_rows(account text, order_id bigint, parcels jsonb) RETURNS SETOF crm_order_delivery
    LANGUAGE sql IMMUTABLE ROWS 1
BEGIN ATOMIC
    SELECT delivery_rows.account, delivery_rows.order_id, n::integer, e ->> 'carrier', e ->> 'service', e ->> 'ttn', e ->> 'ttn_ref', e ->> 'parent_ttn', e ->> 'status', e ->> 'status_code', json_time(e -> 'status_at'),
        e ->> 'area', e ->> 'district', e ->> 'city', e ->> 'city_type', e ->> 'city_ref', e ->> 'settlement_ref', e ->> 'branch', e ->> 'branch_name', e ->> 'branch_ref', e ->> 'street', e ->> 'house', e ->> 'flat', e ->> 'address', e ->> 'note',
        e ->> 'payer', e ->> 'payment_method', CASE WHEN e ? 'postpay' THEN json_flag(e -> 'postpay') END, json_numeric(e -> 'postpay_sum'), e ->> 'postpay_payer', json_numeric(e -> 'cost'), e ->> 'cargo_type', e ->> 'sender', e ->> 'entity',
        json_time(e -> 'expected_at'), json_time(e -> 'received_at')
    FROM jsonb_array_elements(parcels) WITH ORDINALITY p (e, n);
END;
COMMENT ON FUNCTION delivery_rows(text, bigint, jsonb) IS 'Parcels of an order as rows';

-- The innermost query sorts the versions once for all aggregates, and || takes the data out of its compression once for all that look into it.
CREATE FUNCTION merged_orders(orders order_key[]) RETURNS SETOF merged_order
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT k.account, k.order_id, m.version, m.times[m.deliveries], CASE WHEN m.parcels IS NOT NULL THEN m.data || jsonb_build_object('delivery', m.parcels) WHEN m.data ? 'delivery' THEN m.data - 'delivery' ELSE m.data END, m.deliveries, m.first_at, m.last_at
    FROM few(orders) k
    CROSS JOIN LATERAL (
        SELECT count(*) AS deliveries, min(v.received_at) AS first_at, max(v.received_at) AS last_at, max(v.version) AS version, array_agg(v.update_at) AS times,
               jsonb_merge(CASE WHEN v.outdated THEN v.data - 'primaryContact' ELSE v.data END) AS data, order_parcels(v.data) FILTER (WHERE tells_parcels(v.data)) AS parcels
        FROM (SELECT o.*, bool_or(o.data ? 'contacts') OVER (ORDER BY o.version, o.update_at NULLS FIRST GROUPS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS outdated
              FROM (SELECT c.version, c.update_at, c.data || '{}' AS data, c.received_at FROM crm_order_version c WHERE c.account = k.account AND c.order_id = k.order_id
                    ORDER BY c.version, c.update_at NULLS FIRST, c.hash) o) v
        HAVING count(*) > 0) m;
END;
COMMENT ON FUNCTION merged_orders(order_key[]) IS 'Orders made from all their versions: by (version, updateAt, hash), a present key over an absent one, later over earlier; a primaryContact falls away when contacts come later; key delivery holds the parcels in one form';
