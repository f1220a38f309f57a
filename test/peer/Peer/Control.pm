# Peer::Control - the control address common to all simulators: HTTP and JSON, one request per answer
#
#   GET    /config                     options in force          POST /config {option: value, ...}   (unknown names refused)
#   GET    /requests?limit=&label=&method=&match=&after=         log of requests, counts by label, counts by status
#   DELETE /requests                   clears log and counts
#   GET    /faults                     rules with seen and fired POST /faults   one rule or a list; answers {"ids": [...]}
#   DELETE /faults                     all rules; DELETE /faults?id=N one      POST /release    what is held goes on; {"released": n}
#   GET    /connections                {open, peak, accepted, requests_in_flight, requests_peak}
#   DELETE /connections                peaks begin again         POST /connections {"action": "reset"|"close"} drops all open ones
#   GET    /ping                       {"ok": true}
#   POST   /stop                       ends the simulator
# A simulator adds its own routes: "METHOD /path" => sub ($arguments, $query) returning data, or dying with a sentence (400).
package Peer::Control;
use v5.36;
no feature 'unicode_strings';
no warnings 'experimental::builtin';
use builtin qw(true false);
use Peer::Json qw(encode decode);
use Peer::Http;

# Options: loop, host, port, traffic, server (the public listener), config, routes.
sub start ($class, %opt)
{
	my $self = bless {%opt}, $class;
	$self->{routes} = { $self->_common, $opt{routes}->%* };
	my $http = Peer::Http->listen($opt{loop}, $opt{host}, $opt{port}, sub ($req) { $self->_serve($req) });
	$self->{port} = $http->{port};
	return $self;
}

sub _serve ($self, $req)
{
	my %query;
	for my $pair (split /&/, $req->{query} // '') {
		my ($k, $v) = map { Peer::Traffic::decoded(tr/+/ /r) } split /=/, $pair, 2;
		$query{$k} = $v // 1;
	}
	my $path = Peer::Traffic::decoded($req->{path});
	my $route = $self->{routes}{"$req->{method} $path"};
	my ($status, $data) = (200);
	if (!$route) {
		($status, $data) = (404, { error => "no route $req->{method} $path", routes => [ sort keys $self->{routes}->%* ] });
	}
	else {
		my ($args, $why) = $req->{body} =~ /\S/ ? decode($req->{body}) : ({});
		if (defined $why) { ($status, $data) = (400, { error => "body is not JSON: $why" }) }
		else {
			$data = eval { $route->($args, \%query, $req) };
			if ($@) { ($status, $data) = (400, { error => $@ =~ s/\s+\z//r }) }
		}
	}
	return if $req->{deferred};
	$req->respond($status, [ 'Content-Type', 'application/json; charset=utf-8' ], encode($data) . "\n");
}

sub _common ($self)
{
	my ($traffic, $config, $server) = $self->@{qw(traffic config server)};
	return (
		'GET /ping' => sub { { ok => true } },
		'POST /stop' => sub { $self->{loop}->after(0.01, sub { $self->{loop}->stop }); { ok => true } },
		'GET /config' => sub { $config },
		'POST /config' => sub ($args, @) {
			for my $k (sort keys %$args) { die "unknown option \"$k\"\n" if !exists $config->{$k} }
			%$config = (%$config, %$args);
			$self->{configured}->($args) if $self->{configured};
			return $config;
		},
		'GET /requests' => sub ($args, $query, @) {
			return { counts => $traffic->{counts}, statuses => $traffic->{statuses}, total => $traffic->{serial} + 0,
				requests => $traffic->entries($query) };
		},
		'DELETE /requests' => sub { $traffic->reset_log; { ok => true } },
		'GET /faults' => sub { { rules => $traffic->rules } },
		'POST /faults' => sub ($args, @) {
			my @ids;
			for my $rule (ref $args eq 'ARRAY' ? @$args : $args) {
				my ($id, $why) = $traffic->add_rule($rule);
				die "$why\n" if defined $why;
				push @ids, $id;
			}
			return { ids => \@ids };
		},
		'DELETE /faults' => sub ($args, $query, @) {
			my $id = $query->{id};
			$traffic->{rules}->@* = defined $id ? grep { $_->{id} != $id } $traffic->{rules}->@* : ();
			return { ok => true };
		},
		'POST /release' => sub { { released => $traffic->release } },
		'GET /connections' => sub {
			return { open => $server->{open} + 0, peak => $server->{peak} + 0, accepted => $server->{accepted} + 0,
				requests_in_flight => $traffic->{in_flight} + 0, requests_peak => $traffic->{peak_in_flight} + 0 };
		},
		'DELETE /connections' => sub {
			$server->{peak} = $server->{open};
			$traffic->{peak_in_flight} = $traffic->{in_flight};
			return { ok => true };
		},
		'POST /connections' => sub ($args, @) {
			my @all = values $server->{conns}->%*;
			Peer::Http::_close($_, ($args->{action} // 'reset') eq 'reset') for @all;
			return { dropped => scalar @all };
		},
	);
}

1;
