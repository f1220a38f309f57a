-- Purpose: goods, stock and prices on their way to SalesDrive: what is sent, which card of SalesDrive is which good, what it holds, runs.
-- Rights: 'admin' sets account_goods; 'operator' edits the other rules and crm_product; the rest is written by the engine; readers read.

CREATE FUNCTION card_fields() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['nameTranslate', 'nameForDocuments', 'description', 'descriptionTranslate', 'manufacturer', 'country', 'uktzed', 'exciseCode', 'barcode', 'weight', 'volume', 'length', 'width', 'height', 'url', 'note', 'supplier', 'keywords'];
COMMENT ON FUNCTION card_fields() IS 'Fields of a card of SalesDrive that card_field can fill';

CREATE TABLE account_goods (
    account         text PRIMARY KEY REFERENCES account (name) ON DELETE CASCADE,
    product_id      text NOT NULL DEFAULT 'sku' CHECK (product_id IN ('sku', 'code', 'ref_key')),
    unmatched       text NOT NULL DEFAULT 'list' CHECK (unmatched IN ('list', 'export')),
    folders         uuid[] CHECK (cardinality(folders) > 0),
    services        boolean NOT NULL DEFAULT false,
    condition       jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(condition) = 'object'),
    characteristics text NOT NULL DEFAULT 'sum' CHECK (characteristics IN ('sum', 'products')),
    stock_by        text NOT NULL DEFAULT 'warehouse' CHECK (stock_by IN ('warehouse', 'total')),
    total_of        uuid[] CHECK (cardinality(total_of) > 0),
    reserves        text NOT NULL DEFAULT 'subtract' CHECK (reserves IN ('subtract', 'keep')),
    negative_stock  text NOT NULL DEFAULT 'zero' CHECK (negative_stock IN ('zero', 'keep')),
    currency        text NOT NULL DEFAULT 'UAH' CHECK (currency ~ '^[A-Z]{3}$'),
    cost            text NOT NULL DEFAULT 'off' CHECK (cost IN ('off', 'prices', 'card')),
    owns            text[] NOT NULL DEFAULT '{name,sku,category}' CHECK (owns <@ ARRAY['name', 'sku', 'category', 'set']),
    first_category  integer NOT NULL DEFAULT 1000001 CHECK (first_category > 0),
    catalog_age     interval NOT NULL DEFAULT '1 day' CHECK (catalog_age BETWEEN '0' AND '100 years'),
    stale_after     interval NOT NULL DEFAULT '1 hour' CHECK (stale_after BETWEEN '1 minute' AND '100 years'),
    stock_guard     numeric NOT NULL DEFAULT 0.3 CHECK (stock_guard BETWEEN 0 AND 1),
    price_guard     numeric NOT NULL DEFAULT 0.3 CHECK (price_guard BETWEEN 0 AND 1),
    lines_seen      timestamptz
);
COMMENT ON TABLE account_goods IS 'Which goods, and what of them, an account of SalesDrive gets from its base; without a row it gets none';
COMMENT ON COLUMN account_goods.account IS 'Account';
COMMENT ON COLUMN account_goods.product_id IS 'Id a new card gets: sku, code or ref_key of the good. A card that is there keeps its own (crm_product)';
COMMENT ON COLUMN account_goods.unmatched IS 'Goods that SalesDrive does not know: list (unsent_good) or export (push_products() makes cards)';
COMMENT ON COLUMN account_goods.folders IS 'Only goods in these folders and below (Ref_Keys); NULL: all';
COMMENT ON COLUMN account_goods.services IS 'Services too';
COMMENT ON COLUMN account_goods.condition IS 'Only goods whose row in BAS has these properties with these values: {"Недействителен": false}; properties that the profile does not name are added by rows of profile_property';
COMMENT ON COLUMN account_goods.characteristics IS 'sum: a good and its characteristics are one product; products: those that product_pin gives an SKU are products of their own, under their good (parentProductId)';
COMMENT ON COLUMN account_goods.stock_by IS 'warehouse: stock of each mapped warehouse (stockBalanceByStock); total: one number (stockBalance)';
COMMENT ON COLUMN account_goods.total_of IS 'Warehouses of BAS that a total counts (Ref_Keys); NULL: all';
COMMENT ON COLUMN account_goods.reserves IS 'subtract: what is reserved in BAS is not for sale; keep: it counts as stock';
COMMENT ON COLUMN account_goods.negative_stock IS 'Stock below 0 is sent as 0 (zero), or as it is (keep)';
COMMENT ON COLUMN account_goods.currency IS 'Currency of costs, and of prices that name none, as SalesDrive writes it';
COMMENT ON COLUMN account_goods.cost IS 'Whether and with what the cost (expenses) is sent: off, prices or card';
COMMENT ON COLUMN account_goods.owns IS 'Groups of fields of a card that are kept as in BAS: name, sku, category, set; further ones by rows of card_field. All others are left as they are in SalesDrive';
COMMENT ON COLUMN account_goods.first_category IS 'Number of the first category made: above those the account has already';
COMMENT ON COLUMN account_goods.catalog_age IS 'With stock and prices, names and folders read so long ago will do; push_products() reads them anew';
COMMENT ON COLUMN account_goods.stale_after IS 'What was read, or compared, so long ago is not sent any more (where SalesDrive was away, for example): it is read anew';
COMMENT ON COLUMN account_goods.stock_guard IS 'Largest share of goods in stock that a push may set to 0 without being asked';
COMMENT ON COLUMN account_goods.price_guard IS 'Largest share of prices that a push may change without being asked';
COMMENT ON COLUMN account_goods.lines_seen IS 'Orders changed before have told what cards there are';

CREATE TABLE account_price (
    account    text NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    role       text NOT NULL CHECK (role IN ('main', 'additional', 'discount')),
    price_type text NOT NULL CHECK (price_type <> ''),
    name       text CHECK (name <> ''),
    PRIMARY KEY (account, role, price_type),
    CONSTRAINT account_price_name CHECK ((role = 'additional') = (name IS NOT NULL))
);
COMMENT ON TABLE account_price IS 'Which price type of BAS is which price in SalesDrive';
COMMENT ON COLUMN account_price.account IS 'Account';
COMMENT ON COLUMN account_price.role IS 'main: the price (costPerItem); additional: an additional price; discount: the price after a discount, which SalesDrive gets as per cent of the main one';
COMMENT ON COLUMN account_price.price_type IS 'Price type of BAS: name, code or Ref_Key';
COMMENT ON COLUMN account_price.name IS 'Name of an additional price in SalesDrive';
COMMENT ON CONSTRAINT account_price_name ON account_price IS 'An additional price has a name in SalesDrive, the others have none';
CREATE UNIQUE INDEX account_price_one ON account_price (account, role) WHERE role <> 'additional';
CREATE UNIQUE INDEX account_price_named ON account_price (account, name) WHERE role = 'additional';

CREATE TABLE card_field (
    account text NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    field   text NOT NULL CHECK (field = ANY (card_fields())),
    source  text NOT NULL CHECK (source <> ''),
    note    text,
    PRIMARY KEY (account, field)
);
COMMENT ON TABLE card_field IS 'Fields of a card that are filled from BAS, beside those of account_goods.owns';
COMMENT ON COLUMN card_field.account IS 'Account';
COMMENT ON COLUMN card_field.field IS 'Field in SalesDrive, one of card_fields()';
COMMENT ON COLUMN card_field.source IS 'Property of the good as the base names it, one that the profile names or a row of profile_property adds; or name, full_name, code, kind; with steps by commas into a property that is an object';
COMMENT ON COLUMN card_field.note IS 'Anything worth remembering';

CREATE TABLE crm_product (
    account        text NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    product_id     text NOT NULL CHECK (product_id <> ''),
    crm_id         text,
    sku            text,
    product        uuid,
    characteristic uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    without_id     boolean NOT NULL DEFAULT false,
    known_from     text NOT NULL DEFAULT 'user' CHECK (known_from IN ('order', 'push', 'user')),
    changed_at     timestamptz NOT NULL DEFAULT clock(),
    PRIMARY KEY (account, product_id)
);
COMMENT ON TABLE crm_product IS 'Cards of goods that SalesDrive has, as orders, pushes and users tell; nothing lists them';
COMMENT ON COLUMN crm_product.account IS 'Account';
COMMENT ON COLUMN crm_product.product_id IS 'External id of the card, "parameter" in orders: by it the card is addressed';
COMMENT ON COLUMN crm_product.crm_id IS 'Number of the card';
COMMENT ON COLUMN crm_product.sku IS 'Its SKU: the good of BAS with this article, or pinned to it, is the one';
COMMENT ON COLUMN crm_product.product IS 'Ref_Key of the good, where a push or a user tied them: then a new article in BAS makes no new card. It counts as long as the good is there, and its SKU is not pinned to another since';
COMMENT ON COLUMN crm_product.characteristic IS 'Its characteristic; 0: none';
COMMENT ON COLUMN crm_product.without_id IS 'The card has no external id, so it cannot be addressed; product_id is # and its number';
COMMENT ON COLUMN crm_product.known_from IS 'order, push or user (wins, in this order from the last)';
COMMENT ON COLUMN crm_product.changed_at IS 'When the row changed last';
CREATE INDEX crm_product_sku ON crm_product (account, sku);
CREATE INDEX crm_product_product ON crm_product (account, product);
CREATE TRIGGER touched BEFORE UPDATE ON crm_product FOR EACH ROW EXECUTE FUNCTION touched();

CREATE TABLE product_sync (
    account        text NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    product_id     text NOT NULL,
    what           text NOT NULL CHECK (what IN ('card', 'stock', 'price')),
    sku            text,
    product        uuid,
    characteristic uuid,
    name           text NOT NULL,
    wanted         jsonb NOT NULL,
    accepted       jsonb,
    accepted_at    timestamptz,
    state          text NOT NULL DEFAULT 'wanted' CHECK (state IN ('wanted', 'sent', 'accepted', 'refused')),
    doubted        boolean NOT NULL DEFAULT false,
    run            bigint,
    turn           integer,
    batch          integer,
    fails          integer NOT NULL DEFAULT 0,
    detail         text,
    PRIMARY KEY (account, what, product_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE product_sync IS 'What SalesDrive took last of each product, of its card, its stock and its prices, and what it is to hold';
COMMENT ON COLUMN product_sync.account IS 'Account';
COMMENT ON COLUMN product_sync.product_id IS 'External id of the card';
COMMENT ON COLUMN product_sync.what IS 'card, stock or price';
COMMENT ON COLUMN product_sync.sku IS 'SKU when it was compared last with a difference';
COMMENT ON COLUMN product_sync.product IS 'Ref_Key of the good';
COMMENT ON COLUMN product_sync.characteristic IS 'Its characteristic; 0: none';
COMMENT ON COLUMN product_sync.name IS 'Its name, which every request carries';
COMMENT ON COLUMN product_sync.wanted IS 'Fields as they are to be; of a run under way exactly what is sent';
COMMENT ON COLUMN product_sync.accepted IS 'Fields as SalesDrive took them last; NULL: never yet';
COMMENT ON COLUMN product_sync.accepted_at IS 'When';
COMMENT ON COLUMN product_sync.state IS 'wanted (not sent yet), sent (no answer yet, or none), accepted, or refused (by SalesDrive: sent again when its values change, or push_again())';
COMMENT ON COLUMN product_sync.doubted IS 'SalesDrive may hold something else than accepted: it is sent again whatever it is to be';
COMMENT ON COLUMN product_sync.run IS 'Run that found the last difference';
COMMENT ON COLUMN product_sync.turn IS 'That run is still to send it: those of a lower turn first, and by product_id where it is the same, since others refer to them; NULL: it is not';
COMMENT ON COLUMN product_sync.batch IS 'Request under way, or to be repeated, that carries it, numbered by the place of its first product; NULL: it is in none yet';
COMMENT ON COLUMN product_sync.fails IS 'Times in a row that SalesDrive refused it';
COMMENT ON COLUMN product_sync.detail IS 'Why it is refused, in the words of SalesDrive, or has no answer';
CREATE INDEX product_sync_turn ON product_sync (account, what, turn, product_id) WHERE turn IS NOT NULL;
CREATE INDEX product_sync_batch ON product_sync (account, what, batch) WHERE batch IS NOT NULL;

CREATE TABLE category_sync (
    account  text NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    folder   uuid NOT NULL,
    number   integer NOT NULL CHECK (number > 0),
    wanted   jsonb,
    accepted jsonb,
    state    text NOT NULL DEFAULT 'wanted' CHECK (state IN ('wanted', 'sent', 'accepted', 'refused')),
    place    integer,
    batch    integer,
    detail   text,
    PRIMARY KEY (account, folder),
    UNIQUE (account, number)
);
COMMENT ON TABLE category_sync IS 'Folders of goods in BAS and the categories of SalesDrive that they are';
COMMENT ON COLUMN category_sync.account IS 'Account';
COMMENT ON COLUMN category_sync.folder IS 'Ref_Key of the folder';
COMMENT ON COLUMN category_sync.number IS 'Id of the category: of those made here counted from account_goods.first_category; yours, where a folder is a category that is there already';
COMMENT ON COLUMN category_sync.wanted IS 'Name and parent as they are to be';
COMMENT ON COLUMN category_sync.accepted IS 'The same as SalesDrive took them last';
COMMENT ON COLUMN category_sync.state IS 'wanted, sent, accepted or refused, as of product_sync';
COMMENT ON COLUMN category_sync.place IS 'Its place in the order of sending: a parent comes before its children';
COMMENT ON COLUMN category_sync.batch IS 'Request that carries it, numbered as of product_sync; NULL: none is to';
COMMENT ON COLUMN category_sync.detail IS 'Why it is refused, or has no answer';

CREATE TYPE push_figures AS (
    goods    bigint,
    left_out bigint,
    changed  bigint,
    known    bigint,
    base     bigint,
    hit      bigint,
    bare     bigint
);
COMMENT ON TYPE push_figures IS 'What a comparison found';
COMMENT ON COLUMN push_figures.goods IS 'Products compared';
COMMENT ON COLUMN push_figures.left_out IS 'Goods that are not sent';
COMMENT ON COLUMN push_figures.changed IS 'Products that differ';
COMMENT ON COLUMN push_figures.known IS 'Products that SalesDrive has taken before';
COMMENT ON COLUMN push_figures.base IS 'Of these, with a price, or in stock';
COMMENT ON COLUMN push_figures.hit IS 'Of these, whose price would change, or that would be set to 0';
COMMENT ON COLUMN push_figures.bare IS 'Products that are to have no stock; goods without a price';

CREATE SEQUENCE push_run_id_seq;
COMMENT ON SEQUENCE push_run_id_seq IS 'Numbers of runs of pushes';

CREATE TABLE push_run (
    id           bigint PRIMARY KEY DEFAULT nextval('push_run_id_seq'),
    account      text NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    what         text NOT NULL CHECK (what IN ('card', 'stock', 'price')),
    state        text NOT NULL DEFAULT 'reading' CHECK (state IN ('reading', 'comparing', 'guarded', 'sending', 'parked', 'done', 'cancelled')),
    asked_at     timestamptz NOT NULL DEFAULT clock(),
    started_at   timestamptz NOT NULL DEFAULT clock(),
    stage        text CHECK (stage IN ('left', 'goods', 'gone')),
    reached      text,
    basis        text,
    found        push_figures,
    compared_at  timestamptz,
    goods        integer NOT NULL DEFAULT 0,
    left_out     integer NOT NULL DEFAULT 0,
    changed      integer NOT NULL DEFAULT 0,
    sent         integer NOT NULL DEFAULT 0,
    failed       integer NOT NULL DEFAULT 0,
    requests     integer NOT NULL DEFAULT 0,
    kept         jsonb,
    share        numeric,
    allowed      numeric,
    guard_text   text,
    unsure_until timestamptz,
    ended_at     timestamptz
);
COMMENT ON TABLE push_run IS 'Pushes of goods, stock or prices to SalesDrive, one row from its beginning to its end';
COMMENT ON COLUMN push_run.id IS 'Number; allow_push() takes it';
COMMENT ON COLUMN push_run.account IS 'Account';
COMMENT ON COLUMN push_run.what IS 'card, stock or price';
COMMENT ON COLUMN push_run.state IS 'reading (BAS is being asked), comparing (what was read, with what SalesDrive took last), guarded (it waits for allow_push()), sending, parked (a setting is missing, BAS could not be read, or SalesDrive refuses everything), done or cancelled';
COMMENT ON COLUMN push_run.asked_at IS 'When it was asked for last';
COMMENT ON COLUMN push_run.started_at IS 'What was read of BAS before does not count';
COMMENT ON COLUMN push_run.stage IS 'Of a comparison under way: left (what a former one left to be sent is put aside), goods (those of the base), gone (cards whose good is in the base no more)';
COMMENT ON COLUMN push_run.reached IS 'How far that stage has come: Ref_Key of the last good, or id of the last card';
COMMENT ON COLUMN push_run.basis IS 'Digest of the readings and settings that are compared: with others the comparison begins anew';
COMMENT ON COLUMN push_run.found IS 'What the comparison has found so far';
COMMENT ON COLUMN push_run.compared_at IS 'When what was read was compared whole with what SalesDrive took last';
COMMENT ON COLUMN push_run.goods IS 'Products compared';
COMMENT ON COLUMN push_run.left_out IS 'Goods that are not sent, each with its reason in unsent_good';
COMMENT ON COLUMN push_run.changed IS 'Products that differ';
COMMENT ON COLUMN push_run.sent IS 'Of these, taken by SalesDrive';
COMMENT ON COLUMN push_run.failed IS 'Of these, refused';
COMMENT ON COLUMN push_run.requests IS 'Requests, those without an answer too';
COMMENT ON COLUMN push_run.kept IS 'Fields of a card that its requests leave as SalesDrive has them (dontUpdateFields), as settings were when it was compared';
COMMENT ON COLUMN push_run.share IS 'Share of prices it changes, or of goods in stock it sets to 0';
COMMENT ON COLUMN push_run.allowed IS 'Share that allow_push() has allowed';
COMMENT ON COLUMN push_run.guard_text IS 'What it would have done, where a guard stopped it';
COMMENT ON COLUMN push_run.unsure_until IS 'Until when a request without an answer can be at work in SalesDrive: nothing is sent before';
COMMENT ON COLUMN push_run.ended_at IS 'When it ended';
CREATE UNIQUE INDEX push_run_open ON push_run (account, what) WHERE ended_at IS NULL;
CREATE INDEX push_run_last ON push_run (account, what, id);
