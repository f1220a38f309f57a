-- Purpose: the exchange entity: which property of BAS is filled from what of an order, and how. Rows of a user win over shipped ones, those of an
-- account over those of all, the first whose condition holds counts; what no row fills is left to the engine (profile_property.rule).
-- Rights: 'operator' edits, 'admin' alone rows with a function; readers read. A change wakes the orders parked for a field.

CREATE TABLE field_map (
    account       text NOT NULL DEFAULT '*' CHECK (account <> ''),
    target        text NOT NULL CHECK (target IN ('order', 'order_line', 'attribute', 'counterparty', 'partner', 'contact')),
    property      text NOT NULL CHECK (property = btrim(property) AND length(property) BETWEEN 1 AND 150 AND property !~ '[[:cntrl:]]'),
    origin        text NOT NULL DEFAULT 'user' CHECK (origin IN ('shipped', 'user')),
    profile       text NOT NULL DEFAULT '*' CHECK (profile <> ''),
    turn          integer NOT NULL DEFAULT 1 CHECK (turn > 0),
    source_kind   text NOT NULL DEFAULT 'path' CHECK (source_kind IN ('path', 'constant', 'function')),
    source        text NOT NULL CHECK (source <> ''),
    transform     text CHECK (transform <> ''),
    arguments     jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(arguments) = 'object'),
    dictionary    text CHECK (dictionary ~ '^[^/:[:space:][:cntrl:]]{1,63}$'),
    default_value text CHECK (default_value <> ''),
    condition     text CHECK (condition <> ''),
    owner         text NOT NULL DEFAULT 'crm' CHECK (owner IN ('crm', 'bas', 'empty')),
    required      boolean NOT NULL DEFAULT false,
    edm_type      text CHECK (edm_type ~ '^(Edm\.(String|Boolean|Double|Decimal|Int16|Int32|Int64|DateTime|Guid)|StandardODATA\.[^[:space:][:cntrl:]/()''"]+)$'),
    enabled       boolean NOT NULL DEFAULT true,
    note          text,
    changed_at    timestamptz DEFAULT clock(),
    PRIMARY KEY (account, target, property, origin, profile, turn)
);
COMMENT ON TABLE field_map IS 'The exchange entity: which property of BAS is filled from what of an order; written by map_field()';
COMMENT ON COLUMN field_map.account IS 'Account; * for every account';
COMMENT ON COLUMN field_map.target IS 'order (header of the document), order_line, attribute (additional attribute of the document), counterparty, partner, or contact (contact information of a new counterparty)';
COMMENT ON COLUMN field_map.property IS 'Name of the property in BAS; of an attribute its name, title or Ref_Key; of contact information the name of its kind, its predefined name or Ref_Key';
COMMENT ON COLUMN field_map.origin IS 'shipped or user (wins)';
COMMENT ON COLUMN field_map.profile IS 'Profile the row is for; * for every profile';
COMMENT ON COLUMN field_map.turn IS 'Of several rows for one property the first whose condition holds counts';
COMMENT ON COLUMN field_map.source_kind IS 'path, constant (also the text of a template), or function';
COMMENT ON COLUMN field_map.source IS 'SQL/JSON path over the order as received (of order_line: over the element of products, $order is the order), the constant, or schema.function of type (data jsonb, line jsonb, arguments jsonb) returning jsonb';
COMMENT ON COLUMN field_map.transform IS 'Steps with | between: text, upper, lower, left, right, replace, extract, digits, number, date, flag, phone, name, join, first, template, named; NULL takes the value as it is';
COMMENT ON COLUMN field_map.arguments IS 'Of the steps, and the third argument of the function';
COMMENT ON COLUMN field_map.dictionary IS 'The value is one of SalesDrive, and value_map says what it is in BAS';
COMMENT ON COLUMN field_map.default_value IS 'Value where the order has none';
COMMENT ON COLUMN field_map.condition IS 'SQL/JSON path predicate over the same; where it does not hold, the row does not count';
COMMENT ON COLUMN field_map.owner IS 'crm: kept equal to the order; bas: written with the creation only; empty: written while BAS holds nothing there';
COMMENT ON COLUMN field_map.required IS 'An order without a value is parked';
COMMENT ON COLUMN field_map.edm_type IS 'Type of the property, as in $metadata, or StandardODATA. and an entity set for a reference with its _Type; NULL: as the profile has it, else Edm.Guid of a name that ends with _Key, else Edm.String';
COMMENT ON COLUMN field_map.enabled IS 'False: the property is left to the engine, and the rows that would come after this one are off';
COMMENT ON COLUMN field_map.note IS 'Anything worth remembering';
COMMENT ON COLUMN field_map.changed_at IS 'When it was set last; NULL of a shipped row';

-- Of an order.

CREATE TYPE order_fields AS (
    account    text,
    order_id   bigint,
    header     jsonb,
    by_line    jsonb,
    attributes jsonb,
    names      jsonb,
    once       text[],
    if_empty   text[],
    problem    text,
    detail     text,
    hint       text,
    blocked_on text,
    notes      text,
    records    jsonb
);
COMMENT ON TYPE order_fields IS 'What field_map gives for the document of an order';
COMMENT ON COLUMN order_fields.account IS 'Account';
COMMENT ON COLUMN order_fields.order_id IS 'Order number';
COMMENT ON COLUMN order_fields.header IS 'Properties of the header and their values';
COMMENT ON COLUMN order_fields.by_line IS 'The same of lines, by their number';
COMMENT ON COLUMN order_fields.attributes IS 'Additional attributes by Ref_Key: {value, type, owner, kind}; value null: nothing';
COMMENT ON COLUMN order_fields.names IS 'Names of the section of additional attributes and of its columns, and of the comment';
COMMENT ON COLUMN order_fields.once IS 'Properties that are written with the creation only';
COMMENT ON COLUMN order_fields.if_empty IS 'Properties that are written while BAS holds nothing there';
COMMENT ON COLUMN order_fields.problem IS 'What keeps the first of its fields from being filled; NULL: nothing';
COMMENT ON COLUMN order_fields.detail IS 'Sentence';
COMMENT ON COLUMN order_fields.hint IS 'What to do';
COMMENT ON COLUMN order_fields.blocked_on IS 'What it waits for, as in task.blocked_on';
COMMENT ON COLUMN order_fields.notes IS 'Lines for the comment: attributes of a document without a place for them';
COMMENT ON COLUMN order_fields.records IS 'Additional information records by Ref_Key of the property: {value, type, owner, name}; value null: none';

-- What a row must be, said when it is written and not when an order meets it.

CREATE FUNCTION field_path(source text) RETURNS jsonpath
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (CASE WHEN source ~ '^\s*(\$|lax\s|strict\s|exists|!|\()' THEN source ELSE '$.' || source END)::jsonpath;
COMMENT ON FUNCTION field_path(text) IS 'An SQL/JSON path; a bare name is one of the order: contacts[0].email is $.contacts[0].email';

CREATE FUNCTION field_dictionaries() RETURNS text[]
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN ARRAY['attribute', 'contact_information'] || ARRAY(SELECT DISTINCT f.dictionary FROM field_map f WHERE f.dictionary IS NOT NULL ORDER BY 1);
END $$;
COMMENT ON FUNCTION field_dictionaries() IS 'Names of the lists of a base that mapped fields need, when they need them';

CREATE FUNCTION transforms() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['text', 'upper', 'lower', 'left', 'right', 'replace', 'extract', 'digits', 'number', 'date', 'flag', 'phone', 'name', 'join', 'first', 'template', 'named'];
COMMENT ON FUNCTION transforms() IS 'Steps that field_map.transform may name';

CREATE FUNCTION transform_steps(transform text) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN regexp_split_to_array(btrim(transform), '\s*\|\s*');
COMMENT ON FUNCTION transform_steps(text) IS 'Steps of a transform';

CREATE FUNCTION transform_problem(steps text[], arguments jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    step text;
BEGIN
    FOREACH step IN ARRAY steps LOOP
        IF step <> ALL (transforms()) THEN
            RETURN format('There is no transform "%s". Transforms: %s.', step, array_to_string(transforms(), ', '));
        ELSIF step IN ('left', 'right') AND json_bigint(arguments -> 'length') IS NULL THEN
            RETURN format('Transform %s needs the argument length, for example {"length": 50}.', step);
        ELSIF step = 'replace' AND (coalesce(jsonb_typeof(arguments -> 'from'), '') <> 'string' OR arguments ->> 'from' = '' OR coalesce(jsonb_typeof(arguments -> 'to'), '') <> 'string') THEN
            RETURN 'Transform replace needs the arguments from and to, for example {"from": ";", "to": ","}.';
        ELSIF step = 'extract' THEN
            IF coalesce(jsonb_typeof(arguments -> 'pattern'), '') <> 'string' THEN
                RETURN 'Transform extract needs the argument pattern, a regular expression, for example {"pattern": "\\d+"}.';
            END IF;
            PERFORM substring('x' FROM arguments ->> 'pattern');
        ELSIF step = 'name' AND coalesce(arguments ->> 'part', '') NOT IN ('last', 'first', 'middle', 'initials') THEN
            RETURN 'Transform name needs the argument part: last, first, middle or initials.';
        ELSIF step = 'named' AND (coalesce(arguments ->> 'list', '') = '' OR step <> steps[cardinality(steps)]) THEN
            RETURN 'Transform named is the last step, and needs the argument list, a dictionary of SalesDrive, for example {"list": "status"}.';
        ELSIF step = 'first' THEN
            IF jsonb_typeof(arguments -> 'paths') IS DISTINCT FROM 'array' THEN
                RETURN 'Transform first needs the argument paths, for example {"paths": ["utm_source", "source"]}.';
            END IF;
            PERFORM field_path(p) FROM jsonb_array_elements_text(arguments -> 'paths') p;
        ELSIF step = 'number' AND (arguments ? 'scale' AND json_bigint(arguments -> 'scale') IS NULL OR arguments ? 'factor' AND json_numeric(arguments -> 'factor') IS NULL) THEN
            RETURN 'Arguments scale and factor of transform number are numbers, for example {"scale": 2, "factor": 0.01}.';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION transform_problem(text[], jsonb) IS 'Why the steps of a transform cannot be done; NULL when they can';

CREATE FUNCTION template_paths(template text) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = salesdrive, pg_temp AS $$
BEGIN
    RETURN ARRAY(SELECT m[1] FROM regexp_matches(template, '\{([^{}]+)\}', 'g') m);
END $$;
COMMENT ON FUNCTION template_paths(text) IS 'Paths that stand in braces in a template, in their order';

-- Variables and datetime() would fail only when an order comes: the engine gives $order and $account and no other variable, and no time zone.
CREATE FUNCTION path_problem(source text, predicate boolean) RETURNS text
    LANGUAGE plpgsql IMMUTABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    bare  text := regexp_replace(source, '"(\\.|[^"\\])*"', '""', 'g');
    path  jsonpath;
    holds boolean;
BEGIN
    path := field_path(source);
    IF regexp_replace(bare, '\$(order|account)\y', '', 'g') ~ '\$[^][[:space:].()?*+/%,=<>!&|@$-]' THEN
        RETURN 'A path begins with $ (the order, or the line), with $order or with $account (name and url); there are no other variables.';
    ELSIF bare ~ '\.\s*datetime\s*\(' THEN
        RETURN 'datetime() is not at hand in a path; transform date reads times.';
    ELSIF predicate THEN
        holds := jsonb_path_match('{}', path, '{"order": {}, "account": {}}', false);
    END IF;
    RETURN NULL;
EXCEPTION WHEN singleton_sql_json_item_required THEN
    RETURN 'It is no predicate: it gives a value and not true or false.';
WHEN OTHERS THEN
    RETURN CASE WHEN path IS NULL THEN upper(left(SQLERRM, 1)) || substr(SQLERRM, 2) || '.' END;    -- else strict, and an empty order has not what it asks for
END $$;
COMMENT ON FUNCTION path_problem(text, boolean) IS 'Why a text is no SQL/JSON path (or no predicate) that can be asked of an order; NULL when it is';

CREATE FUNCTION field_problem(f field_map, OUT what text, OUT detail text, OUT hint text) RETURNS record
    LANGUAGE plpgsql STABLE SET search_path = salesdrive, pg_temp AS $$
DECLARE
    steps text[] := transform_steps(f.transform);
    path  text;
BEGIN
    IF f.source_kind = 'path' THEN
        detail := path_problem(f.source, false);
        IF detail IS NOT NULL THEN
            what := format('the source "%s" is no path', f.source);
            hint := 'Examples: utmCampaign, $.contacts[0].email, $.products[*].sku, $."a-name-with-dashes". Name a constant by source_kind => ''constant''.';
            RETURN;
        END IF;
    ELSIF f.source_kind = 'function' AND (f.source !~ '^\s*("[^"]+"|[[:alpha:]_][[:alnum:]_$]*)\s*\.\s*("[^"]+"|[[:alpha:]_][[:alnum:]_$]*)\s*$') THEN
        what := format('the source "%s" is no name of a function', f.source);
        hint := 'Give schema and name, without arguments, for example app.delivery_note; it is called with (data jsonb, line jsonb, arguments jsonb) and returns jsonb.';
        RETURN;
    END IF;
    IF f.transform IS NOT NULL THEN
        BEGIN
            detail := transform_problem(steps, f.arguments);
        EXCEPTION WHEN OTHERS THEN
            detail := upper(left(SQLERRM, 1)) || substr(SQLERRM, 2) || '.';
        END;
        IF detail IS NULL AND 'template' = ANY (steps) THEN
            IF f.source_kind <> 'constant' OR steps[1] <> 'template' THEN
                detail := 'A template is the source itself: the row is of source_kind constant, and template its first step.';
            END IF;
            FOREACH path IN ARRAY template_paths(f.source) LOOP
                detail := coalesce(detail, 'In {' || path || '}: ' || path_problem(path, false));
            END LOOP;
        END IF;
        IF detail IS NOT NULL THEN
            what := format('the transform "%s" cannot be done', f.transform);
            hint := 'Steps are written with | between, for example text | left. See "Fields by example" in README.';
            RETURN;
        END IF;
    END IF;
    IF f.condition IS NOT NULL THEN
        detail := path_problem(f.condition, true);
        IF detail IS NOT NULL THEN
            what := format('the condition "%s" is no predicate', f.condition);
            hint := 'Examples: $.sajt == "5", exists($.ord_novaposhta), $.paymentAmount > 1000 && $.statusId != 6.';
            RETURN;
        END IF;
    END IF;
    IF f.dictionary IN ('order', 'order_line', 'attribute_row', 'contact_row', 'counterparty', 'counterparty_contact', 'partner', 'product') THEN
        what := format('there is no dictionary "%s"', f.dictionary);
        detail := 'The name stands for what is no list of values.';
        hint := 'Take another name, the one you use in value_map.';
        RETURN;
    END IF;
    IF f.owner <> 'crm' AND f.target NOT IN ('order', 'attribute') THEN
        what := format('owner "%s" is not for %s', f.owner, f.target);
        detail := CASE f.target WHEN 'order_line' THEN 'A section is written whole, so its rows have one owner.' ELSE 'Counterparties are written when they are created, and not after.' END;
        hint := 'Leave the owner at crm.';
    ELSIF f.target IN ('order', 'order_line', 'counterparty') AND f.property IN ('Ref_Key', 'DataVersion', 'Posted', 'DeletionMark', 'LineNumber') THEN
        what := 'it belongs to the engine';
        hint := CASE f.property WHEN 'Posted' THEN 'Posting is an option of the account: account.posting.' ELSE 'No mapping may change it.' END;
    ELSIF EXISTS (SELECT FROM profile_property_effective p
                  WHERE p.entity = f.target AND p.property = f.property AND f.profile IN (p.profile, '*')
                    AND (p.entity = 'order' AND p.concept IN ('customer_reference', 'total')
                         OR p.entity = 'order_line' AND p.concept IN ('product', 'quantity', 'price', 'discount', 'sum', 'vat_sum', 'total'))) THEN
        what := 'it belongs to the engine';
        detail := 'By it documents are recognised, or their lines add up to the kopeck.';
        hint := 'Take another property.';
    ELSIF f.target IN ('order', 'counterparty') AND EXISTS (SELECT FROM profile_entity_effective e WHERE e.entity_set = f.property AND f.profile IN (e.profile, '*')) THEN
        what := 'it is a section of rows';
        hint := 'Its rows have targets of their own: order_line, attribute, contact.';
    ELSIF f.edm_type IS NULL AND f.target IN ('order', 'order_line', 'counterparty') AND f.property LIKE '%\_Type' THEN
        what := 'it is the type of a reference';
        hint := format('Map %s with edm_type => ''StandardODATA.'' and the entity set; its _Type goes with it.', left(f.property, -5));
    END IF;
END $$;
COMMENT ON FUNCTION field_problem(field_map) IS 'Why a row of field_map could not be applied: what, why, and what to do; NULL when it can';

CREATE FUNCTION field_map_guard() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    p record;
BEGIN
    IF (TG_OP <> 'INSERT' AND OLD.source_kind = 'function' OR TG_OP <> 'DELETE' AND NEW.source_kind = 'function') AND NOT has_table_privilege('task_kind', 'INSERT') THEN
        RAISE EXCEPTION 'only an administrator maps fields by a function'
            USING ERRCODE = '42501', DETAIL = 'It runs with the rights of the exchange.', HINT = 'Ask for it, or use a path, a template or a dictionary.';
    ELSIF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    SELECT * INTO p FROM field_problem(NEW);
    IF p.what IS NOT NULL THEN
        RAISE EXCEPTION 'field "%" of % cannot be mapped so: %', NEW.property, NEW.target, p.what USING ERRCODE = '22023', DETAIL = coalesce(p.detail, ''), HINT = p.hint;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        NEW.changed_at := clock();
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION field_map_guard() IS 'Trigger: a mapping that could not be applied is refused; functions are for administrators';
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON field_map FOR EACH ROW EXECUTE FUNCTION field_map_guard();

CREATE FUNCTION field_map_changed() RETURNS trigger
    LANGUAGE plpgsql SET search_path = salesdrive, pg_temp AS $$
DECLARE
    touched text[] := ARRAY[CASE WHEN TG_OP <> 'INSERT' THEN OLD.account END, CASE WHEN TG_OP <> 'DELETE' THEN NEW.account END];
BEGIN
    PERFORM wake_later(format('field:%s:', a.name)) FROM account a WHERE a.name = ANY (touched) OR '*' = ANY (touched);
    PERFORM wake_refused(touched, ARRAY['attribute', 'contact_information', CASE WHEN TG_OP <> 'INSERT' THEN OLD.dictionary END, CASE WHEN TG_OP <> 'DELETE' THEN NEW.dictionary END]);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION field_map_changed() IS 'Trigger: orders parked for a field become due';
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON field_map FOR EACH ROW EXECUTE FUNCTION field_map_changed();
