-- Names of profiles: a row of the user counts at once, and goes at once; profile_resolved is what the views say.
SET search_path = salesdrive;
SET client_min_messages = warning;

CREATE VIEW pg_temp.stale AS
    SELECT count(*) AS stale FROM (
        SELECT l.profile, e.concept AS entity, e.entity_set FROM (SELECT DISTINCT profile FROM profile_line) l JOIN profile_entity_effective e ON e.profile = l.profile
        EXCEPT SELECT r.profile, r.entity, r.entity_set FROM profile_resolved r) x;
CREATE VIEW pg_temp.stale_names AS
    SELECT count(*) AS stale FROM (
        SELECT p.profile, p.entity, p.concept, p.property, p.constant, p.max_length FROM profile_property_effective p WHERE p.property IS NOT NULL
        EXCEPT SELECT r.profile, r.entity, n.key, n.value, r.constants -> n.key, (r.max_lengths ->> n.key)::integer FROM profile_resolved r CROSS JOIN LATERAL jsonb_each_text(r.names) n) x;

SELECT * FROM pg_temp.stale;
SELECT * FROM pg_temp.stale_names;

INSERT INTO profile_property (profile, entity, concept, property, max_length) VALUES ('unf', 'order', 'comment', 'Заметки', 7);
SELECT property_names('unf', 'order') ->> 'comment' AS comment, max_length('unf', 'order', 'comment'), property_names('unf:3.0', 'order') ->> 'comment' AS variant;
UPDATE profile_property SET property = NULL WHERE origin = 'user';
SELECT property_names('unf', 'order') ? 'comment' AS left_out;
DELETE FROM profile_property WHERE origin = 'user';
SELECT property_names('unf', 'order') ->> 'comment' AS comment, max_length('unf', 'order', 'comment');

INSERT INTO profile_entity (profile, concept, entity_set) VALUES ('unf', 'warehouse', NULL);
SELECT entity_set('unf', 'warehouse'), entity_set('trade32', 'warehouse');
DELETE FROM profile_entity WHERE origin = 'user';
SELECT entity_set('unf', 'warehouse');

INSERT INTO profile (name, title, parent) VALUES ('mine', 'Own', 'unf'), ('ours', 'Below it', 'mine');
INSERT INTO profile_property (profile, entity, concept, property, constant, rule) VALUES ('mine', 'order', 'status', 'Статус', '"Нове"', 'constant');
SELECT entity_set('ours', 'order'), constants('ours', 'order') ->> 'Статус' AS status, profile_constant('mine', 'order', 'status');
SELECT * FROM pg_temp.stale;
SELECT * FROM pg_temp.stale_names;
UPDATE profile SET enabled = false WHERE name = 'mine';
SELECT entity_set('mine', 'order') AS mine, entity_set('ours', 'order') AS ours, profile_gaps('mine') <> '{}' AS gaps;
DELETE FROM profile WHERE origin = 'user';
DELETE FROM profile_property WHERE origin = 'user';
SELECT * FROM pg_temp.stale;
SELECT count(*) FROM profile_resolved r WHERE r.profile IN ('mine', 'ours');

-- in a transaction that is taken back
BEGIN;
INSERT INTO profile_property (profile, entity, concept, property) VALUES ('unf', 'order', 'comment', 'Інше');
SELECT property_names('unf', 'order') ->> 'comment' AS comment;
ROLLBACK;
SELECT property_names('unf', 'order') ->> 'comment' AS comment;

-- restored without triggers: adopt() derives them anew
SET session_replication_role = replica;
INSERT INTO profile_property (profile, entity, concept, property) VALUES ('unf', 'order', 'comment', 'Відновлено');
RESET session_replication_role;
SELECT property_names('unf', 'order') ->> 'comment' AS comment;
SELECT adopt();
SELECT property_names('unf', 'order') ->> 'comment' AS comment;
DELETE FROM profile_property WHERE origin = 'user';

-- rights
CREATE ROLE names_admin;
CREATE ROLE names_operator;
SELECT grant_access('names_admin', 'admin'), grant_access('names_operator', 'operator');
SET ROLE names_admin;
INSERT INTO profile_property (profile, entity, concept, property) VALUES ('unf', 'order', 'comment', 'Примітка');
SET ROLE names_operator;
SELECT property_names('unf', 'order') ->> 'comment' AS comment;
DELETE FROM profile_property WHERE origin = 'user';
DELETE FROM profile_resolved;
RESET ROLE;
DELETE FROM profile_property WHERE origin = 'user';
UPDATE profile_property SET property = 'X' WHERE profile = 'unf' AND concept = 'comment';
DROP OWNED BY names_admin, names_operator;
DROP ROLE names_admin, names_operator;
