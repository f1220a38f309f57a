#!/usr/bin/env bash
# The exchange at work: builds the extension, starts a private PostgreSQL cluster and simulators of SalesDrive and BAS, sends 20 orders through
# the webhook and shows what becomes of them. Everything is left running to look at.
#
#   demo.sh start      (make demo)       stops an earlier demo first
#   demo.sh stop       (make demo-stop)  ends the servers and removes their data; does nothing when nothing runs
#
#   DEMO_WORK=DIR      where all of it lives (default tmp_check/demo; a new directory in /tmp, noted in tmp_check/demo.work, where the user
#                      of the servers cannot reach the checkout)
#   TEST_USER=NAME     for root: whom the servers run as (default postgres, else nobody)
#
# The first half runs as the caller. The second half, behind --inside, runs as an ordinary user from a copy in the work directory.
# Only processes whose program or script is in the work directory are ever ended.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
note=$top/tmp_check/demo.work

die() {
	echo "demo: $*" >&2
	exit 1
}

# ---- outside: as the caller ----

pick_user() {
	user=
	[ "$(id -u)" = 0 ] || return 0
	user=${TEST_USER:-postgres}
	id "$user" >/dev/null 2>&1 || user=nobody
}

as_user() {
	if [ -n "$user" ]; then runuser -u "$user" -- "$@"; else "$@"; fi
}

# Where an earlier demo lives or a new one would; empty: a new directory has to be made (paths of sockets end at 107 bytes).
pick_work() {
	work=${DEMO_WORK:-}
	[ -n "$work" ] || work=$(cat "$note" 2>/dev/null || :)
	if [ -z "$work" ] && [ ${#top} -le 70 ] && as_user test -x "$top"; then
		work=$top/tmp_check/demo
	fi
	[ ! -d "$work" ] || work=$(cd "$work" && pwd -P)
}

make_work() {
	if [ -z "$work" ]; then
		mkdir -p "$(dirname "$note")"
		work=$(mktemp -d /tmp/salesdrive-demo.XXXXXX)
		echo "$work" >"$note"
	fi
	mkdir -p "$work"
	work=$(cd "$work" && pwd -P)
}

# One start or stop at a time; the servers do not inherit the lock.
lock() {
	exec 8>"$work/.demo.lock" || die "cannot write to $work; set DEMO_WORK"
	flock -n 8 || die "another demo is just being started or stopped in $work"
}

postgres_pids() {
	find /proc -maxdepth 2 -path '/proc/[0-9]*/exe' -lname "$work/pg/*" -printf '%h\n' 2>/dev/null | sed 's,/proc/,,' || :
}

peer_pids() {
	local pid
	for pid in $(grep -lszF "$work/tree/test/peer/" /proc/[0-9]*/cmdline | sed 's,[^0-9],,g'); do
		case $(readlink "/proc/$pid/exe") in */perl*) echo "$pid" ;; esac
	done
}

ended() {						# within so many seconds
	local _
	for _ in $(seq $((20 * $1))); do
		[ -n "$(postgres_pids)$(peer_pids)" ] || return 0
		sleep 0.05
	done
	return 1
}

# A fast shutdown; an immediate one where it is not clear which process is the postmaster.
end_servers() {
	local servers postmaster
	servers=$(postgres_pids)
	postmaster=$(head -n 1 "$work/data/postmaster.pid" 2>/dev/null || :)
	if grep -qx "${postmaster:-none}" <<<"$servers"; then
		kill -INT "$postmaster" || :
	else
		kill -QUIT $servers 2>/dev/null || :
	fi
	kill -TERM $(peer_pids) 2>/dev/null || :
	ended 15 && return 0
	kill -KILL $(postgres_pids) $(peer_pids) 2>/dev/null || :
	ended 5 || die "these processes do not end: $(postgres_pids) $(peer_pids)"
}

# Ends a demo and removes what it wrote; the build stays for the next one.
end_demo() {
	end_servers
	rm -rf "$work/data" "$work/run"
}

build() {
	local log=$work/demo-build.log
	echo "Building the extension and a private copy of PostgreSQL in $work ..."
	if ! TEST_WORK=$work TEST_USER=$user FAULTS='' PG_CONFIG=$pg_config "$top/test/run" build >"$log" 8>&-; then
		cat "$log" >&2
		die 'the build failed'
	fi
	pg_bin=$(tail -n 1 "$log")
}

start() {
	"$top/.ci/deps" || exit 1			# before pick_user: the packages of PostgreSQL make the user postgres
	pick_user
	pick_work
	pg_config=$(command -v "${PG_CONFIG:-pg_config}") || die "there is no ${PG_CONFIG:-pg_config}; run 'make deps'"
	make_work
	lock
	end_demo
	build
	cd "$work"
	as_user env -i PATH="$PATH" HOME="$work/home" LC_ALL=C.UTF-8 TERM="${TERM:-dumb}" PG_BIN="$pg_bin" DEMO_WORK="$work" \
		bash "$work/tree/test/demo/demo.sh" --inside </dev/null 8>&-
}

stop() {
	local up=
	pick_user
	pick_work
	if [ -n "$work" ]; then
		[ ! -d "$work" ] || lock
		up=$(postgres_pids)$(peer_pids)
		end_demo
		[ "$work" != "$(cat "$note" 2>/dev/null)" ] || rm -rf "$work" "$note"
	fi
	if [ -n "$up" ]; then
		echo 'The demo has ended: PostgreSQL and both simulators.'
	else
		echo 'No demo is running.'
	fi
}

# ---- inside: as an ordinary user ----

inside() {
	work=$DEMO_WORK
	run=$work/run
	umask 077
	mkdir -p "$run"
	trap 'failed $?' EXIT
	echo 'People, firms, goods and orders below are invented.'
	start_postgres
	start_peer bas --config '{"latency_ms": 30, "latency_jitter_ms": 40}'
	start_peer salesdrive
	set_up
	deliver
	show_orders
	repair
	compare
	both_ways
	show_history
	goods
	payments
	farewell
	trap - EXIT
}

# What runs stays up to be looked at.
failed() {
	[ "$1" = 0 ] || printf '\nThe demo failed. Logs: %s. To end what runs: make demo-stop\n' "$run/*.log" >&2
}

say() {							# heading
	if [ -t 1 ]; then printf '\n\e[1m%s\e[0m\n\n' "$*"; else printf '\n== %s\n\n' "$*"; fi
}

start_postgres() {
	local port
	port=$(perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1)->sockport')
	"$PG_BIN/initdb" -D "$work/data" -U postgres -A trust --encoding=UTF8 --no-locale -N >"$run/initdb.log"
	cat >>"$work/data/postgresql.conf" <<-CONF
		cluster_name = 'salesdrive demo'
		listen_addresses = ''
		unix_socket_directories = '$run'
		port = 5432
		shared_preload_libraries = 'salesdrive'
		salesdrive.databases = 'demo'
		salesdrive.port = $port
	CONF
	"$PG_BIN/pg_ctl" -D "$work/data" -l "$run/server.log" -w -s start >/dev/null
	"$PG_BIN/psql" -X -q -h "$run" -p 5432 -U postgres -c 'CREATE DATABASE demo' postgres
}

# Starts a simulator that outlives this script; sets NAME_port and NAME_control.
start_peer() {					# name arguments
	local name=$1 _
	setsid perl "$work/tree/test/peer/$name.pl" "${@:2}" </dev/null >"$run/$name.json" 2>"$run/$name.log" &
	for _ in $(seq 1200); do
		[ ! -s "$run/$name.json" ] || break
		sleep 0.05
	done
	printf -v "${name}_port" %s "$(field port <"$run/$name.json")"
	printf -v "${name}_control" %s "$(field control <"$run/$name.json")"
}

field() {						# of a JSON object: name
	perl -MJSON::PP -0777 -e 'print decode_json(<STDIN>)->{$ARGV[0]} + 0' "$1"
}

# A request; prints the body of the answer.
http() {						# method url [body]
	perl -MHTTP::Tiny -e 'my ($method, $url, $body) = @ARGV;
		my $answer = HTTP::Tiny->new->request($method, $url, { content => $body // "" });
		print $answer->{content};
		exit !$answer->{success}' "$@"
}

crm() { http "$1" "http://127.0.0.1:$salesdrive_control$2" "${@:3}"; }
bas() { http "$1" "http://127.0.0.1:$bas_control$2" "${@:3}"; }

psql() {
	PGCLIENTENCODING=UTF8 "$PG_BIN/psql" -X -q -v ON_ERROR_STOP=1 -h "$run" -p 5432 -U postgres demo "$@"
}

value() {						# query
	psql -At -c "$1"
}

# A blank line after a statement; long values below each other are broken between words.
tidy() {
	perl -CSA -Mutf8 -pe 's/;$/;\n/;
		s/^(─\[.{60}).*/$1/;
		if (/^(\w+ +│ )(.{100,})$/) { my ($head, $text) = ($1, $2); (my $indent = $head) =~ s/\w/ /g; $text =~ s/(.{1,100})(?: +|$)/$1\n$indent/g; $_ = $head . $text =~ s{\n\Q$indent\E\z}{\n}r }'
}

# Runs a file of SQL and shows its statements.
show() {						# file variable=value ...
	local file=$1 variables=()
	shift
	for _; do variables+=(-v "$_"); done
	psql -e -P linestyle=unicode -P footer=off "${variables[@]}" -f "$work/tree/test/demo/$file" | tidy
}

await() {						# command that succeeds in the end
	local began=$SECONDS
	while [ $((SECONDS - began)) -lt 180 ]; do
		! "$@" >/dev/null 2>&1 || return 0
		sleep 0.1
	done
	die "waited three minutes in vain for: $*"
}

holds() { [ "$(value "$1")" = t ]; }			# query

set_up() {
	say 'Install the extension, connect a BAS infobase and a SalesDrive account'
	show setup.sql bas_url="http://127.0.0.1:$bas_port/base" crm_url="http://127.0.0.1:$salesdrive_port" \
		token="$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
	webhook=$(value "SELECT salesdrive.webhook_url('shop')")
	await holds "SELECT count(*) = 2 FROM salesdrive.worker_status WHERE runs_as = 'exchange'"
	await http GET "${webhook%%/webhook/*}/health"
	show workers.sql
}

# 20 orders of one to three versions each, shuffled, some deliveries twice.
deliver() {
	say 'SalesDrive posts 20 orders to the webhook: up to three versions of each, in any order, some twice'
	crm POST /orders '{"count": 20, "seed": 7, "account": "demo", "versions": [1, 3], "anomalies": {"unknown_sku": 1, "sum_mismatch": 1}}' >/dev/null
	planned=$(crm POST /deliver "{\"url\": \"$webhook\", \"orders\": \"all\", \"versions\": \"all\", \"duplicates\": 0.4, \"shuffle\": true, \"seed\": 3,
		\"concurrency\": 4, \"per_second\": 20, \"retry\": true}" | field planned)
	watch_orders
}

# One line that is written again while the orders travel; where it cannot be, one line a second.
watch_orders() {
	local began=$SECONDS printed=-1 accepted line left
	while [ $((SECONDS - began)) -lt 300 ]; do
		accepted=$(crm GET /deliveries | field accepted)
		left=$(value "SELECT (SELECT count(*) FROM salesdrive.inbox_pending) + (SELECT count(*) FROM salesdrive.task WHERE state <> 'parked')")
		line=$(value "SELECT format('webhooks accepted %s of %s │ orders %s: waiting %s, in flight %s, synced %s, parked %s', $accepted, $planned, count(*),
				count(*) FILTER (WHERE state = 'waiting'), count(*) FILTER (WHERE state = 'in_flight'),
				count(*) FILTER (WHERE state = 'synced'), count(*) FILTER (WHERE state = 'parked')) FROM salesdrive.order_status")
		[ "$accepted.$left" != "$planned.0" ] || break
		if [ -t 1 ]; then
			printf '\r%s\e[K' "$line"
		elif [ "$SECONDS" != "$printed" ]; then
			printed=$SECONDS
			echo "$line"
		fi
		sleep 0.2
	done
	[ ! -t 1 ] || printf '\r\e[K'
	echo "$line"
	[ "$accepted.$left" = "$planned.0" ] || die 'the orders did not settle in five minutes'
}

show_orders() {
	say 'What became of them'
	show orders.sql
}

# The order with the unknown SKU goes on when the SKU is pinned; the other one is ended.
repair() {
	local unknown mismatch sku began
	unknown=$(value "SELECT order_id FROM salesdrive.parked WHERE reason = 'product_unknown'")
	mismatch=$(value "SELECT order_id FROM salesdrive.parked WHERE reason = 'sum'")
	sku=$(value "SELECT split_part(blocked_on, ':', 3) FROM salesdrive.parked WHERE order_id = $unknown")
	say "Order $unknown: say which product its SKU means; it goes on by itself"
	show repair.sql sku="$sku" meant=SKU-0011
	await holds "SELECT state = 'synced' FROM salesdrive.order_status WHERE order_id = $unknown"
	say "Order $mismatch: end it"
	show skip.sql order="$mismatch"
	await holds "SELECT task_id IS NULL FROM salesdrive.order_status WHERE order_id = $mismatch"
	show repaired.sql repaired="$unknown" skipped="$mismatch"
}

show_history() {
	say 'The life of one order, all exchanges counted, and the question whether anything is wrong'
	show history.sql order="$edited"
}

compare() {
	say 'What the BAS simulator itself says'
	bas GET '/state?full=1' >"$run/state.json"
	show compare.sql state="$run/state.json"
	perl -MJSON::PP -0777 -e 'my $found = decode_json(<STDIN>)->{violations};
		print "Violations (double documents or counterparties, wrong sums or VAT): ", @$found ? encode_json($found) : "none", "\n";
		exit(@$found != 0)' <"$run/state.json"
}

# A manager and an accountant at work, each on their own side. No schedule runs here: what it would call is called.
both_ways() {
	local since sent resum all
	say 'Both ways: statuses by a map, number and changed sums back to SalesDrive'
	show both_ways.sql
	since=$(value 'SELECT clock_timestamp()')
	crm POST /config "{\"echo_url\": \"$webhook\"}" >/dev/null
	{ read -r sent; read -r edited; read -r resum; } < <(value "SELECT o.order_id FROM salesdrive.order_status o JOIN salesdrive.crm_order c USING (account, order_id)
		WHERE o.state = 'synced' AND c.status_id NOT IN ('2', '5') ORDER BY order_id LIMIT 3")
	all=$sent,$edited,$resum

	say "A manager sets order $sent to \"Підтверджено\" in SalesDrive; its webhook comes at once"
	crm POST /edit "{\"id\": $sent, \"data\": {\"statusId\": 2}}" >/dev/null
	await in_bas "$sent" СостояниеЗаказа 8c1f4a10-00f4-11ee-8000-000000000002

	say "An accountant sets its document to \"Завершено\" in BAS"
	bas_edit "$sent" '"СостояниеЗаказа": "8c1f4a10-00f4-11ee-8000-000000000003", "СостояниеЗаказа_Type": "StandardODATA.Catalog_СостоянияЗаказовПокупателей"'
	show pull.sql
	await in_crm "$sent" statusId 5

	say "A manager edits the comment of order $edited; SalesDrive sends no webhook for that"
	crm POST /edit "{\"id\": $edited, \"data\": {\"comment\": \"Подзвонити зранку\"}}" >/dev/null
	show fetch.sql
	await in_bas "$edited" Комментарий 'Подзвонити зранку'

	say "An accountant changes the sum of the document of order $resum"
	bas_edit "$resum" '"СуммаДокумента": 1234.5'
	show pull.sql
	await holds "SELECT EXISTS (SELECT FROM salesdrive.crm_change WHERE order_id = $resum AND field = 'comment')
		AND NOT EXISTS (SELECT FROM salesdrive.inbox_pending) AND NOT EXISTS (SELECT FROM salesdrive.task)"
	show ways.sql orders="$all" since="$since"
}

# What a warehouse has and a shop asks for it: registers of the base, which have no rows until somebody works in it.
goods() {
	say 'Goods: cards, stock and prices of BAS go to SalesDrive'
	bas POST /load "$(perl -CO -Mutf8 -e '
		my @goods = map { sprintf "8c1f4a10-0001-11ee-8000-%012d", $_ } 1 .. 60;
		my $n = 0;
		printf q({"AccumulationRegister_ЗапасыНаСкладах": [%s], ), join ", ", map { $n++; sprintf q({"Организация_Key": "8c1f4a10-00aa-11ee-8000-000000000001", "Номенклатура_Key": "%s", "СтруктурнаяЕдиница_Key": "8c1f4a10-00ee-11ee-8000-000000000001", "Количество": "%d"}), $_, $n * 7 % 40 + 1 } @goods;
		$n = 0;
		printf q("InformationRegister_ЦеныНоменклатуры": [%s]}), join ", ", map { $n++; sprintf q({"Period": "2026-01-01T00:00:00", "ВидЦен_Key": "8c1f4a10-00f1-11ee-8000-000000000001", "Номенклатура_Key": "%s", "Цена": "%.2f", "Актуальность": true}), $_, $n * 12.5 + 0.45 } @goods;')" >/dev/null
	show goods.sql
	await holds "SELECT count(*) = 3 AND bool_and(state = 'done') FROM salesdrive.push_progress"
	show pushed.sql
}

# One payment that a bank told SalesDrive of, and one that an accountant entered in BAS.
payments() {
	local there here
	{ read -r there; read -r here; } < <(value "SELECT order_id FROM salesdrive.order_status WHERE state = 'synced' AND payment_amount > 0 ORDER BY order_id DESC LIMIT 2")
	say "Payments: one of order $there in SalesDrive, one of order $here in BAS"
	crm POST /payments "{\"payments\": [{\"id\": 501, \"sum\": \"$(due "$there")\", \"date\": \"$(kyiv)\", \"organizationAccount\": {\"id\": 42, \"title\": \"Privat\", \"accountNumber\": \"UA463052990000026008016227980\"},
		\"paymentBreakdown\": [{\"sum\": \"$(due "$there")\", \"order\": {\"id\": $there, \"formId\": 1}}]}]}" >/dev/null
	bas POST /load "{\"Document_ПоступлениеНаСчет\": [{\"Ref_Key\": \"8c1f4a10-0bbb-11ee-8000-000000000001\", \"Number\": \"НФНФ-000077\", \"Date\": \"$(kyiv | tr ' ' T)\", \"Posted\": true,
		\"Организация_Key\": \"8c1f4a10-00aa-11ee-8000-000000000001\", \"Контрагент_Key\": \"8c1f4a10-00bb-11ee-8000-000000000001\", \"БанковскийСчет_Key\": \"8c1f4a10-00f5-11ee-8000-000000000001\", \"СуммаДокумента\": $(due "$here"),
		\"РасшифровкаПлатежа\": [{\"LineNumber\": 1, \"Заказ\": \"$(reference "$here")\", \"Заказ_Type\": \"StandardODATA.Document_ЗаказПокупателя\", \"СуммаПлатежа\": $(due "$here"), \"СуммаРасчетов\": $(due "$here")}]}]}" >/dev/null
	show payments.sql
	await holds "SELECT count(*) FILTER (WHERE way = 'to_bas' AND state = 'made') = 1 AND count(*) FILTER (WHERE way = 'from_bas' AND state = 'sent') = 1 FROM salesdrive.payment_status"
	value "SELECT salesdrive.fetch_payments(account => 'shop')" >/dev/null			# SalesDrive lists its own payment and the one that came from BAS
	await holds "SELECT count(*) = 2 FROM salesdrive.crm_payment"
	show paid.sql orders="$there,$here"
}

due() { value "SELECT payment_amount FROM salesdrive.crm_order WHERE order_id = $1"; }

kyiv() { value "SELECT to_char(now() AT TIME ZONE 'Europe/Kyiv', 'YYYY-MM-DD HH24:MI:SS')"; }

reference() { value "SELECT bas_ref FROM salesdrive.order_status WHERE order_id = $1"; }

bas_edit() {					# order properties
	bas POST /edit "{\"set\": \"Document_ЗаказПокупателя\", \"key\": \"$(reference "$1")\", \"properties\": {$2}}" >/dev/null
}

in_bas() {						# order property value
	bas GET "/objects?set=$(printf %s Document_ЗаказПокупателя | perl -pe 's/([^\w])/sprintf "%%%02X", ord $1/ge')&key=$(reference "$1")" |
		perl -Mutf8 -MJSON::PP -MEncode -0777 -e 'my ($property, $value) = map { decode_utf8($_) } @ARGV; exit(decode_json(<STDIN>)->{$property} ne $value)' "$2" "$3"
}

in_crm() {						# order field value
	crm GET /state | perl -MJSON::PP -0777 -e 'exit(decode_json(<STDIN>)->{by_id}{$ARGV[0]}{$ARGV[1]} ne $ARGV[2])' "$@"
}

farewell() {
	local client=psql
	[ -n "$(type -P psql)" ] || client=$PG_BIN/psql
	say "All of it stays up"
	cat <<-END
		psql                   $client -h $run -p 5432 -U postgres demo
		webhook                $webhook
		BAS simulator          http://127.0.0.1:$bas_port/base      control http://127.0.0.1:$bas_control      see test/peer/bas.pl
		SalesDrive simulator   http://127.0.0.1:$salesdrive_port           control http://127.0.0.1:$salesdrive_control      see test/peer/salesdrive.pl
		server log             $run/server.log
		stop                   make demo-stop
	END
}

case ${1:-} in
	--inside)
		inside ;;
	start | stop)
		"$1" ;;
	*)
		die 'usage: demo.sh start | stop' ;;
esac
