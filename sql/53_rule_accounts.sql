-- Purpose: rules that name an account which is not there: a misspelt name would pass silently, for it only never counts.
-- Rights: whoever writes rules is warned; check() tells the rest.
--
-- A warning, and no error: a restore loads tables in any order, and a script may bring the rules before add_account().

CREATE FUNCTION rule_tables() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['cancel_rule', 'check_rule', 'dictionary_rule', 'field_map', 'followup_rule', 'header_rule', 'order_filter', 'payment_rule', 'product_rule', 'value_map'];
COMMENT ON FUNCTION rule_tables() IS 'Tables whose rows are for an account, or for all (*)';

CREATE FUNCTION rule_account_missing() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    missing text := (SELECT string_agg(DISTINCT format('"%s"', n.account), ', ') FROM named n WHERE n.account <> '*' AND NOT EXISTS (SELECT FROM account a WHERE a.name = n.account));
BEGIN
    IF missing IS NOT NULL THEN
        RAISE WARNING 'there is no account %', missing
            USING ERRCODE = 'SD017', DETAIL = format('Rows of %s for it do not count until there is one of this name.', TG_TABLE_NAME),
                  HINT = format('Accounts: %s; * is every account.', coalesce((SELECT string_agg(a.name, ', ' ORDER BY a.name) FROM account a), 'none yet'));
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION rule_account_missing() IS 'Trigger: warns of rules for an account that is not there';

DO $$
DECLARE
    tab text;
BEGIN
    FOREACH tab IN ARRAY rule_tables() LOOP
        EXECUTE format('CREATE TRIGGER account_new AFTER INSERT ON %I REFERENCING NEW TABLE AS named FOR EACH STATEMENT EXECUTE FUNCTION rule_account_missing()', tab);
        EXECUTE format('CREATE TRIGGER account_changed AFTER UPDATE ON %I REFERENCING NEW TABLE AS named FOR EACH STATEMENT EXECUTE FUNCTION rule_account_missing()', tab);
    END LOOP;
END $$;

CREATE FUNCTION lost_rules() RETURNS TABLE (rule_table text, account text, rules bigint)
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    tab text;
BEGIN
    FOREACH tab IN ARRAY rule_tables() LOOP
        RETURN QUERY EXECUTE format('SELECT %L, r.account, count(*) FROM %I r WHERE r.account <> ''*'' AND NOT EXISTS (SELECT FROM account a WHERE a.name = r.account) GROUP BY r.account', tab, tab);
    END LOOP;
END $$;
COMMENT ON FUNCTION lost_rules() IS 'Rules for accounts that are not there, counted';
