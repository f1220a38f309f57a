# The catalog of the extension: everything has a comment, the public interface has the names that scripts rely on, and the rules that every
# function keeps (pinned search_path, no rights for PUBLIC, no SECURITY DEFINER without need).

use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Test qw(:DEFAULT sql);

my $node = new_node('comments', preload => 0);

# ---- comments

my $MEMBERS = "(SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
	WHERE e.extname = 'salesdrive' AND d.deptype = 'e')";
is(sql("SELECT string_agg(DISTINCT pg_describe_object(m.classid, m.objid, 0), ', ') FROM $MEMBERS m
	WHERE m.classid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass)
	  AND NOT EXISTS (SELECT FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
	                  WHERE m.classid = 'pg_type'::regclass AND t.oid = m.objid AND (t.typelem <> 0 OR c.relkind <> 'c'))
	  AND NOT EXISTS (SELECT FROM pg_class c WHERE m.classid = 'pg_class'::regclass AND c.oid = m.objid AND c.relkind IN ('c', 'i', 't', 'I'))
	  AND coalesce(obj_description(m.objid, (SELECT relname FROM pg_class WHERE oid = m.classid)), '') = ''"), '',
	'every table, view, sequence, function, procedure, aggregate and type has a comment');
is(sql("SELECT string_agg(c.relname || '.' || a.attname, ', ' ORDER BY 1) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	JOIN $MEMBERS m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
	WHERE c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition AND coalesce(col_description(c.oid, a.attnum), '') = ''"), '',
	'every column of a table or view has a comment');
is(sql("SELECT string_agg(c.relname || '.' || a.attname, ', ' ORDER BY 1) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	WHERE c.relnamespace = 'salesdrive'::regnamespace AND c.relkind = 'c' AND coalesce(col_description(c.oid, a.attnum), '') = ''"), '',
	'and every attribute of a type');
is(sql("SELECT string_agg(g.tgname || ' of ' || g.tgrelid::regclass, ', ') FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
	WHERE c.relnamespace = 'salesdrive'::regnamespace AND NOT g.tgisinternal AND coalesce(obj_description(g.oid, 'pg_trigger'), '') = ''"), '', 'every trigger');
is(sql("SELECT string_agg(k.conname, ', ') FROM pg_constraint k WHERE k.connamespace = 'salesdrive'::regnamespace AND k.contype = 'c' AND cardinality(k.conkey) > 1
	AND coalesce(obj_description(k.oid, 'pg_constraint'), '') = ''"), '', 'and every rule over several columns');
is(sql("SELECT coalesce(obj_description('salesdrive'::regnamespace, 'pg_namespace'), '') <> ''"), 't', 'so has the schema');
is(sql("SELECT string_agg(pg_describe_object(m.classid, m.objid, 0), ', ') FROM $MEMBERS m WHERE m.classid = 'pg_proc'::regclass
	AND (obj_description(m.objid, 'pg_proc') ILIKE '%todo%' OR obj_description(m.objid, 'pg_proc') ~ '^[a-z]')"), '', 'comments are sentences');

my ($rc, $out, $err) = $node->psql('postgres', '\dx+ salesdrive');
is($rc, 0, '\dx+ works');
like($out, qr/\btable salesdrive\.$_\b/, "and lists table $_") for qw(account infobase crm_order task exchange_log);
like($out, qr/function salesdrive\.add_infobase\(text,text,text,text,text,boolean\)/, 'and functions');

# ---- the public interface

my %interface = (
	add_infobase => [qw(name profile url username password)], add_account => [qw(name url api_key infobase webhook_token)],
	set_secret => [qw(name value)], webhook_url => [qw(account)], check => [qw(account)], accept_webhook => [qw(account body)],
	wait => [qw(task_id timeout)], run => [], maintain => [], preview => [qw(account order_id profile)], skip => [qw(account order_id reason)],
	resend => [qw(account order_id)], pause => [qw(account reason)], unpause => [qw(account)], pause_infobase => [qw(infobase reason)],
	unpause_infobase => [qw(infobase)], adopt => [], grant_access => [qw(role level)], start_workers => [], stop_workers => [], restart_workers => []);
for my $name (sort keys %interface)
{
	my @names = @{ $interface{$name} };
	my $given = sql("SELECT array_to_string(p.proargnames[1:p.pronargs], ' ') FROM pg_proc p WHERE p.pronamespace = 'salesdrive'::regnamespace AND p.proname = '$name'");
	is(join(' ', (split / /, $given)[0 .. $#names]), join(' ', @names), "$name(@{[ join ', ', @names ]})");
	is(sql("SELECT pronargs - pronargdefaults <= @{[ scalar @names ]} FROM pg_proc WHERE pronamespace = 'salesdrive'::regnamespace AND proname = '$name'"), 't', '... and needs no more');
}
is(sql("SELECT string_agg(array_to_string(proargnames, ' '), ' | ' ORDER BY pronargs) FROM pg_proc WHERE pronamespace = 'salesdrive'::regnamespace AND proname = 'resume'"),
	'task_id | account order_id', 'resume() takes a task or an order');
is(sql("SELECT string_agg(proname, ' ' ORDER BY proname) FROM pg_proc WHERE pronamespace = 'salesdrive'::regnamespace AND prokind = 'p'"), 'maintain run wait', 'what commits is a procedure');
is(sql("SELECT (proargnames[2:])::text FROM pg_proc WHERE pronamespace = 'salesdrive'::regnamespace AND proname = 'check'"), '{severity,subject,problem,hint}', 'rows of check()');
is(sql("SELECT (proargnames[4:])::text FROM pg_proc WHERE pronamespace = 'salesdrive'::regnamespace AND proname = 'preview'"), '{step,method,url,body}', 'rows of preview()');
my %views = (
	order_status => [qw(account order_id state bas_ref bas_number reason hint)], parked => [qw(task_id account order_id reason hint)],
	order_timeline => [qw(account order_id at)], exchange_stats => [qw(hour direction exchanges)], worker_status => [qw(role pid state)],
	profile_reference => [qw(profile concept entity_set property edm_type)]);
for my $view (sort keys %views)
{
	is(sql("SELECT count(*) FROM pg_attribute WHERE attrelid = 'salesdrive.$view'::regclass AND attname IN (@{[ join ', ', map { \"'$_'\" } @{ $views{$view} } ]})"),
		scalar @{ $views{$view} }, "view $view");
}

# ---- rules of the house

is(sql("SELECT string_agg(p.proname, ' ' ORDER BY p.proname) FROM pg_proc p WHERE p.pronamespace = 'salesdrive'::regnamespace AND p.prosecdef"), 'accept_payment ask_peers begin_orders begin_push connection_gone connection_incidents enqueue_orders expire_history failed_jobs job_owner link_payment prepare_partitions pull_payments pull_statuses refusal_incidents resend_payment skip_payment skip_payment want_followups',
	'SECURITY DEFINER: only where a partition is made or dropped, an operator asks for an order, a document that follows it, for statuses, payments or a push, or decides on one, peers are asked with the secrets, a trigger writes incidents, or jobs of other roles are looked for');
is(sql("SELECT string_agg(p.oid::regprocedure::text, ', ') FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
	WHERE p.pronamespace = 'salesdrive'::regnamespace AND p.prokind = 'f' AND l.lanname IN ('sql', 'plpgsql')
	  AND p.prosqlbody IS NULL AND NOT coalesce(p.proconfig, '{}') @> ARRAY['search_path=salesdrive, pg_temp']"), '', 'every function pins search_path, or has a body whose names were resolved when it was made');
is(sql("SELECT string_agg(p.proname, ', ') FROM pg_proc p WHERE p.pronamespace = 'salesdrive'::regnamespace AND p.prokind = 'p' AND p.proconfig IS NOT NULL"), '',
	'a procedure that commits has no SET clause');
is(sql("SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", c.relowner))) a
	WHERE c.relnamespace = 'salesdrive'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S') AND a.grantee = 0"), '', 'PUBLIC may do nothing with tables, views and sequences');
is(sql("SELECT string_agg(p.oid::regprocedure::text, ', ') FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
	WHERE p.pronamespace = 'salesdrive'::regnamespace AND a.grantee = 0"), '', 'nor call functions');
is(sql("SELECT count(*) FROM pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a WHERE n.nspname = 'salesdrive' AND a.grantee = 0"), 0, 'nor look into the schema');
is(sql("SELECT string_agg(t.oid::regtype::text, ', ') FROM pg_type t JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c', aclexplode(coalesce(t.typacl, acldefault('T', t.typowner))) a
	WHERE t.typnamespace = 'salesdrive'::regnamespace AND a.grantee = 0"), '', 'nor use its types');
is(sql("SELECT string_agg(a.attrelid::regclass || '.' || a.attname, ', ') FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
	WHERE c.relnamespace = 'salesdrive'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND a.atttypid::regtype::text ~ '^reg(proc|class|type|oper|namespace|config|role|dictionary|collation|procedure|operator)\$'"), '',
	'no column of a type that pg_upgrade refuses');
is(sql("SELECT count(*) FROM pg_class c WHERE c.relnamespace = 'salesdrive'::regnamespace AND c.relkind = 'I'"), 0, 'partitioned parents carry no index');

# what a dump carries: all but literal secrets and what CREATE EXTENSION brings
is(sql("SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM pg_class c, pg_extension e
	WHERE e.extname = 'salesdrive' AND c.relnamespace = 'salesdrive'::regnamespace AND c.relkind IN ('r', 'S') AND NOT c.oid = ANY (e.extconfig)"),
	'access_function access_table credential_secret profile_resolved', 'every table and sequence is dumped but these');

done_testing();
