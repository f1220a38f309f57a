-- What goes back, and statuses both ways by a map.
\o /dev/null
UPDATE salesdrive.account SET status_to_bas = true, status_from_bas = true, number_to = 'nomerBas', sum_comment = 'uk'
WHERE name = 'shop';
SELECT salesdrive.map_value('shop', 'status', crm_key, bas_key, direction)
FROM (VALUES ('1', 'Відкритий', 'both'), ('1065', 'Відкритий', 'to_bas'),
             ('2', 'В роботі', 'both'), ('3', 'В роботі', 'to_bas'), ('4', 'В роботі', 'to_bas'),
             ('5', 'Завершено', 'both')) m (crm_key, bas_key, direction);
