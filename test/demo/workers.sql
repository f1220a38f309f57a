-- Which processes serve this database, and where webhooks go.
SELECT role, pid, state, runs_as, is_superuser FROM salesdrive.worker_status;

SELECT salesdrive.webhook_url(account => 'shop');
