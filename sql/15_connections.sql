-- Purpose: what is connected with what: BAS infobases, SalesDrive accounts, secrets, and the identity of this database.
-- Rights: only 'admin' writes here; credential_secret is read by 'admin' alone (85_access.sql).

CREATE TABLE instance (
    only_row          boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    system_identifier text NOT NULL,
    database_oid      oid NOT NULL,
    database_name     text NOT NULL,
    adopted_at        timestamptz,
    recorded_at       timestamptz NOT NULL DEFAULT clock()
);
COMMENT ON TABLE instance IS 'The database that may speak with the outside; a copy finds another identity here and keeps quiet until adopt()';
COMMENT ON COLUMN instance.only_row IS 'Keeps the table at one row';
COMMENT ON COLUMN instance.system_identifier IS 'Identifier of the cluster, as in pg_control_system()';
COMMENT ON COLUMN instance.database_oid IS 'Oid of the database';
COMMENT ON COLUMN instance.database_name IS 'Name of the database';
COMMENT ON COLUMN instance.adopted_at IS 'When adopt() took over; orders older than this are read back from BAS before their first write';
COMMENT ON COLUMN instance.recorded_at IS 'When this row was written';

CREATE TABLE credential (
    name      text PRIMARY KEY,
    kind      text NOT NULL CHECK (kind IN ('literal', 'file', 'env')),
    reference text,
    set_at    timestamptz NOT NULL DEFAULT clock(),
    CHECK ((kind = 'literal') = (reference IS NULL))
);
COMMENT ON TABLE credential IS 'Where a secret is found; written by set_secret()';
COMMENT ON COLUMN credential.name IS 'Name of the secret: infobase:NAME:password, account:NAME:api_key, account:NAME:account_key, account:NAME:yml_key, account:NAME:webhook_token';
COMMENT ON COLUMN credential.kind IS 'literal (value in credential_secret), file (in salesdrive.secrets_directory) or env (environment of the server)';
COMMENT ON COLUMN credential.reference IS 'Name of the file or of the environment variable; NULL for a literal';
COMMENT ON COLUMN credential.set_at IS 'When it was set last';
COMMENT ON CONSTRAINT credential_check ON credential IS 'A literal has no reference, the others have one';

CREATE TABLE credential_secret (
    name  text PRIMARY KEY,
    value text NOT NULL
);
COMMENT ON TABLE credential_secret IS 'Literal secrets; never part of a dump';
COMMENT ON COLUMN credential_secret.name IS 'Name of the credential';
COMMENT ON COLUMN credential_secret.value IS 'The secret itself';

CREATE TABLE infobase (
    name              text PRIMARY KEY CHECK (name <> '' AND length(name) <= 63 AND name !~ '[[:cntrl:]/:]'),
    profile           text NOT NULL,
    url               text NOT NULL CHECK (url ~ '^https?://[^/?#@[:space:]]+(/[^?#[:space:]]*)?$' AND url !~ '/$'),
    username          text NOT NULL,
    max_connections   integer NOT NULL DEFAULT 2 CHECK (max_connections BETWEEN 1 AND 1000),
    connect_timeout   interval NOT NULL DEFAULT '10 s' CHECK (connect_timeout BETWEEN '1 ms' AND '1 day'),
    total_timeout     interval NOT NULL DEFAULT '2 min' CHECK (total_timeout BETWEEN '1 ms' AND '1 day'),
    unsure_margin     interval NOT NULL DEFAULT '1 min' CHECK (unsure_margin BETWEEN '0' AND '1 day'),
    max_answer        integer NOT NULL DEFAULT 16777216 CHECK (max_answer BETWEEN 1 AND 268435456),
    max_url           integer NOT NULL DEFAULT 2000 CHECK (max_url BETWEEN 500 AND 8000),
    retry_base        interval NOT NULL DEFAULT '5 s' CHECK (retry_base > '0' AND retry_base <= '1 year'),
    retry_cap         interval NOT NULL DEFAULT '10 min' CHECK (retry_cap > '0' AND retry_cap <= '1 year'),
    circuit_after     integer NOT NULL DEFAULT 5 CHECK (circuit_after > 0),
    circuit_pause     interval NOT NULL DEFAULT '30 s' CHECK (circuit_pause > '0' AND circuit_pause <= '1 year'),
    dictionary_age    interval NOT NULL DEFAULT '1 day' CHECK (dictionary_age > '0' AND dictionary_age <= '100 years'),
    time_zone         text NOT NULL DEFAULT 'Europe/Kyiv',
    allow_http        boolean NOT NULL DEFAULT false,
    ca_file           text CHECK (ca_file ~ '^/'),
    keeps_ref_key     boolean,
    creating_task     bigint,
    denied            jsonb NOT NULL DEFAULT '{}',
    circuit_failures  integer NOT NULL DEFAULT 0,
    circuit_open_until timestamptz,
    paused_at         timestamptz,
    paused_reason     text,
    created_at        timestamptz NOT NULL DEFAULT clock(),
    CONSTRAINT infobase_retry_bounds CHECK (retry_base <= retry_cap)
);
COMMENT ON CONSTRAINT infobase_retry_bounds ON infobase IS 'The first delay of a retry is not above the longest one';
COMMENT ON TABLE infobase IS 'A BAS infobase reached through its standard OData interface';
COMMENT ON COLUMN infobase.name IS 'Name used in every call';
COMMENT ON COLUMN infobase.profile IS 'Profile of its configuration (profile.name)';
COMMENT ON COLUMN infobase.url IS 'Address of the publication, without /odata/standard.odata and without a slash at its end';
COMMENT ON COLUMN infobase.username IS 'BAS user; the password is the secret infobase:NAME:password';
COMMENT ON COLUMN infobase.max_connections IS 'Most requests at once: each may take a licence of BAS';
COMMENT ON COLUMN infobase.connect_timeout IS 'Longest time to a connection';
COMMENT ON COLUMN infobase.total_timeout IS 'Longest time of one request; the first after a rest may take 30 s';
COMMENT ON COLUMN infobase.unsure_margin IS 'After a write without an answer, absence in BAS counts only when total_timeout and this margin have passed';
COMMENT ON COLUMN infobase.max_answer IS 'Largest answer taken, bytes';
COMMENT ON COLUMN infobase.max_url IS 'Longest query string of a search: web servers cut at 2048 (IIS) or 8190 (Apache); halved when one answers that it was too long (414)';
COMMENT ON COLUMN infobase.retry_base IS 'Upper bound of the first random delay of a retry; doubles each time';
COMMENT ON COLUMN infobase.retry_cap IS 'Upper bound of any delay of a retry';
COMMENT ON COLUMN infobase.circuit_after IS 'So many failures of the connection or the server in a row open the circuit';
COMMENT ON COLUMN infobase.circuit_pause IS 'How long an open circuit waits before one probing request';
COMMENT ON COLUMN infobase.dictionary_age IS 'Lists of the base that are older are read again as orders come by';
COMMENT ON COLUMN infobase.time_zone IS 'Zone of the clock of its server: the times its documents tell are read in it where they are compared';
COMMENT ON COLUMN infobase.allow_http IS 'Allow plain http to other hosts than loopback';
COMMENT ON COLUMN infobase.ca_file IS 'Bundle of certificate authorities, absolute path on the server; NULL uses that of the system';
COMMENT ON COLUMN infobase.keeps_ref_key IS 'Whether the base keeps the Ref_Key of a POST: learned from the first creation; unknown until then';
COMMENT ON COLUMN infobase.creating_task IS 'While keeps_ref_key is unknown: the one task that may create';
COMMENT ON COLUMN infobase.denied IS 'Tasks denied in a row, for each purpose: a third pauses the base';
COMMENT ON COLUMN infobase.circuit_failures IS 'Failures in a row';
COMMENT ON COLUMN infobase.circuit_open_until IS 'When an open circuit lets one probing request pass';
COMMENT ON COLUMN infobase.paused_at IS 'Set while nothing is sent to this base';
COMMENT ON COLUMN infobase.paused_reason IS 'Why it is paused';
COMMENT ON COLUMN infobase.created_at IS 'When the row was made';

CREATE TABLE account (
    name           text PRIMARY KEY CHECK (name <> '' AND length(name) <= 63 AND name !~ '[[:cntrl:]/:]'),
    url            text NOT NULL CHECK (url ~ '^https?://[^/?#@[:space:]]+(/[^?#[:space:]]*)?$' AND url !~ '/$'),
    infobase       text NOT NULL REFERENCES infobase (name),
    identity       text NOT NULL UNIQUE CHECK (identity ~ '^[A-Za-z0-9._-]{1,18}$'),
    time_zone      text NOT NULL DEFAULT 'Europe/Kyiv',
    organisation   text CHECK (organisation <> ''),
    warehouse      text CHECK (warehouse <> ''),
    currency       text CHECK (currency <> ''),
    price_type     text CHECK (price_type <> ''),
    agreement      text CHECK (agreement <> ''),
    vat_included   boolean NOT NULL DEFAULT true,
    money_discount text NOT NULL DEFAULT 'line' CHECK (money_discount IN ('line', 'unit')),
    posting        boolean NOT NULL DEFAULT false,
    documents      boolean NOT NULL DEFAULT true,
    edit_policy    text CHECK (edit_policy IN ('free', 'until_posted', 'never', 'ask')),
    counterparty_mode text NOT NULL DEFAULT 'phone' CHECK (counterparty_mode IN ('phone', 'fixed')),
    fixed_counterparty uuid CHECK (fixed_counterparty <> '00000000-0000-0000-0000-000000000000'),
    shared_phone   text NOT NULL DEFAULT 'park' CHECK (shared_phone IN ('park', 'oldest', 'newest', 'ours')),
    create_counterparties boolean NOT NULL DEFAULT true,
    kits           text NOT NULL DEFAULT 'keep' CHECK (kits IN ('keep', 'explode')),
    delivery_line  text NOT NULL DEFAULT 'none' CHECK (delivery_line IN ('none', 'charged', 'shown')),
    delivery_sku   text CHECK (delivery_sku <> ''),
    unknown_sku    text NOT NULL DEFAULT 'park' CHECK (unknown_sku IN ('park', 'substitute', 'create')),
    substitute_sku text CHECK (substitute_sku <> ''),
    template_sku   text CHECK (template_sku <> ''),
    products_to_bas text NOT NULL DEFAULT 'off' CHECK (products_to_bas IN ('off', 'yml')),
    products_most  integer NOT NULL DEFAULT 1000 CHECK (products_most >= 0),
    yml_path       text NOT NULL DEFAULT 'export/yml/export.yml' CHECK (yml_path ~ '^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$'),
    characteristics text NOT NULL DEFAULT 'pinned' CHECK (characteristics IN ('pinned', 'required')),
    number_to      text CHECK (number_to ~ '^[A-Za-z_][A-Za-z0-9_]*$' AND number_to NOT IN ('id', 'statusId', 'comment')),
    number_text    text NOT NULL DEFAULT '{number}' CHECK (number_text ~ '\{(number|link)\}'),
    link_to        text CHECK (link_to ~ '^[A-Za-z_][A-Za-z0-9_]*$' AND link_to NOT IN ('id', 'statusId', 'comment', 'note')),
    link_text      text NOT NULL DEFAULT '{url}/#e1cib/data/{document}?ref={ref}' CHECK (link_text ~ '\{(ref|key|number)\}'),
    sum_comment    text CHECK (sum_comment IN ('uk', 'ru', 'en') OR sum_comment ~ '0000\.00' AND sum_comment !~ '[\n\r]'),
    late_after     interval NOT NULL DEFAULT '1 hour' CHECK (late_after > '0' AND late_after <= '100 years'),
    status_to_bas  boolean NOT NULL DEFAULT false,
    status_from_bas boolean NOT NULL DEFAULT false,
    status_to_since timestamptz,
    status_from_since timestamptz,
    status_source  text NOT NULL DEFAULT 'document' CHECK (status_source IN ('document', 'state')),
    status_conflict text NOT NULL DEFAULT 'salesdrive' CHECK (status_conflict IN ('salesdrive', 'bas', 'newer', 'ask')),
    payments_to_bas boolean NOT NULL DEFAULT false,
    payments_from_bas boolean NOT NULL DEFAULT false,
    payments_since date,
    payment_posting boolean NOT NULL DEFAULT false,
    unattached_payments text NOT NULL DEFAULT 'list' CHECK (unattached_payments IN ('list', 'create')),
    paused_at      timestamptz,
    paused_reason  text,
    created_at     timestamptz NOT NULL DEFAULT clock(),
    CONSTRAINT account_status_source CHECK (status_source = 'document' OR NOT status_to_bas),
    CONSTRAINT account_told CHECK (number_to <> link_to),
    CONSTRAINT account_counterparty CHECK (counterparty_mode <> 'fixed' OR fixed_counterparty IS NOT NULL),
    CONSTRAINT account_delivery CHECK (delivery_line = 'none' OR delivery_sku IS NOT NULL),
    CONSTRAINT account_template CHECK (unknown_sku <> 'create' OR template_sku IS NOT NULL),
    CONSTRAINT account_substitute CHECK (unknown_sku <> 'substitute' OR substitute_sku IS NOT NULL)
);
COMMENT ON CONSTRAINT account_status_source ON account IS 'A state that the base works out by itself is read, and cannot be written';
COMMENT ON CONSTRAINT account_told ON account IS 'Number and link go into fields of their own';
COMMENT ON CONSTRAINT account_counterparty ON account IS 'One counterparty for all orders needs its Ref_Key';
COMMENT ON CONSTRAINT account_delivery ON account IS 'A line for delivery needs the SKU of its product';
COMMENT ON CONSTRAINT account_template ON account IS 'Products are made after a template, which needs its SKU';
COMMENT ON CONSTRAINT account_substitute ON account IS 'A substitute for unknown SKUs needs its SKU';
COMMENT ON TABLE account IS 'A SalesDrive account, the infobase its orders go to, and how they go';
COMMENT ON COLUMN account.name IS 'Name used in every call and in the webhook address';
COMMENT ON COLUMN account.url IS 'Address of the account, https://NAME.salesdrive.me';
COMMENT ON COLUMN account.infobase IS 'Where its orders go';
COMMENT ON COLUMN account.identity IS 'Part of every key and marker made for BAS; set once, never changed';
COMMENT ON COLUMN account.time_zone IS 'Zone of the times SalesDrive writes';
COMMENT ON COLUMN account.organisation IS 'Organisation of the documents: Ref_Key, code or name as in BAS; NULL takes the only one';
COMMENT ON COLUMN account.warehouse IS 'Warehouse of the documents: Ref_Key, code or name; NULL takes the only one, else leaves it empty';
COMMENT ON COLUMN account.currency IS 'Currency of the documents: Ref_Key, code or name; NULL takes the only one, else code 980';
COMMENT ON COLUMN account.price_type IS 'Price type of the documents: Ref_Key, code or name; NULL takes the only one, else leaves it empty';
COMMENT ON COLUMN account.agreement IS 'Agreement of the documents, where the configuration has them: Ref_Key, code or name; NULL takes the only one, else leaves it empty';
COMMENT ON COLUMN account.vat_included IS 'Whether the prices in SalesDrive contain VAT; if not, it is added on top';
COMMENT ON COLUMN account.money_discount IS 'Whether a discount in money is meant for the line or for each unit';
COMMENT ON COLUMN account.posting IS 'Post the documents in BAS';
COMMENT ON COLUMN account.documents IS 'Make and change documents in BAS; off: orders are taken in and kept, and go when it is on again';
COMMENT ON COLUMN account.edit_policy IS 'Which documents a change of the order changes: free (all; a posted one is posted again), until_posted, never, ask (parked with what would change, resend() agrees); NULL: free with posting on, else until_posted';
COMMENT ON COLUMN account.counterparty_mode IS 'phone: the counterparty with the phone of the order; fixed: the same one for all orders';
COMMENT ON COLUMN account.fixed_counterparty IS 'Ref_Key of the counterparty of all orders';
COMMENT ON COLUMN account.shared_phone IS 'Several counterparties have the phone: park the order, or take that with the lowest code (oldest), the highest (newest), or the only one made here (ours; else park)';
COMMENT ON COLUMN account.create_counterparties IS 'Create a counterparty for a phone that BAS does not have; off: the order is parked';
COMMENT ON COLUMN account.kits IS 'keep: a kit is one line; explode: a line for each of its parts, the sum of the kit spread over them to the kopeck';
COMMENT ON COLUMN account.delivery_line IS 'Line for shipping_costs: none; charged: on top of paymentAmount, the customer pays it; shown: with a discount of 100 %, the sum stays';
COMMENT ON COLUMN account.delivery_sku IS 'SKU of the product of that line';
COMMENT ON COLUMN account.unknown_sku IS 'A line whose SKU BAS does not have: park the order, substitute another product, or create it';
COMMENT ON COLUMN account.substitute_sku IS 'SKU of the product that stands for unknown ones';
COMMENT ON COLUMN account.template_sku IS 'SKU of the product that new ones are made after: unit, VAT rate, kind, group and category are taken from it';
COMMENT ON COLUMN account.products_to_bas IS 'Products of SalesDrive that BAS does not have: off, or yml (those of the YML export are made there; those of orders: unknown_sku)';
COMMENT ON COLUMN account.products_most IS 'More products than that are not made of one export before allow_products() is called';
COMMENT ON COLUMN account.yml_path IS 'Path of the YML export below the address of the account; the key of its link is the secret account:NAME:yml_key';
COMMENT ON COLUMN account.characteristics IS 'pinned: a line carries the characteristic of its product_pin, if any; required: a product that uses characteristics must have one there';
COMMENT ON COLUMN account.number_to IS 'Field of SalesDrive that gets the number of the document (technical name), or note: a note is added; NULL: none';
COMMENT ON COLUMN account.number_text IS 'What it gets: a text with {number} or {link}';
COMMENT ON COLUMN account.link_to IS 'Field of SalesDrive that gets the address of the document (technical name); NULL: none';
COMMENT ON COLUMN account.link_text IS 'That address: a text with {url} (of the publication), {document} (name of its metadata), {ref} (as BAS writes it in addresses), {key} (Ref_Key), {number}';
COMMENT ON COLUMN account.sum_comment IS 'Line that tells of a sum changed in BAS, in the comment of the document and of the order: uk, ru, en, or a text with 0000.00 in place of the sum; NULL: none';
COMMENT ON COLUMN account.late_after IS 'An order that is not in BAS so long after it was asked for is an incident';
COMMENT ON COLUMN account.status_to_bas IS 'Write the status of the order into the document, as value_map says (dictionary status)';
COMMENT ON COLUMN account.status_from_bas IS 'Have SalesDrive take the status of the document when it was changed in BAS, as value_map says';
COMMENT ON COLUMN account.status_to_since IS 'When status_to_bas was switched on last: what was otherwise before is no change';
COMMENT ON COLUMN account.status_from_since IS 'When status_from_bas was switched on last, or status_source became another';
COMMENT ON COLUMN account.status_source IS 'What SalesDrive takes as status of BAS: document (its own property), or state (what a register of the base tells of it); where the document has none, the register in any case';
COMMENT ON COLUMN account.status_conflict IS 'Both were changed since they agreed last: salesdrive wins, bas wins, newer (the later change, where BAS tells its time; else salesdrive), or ask (the order is parked, decide_status() decides)';
COMMENT ON COLUMN account.payments_to_bas IS 'Make a payment document in BAS for each payment of SalesDrive';
COMMENT ON COLUMN account.payments_from_bas IS 'Register in SalesDrive the payment documents of BAS that pay its orders';
COMMENT ON COLUMN account.payments_since IS 'Payments of earlier days, local time of the account, are only listed, in both directions; set to the day when the first of both is switched on';
COMMENT ON COLUMN account.payment_posting IS 'Post the payment documents made in BAS';
COMMENT ON COLUMN account.unattached_payments IS 'A payment that SalesDrive has attached to no order: list (nothing is made until it is attached) or create (a document without an order)';
COMMENT ON COLUMN account.paused_at IS 'Set while the orders of this account are not sent';
COMMENT ON COLUMN account.paused_reason IS 'Why it is paused';
COMMENT ON COLUMN account.created_at IS 'When the row was made';
CREATE INDEX account_infobase ON account (infobase);

CREATE FUNCTION account_guard() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (NEW.identity <> OLD.identity OR NEW.name <> OLD.name) THEN
        RAISE EXCEPTION 'name and identity of account "%" cannot be changed', OLD.name
            USING ERRCODE = 'SD001', DETAIL = 'Every key and marker made for BAS is built from them; changing them would double documents.',
                  HINT = 'Add another account instead.';
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.infobase <> OLD.infobase THEN
        LOCK TABLE task IN SHARE MODE;    -- waits for the turn of the engine that may be making the first of its tasks
        IF EXISTS (SELECT FROM order_sync y WHERE y.account = OLD.name) OR EXISTS (SELECT FROM payment_sync y WHERE y.account = OLD.name AND (y.write_unsure OR y.bas_ref IS NOT NULL)) OR EXISTS (SELECT FROM task t WHERE t.account = OLD.name AND t.infobase IS NOT NULL) THEN
            RAISE EXCEPTION 'account "%" has orders in infobase "%", so its infobase cannot be changed', OLD.name, OLD.infobase
                USING ERRCODE = 'SD001', DETAIL = 'Their documents, customers and products are known by the keys of that base.',
                      HINT = format('Add another account for infobase "%s", with an identity of its own, and point the webhook of SalesDrive to it.', NEW.infobase);
        END IF;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_timezone_names WHERE name = NEW.time_zone) THEN
        RAISE EXCEPTION 'time zone "%" of account "%" is not known', NEW.time_zone, NEW.name
            USING ERRCODE = '22023', HINT = 'Names are listed in pg_timezone_names, for example Europe/Kyiv.';
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION account_guard() IS 'Trigger: identity and name of an account never change, nor its infobase once it has orders; its time zone exists';
CREATE TRIGGER account_guard BEFORE INSERT OR UPDATE OF name, identity, infobase, time_zone ON account
    FOR EACH ROW EXECUTE FUNCTION account_guard();

CREATE FUNCTION infobase_zone_guard() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_timezone_names WHERE name = NEW.time_zone) THEN
        RAISE EXCEPTION 'time zone "%" of infobase "%" is not known', NEW.time_zone, NEW.name
            USING ERRCODE = '22023', HINT = 'Names are listed in pg_timezone_names, for example Europe/Kyiv.';
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION infobase_zone_guard() IS 'Trigger: the time zone of an infobase exists';
CREATE TRIGGER zone_guard BEFORE INSERT OR UPDATE OF time_zone ON infobase FOR EACH ROW EXECUTE FUNCTION infobase_zone_guard();

-- A base that has moved keeps its keys; in another base they name nothing, and BAS takes references to nothing.
CREATE FUNCTION infobase_url_guard() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    documents bigint;
BEGIN
    IF NEW.url ~* '/odata(/|$)' THEN
        RAISE EXCEPTION 'the address of infobase "%" is that of its OData interface', NEW.name
            USING ERRCODE = '22023', DETAIL = NEW.url, HINT = 'Give the address of the publication alone, without /odata/standard.odata.';
    END IF;
    IF TG_OP = 'UPDATE' THEN
        SELECT count(*) INTO documents FROM bas_order b WHERE b.infobase = NEW.name;
        IF documents > 0 OR EXISTS (SELECT FROM bas_counterparty_phone p WHERE p.infobase = NEW.name AND p.state = 'known') THEN
            RAISE WARNING 'infobase "%" is taken for the same base at another address', NEW.name
                USING DETAIL = format('%s documents, and the customers, goods and lists that were read at %s, are expected at %s under the same keys.', documents, OLD.url, NEW.url),
                      HINT = 'If it is another base (the live one after a trial with a copy), set the address back: documents would name customers that are not there. See "From a trial to the live base" in README.';
        END IF;
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION infobase_url_guard() IS 'Trigger: the address of an infobase is that of the publication; a warning where an address is changed and objects of the base are known';
CREATE TRIGGER url_guard BEFORE INSERT ON infobase FOR EACH ROW EXECUTE FUNCTION infobase_url_guard();
CREATE TRIGGER url_changed BEFORE UPDATE OF url ON infobase FOR EACH ROW WHEN (NEW.url <> OLD.url) EXECUTE FUNCTION infobase_url_guard();

-- A restored row keeps the times it comes with.
CREATE FUNCTION statuses_switched() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    IF NEW.status_source = 'state' AND NEW.status_to_bas THEN
        RAISE EXCEPTION 'account "%" cannot write statuses into BAS and take states of its register for them', NEW.name
            USING ERRCODE = '23514', CONSTRAINT = 'account_status_source', DETAIL = 'What the base works out by itself is read, and cannot be written.',
                  HINT = 'Set status_to_bas = false in the same UPDATE, or leave status_source at ''document''.';
    END IF;
    IF TG_OP = 'INSERT' THEN
        NEW.status_to_since := CASE WHEN NEW.status_to_bas THEN coalesce(NEW.status_to_since, clock()) END;
        NEW.status_from_since := CASE WHEN NEW.status_from_bas THEN coalesce(NEW.status_from_since, clock()) END;
        RETURN NEW;
    END IF;
    IF NEW.status_to_bas AND NOT OLD.status_to_bas THEN
        NEW.status_to_since := clock();
    END IF;
    IF NEW.status_from_bas AND (NOT OLD.status_from_bas OR NEW.status_source <> OLD.status_source) THEN
        NEW.status_from_since := clock();
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION statuses_switched() IS 'Trigger: notes since when statuses of an account travel, each way; refuses to write what is only read';
CREATE TRIGGER statuses_switched BEFORE INSERT OR UPDATE OF status_to_bas, status_from_bas, status_source ON account
    FOR EACH ROW EXECUTE FUNCTION statuses_switched();

-- What waits for a connection that is gone could never be done, and what was made through it would be forgotten.
CREATE FUNCTION connection_kept() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    orders bigint;
    why    text;
BEGIN
    LOCK TABLE task IN SHARE MODE;    -- as in account_guard()
    IF TG_TABLE_NAME = 'account' THEN
        SELECT count(*) INTO orders FROM (SELECT y.order_id::text FROM order_sync y WHERE y.account = OLD.name UNION SELECT t.key FROM task t WHERE t.account = OLD.name AND t.infobase IS NOT NULL) o;
        why := CASE WHEN orders > 0 THEN format('%s of its orders are on their way or in BAS.', orders)
                    WHEN EXISTS (SELECT FROM payment_sync y WHERE y.account = OLD.name AND (y.write_unsure OR y.bas_ref IS NOT NULL)) THEN 'Payment documents were made for it in BAS.' END;
    ELSE
        SELECT string_agg(a.name, ', ' ORDER BY a.name) INTO why FROM account a WHERE a.infobase = OLD.name;
        SELECT count(*) INTO orders FROM order_sync y WHERE y.infobase = OLD.name;
        why := CASE WHEN why IS NOT NULL THEN 'Accounts send their orders there: ' || why || '.' WHEN orders > 0 THEN format('%s orders have documents there.', orders) END;
    END IF;
    IF why IS NOT NULL THEN
        RAISE EXCEPTION '% "%" cannot be deleted', TG_TABLE_NAME, OLD.name
            USING ERRCODE = '55006', DETAIL = why,
                  HINT = CASE TG_TABLE_NAME WHEN 'account' THEN format('SELECT salesdrive.pause(%L, ''no longer used'') ends the sending and keeps the history.', OLD.name)
                                            ELSE format('SELECT salesdrive.pause_infobase(%L, ''no longer used'') ends the sending and keeps the history.', OLD.name) END;
    END IF;
    IF TG_TABLE_NAME = 'infobase' THEN    -- what is known of it, and is being asked of it, goes with it
        DELETE FROM task t WHERE t.infobase = OLD.name;
        DELETE FROM dictionary_load d WHERE d.infobase = OLD.name;
        DELETE FROM metadata_load l WHERE l.infobase = OLD.name;
        DELETE FROM product_load l WHERE l.infobase = OLD.name;
        PERFORM forget_goods(OLD.name);
        DELETE FROM bas_metadata m WHERE m.infobase = OLD.name;
        DELETE FROM dictionary_value d WHERE d.scope = OLD.name AND d.side = 'bas';
        DELETE FROM bas_product p WHERE p.infobase = OLD.name;
        DELETE FROM product_creation c WHERE c.infobase = OLD.name;
        DELETE FROM folder_creation c WHERE c.infobase = OLD.name;
        DELETE FROM bas_attribute b WHERE b.infobase = OLD.name;
        DELETE FROM bas_record r WHERE r.infobase = OLD.name;
        DELETE FROM bas_counterparty_phone p WHERE p.infobase = OLD.name;
        DELETE FROM bas_counterparty c WHERE c.infobase = OLD.name;
    ELSE
        DELETE FROM task t WHERE t.target = 'account:' || OLD.name;
        DELETE FROM value_map m WHERE m.account = OLD.name;
        DELETE FROM dictionary_rule r WHERE r.account = OLD.name;
        DELETE FROM order_filter f WHERE f.account = OLD.name;
        DELETE FROM header_rule r WHERE r.account = OLD.name;
        DELETE FROM product_rule r WHERE r.account = OLD.name;
        DELETE FROM field_map f WHERE f.account = OLD.name;
        DELETE FROM dictionary_value d WHERE d.scope = OLD.name AND d.side = 'crm';
    END IF;
    RETURN OLD;
END $$;
COMMENT ON FUNCTION connection_kept() IS 'Trigger: an account with orders, or an infobase with accounts or orders, is not deleted';
CREATE TRIGGER kept BEFORE DELETE ON account FOR EACH ROW EXECUTE FUNCTION connection_kept();
CREATE TRIGGER kept BEFORE DELETE ON infobase FOR EACH ROW EXECUTE FUNCTION connection_kept();

CREATE FUNCTION credentials_gone() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
BEGIN
    DELETE FROM credential_secret s WHERE split_part(s.name, ':', 1) = TG_TABLE_NAME AND split_part(s.name, ':', 2) = OLD.name;
    DELETE FROM credential c WHERE split_part(c.name, ':', 1) = TG_TABLE_NAME AND split_part(c.name, ':', 2) = OLD.name;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION credentials_gone() IS 'Trigger: the secrets of an account or infobase go with it';
CREATE TRIGGER credentials_gone AFTER DELETE ON account FOR EACH ROW EXECUTE FUNCTION credentials_gone();
CREATE TRIGGER credentials_gone AFTER DELETE ON infobase FOR EACH ROW EXECUTE FUNCTION credentials_gone();

CREATE FUNCTION quiet_reason() RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    i instance;
    s record;
BEGIN
    SELECT * INTO i FROM instance;
    IF NOT FOUND THEN
        IF EXISTS (SELECT FROM infobase) THEN
            RETURN 'this database has connections but no identity yet; SELECT salesdrive.adopt() lets it speak';
        END IF;
        RETURN 'nothing is configured yet; start with salesdrive.add_infobase()';
    END IF;
    SELECT * INTO s FROM system_identity();
    IF i.system_identifier <> s.system_identifier THEN
        RETURN format('this database is a copy of database "%s" of another cluster (%s, this one is %s); SELECT salesdrive.adopt() lets it take over',
                      i.database_name, i.system_identifier, s.system_identifier);
    ELSIF i.database_oid <> s.database_oid THEN
        RETURN format('this database is a copy of database "%s" (oid %s, this one is %s); SELECT salesdrive.adopt() lets it take over',
                      i.database_name, i.database_oid, s.database_oid);
    ELSIF i.database_name <> s.database_name THEN
        RETURN format('this database was renamed from "%s" to "%s"; SELECT salesdrive.adopt() lets it go on', i.database_name, s.database_name);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION quiet_reason() IS 'Why this database sends nothing: it is a copy, was renamed, or nothing is configured; NULL when it may speak';

CREATE FUNCTION secret(name text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN (SELECT CASE c.kind WHEN 'literal' THEN s.value ELSE secret_value(c.kind || ':' || c.reference) END
    FROM credential c LEFT JOIN credential_secret s USING (name)
    WHERE c.name = secret.name);
END $$;
COMMENT ON FUNCTION secret(text) IS 'The secret of that name; NULL when it is not set here (a dump does not carry literals)';
