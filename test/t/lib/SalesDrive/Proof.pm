package SalesDrive::Proof;

# The proof of "effectively once": so many orders, each in several versions, delivered through the real webhook in any order and more than
# once, while the base resets connections before and after doing the work, answers errors of every kind and is slow, and while the engine is
# killed and the cluster stopped at named points. In the end every order is exactly one document with the rows, comment, customer and sum of its newest
# version, every phone one counterparty, and no task is left but the parked ones.
#
#   prove_once(name => 'short', orders => 500, keeps_ref_key => 1, rounds => 1);

use strict;
use warnings FATAL => 'all';
use utf8;
use Exporter 'import';
use Test::More;
use Time::HiRes ();
use SalesDrive::Test;

our @EXPORT = qw(prove_once);
our @EXPORT_OK = qw(check_orders);

my @POINTS = qw(engine_after_claim_commit engine_after_send engine_before_settle engine_after_settle engine_before_claim_commit engine_after_ingest
  receiver_before_commit receiver_after_commit);

my @BAD_DAYS = (
	{ method => 'POST', action => 'reset_before', probability => 0.03, seed => 11 },
	{ method => 'POST', action => 'reset_after', probability => 0.04, seed => 12 },
	{ method => 'PATCH', action => 'reset_before', probability => 0.03, seed => 13 },
	{ method => 'PATCH', action => 'reset_after', probability => 0.03, seed => 14 },
	{ action => 'status', status => 500, body => 'odata', code => '-1', text => 'Помилка обробника', probability => 0.02, seed => 15 },
	{ action => 'status', status => 502, body => 'html', probability => 0.01, seed => 16 },
	{ method => 'POST', action => 'status', status => 502, body => 'html', after => 1, probability => 0.02, seed => 17 },
	{ action => 'lock_conflict', probability => 0.01, seed => 18 },
	{ action => 'unavailable', retry_after => 1, probability => 0.003, seed => 19 },
	{ action => 'truncate', probability => 0.01, seed => 20 },
	{ method => 'POST', action => 'html_ok', after => 1, probability => 0.01, seed => 21 },
	{ method => 'POST', action => 'delay', ms => 2500, probability => 0.004, seed => 22 },          # longer than total_timeout: the work is done late
	{ method => 'POST', action => 'delay_after', ms => 2500, probability => 0.004, seed => 23 },    # done in time, answered late
	{ action => 'session_expired', probability => 0.005, seed => 24 },
	{ action => 'hang', probability => 0.001, seed => 25 },
	{ method => 'GET', action => 'status', status => 200, body => 'json', text => '{"status":"maintenance"}', probability => 0.03, seed => 26 });

sub sql
{
	my ($node, $query) = @_;
	utf8::encode($query) if utf8::is_utf8($query);
	my $out = $node->safe_psql('postgres', $query);
	utf8::decode($out);
	return $out;
}

# Query that survives a server that is just coming back.
sub try_sql
{
	my ($node, $query) = @_;
	my $out;
	my $rc = eval { $node->psql('postgres', $query, stdout => \$out, stderr => \my $err) };
	return defined $rc && $rc == 0 ? $out : undef;
}

sub set_up
{
	my ($node, $bas) = @_;
	my $url = $bas->url('/base');
	sql($node, "SELECT salesdrive.add_infobase('main', 'unf', '$url', 'Обмен', 'secret');
		SELECT salesdrive.add_account(name => 'shop', url => 'https://demo.salesdrive.me', api_key => 'k', infobase => 'main', webhook_token => 'a-token-of-24-characters');
		UPDATE salesdrive.infobase SET retry_base = '20 ms', retry_cap = '1 s', total_timeout = '1500 ms', unsure_margin = '1500 ms', circuit_after = 50, circuit_pause = '200 ms', max_connections = 8");
}

# One death at each named point: the setting is reloaded, the death awaited, the server brought back if it stays down. Where the engine has done all
# before it came there, some of the orders that were kept back are delivered.
sub strike
{
	my ($node, $label, @actions) = @_;
	my $deaths = 0;
	my $file = $node->data_dir . '/salesdrive.faults';
	for my $point (@POINTS)
	{
		my $action = $actions[ $deaths % @actions ];
		my $value = "$point:$action:2:$label";
		last unless defined try_sql($node, "ALTER SYSTEM SET salesdrive.fault = '$value'");
		$node->reload;
		my $acted = eval { wait_for("the death at $point", sub { -e $file && index(slurp_text($file), "$value\n") >= 0 || idle($node) && !$node->{sd_more}->() && 'idle' }) };
		last if !$acted || $acted eq 'idle';    # the work was done before: no more deaths to die
		$deaths++;
		wait_for('the server', sub { revive($node); defined try_sql($node, 'SELECT 1') });
	}
	try_sql($node, 'ALTER SYSTEM RESET salesdrive.fault');
	$node->reload;
	return $deaths;
}

sub slurp_text { my ($file) = @_; open my $h, '<', $file or return ''; local $/; return scalar <$h> // '' }

sub revive
{
	my ($node) = @_;
	my $pid = (split /\n/, slurp_text($node->data_dir . '/postmaster.pid'))[0];
	return if $pid && kill 0, $pid;
	$node->{_pid} = undef;
	$node->start(fail_ok => 1);
	return;
}

# Nothing waits and nothing flies: every task left is parked.
sub idle
{
	my ($node) = @_;
	my $left = try_sql($node, "SELECT (SELECT count(*) FROM salesdrive.inbox_pending) + (SELECT count(*) FROM salesdrive.task WHERE state <> 'parked')");
	return defined $left && $left eq '0' && defined $node->{sd_delivered} && $node->{sd_delivered}->();
}

# What a document does not hold as the newest version of its order says; prices and sums to the kopeck, which rounding may have placed.
sub deviations
{
	my ($document, $o) = @_;
	my @wrong;
	push @wrong, "comment \"$document->{comment}\", not \"$o->{comment}\"" if $document->{comment} ne $o->{comment};
	push @wrong, "customer @{ $document->{phones} }, not $o->{phone}" unless grep { $_ eq substr $o->{phone}, -9 } @{ $document->{phones} };
	my @held = map { sprintf '%s %.3f %.2f', @$_{qw(article quantity price)} } @{ $document->{rows} };
	my @meant = map { sprintf '%s %.3f %.2f', @$_{qw(sku amount price)} } @{ $o->{lines} };
	push @wrong, "rows @held, not @meant" if "@held" ne "@meant";
	push @wrong, map { "sum $document->{rows}[$_]{sum} in row $_, not $o->{lines}[$_]{value}" }
	  grep { $_ < @held && abs($document->{rows}[$_]{sum} - $o->{lines}[$_]{value}) > 0.0151 } 0 .. $#meant;
	return map { "$o->{id}: $_" } @wrong;
}

sub check_orders
{
	my ($node, $bas, $orders) = @_;
	my $state = $bas->control(GET => '/state?full=1');
	my %document;
	push @{ $document{ $_->{reference} =~ s{.*/}{}r } }, $_ for @{ $state->{documents}{list} };
	my (@missing, @double, @wrong_sum, @unlike, @strange, %phone);
	for my $o (@$orders)
	{
		my $found = $document{ $o->{id} } // [];
		if (@{ $o->{anomalies} }) { push @strange, $o->{id} if @$found; next }
		push @missing, $o->{id} if !@$found;
		push @double, $o->{id} if @$found > 1;
		$phone{ $o->{phone} } = 1;
		push @wrong_sum, "$o->{id}: $found->[0]{sum}, not $o->{payment_amount}" if @$found && sprintf('%.2f', $found->[0]{sum}) ne sprintf('%.2f', $o->{payment_amount});
		push @unlike, deviations($found->[0], $o) if @$found;
	}
	is("@missing", '', 'no order is lost');
	is("@double", '', 'no order is double');
	is(join('; ', @wrong_sum), '', 'no order is wrong by a kopeck');
	is(join('; ', @unlike), '', 'every document has the customer, the comment and the rows of the newest version');
	is("@strange", '', 'what must be parked was not sent');
	is(scalar @{ $state->{documents}{list} }, scalar(grep { !@{ $_->{anomalies} } } @$orders), 'and there is no other document');
	is_deeply($state->{violations}, [], 'the base finds nothing double and no sum that does not fit');
	my %by_phone;
	for my $c (grep { !$_->{marked} } @{ $state->{counterparties}{list} }) { $by_phone{$_}{ $c->{Ref_Key} } = $c->{name} for @{ $c->{phones} } }
	is(join(' ', map { "$_: " . join ', ', values %{ $by_phone{ substr $_, -9 } // {} } } grep { keys %{ $by_phone{ substr $_, -9 } // {} } != 1 } sort keys %phone), '', 'one counterparty for each phone');
	return;
}

sub prove_once
{
	my (%o) = @_;
	my $node = new_node($o{name}, workers => 1, conf => "restart_after_crash = on\nfsync = off\nmax_connections = 50\nsalesdrive.sweep_interval = '2 s'\nlog_min_messages = warning");
	my $bas = start_peer('bas', '--config', $o{keeps_ref_key} ? '{"keeps_ref_key": true, "latency_ms": 2}' : '{"keeps_ref_key": false, "latency_ms": 2}');
	my $crm = start_peer('salesdrive');
	set_up($node, $bas);
	my $anomalies = { unknown_sku => 2, sum_mismatch => 2, no_phone => 1, sentence_phone => 1, ambiguous_sku => 1, deleted_sku => 1 };
	my $orders = $crm->control(POST => '/orders', { count => $o{orders}, seed => 7, account => 'demo', versions => [ 1, 3 ], contact_changes => 30, anomalies => $anomalies })->{orders};
	is(scalar @$orders, $o{orders}, "$o{orders} orders");
	$bas->control(POST => '/faults', $_) for @BAD_DAYS;
	my $url = sql($node, "SELECT salesdrive.webhook_url('shop')");
	wait_for('the receiver', sub { http(GET => $url =~ s{/webhook/.*}{/health}r)->{status} == 200 });
	my $began = Time::HiRes::time();
	my $deliver = sub {
		$crm->control(DELETE => '/deliveries');
		$crm->control(POST => '/deliver', { url => $url, orders => [ map { $_->{id} } @_ ], versions => 'all', duplicates => 0.3, shuffle => JSON::PP::true(), seed => 3, concurrency => 8, retry => JSON::PP::true(),
			retry_ms => 50, chunked => 0.2, $o{per_second} ? (per_second => $o{per_second}) : () });
	};
	# a tenth is for an engine that is quicker than its deaths
	my @kept = splice @{ [@$orders] }, -int(@$orders / 10);
	$deliver->(@$orders[ 0 .. $#$orders - @kept ]);
	$node->{sd_more} = sub { return @kept && $deliver->(splice @kept, 0, 5) };
	$node->{sd_delivered} = sub { my $d = $crm->control(GET => '/deliveries'); return $d->{done} };

	my $deaths = 0;
	$deaths += strike($node, "r$_", 'kill', 'stop', 'panic') for 1 .. $o{rounds};
	cmp_ok($deaths, '>=', $o{deaths}, "the engine died $deaths times in the middle of its work");
	if (@kept) { wait_for('the others', sub { revive($node); $node->{sd_delivered}->() }); $deliver->(splice @kept) }
	ok(eval { wait_for('everything to arrive', sub { revive($node); idle($node) }, $o{timeout}) }, 'everything drained by itself')
	  or diag(json_encode($crm->control(GET => '/deliveries')), "\n", try_sql($node, "SELECT kind, state, reason, count(*), min(run_at) - now() FROM salesdrive.task GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"));
	note sprintf '%d orders in %.1f s', $o{orders}, Time::HiRes::time() - $began;
	check_orders($node, $bas, $orders);

	my @parked = sort map { $_->{id} } grep { @{ $_->{anomalies} } } @$orders;
	is(sql($node, "SELECT string_agg(order_id::text, ' ' ORDER BY order_id) FROM salesdrive.order_status WHERE state <> 'synced'"), "@parked", 'exactly the orders with something wrong are parked');
	is(sql($node, "SELECT count(*) FROM salesdrive.order_status WHERE state = 'parked' AND reason NOT IN ('product_unknown', 'product_several', 'sum', 'phone')"), 0, 'for the right reasons');
	is(sql($node, "SELECT count(*) FROM salesdrive.order_sync y JOIN salesdrive.crm_order o USING (account, order_id) WHERE y.synced_version <> o.version"), 0, 'every other order is at its newest version');
	is(sql($node, "SELECT keeps_ref_key FROM salesdrive.infobase"), $o{keeps_ref_key} ? 't' : 'f', 'and it is known whether the base keeps our keys');
	$node->stop('fast');
	$_->stop for $bas, $crm;
	return;
}

1;
