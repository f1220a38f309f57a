-- Purpose: goods of SalesDrive: what its YML export says of them, and the rules by which products and folders are made of them in BAS.
-- Rights: 'operator' edits product_rule; the rest is written by the engine; readers read.

CREATE TABLE product_rule (
    account      text NOT NULL CHECK (account <> ''),
    rank         integer NOT NULL DEFAULT 100,
    source       text CHECK (source IN ('order', 'yml')),
    category     text CHECK (category <> ''),
    name         text CHECK (name <> ''),
    sku          text CHECK (sku <> ''),
    template_sku text CHECK (template_sku <> ''),
    folder       text CHECK (folder <> ''),
    make_folders boolean NOT NULL DEFAULT false,
    unit         text CHECK (unit <> ''),
    vat_rate     text CHECK (vat_rate <> ''),
    kind         text CHECK (kind <> ''),
    bas_category uuid,
    note         text,
    changed_at   timestamptz NOT NULL DEFAULT clock(),
    PRIMARY KEY (account, rank),
    CONSTRAINT product_rule_folders CHECK (folder = 'same' OR NOT make_folders),
    CONSTRAINT product_rule_pattern CHECK (category !~ '(^|[^\\])(\\\\)*\\$' AND name !~ '(^|[^\\])(\\\\)*\\$' AND sku !~ '(^|[^\\])(\\\\)*\\$')
);
COMMENT ON TABLE product_rule IS 'How products made in BAS look: the first row that holds for a product counts; what it leaves open comes from the template';
COMMENT ON COLUMN product_rule.account IS 'Account; * for every account';
COMMENT ON COLUMN product_rule.rank IS 'The lowest that holds counts; of equal ones that of the account first';
COMMENT ON COLUMN product_rule.source IS 'order or yml: only products that orders, or the YML export, want; NULL: both';
COMMENT ON COLUMN product_rule.category IS 'Pattern (as of LIKE, without case) of the name of its category in SalesDrive, or of its path, for example Dishes/Cups%; NULL: any';
COMMENT ON COLUMN product_rule.name IS 'Pattern of its name; NULL: any';
COMMENT ON COLUMN product_rule.sku IS 'Pattern of its SKU; NULL: any';
COMMENT ON COLUMN product_rule.template_sku IS 'SKU of the product it is made after; NULL: account.template_sku';
COMMENT ON COLUMN product_rule.folder IS 'Folder in BAS: Ref_Key, code, name or path; same: that of the path of its category; NULL: that of the template';
COMMENT ON COLUMN product_rule.make_folders IS 'With folder same: make what is missing of the path; off: the product is parked';
COMMENT ON COLUMN product_rule.unit IS 'Unit: Ref_Key, code or name';
COMMENT ON COLUMN product_rule.vat_rate IS 'VAT rate: Ref_Key, code, name or value as in BAS, or a percentage that only one rate has';
COMMENT ON COLUMN product_rule.kind IS 'Type: goods, service, or the value as BAS writes it';
COMMENT ON COLUMN product_rule.bas_category IS 'Ref_Key of the category (УНФ) or kind of goods (УТ, ERP) in BAS, where the profile names such a property';
COMMENT ON COLUMN product_rule.note IS 'Anything worth remembering';
COMMENT ON COLUMN product_rule.changed_at IS 'When it was set last';
COMMENT ON CONSTRAINT product_rule_pattern ON product_rule IS 'LIKE refuses a pattern whose last character is a backslash that escapes nothing, when it comes that far';
COMMENT ON CONSTRAINT product_rule_folders ON product_rule IS 'Folders are made only along the path of a category';
CREATE TRIGGER touched BEFORE UPDATE ON product_rule FOR EACH ROW EXECUTE FUNCTION touched();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON product_rule FOR EACH ROW EXECUTE FUNCTION wake_waiting('product_rule:%s:', 'account');

CREATE TABLE crm_category (
    account     text NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    category_id text NOT NULL,
    name        text NOT NULL,
    parent_id   text,
    ids         text[],
    path        text[],
    seen_at     timestamptz NOT NULL,
    gone_at     timestamptz,
    PRIMARY KEY (account, category_id)
);
COMMENT ON TABLE crm_category IS 'Categories of goods in SalesDrive, as the YML export said last';
COMMENT ON COLUMN crm_category.account IS 'Account';
COMMENT ON COLUMN crm_category.category_id IS 'Its id';
COMMENT ON COLUMN crm_category.name IS 'Name';
COMMENT ON COLUMN crm_category.parent_id IS 'Category it is in; NULL: none';
COMMENT ON COLUMN crm_category.ids IS 'Ids from the outermost category to this one; NULL: one of them is not there, or lies within itself, or there are more than 100';
COMMENT ON COLUMN crm_category.path IS 'Their names';
COMMENT ON COLUMN crm_category.seen_at IS 'When the export had it last';
COMMENT ON COLUMN crm_category.gone_at IS 'When the export had it no more; NULL: it has it';

CREATE TABLE crm_good (
    account     text NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    offer_id    text NOT NULL,
    sku         text,
    name        text,
    category_id text,
    price       numeric,
    currency    text,
    available   boolean,
    quantity    numeric,
    parameters  jsonb NOT NULL DEFAULT '{}',
    seen_at     timestamptz NOT NULL,
    gone_at     timestamptz,
    PRIMARY KEY (account, offer_id)
);
COMMENT ON TABLE crm_good IS 'Goods of SalesDrive, as its YML export said last';
COMMENT ON COLUMN crm_good.account IS 'Account';
COMMENT ON COLUMN crm_good.offer_id IS 'Id of the offer';
COMMENT ON COLUMN crm_good.sku IS 'SKU (vendorCode, else article), without spaces at its ends; NULL: it has none';
COMMENT ON COLUMN crm_good.name IS 'Name';
COMMENT ON COLUMN crm_good.category_id IS 'Category';
COMMENT ON COLUMN crm_good.price IS 'Price; NULL: none, or no number';
COMMENT ON COLUMN crm_good.currency IS 'Its currency';
COMMENT ON COLUMN crm_good.available IS 'Whether it can be bought; NULL: not told';
COMMENT ON COLUMN crm_good.quantity IS 'Stock; NULL: not told';
COMMENT ON COLUMN crm_good.parameters IS 'Parameters {name: value}';
COMMENT ON COLUMN crm_good.seen_at IS 'When the export had it last';
COMMENT ON COLUMN crm_good.gone_at IS 'When the export had it no more; NULL: it has it';
CREATE INDEX crm_good_sku ON crm_good (account, sku);
