# A day without BAS, hours of it without SalesDrive, in its short form: see SalesDrive::Outage. The long form is `make proof`.

use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use SalesDrive::Outage;
use SalesDrive::Test;

survive_outage(name => 'outage', orders => 300, steps => 24, timeout => 300);

# ---- a long queue: what was begun is finished first, so that what its first answers said does not grow old

my $node = new_node('queue', preload => 0);
my $bas = start_peer('bas');
sub sql { my ($query) = @_; return $node->safe_psql('postgres', $query) }
sub deliver { my ($id, $phone) = @_; return sql("SELECT salesdrive.accept_webhook('shop', '{\"data\": {\"id\": $id, \"version\": 1, \"orderTime\": \"2026-11-20 14:46:24\", \"updateAt\": \"2026-11-20 14:46:24\", \"paymentAmount\": 100, \"contacts\": [{\"id\": 1, \"fName\": \"New\", \"phone\": [\"$phone\"]}], \"products\": [{\"productId\": 1, \"sku\": \"SKU-0001\", \"text\": \"x\", \"amount\": 1, \"price\": 100}]}}')") }
sql("SELECT salesdrive.add_infobase('main', 'unf', '" . $bas->url('/base') . "', 'x', 'secret'); SELECT salesdrive.add_account(name => 'shop', url => 'https://demo.salesdrive.me', api_key => 'k', infobase => 'main', webhook_token => 'a-token-of-24-characters');
	UPDATE salesdrive.infobase SET username = U&'\\041E\\0431\\043C\\0435\\043D'");
deliver(1, '0671112233');
sql('CALL salesdrive.run()');
is(sql('SELECT state FROM salesdrive.order_status'), 'synced', 'goods and lists are known');
deliver(10 + $_, "050000001$_") for 1 .. 5;
sql('SELECT salesdrive.ingest(100)');
my %asked;
for (1 .. 40)
{
	my ($task, $method) = sql(q(CREATE TEMP TABLE c AS SELECT * FROM salesdrive.claim(1); SELECT salesdrive.settle(ARRAY(SELECT jsonb_populate_record(NULL::salesdrive.http_result,
		jsonb_build_object('task_id', task_id, 'attempt', attempt, 'target', target, 'method', method, 'url', url, 'http_status', 200, 'class', 'ok', 'body_is_json', true, 'body', convert_to('{"value":[]}', 'UTF8')::text)) FROM c WHERE method = 'GET'));
		SELECT task_id, method FROM c)) =~ /^(\d+)\|(\w+)$/m;
	next if !defined $task;
	$asked{$task}++;
	last if $method eq 'POST';
}
is(scalar keys %asked, 1, 'the customer searched for first is made before another is searched for');
$node->stop;

done_testing();
