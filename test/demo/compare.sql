-- The exchange's view beside that of the BAS simulator. Variables: state, a file with the simulator's own account of its documents.
\set ECHO none
CREATE TEMP TABLE bas_document AS
SELECT d."Ref_Key"::uuid AS ref_key, d."Number" AS number, d.sum, d.posted
FROM jsonb_to_recordset(pg_read_file(:'state')::jsonb #> '{documents,list}') d ("Ref_Key" text, "Number" text, sum numeric, posted boolean);
\set ECHO queries
SELECT 'orders synced here' AS what, count(*) AS number, sum(payment_amount)::numeric(12,2) AS sum,
       count(*) FILTER (WHERE posted) AS posted
FROM salesdrive.order_status WHERE state = 'synced'
UNION ALL
SELECT 'documents in BAS', count(*), sum(sum)::numeric(12,2), count(*) FILTER (WHERE posted)
FROM bas_document
UNION ALL
SELECT 'the same Ref_Key, number and sum', count(*), sum(sum)::numeric(12,2), count(*) FILTER (WHERE d.posted)
FROM bas_document d
JOIN salesdrive.order_status o ON o.bas_ref = d.ref_key AND o.bas_number = d.number AND o.payment_amount = d.sum;
