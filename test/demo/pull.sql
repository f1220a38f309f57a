-- What a schedule would call, here by hand: the job statuses of schedule_defaults().
\o /dev/null
SELECT salesdrive.pull_statuses(infobase => 'bas');
