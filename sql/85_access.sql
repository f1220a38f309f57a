-- Purpose: who may do what. Nothing is granted to PUBLIC; grant_access() gives one of three levels to a role.
-- Rights: the owner of the extension.

CREATE FUNCTION grant_access(role text, level text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    f record;
BEGIN
    IF level NOT IN ('reader', 'operator', 'admin') THEN
        RAISE EXCEPTION 'there is no level "%"', level USING ERRCODE = '22023', HINT = 'Levels: reader (views and tables, no secrets), operator (also orders, products, pauses), admin (everything, for workers too).';
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA salesdrive TO %I', role);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA salesdrive TO %I', role);
    EXECUTE format('REVOKE ALL ON credential_secret FROM %I', role);
    FOR f IN SELECT p.oid::regprocedure AS name, p.prokind FROM access_function a JOIN pg_proc p ON p.pronamespace = 'salesdrive'::regnamespace AND p.proname = a.name
             WHERE a.level = 'reader' OR a.level = grant_access.level OR grant_access.level = 'admin'
    LOOP
        EXECUTE format('GRANT EXECUTE ON %s %s TO %I', CASE f.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, f.name, role);
    END LOOP;
    IF level = 'operator' THEN
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON product_pin TO %I', role);
        EXECUTE format('GRANT UPDATE ON bas_counterparty_phone, task, order_sync, bas_product TO %I', role);
        EXECUTE format('GRANT DELETE ON bas_product, dictionary_load TO %I', role);
        EXECUTE format('GRANT INSERT ON task, order_sync, order_event, inbox, inbox_pending, inbox_digest, inbox_reject TO %I', role);
        EXECUTE format('GRANT UPDATE (paused_at, paused_reason) ON account TO %I', role);
        EXECUTE format('GRANT UPDATE (paused_at, paused_reason, circuit_failures, circuit_open_until) ON infobase TO %I', role);
        EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA salesdrive TO %I', role);
    ELSIF level = 'admin' THEN
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA salesdrive TO %I', role);
        EXECUTE format('GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA salesdrive TO %I', role);
        EXECUTE format('GRANT EXECUTE ON ALL ROUTINES IN SCHEMA salesdrive TO %I', role);
    END IF;
END $$;
COMMENT ON FUNCTION grant_access(text, text) IS 'Gives a role one of the levels reader, operator, admin; workers need admin';

CREATE TABLE access_function (
    name  text PRIMARY KEY,
    level text NOT NULL CHECK (level IN ('reader', 'operator'))
);
COMMENT ON TABLE access_function IS 'Functions open to readers and operators; all others are for admin';
COMMENT ON COLUMN access_function.name IS 'Name of the function, all signatures';
COMMENT ON COLUMN access_function.level IS 'Lowest level that may call it';
INSERT INTO access_function VALUES
    ('phone_e164', 'reader'), ('uuid_v5', 'reader'), ('url_encode', 'reader'), ('json_problem', 'reader'), ('clock', 'reader'), ('system_identity', 'reader'), ('quiet_reason', 'reader'),
    ('worker_state', 'reader'), ('engine_alive', 'reader'), ('history_keep', 'reader'), ('order_keys', 'reader'), ('ref_key_namespace', 'reader'), ('order_ref_key', 'reader'), ('counterparty_ref_key', 'reader'),
    ('entity_set', 'reader'), ('property_names', 'reader'), ('constants', 'reader'), ('profile_constant', 'reader'), ('require_account', 'reader'), ('require_infobase', 'reader'), ('require_order', 'reader'),
    ('json_text', 'reader'), ('json_numeric', 'reader'), ('json_flag', 'reader'), ('json_time', 'reader'), ('json_rows', 'reader'), ('json_texts', 'reader'),
    ('order_lines', 'reader'), ('order_contacts', 'reader'), ('jsonb_merge', 'reader'),
    ('check', 'operator'), ('preview', 'operator'), ('resume', 'operator'), ('skip', 'operator'), ('resend', 'operator'), ('pause', 'operator'), ('unpause', 'operator'),
    ('pause_infobase', 'operator'), ('unpause_infobase', 'operator'), ('accept_webhook', 'operator'), ('keep_deliveries', 'operator'), ('order_task', 'operator'), ('enqueue_orders', 'operator'),
    ('wake_blocked', 'operator'), ('wait', 'operator'), ('order_decisions', 'operator'), ('document_lines', 'operator'), ('priced_lines', 'operator'), ('account_settings', 'operator'), ('chosen_value', 'operator'),
    ('order_documents', 'operator'), ('obstacles_money', 'operator'), ('obstacles_settings', 'operator'), ('obstacles_goods', 'operator'), ('obstacles_customer', 'operator'), ('renamed', 'operator'),
    ('customer_reference', 'operator'), ('line_vat', 'operator'), ('odata_equal', 'operator'), ('odata_differences', 'operator'), ('odata_wanted', 'operator'), ('changed_properties', 'operator'), ('both_changed', 'operator'),
    ('key_list', 'operator'), ('order_marker', 'operator'), ('product_search', 'operator'), ('odata_filter', 'operator'), ('odata_text', 'operator'), ('odata_guid', 'operator');
