/*-------------------------------------------------------------------------
 *
 * connection.c
 *	  Connections of the receiver: how many a peer may have, how long each may
 *	  take, and how it ends.
 *
 * Role: see connection.h.  Called by server.c and intake.c only, and by
 * libmicrohttpd.
 *
 * Invariants
 *
 *	- Every request has a deadline, from its first byte to its last.  The
 *	  library has only an idle time-out, which a dripping peer outlives.
 *	- The library refuses an answer in the middle of a body, and times out
 *	  without one.  What must be said there is written to the socket directly
 *	  (plain HTTP only), then the socket is shut down.
 *	- An answer given before its body was read is not lost by a reset: the socket
 *	  is drained for a while.
 *
 *-------------------------------------------------------------------------
 */
#include "connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINGER_MS     2000
#define NOTICE_END_MS 100
#define PEER_TALKS    1 /* TCP_ESTABLISHED; its header and linux/tcp.h exclude each other */

/* ---- time ---- */

uint64_t
sd_connection_received(int fd, bool *ended)
{
	struct tcp_info info;
	socklen_t       len = sizeof(info);
	int             unread = 0;

	memset(&info, 0, sizeof(info));
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		memset(&info, 0, sizeof(info));
	*ended = info.tcpi_state != PEER_TALKS &&
			 (ioctl(fd, FIONREAD, &unread) != 0 || unread == 0);
	return info.tcpi_bytes_received;
}

void
sd_connection_set_deadline(Connection *c, int64_t deadline)
{
	c->deadline = deadline;
	if (deadline < c->server->next_deadline)
		c->server->next_deadline = deadline;
}

void
sd_connection_await(Connection *c, int64_t now)
{
	c->until = now + c->server->config.request_timeout;
	c->look = NOTICE_END_MS;
	sd_connection_set_deadline(c, now + c->look < c->until ? now + c->look : c->until);
}

/*
 * The library misses an end that came together with bytes.  Then the deadline
 * comes near; what can still be taken of them is taken until then.
 */
void
sd_connection_notice_end(Connection *c, bool ended)
{
	int64_t soon = monotonic_ms() + NOTICE_END_MS;

	if (ended && c->deadline > soon)
		sd_connection_set_deadline(c, soon);
}

/* ---- connections ---- */

/* what counts as one address, and its text */
static void
read_address(const struct sockaddr *sa, unsigned char *prefix, char *text, bool *loopback)
{
	memset(prefix, 0, 16);
	text[0] = '\0';
	*loopback = false;
	if (sa == NULL)
		return;
	if (sa->sa_family == AF_INET6)
	{
		const struct in6_addr *a = &((const struct sockaddr_in6 *) sa)->sin6_addr;

		memcpy(prefix, a, IN6_IS_ADDR_V4MAPPED(a) ? 16 : 8);
		*loopback = IN6_IS_ADDR_LOOPBACK(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
		if (IN6_IS_ADDR_LOOPBACK(a))
			prefix[15] = 1;
		if (IN6_IS_ADDR_V4MAPPED(a))
			inet_ntop(AF_INET, &a->s6_addr[12], text, INET6_ADDRSTRLEN);
		else
			inet_ntop(AF_INET6, a, text, INET6_ADDRSTRLEN);
	}
	else if (sa->sa_family == AF_INET)
	{
		const struct in_addr *a = &((const struct sockaddr_in *) sa)->sin_addr;

		prefix[10] = prefix[11] = 0xff;
		memcpy(prefix + 12, a, 4);
		*loopback = (ntohl(a->s_addr) >> 24) == 127;
		inet_ntop(AF_INET, a, text, INET6_ADDRSTRLEN);
	}
}

enum MHD_Result
sd_connection_on_accept(void *cls, const struct sockaddr *sa, socklen_t len)
{
	SdServer     *server = cls;
	unsigned char prefix[16];
	char          text[INET6_ADDRSTRLEN];
	bool          loopback;
	int           n = 0;

	(void) len;
	read_address(sa, prefix, text, &loopback);
	for (Connection *c = server->connections; c != NULL; c = c->next)
		n += memcmp(c->prefix, prefix, sizeof(prefix)) == 0;
	if (n < server->config.max_per_address)
		return MHD_YES;
	server->counters->refused++;
	return MHD_NO;
}

static void
connection_opened(SdServer *server, struct MHD_Connection *mhd, void **context)
{
	Connection                     *c = calloc(1, sizeof(Connection));
	const union MHD_ConnectionInfo *info;

	*context = c;
	if (c == NULL)
		return; /* sd_intake_on_request() will refuse it */
	c->server = server;
	c->mhd = mhd;
	info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	c->fd = info ? info->connect_fd : -1;
	info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	read_address(info ? info->client_addr : NULL, c->prefix, c->address, &c->loopback);
	c->phase = FRESH;
	sd_connection_await(c, monotonic_ms());
	c->next = server->connections;
	if (c->next)
		c->next->prev = c;
	server->connections = c;
	server->n_connections++;
	server->counters->accepted++;
}

/*
 * A socket closed with unread bytes is reset, and the peer may lose the answer
 * that came before its body was read.  So a copy of it is drained for a while.
 */
static void
linger(SdServer *server, int fd)
{
	Lingering *l;
	int        copy;

	if (server->n_lingering >= MAX_LINGERING)
		return;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return;
	l = &server->lingering[server->n_lingering++];
	l->fd = copy;
	l->until = monotonic_ms() + LINGER_MS;
}

static void
connection_closed(Connection *c)
{
	SdServer *server = c->server;

	if (c->linger)
		linger(server, c->fd);
	if (c->prev)
		c->prev->next = c->next;
	else
		server->connections = c->next;
	if (c->next)
		c->next->prev = c->prev;
	server->n_connections--;
	free(c);
}

void
sd_connection_on_notify(void *cls, struct MHD_Connection *mhd, void **context,
						enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		connection_opened(cls, mhd, context);
	else if (*context != NULL)
	{
		connection_closed(*context);
		*context = NULL;
	}
}

void
sd_connection_drain(SdServer *server)
{
	char waste[16 * 1024];

	for (int i = 0; i < server->n_lingering;)
	{
		Lingering *l = &server->lingering[i];
		ssize_t    n = 0;

		for (int k = 0; k < 64; k++)
		{
			n = recv(l->fd, waste, sizeof(waste), MSG_DONTWAIT);
			if (n <= 0)
				break;
		}
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || server->now >= l->until)
		{
			close(l->fd);
			*l = server->lingering[--server->n_lingering];
		}
		else
			i++;
	}
}


/* ---- deadlines ---- */

static const char *
reason_phrase(int status)
{
	return status == 408 ? "Request Timeout" : "Content Too Large";
}

/*
 * Says what the library cannot say, and ends the connection.  SHUT_RDWR makes
 * the library notice; SHUT_WR leaves room to drain, when it knows already.
 */
void
sd_connection_answer_raw(Connection *c, int status, const char *body, int how)
{
	char text[512];
	int  n;

	if (c->server->config.certificate == NULL)
	{
		n = snprintf(text, sizeof(text),
					 "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: application/json\r\n"
					 "Content-Length: %zu\r\n\r\n%s",
					 status, reason_phrase(status), strlen(body), body);
		if (send(c->fd, text, n, MSG_DONTWAIT | MSG_NOSIGNAL) == n)
			c->server->counters->answers[status]++;
	}
	c->linger = true;
	c->phase = DOOMED;
	c->deadline = NO_DEADLINE;
	shutdown(c->fd, how);
}

/* the library notices, and ends the connection */
static void
doom(Connection *c)
{
	c->phase = DOOMED;
	c->deadline = NO_DEADLINE;
	shutdown(c->fd, SHUT_RDWR);
}

/* a connection whose deadline has passed */
static void
expire(Connection *c)
{
	SdServer *server = c->server;
	bool      ended;
	uint64_t  received = sd_connection_received(c->fd, &ended);

	if (ended)
	{
		if (c->phase == READING)
			server->counters->cut++;
		doom(c);
	}
	else if (c->phase == KEPT)
	{
		/* bytes of a next request, but no request line: now it has a deadline */
		if (received != c->received)
		{
			c->phase = READING;
			sd_connection_await(c, server->now);
		}
		else
			sd_connection_set_deadline(c, server->now + server->config.request_timeout);
	}
	else if (server->now < c->until)
	{
		c->look *= 2;
		sd_connection_set_deadline(c, server->now + c->look < c->until ? server->now + c->look : c->until);
	}
	else
	{
		server->counters->timed_out++;
		if (received > 0)
			sd_connection_answer_raw(c, 408, "{\"error\":\"the request did not arrive in time\"}\n", SHUT_RDWR);
		else
			doom(c);
	}
}

void
sd_connection_enforce_deadlines(SdServer *server)
{
	Connection *next;

	if (server->now < server->next_deadline)
		return;
	for (Connection *c = server->connections; c != NULL; c = next)
	{
		next = c->next;
		if (c->deadline <= server->now)
			expire(c);
	}
	server->next_deadline = NO_DEADLINE;
	for (Connection *c = server->connections; c != NULL; c = c->next)
		sd_connection_set_deadline(c, c->deadline);
}
