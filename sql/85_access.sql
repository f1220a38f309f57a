-- Purpose: who may do what. Nothing is granted to PUBLIC; grant_access() gives one of three levels to a role.
-- Rights: the owner of the extension.
--
-- Functions run with the rights of their caller, so a level holds what its functions touch, by column where a column matters. A history's
-- parent carries the grants; partitions made later take them over (copy_rights).

CREATE TABLE access_function (
    name  text PRIMARY KEY,
    level text NOT NULL CHECK (level IN ('reader', 'operator'))
);
COMMENT ON TABLE access_function IS 'Functions open to readers and operators; all others are for admin';
COMMENT ON COLUMN access_function.name IS 'Name of the function, all signatures';
COMMENT ON COLUMN access_function.level IS 'Lowest level that may call it';
INSERT INTO access_function VALUES
    ('few', 'reader'), ('phone_e164', 'reader'), ('uuid_v5', 'reader'), ('url_encode', 'reader'), ('json_problem', 'reader'), ('body_json', 'reader'), ('clock', 'reader'), ('system_identity', 'reader'), ('quiet_reason', 'reader'),
    ('worker_state', 'reader'), ('engine_alive', 'reader'), ('history_keep', 'reader'), ('order_keys', 'reader'), ('ref_key_namespace', 'reader'), ('order_ref_key', 'reader'), ('counterparty_ref_key', 'reader'),
    ('entity_set', 'reader'), ('property_names', 'reader'), ('constants', 'reader'), ('profile_constant', 'reader'), ('max_length', 'reader'), ('require_account', 'reader'), ('require_infobase', 'reader'), ('require_order', 'reader'), ('require_profile', 'reader'),
    ('json_text', 'reader'), ('json_numeric', 'reader'), ('json_bigint', 'reader'), ('json_flag', 'reader'), ('json_time', 'reader'), ('json_rows', 'reader'), ('json_list', 'reader'), ('keyed_rows', 'reader'), ('contact_rows', 'reader'), ('text_time', 'reader'),
    ('order_lines', 'reader'), ('order_contacts', 'reader'), ('jsonb_merge', 'reader'),
    ('check', 'operator'), ('secret_problem', 'operator'), ('preview', 'operator'), ('resume', 'operator'), ('resume_parked', 'operator'), ('task_of', 'operator'), ('skip', 'operator'), ('resend', 'operator'), ('decide_status', 'operator'), ('pause', 'operator'), ('unpause', 'operator'),
    ('pause_infobase', 'operator'), ('unpause_infobase', 'operator'), ('accept_webhook', 'operator'), ('read_rejected', 'operator'), ('keep_deliveries', 'operator'), ('order_task', 'operator'), ('hold_tasks', 'operator'), ('enqueue_orders', 'operator'), ('begin_orders', 'operator'),
    ('wake_later', 'operator'), ('wake_refused', 'operator'), ('wait', 'operator'), ('order_decisions', 'operator'), ('document_lines', 'operator'), ('stand_in', 'operator'), ('is_to_be_made', 'operator'), ('priced_lines', 'reader'), ('account_settings', 'operator'), ('setting_detail', 'operator'), ('profile_problem', 'operator'),
    ('chosen_value', 'reader'), ('is_meant', 'reader'), ('choice_problem', 'reader'), ('known_elements', 'reader'), ('document_decisions', 'operator'), ('begin_decisions', 'operator'), ('change_decisions', 'operator'), ('first_obstacles', 'operator'), ('undecided', 'operator'), ('new_document', 'operator'), ('skus_to_ask', 'operator'),
    ('order_documents', 'operator'), ('is_proper', 'operator'), ('obstacles_money', 'operator'), ('obstacles_settings', 'operator'), ('obstacles_goods', 'operator'), ('obstacles_customer', 'operator'), ('renamed', 'operator'), ('named_object', 'operator'),
    ('customer_reference', 'operator'), ('marked_comment', 'operator'), ('carries_marker', 'operator'), ('marker_condition', 'operator'), ('entity_ref_key', 'reader'), ('line_vat', 'operator'), ('odata_equal', 'operator'), ('odata_differences', 'operator'), ('odata_wanted', 'operator'), ('changed_properties', 'operator'), ('both_changed', 'operator'),
    ('key_list', 'reader'), ('order_marker', 'operator'), ('product_search', 'operator'), ('odata_filter', 'operator'), ('odata_text', 'operator'), ('odata_guid', 'operator'),
    ('value_row', 'reader'), ('mapped_value', 'reader'), ('unmapped_parks', 'reader'), ('map_call', 'reader'), ('unmapped', 'reader'), ('field_values_seen', 'reader'), ('crm_dictionary', 'reader'), ('header_dictionaries', 'reader'),
    ('order_stock', 'reader'), ('order_key_of', 'reader'), ('order_keys_of', 'reader'), ('order_values', 'reader'), ('header_values', 'operator'), ('value_cause', 'operator'), ('obstacles_values', 'operator'),
    ('map_value', 'operator'), ('value_dictionaries', 'operator'), ('accept_value', 'operator'),
    ('profile_sets', 'reader'), ('account_options', 'reader'), ('answers_question', 'reader'), ('account_secrets', 'reader'), ('ask_peers', 'operator'), ('test_connection', 'operator'), ('check_database', 'operator'), ('check_workers', 'operator'), ('check_settings', 'operator'),
    ('check_orders', 'operator'), ('check_readings', 'operator'), ('account_readings', 'operator'), ('default_schedules', 'operator'), ('failed_jobs', 'operator'), ('task_words', 'reader'), ('task_order', 'reader'), ('check_enums', 'operator'), ('check_peers', 'operator'),
    ('publishes', 'reader'), ('profile_gaps', 'reader'), ('profile_hint', 'operator'), ('metadata_wanted', 'reader'),
    ('folded_name', 'reader'), ('option_fields', 'reader'), ('api_method', 'reader'), ('quota_free_at', 'reader'), ('crm_lists', 'reader'), ('local_hour_shift', 'reader'),
    ('pause_api', 'operator'), ('unpause_api', 'operator'), ('late_orders', 'reader'), ('latency_bounds', 'reader'), ('edits_fresh', 'reader'), ('backfill_ends_at', 'reader'), ('task_progress', 'reader'), ('incident_kinds', 'reader'), ('metric_families', 'reader'), ('metrics', 'reader'), ('metrics_text', 'reader'),
    ('condition_fields', 'reader'), ('condition_holds', 'reader'), ('header_rule_of', 'reader'), ('order_filtered', 'operator'), ('obstacles_wanted', 'operator'), ('order_document', 'operator'), ('same_keys', 'operator'), ('tie_broken', 'operator'), ('shared_phone_detail', 'operator'), ('shared_phone_hint', 'operator'), ('product_ref_key', 'reader'), ('change_list', 'operator'), ('cleared_document', 'operator'), ('change_text', 'operator'), ('brief_value', 'operator'),
    ('check_rule_query', 'operator'), ('broken_rules', 'operator'), ('obstacles_rules', 'operator'), ('is_passing_error', 'operator'), ('runs_as_superuser', 'operator'),
    ('kit_parts', 'reader'), ('kit_of', 'reader'), ('spread_kopecks', 'reader'), ('composed_lines', 'reader');
INSERT INTO access_function VALUES    -- goods
    ('goods_entity', 'reader'), ('no_key', 'reader'), ('check_goods', 'operator');
INSERT INTO access_function VALUES    -- reports
    ('days_between', 'reader'), ('document_made', 'reader'), ('document_changed', 'reader');
INSERT INTO access_function VALUES    -- statuses
    ('pull_statuses', 'operator'),
    ('obstacles_statuses', 'operator'), ('state_counts', 'reader'), ('status_decisions', 'operator'), ('held_status', 'reader'), ('bas_status_of', 'operator'), ('crm_status_of', 'reader'),
    ('crm_status_at', 'operator'), ('crm_half', 'operator'), ('bas_half', 'operator'), ('status_stays', 'operator');
INSERT INTO access_function VALUES    -- information records
    ('attribute_way', 'reader'), ('same_record', 'operator'), ('record_changes', 'operator'), ('record_address', 'operator'), ('record_body', 'operator'), ('obstacles_records', 'operator'),
    ('attribute_line', 'operator'), ('own_comment', 'operator'), ('kept_comment', 'operator'), ('merged_comment', 'operator');
INSERT INTO access_function VALUES    -- cancelled orders
    ('rule_tables', 'reader'), ('lost_rules', 'reader'), ('cancel_kinds', 'reader'), ('cancel_kind', 'reader'), ('cancel_rule_of', 'reader'), ('status_title', 'reader'), ('cancellations', 'reader'), ('cancel_states', 'reader'), ('kind_of_status', 'reader'), ('cancel_decisions', 'operator');
INSERT INTO access_function VALUES    -- documents that follow orders
    ('followup_ref_key', 'reader'), ('followup_rules', 'reader'), ('has_followup_rules', 'reader'), ('followups_reached', 'operator'), ('is_bas_status', 'reader'), ('want_followups', 'operator'), ('followup_source', 'operator'),
    ('carried', 'operator'), ('carried_object', 'operator'), ('carried_rows', 'operator'), ('rows_total', 'operator'), ('document_total', 'operator'), ('followup_marker', 'operator'), ('has_marker', 'operator'),
    ('followup_comment', 'operator'), ('followup_document', 'operator'), ('followup_gaps', 'operator'), ('followup_name', 'operator'), ('closing', 'operator'), ('closing_of', 'operator'),
    ('followup_reading', 'operator'), ('followup_steps', 'operator'), ('read_followups_anew', 'operator'), ('make_followup', 'operator'), ('check_followups', 'operator');
INSERT INTO access_function VALUES    -- objects made in BAS
    ('creation_next', 'operator');
INSERT INTO access_function VALUES    -- what SalesDrive is told
    ('sum_text', 'operator'), ('sum_line', 'operator'), ('line_key', 'operator'), ('has_line', 'operator'), ('without_lines', 'operator'), ('with_sum_line', 'operator'), ('changed_sum', 'operator'), ('unsummed_document', 'operator'), ('sum_patch', 'operator'), ('is_note', 'reader'), ('crm_value', 'operator');
INSERT INTO access_function VALUES    -- payments
    ('pull_payments', 'operator'), ('skip_payment', 'operator'), ('accept_payment', 'operator'), ('link_payment', 'operator'), ('resend_payment', 'operator'), ('check_payments', 'operator'), ('payment_rule_of', 'reader'), ('payment_entities', 'reader'), ('payment_place', 'reader'), ('is_payment_concept', 'reader'),
    ('preview_payments', 'operator'), ('payment_unwanted', 'operator'), ('payment_creation', 'operator'), ('payment_obstacle', 'operator'), ('payment_orders', 'operator'), ('is_other_base', 'operator'), ('payment_document', 'operator'), ('payment_marker', 'operator'), ('payment_ref_key', 'operator'), ('nil_free', 'operator'),
    ('payment_telling', 'operator'), ('payment_out_body', 'operator'), ('payment_unique_id', 'operator'), ('told_sum', 'operator');
INSERT INTO access_function VALUES    -- mapped fields
    ('target_set', 'reader'), ('list_state', 'operator'), ('check_fields', 'operator'),     ('field_path', 'reader'), ('field_dictionaries', 'reader'), ('transforms', 'reader'), ('transform_steps', 'reader'), ('transform_problem', 'operator'), ('template_paths', 'reader'), ('path_problem', 'operator'), ('field_problem', 'operator'),
    ('json_blank', 'reader'), ('field_time', 'reader'), ('text_flag', 'reader'), ('empty_value', 'operator'), ('holds_nothing', 'reader'), ('typed_value', 'operator'), ('filled_template', 'reader'),
    ('name_part', 'reader'), ('transformed', 'reader'), ('fields_mapped', 'reader'), ('field_rules', 'reader'), ('field_call', 'operator'), ('called_fields', 'operator'), ('field_elements', 'reader'), ('field_values', 'operator'),
    ('mapped_fields', 'operator'), ('obstacles_fields', 'operator'), ('own_attributes', 'operator'), ('attribute_section', 'operator'), ('fitted_document', 'operator'), ('field_text', 'reader'),
    ('merged_orders', 'reader'), ('order_parcels', 'reader'), ('carrier_name', 'reader'), ('parcel_keys', 'reader'), ('parcel_part', 'reader'), ('parcel_match', 'reader'), ('tells_parcels', 'reader'), ('body_parcels', 'reader'), ('parcels_after', 'reader'), ('parcels_shown', 'reader'), ('map_field', 'operator'),
    ('account_variable', 'reader'), ('crm_name', 'reader'), ('deal_attributes', 'reader'), ('attribute_place', 'reader'), ('lineage_rows', 'reader');

INSERT INTO access_function VALUES    -- goods, stock and prices
    ('push_stock', 'operator'), ('push_prices', 'operator'), ('push_products', 'operator'), ('begin_push', 'operator'), ('cancel_push', 'operator'), ('allow_push', 'operator'), ('push_again', 'operator'), ('push_wake', 'operator'), ('require_push', 'operator'), ('check_pushes', 'operator'),
    ('push_problem', 'operator'), ('unread_properties', 'operator'), ('card_fields', 'reader'), ('good_problems', 'reader'), ('goods_near', 'reader'), ('push_goods', 'reader'), ('stock_map', 'reader'), ('stock_total', 'reader'), ('no_stock', 'reader'), ('stock_sum', 'reader'), ('wanted_stock', 'reader'), ('push_currencies', 'reader'), ('push_price_types', 'reader'), ('wanted_prices', 'reader'), ('pushed_cost', 'reader'),
    ('card_value', 'reader'), ('wanted_cards', 'reader'), ('wanted_goods', 'reader'), ('loose_characteristics', 'reader');

INSERT INTO access_function VALUES    -- products made in BAS
    ('good_category', 'reader'), ('product_rule_of', 'reader'), ('product_template', 'reader'), ('allow_products', 'operator'), ('check_offers', 'operator'), ('element_named', 'operator'), ('rate_named', 'operator'), ('kind_named', 'operator'), ('folders_at', 'operator'), ('folder_named', 'operator');

CREATE TABLE access_table (
    name       name PRIMARY KEY,
    privileges text NOT NULL
);
COMMENT ON TABLE access_table IS 'What operators may do with a table, where it is more, or less, than to read it';
COMMENT ON COLUMN access_table.name IS 'Name of the table';
COMMENT ON COLUMN access_table.privileges IS 'As in GRANT';
INSERT INTO access_table VALUES
    ('product_pin', 'SELECT, INSERT, UPDATE, DELETE'), ('value_map', 'SELECT, INSERT, UPDATE, DELETE'), ('dictionary_rule', 'SELECT, INSERT, UPDATE, DELETE'), ('field_map', 'SELECT, INSERT, UPDATE, DELETE'),
    ('bas_counterparty_phone', 'SELECT, UPDATE (state, ref_key, candidates)'),
    ('bas_product', 'SELECT, DELETE, UPDATE (checked_at)'),
    ('dictionary_load', 'SELECT, DELETE, UPDATE (loaded_at)'),
    ('task', 'SELECT, UPDATE (state, run_at, wish, blocked_on)'),
    ('order_sync', 'SELECT, UPDATE (skipped_at, skip_reason, force, must_read, read_version, crm_status, bas_status, agreed_at)'),
    ('bas_record', 'SELECT, UPDATE (read_at)'),
    ('followup', 'SELECT, UPDATE (source_body, due, must_read)'), ('followup_rule', 'SELECT, INSERT, UPDATE, DELETE'),
    ('wake_pending', 'SELECT, INSERT'),
    ('order_event', 'SELECT, INSERT'),
    ('inbox', 'SELECT, INSERT'), ('inbox_pending', 'SELECT, INSERT'), ('inbox_digest', 'SELECT, INSERT'), ('inbox_reject', 'SELECT, INSERT, DELETE'),
    ('account', 'SELECT, UPDATE (paused_at, paused_reason)'),
    ('infobase', 'SELECT, UPDATE (paused_at, paused_reason, circuit_failures, circuit_open_until)'),
    ('account_api', 'SELECT, UPDATE (paused_at, paused_reason, circuit_failures, circuit_open_until)'),
    ('credential_secret', 'SELECT (name)'),
    ('bas_counterparty', 'SELECT, DELETE, UPDATE (read_at)'),
    ('api_refusal', 'SELECT, DELETE'), ('payment_rule', 'SELECT, INSERT, UPDATE, DELETE'),
    ('account_price', 'SELECT, INSERT, UPDATE, DELETE'), ('card_field', 'SELECT, INSERT, UPDATE, DELETE'), ('crm_product', 'SELECT, INSERT, UPDATE, DELETE'),
    ('push_run', 'SELECT, UPDATE (state, ended_at, allowed, asked_at)'), ('product_sync', 'SELECT, UPDATE (doubted)'), ('category_sync', 'SELECT, UPDATE (wanted)'),
    ('product_creation', 'SELECT, UPDATE (problem, searched_at)'), ('order_filter', 'SELECT, INSERT, UPDATE, DELETE'), ('cancel_rule', 'SELECT, INSERT, UPDATE, DELETE'), ('header_rule', 'SELECT, INSERT, UPDATE, DELETE'),
    ('product_rule', 'SELECT, INSERT, UPDATE, DELETE'), ('yml_load', 'SELECT, UPDATE (allowed)');

CREATE FUNCTION access_grants(level text) RETURNS TABLE (object text, privileges text)
    LANGUAGE sql STABLE SET search_path = salesdrive, pg_temp AS $$
    SELECT 'SCHEMA salesdrive', 'USAGE'
    UNION ALL
    SELECT format('%s %s', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass),
           CASE WHEN c.relkind = 'S' THEN CASE WHEN level = 'admin' THEN 'USAGE, SELECT'
                                               WHEN level = 'operator' AND c.relname IN ('task_id_seq', 'inbox_id_seq', 'order_event_id_seq') THEN 'USAGE' END
                WHEN n.name LIKE 'access\_%' THEN 'SELECT'
                WHEN level = 'admin' THEN 'SELECT, INSERT, UPDATE, DELETE'
                WHEN level = 'operator' THEN coalesce((SELECT t.privileges FROM access_table t WHERE t.name = n.name), 'SELECT')
                WHEN n.name <> 'credential_secret' THEN 'SELECT' END
    FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class parent ON parent.oid = i.inhparent
    CROSS JOIN LATERAL (SELECT coalesce(parent.relname, c.relname) AS name) n
    WHERE c.relnamespace = 'salesdrive'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S')
    UNION ALL
    SELECT format('ROUTINE %s', p.oid::regprocedure),
           CASE WHEN level = 'admin' OR EXISTS (SELECT FROM access_function f WHERE f.name = p.proname AND f.level IN ('reader', access_grants.level)) THEN 'EXECUTE' END
    FROM pg_proc p WHERE p.pronamespace = 'salesdrive'::regnamespace
    UNION ALL
    SELECT format('TYPE %s', t.oid::regtype), CASE WHEN level = 'admin' THEN 'USAGE' END
    FROM pg_type t JOIN pg_class c ON c.oid = t.typrelid WHERE t.typnamespace = 'salesdrive'::regnamespace AND c.relkind = 'c'
$$;
COMMENT ON FUNCTION access_grants(text) IS 'Every object of the schema and what a level may do with it; NULL: nothing';

CREATE FUNCTION grant_access(role text, level text) RETURNS void
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    owner oid := (SELECT e.extowner FROM pg_extension e WHERE e.extname = 'salesdrive');
    o     record;
BEGIN
    IF level IS NULL OR level NOT IN ('reader', 'operator', 'admin') THEN
        RAISE EXCEPTION 'there is no level "%"', level USING ERRCODE = '22023', HINT = 'Levels: reader (views and tables, no secrets), operator (also orders, products, pauses), admin (everything, for workers too).';
    ELSIF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = role) THEN
        RAISE EXCEPTION 'there is no role "%"', role USING ERRCODE = '42704', HINT = format('The extension makes no roles: CREATE ROLE %I;', role);
    ELSIF NOT pg_has_role(current_user, owner, 'USAGE') THEN
        RAISE EXCEPTION 'only the owner of the extension grants access to it' USING ERRCODE = '42501', HINT = format('Ask role "%s".', pg_get_userbyid(owner));
    ELSIF role = pg_get_userbyid(owner) THEN
        RAISE NOTICE 'role "%" owns the extension and may do everything', role;
        RETURN;
    END IF;

    FOR o IN SELECT * FROM access_grants(level) g LOOP    -- the level given takes the place of an earlier one
        EXECUTE format('REVOKE ALL ON %s FROM %I', o.object, role);
    END LOOP;
    FOR o IN SELECT * FROM access_grants(level) g WHERE g.privileges IS NOT NULL LOOP
        EXECUTE format('GRANT %s ON %s TO %I', o.privileges, o.object, role);
    END LOOP;
END $$;
COMMENT ON FUNCTION grant_access(text, text) IS 'Gives a role one of the levels reader, operator, admin, in place of the one it had; workers need admin';
