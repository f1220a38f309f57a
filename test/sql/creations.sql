-- How objects are made in BAS under keys computed here: what is noted, what answers and looks mean, what comes next.
SET search_path = salesdrive;
SET timezone = 'UTC';

-- what an answer says
SELECT class, odata_code, ref IS NOT NULL AS named, creation_said(class, odata_code, ref)
FROM unnest(ARRAY['ok', 'unknown_outcome', 'business', 'transient', 'throttled', 'denied', 'config', 'bug']) WITH ORDINALITY c (class, n),
     (VALUES (1, NULL, NULL::uuid), (2, NULL, '8c1f4a10-0001-11ee-8000-000000000001'), (3, '15', NULL)) a (m, odata_code, ref)
WHERE class = 'ok' OR ref IS NULL ORDER BY n, m;

-- what is noted of it, and what a look in the middle of the time, or after it, shows and leaves
SELECT said, n.*, seen, (creation_note(seen, n.unsure_until)).*
FROM unnest(ARRAY['sent', 'made', 'unsure', 'taken', 'refused']) WITH ORDINALITY s (said, i),
     creation_note(said, '2026-11-20 10:10') n, (VALUES (false, '2026-11-20 10:05'::timestamptz), (false, '2026-11-20 10:10'), (true, '2026-11-20 10:05')) l (found, asked_at),
     creation_seen(found, n.write_unsure, n.unsure_until, asked_at) seen
WHERE said NOT IN ('made', 'refused') OR asked_at = '2026-11-20 10:10' ORDER BY i, found, asked_at;

-- what comes next, from every note, for an object that was looked for and for one that was not
SELECT said, until, unseen, creation_next(n.write_unsure, n.unsure_until, n.asked_early, unseen)
FROM unnest(ARRAY['sent', 'unsure', 'early', 'taken', 'found', 'absent', 'hidden', 'refused']) WITH ORDINALITY s (said, i), unnest(ARRAY['-infinity', 'infinity']::timestamptz[]) until, unnest(ARRAY[false, true]) unseen,
     creation_note(said, until) n ORDER BY i, until, unseen;

-- times, and words
SELECT answered_write(i, '2026-11-20 10:00') FROM jsonb_populate_record(NULL::infobase, '{"total_timeout": "2 min", "unsure_margin": "30 s"}') i;
SELECT * FROM hidden_step(7, '8c1f4a10-0001-11ee-8000-000000000001', 'product') \gx
