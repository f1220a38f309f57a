-- Purpose: last lines of the install script: triggers that wake or validate, what a dump carries, rights, the launcher.
-- Rights: run by CREATE EXTENSION only.

DO $$
BEGIN
    IF current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'salesdrive needs a database in UTF8, this one is in %', current_setting('server_encoding')
            USING ERRCODE = '0A000', HINT = 'CREATE DATABASE … ENCODING ''UTF8'' TEMPLATE template0;';
    END IF;
END $$;

CREATE TRIGGER shipped_row BEFORE INSERT OR UPDATE OR DELETE ON profile FOR EACH ROW EXECUTE FUNCTION shipped_row_guard();
CREATE TRIGGER shipped_row BEFORE INSERT OR UPDATE OR DELETE ON profile_entity FOR EACH ROW EXECUTE FUNCTION shipped_row_guard();
CREATE TRIGGER shipped_row BEFORE INSERT OR UPDATE OR DELETE ON profile_property FOR EACH ROW EXECUTE FUNCTION shipped_row_guard();
SELECT resolve_profiles();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON profile FOR EACH STATEMENT EXECUTE FUNCTION profile_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON profile_entity FOR EACH STATEMENT EXECUTE FUNCTION profile_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON profile_property FOR EACH STATEMENT EXECUTE FUNCTION profile_changed();
CREATE TRIGGER shipped_row BEFORE INSERT OR UPDATE OR DELETE ON task_kind FOR EACH ROW EXECUTE FUNCTION shipped_row_guard();
CREATE TRIGGER shipped_row BEFORE INSERT OR UPDATE OR DELETE ON field_map FOR EACH ROW EXECUTE FUNCTION shipped_row_guard();
CREATE TRIGGER shipped_row BEFORE INSERT OR UPDATE OR DELETE ON cancel_rule FOR EACH ROW EXECUTE FUNCTION shipped_row_guard();

CREATE TRIGGER wake AFTER INSERT OR UPDATE ON task FOR EACH STATEMENT EXECUTE FUNCTION wake('exchanger');
CREATE TRIGGER wake AFTER INSERT ON wake_pending FOR EACH STATEMENT EXECUTE FUNCTION wake('exchanger');
CREATE TRIGGER wake AFTER INSERT ON inbox_pending FOR EACH STATEMENT EXECUTE FUNCTION wake('exchanger');
CREATE TRIGGER wake AFTER INSERT OR UPDATE OR DELETE ON infobase FOR EACH STATEMENT EXECUTE FUNCTION wake('settings');
CREATE TRIGGER wake AFTER INSERT OR UPDATE OR DELETE ON account FOR EACH STATEMENT EXECUTE FUNCTION wake('settings');
CREATE TRIGGER wake AFTER INSERT OR UPDATE OR DELETE ON account_api FOR EACH STATEMENT EXECUTE FUNCTION wake('exchanger');
CREATE TRIGGER wake AFTER INSERT OR UPDATE OR DELETE ON credential FOR EACH STATEMENT EXECUTE FUNCTION wake('settings');
CREATE TRIGGER wake AFTER INSERT OR UPDATE OR DELETE ON instance FOR EACH STATEMENT EXECUTE FUNCTION wake('settings');

CREATE TRIGGER touched BEFORE UPDATE ON product_pin FOR EACH ROW EXECUTE FUNCTION touched();

CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON product_pin FOR EACH ROW EXECUTE FUNCTION wake_waiting('product:%s:%s', 'infobase', 'sku');

-- A whole catalog comes as one cause for each page, which take_wakes() compares with what tasks wait for.
CREATE FUNCTION bas_product_known() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM wake_later(c.cause) FROM (
        SELECT CASE WHEN count(*) OVER (PARTITION BY n.infobase) > 50 THEN format('product:%s:*', n.infobase) ELSE format('product:%s:%s', n.infobase, n.sku) END
        FROM now_known n WHERE n.state = 'found') c (cause) GROUP BY c.cause;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION bas_product_known() IS 'Trigger: products became known, orders parked for them become due';
CREATE TRIGGER known AFTER INSERT ON bas_product REFERENCING NEW TABLE AS now_known FOR EACH STATEMENT EXECUTE FUNCTION bas_product_known();
CREATE TRIGGER known_again AFTER UPDATE ON bas_product REFERENCING NEW TABLE AS now_known FOR EACH STATEMENT EXECUTE FUNCTION bas_product_known();

CREATE FUNCTION bas_counterparty_phone_known() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM wake_later(format('%s:%s:%s', NEW.entity, NEW.infobase, NEW.phone));
    RETURN NULL;
END $$;
COMMENT ON FUNCTION bas_counterparty_phone_known() IS 'Trigger: a counterparty became known, orders waiting for it become due';
CREATE TRIGGER known AFTER INSERT OR UPDATE ON bas_counterparty_phone FOR EACH ROW WHEN (NEW.state = 'known') EXECUTE FUNCTION bas_counterparty_phone_known();

CREATE FUNCTION account_changed() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM wake_later(format('account:%s:', NEW.name));
    IF NEW.url <> OLD.url AND lower(NEW.url) ~ '^https?://[^/]+\.salesdrive\.me(:|/|$)' THEN    -- another one lets every account in
        PERFORM read_rejected(NEW.name, 'other_account');
    END IF;
    IF (NEW.documents, NEW.edit_policy, NEW.posting) IS DISTINCT FROM (OLD.documents, OLD.edit_policy, OLD.posting) THEN
        PERFORM wake_later(format('wanted:%s:', NEW.name));
    END IF;
    IF (NEW.counterparty_mode, NEW.fixed_counterparty, NEW.shared_phone, NEW.create_counterparties, NEW.kits, NEW.delivery_line, NEW.delivery_sku, NEW.unknown_sku, NEW.substitute_sku, NEW.template_sku, NEW.characteristics) IS DISTINCT FROM
       (OLD.counterparty_mode, OLD.fixed_counterparty, OLD.shared_phone, OLD.create_counterparties, OLD.kits, OLD.delivery_line, OLD.delivery_sku, OLD.unknown_sku, OLD.substitute_sku, OLD.template_sku, OLD.characteristics) THEN
        PERFORM wake_later(format('goods:%s:', NEW.name));
        PERFORM wake_later(format('profile:%s:', NEW.infobase));
    END IF;
    PERFORM wake_later(format('value:%s:%s/*', NEW.name, d)) FROM unnest(header_dictionaries()) d;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION account_changed() IS 'Trigger: a setting of an account changed, orders parked for it become due, and deliveries rejected for its address are read again';
CREATE TRIGGER changed AFTER UPDATE ON account FOR EACH ROW EXECUTE FUNCTION account_changed();

-- What was read under other names may mean something else now: it is read anew.
CREATE FUNCTION infobase_profile_changed() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    PERFORM require_profile(NEW.profile);
    DELETE FROM dictionary_load l WHERE l.infobase = NEW.name;
    DELETE FROM bas_product p WHERE p.infobase = NEW.name;
    DELETE FROM product_load l WHERE l.infobase = NEW.name;
    PERFORM forget_goods(NEW.name);
    UPDATE status_poll p SET seen_until = NULL, page_from = NULL, account = NULL WHERE p.infobase = NEW.name;
    DELETE FROM bas_state s WHERE s.infobase = NEW.name;
    PERFORM wake_later(format('profile:%s:', NEW.name));
    RETURN NULL;
END $$;
COMMENT ON FUNCTION infobase_profile_changed() IS 'Trigger: the profile of an infobase exists; lists and goods read under the names of another are forgotten';
CREATE TRIGGER profile_changed AFTER UPDATE OF profile ON infobase FOR EACH ROW WHEN (NEW.profile <> OLD.profile) EXECUTE FUNCTION infobase_profile_changed();

-- A trigger does what its function does, for those named in its arguments.
DO $$
DECLARE
    t record;
BEGIN
    FOR t IN SELECT g.tgname, g.tgrelid::regclass AS tab, obj_description(g.tgfoid, 'pg_proc') AS does, array_to_string(string_to_array(encode(g.tgargs, 'escape'), '\000'), ' ') AS arguments
             FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid WHERE c.relnamespace = 'salesdrive'::regnamespace AND NOT g.tgisinternal AND obj_description(g.oid, 'pg_trigger') IS NULL
    LOOP
        EXECUTE format('COMMENT ON TRIGGER %I ON %s IS %L', t.tgname, t.tab, CASE WHEN t.arguments = '' OR t.does LIKE 'Trigger (%' THEN t.does ELSE format('Statement trigger: at COMMIT wakes %s', t.arguments) END);
    END LOOP;
END $$;

-- What pg_dump carries. Dated partitions are tables of their own and dumped as such; literal secrets are not.
DO $$
DECLARE
    t record;
BEGIN
    FOR t IN SELECT * FROM (VALUES ('instance', ''), ('credential', ''), ('infobase', ''), ('account', ''),
             ('profile', 'WHERE origin = ''user'''), ('profile_entity', 'WHERE origin = ''user'''), ('profile_property', 'WHERE origin = ''user'''), ('task_kind', 'WHERE origin = ''user'''),
             ('field_map', 'WHERE origin = ''user'''), ('cancel_rule', 'WHERE origin = ''user'''), ('dictionary_value', ''), ('dictionary_load', ''), ('value_map', ''), ('dictionary_rule', ''), ('account_api', ''), ('quota_window', ''), ('quota_use', ''), ('crm_dictionary_load', ''), ('api_refusal', ''), ('crm_poll', ''), ('payment_rule', ''), ('crm_payment', ''), ('crm_payment_part', ''), ('crm_receipt', ''), ('payment_sync', ''), ('bas_payment', ''), ('payment_poll', ''), ('status_poll', ''), ('bas_state', ''), ('product_pin', ''), ('order_filter', ''), ('header_rule', ''), ('check_rule', ''),
             ('inbox_default', ''), ('inbox_pending', ''), ('inbox_digest', ''), ('inbox_reject', ''), ('crm_order_version', ''), ('crm_order', ''), ('crm_order_line', ''), ('crm_order_contact', ''), ('crm_order_delivery', ''),
             ('exchange_count', ''), ('job_off', ''), ('health_day', ''), ('incident', ''), ('incident_id_seq', ''), ('bas_product', ''), ('product_creation', ''), ('folder_creation', ''), ('product_rule', ''), ('crm_category', ''), ('crm_good', ''), ('yml_load', ''), ('bas_counterparty', ''), ('bas_counterparty_phone', ''), ('bas_order', ''), ('task', ''), ('wake_pending', ''), ('order_sync', ''), ('crm_change', ''),
             ('exchange_log_default', ''), ('order_event_default', ''), ('retention', ''),
             ('account_goods', ''), ('account_price', ''), ('card_field', ''), ('crm_product', ''), ('product_sync', ''), ('category_sync', ''), ('push_run', ''), ('push_run_id_seq', ''),
             ('bas_good', ''), ('bas_characteristic', ''), ('bas_kit_part', ''), ('bas_stock', ''), ('bas_price', ''), ('bas_cost', ''), ('bas_unit', ''), ('goods_snapshot', ''), ('goods_page', ''),
             ('bas_metadata', ''), ('product_load', ''), ('bas_attribute', ''), ('bas_record', ''), ('followup_rule', ''), ('followup', ''), ('metadata_load', ''), ('inbox_id_seq', ''), ('task_id_seq', ''), ('claim_turn_seq', ''), ('exchange_log_id_seq', ''), ('order_event_id_seq', '')) t (name, condition) LOOP
        PERFORM pg_catalog.pg_extension_config_dump(t.name::regclass, t.condition);
    END LOOP;
END $$;

REVOKE ALL ON ALL TABLES IN SCHEMA salesdrive FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA salesdrive FROM PUBLIC;
REVOKE ALL ON ALL ROUTINES IN SCHEMA salesdrive FROM PUBLIC;
REVOKE ALL ON SCHEMA salesdrive FROM PUBLIC;
DO $$
DECLARE
    t regtype;
BEGIN
    FOR t IN SELECT y.oid FROM pg_type y JOIN pg_class c ON c.oid = y.typrelid WHERE y.typnamespace = 'salesdrive'::regnamespace AND c.relkind = 'c' LOOP
        EXECUTE format('REVOKE ALL ON TYPE %s FROM PUBLIC', t);
    END LOOP;
END $$;

SELECT wake_launcher();
