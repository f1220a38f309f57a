/*-------------------------------------------------------------------------
 *
 * server.c
 *	  The HTTP side of the receiver over libmicrohttpd, see server.h.
 *
 * Role: the daemon, its socket, its accounts, its turn, and those complete that
 * wait for the loop.  Connections and their deadlines are connection.c; what a
 * request says and gets is intake.c.  Called by receiver.c only.
 *
 * Invariants
 *
 *	- It listens exactly where it was told to, or says why it does not.
 *	- A turn ends when the library has nothing more to do at once, for its epoll
 *	  is edge-triggered, or after RUNS_PER_TURN looks.
 *
 *-------------------------------------------------------------------------
 */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connection.h"

#define LINGER_STEP_MS    50
#define RUNS_PER_TURN     64
#define CONNECTION_MEMORY (32 * 1024)

/* ---- the daemon ---- */

static bool
read_listen_address(const char *address, int port, struct sockaddr_storage *ss, socklen_t *len)
{
	struct sockaddr_in  *v4 = (struct sockaddr_in *) ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) ss;

	memset(ss, 0, sizeof(*ss));
	if (strcmp(address, "localhost") == 0)
		address = "127.0.0.1";
	else if (strcmp(address, "*") == 0)
		address = "0.0.0.0";
	if (inet_pton(AF_INET, address, &v4->sin_addr) == 1)
	{
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		*len = sizeof(*v4);
		return true;
	}
	if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1)
	{
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		*len = sizeof(*v6);
		return true;
	}
	return false;
}

/* a socket of our own: so the reason of a failure is known */
static int
listen_at(const SdServerConfig *config, char *error, size_t error_size)
{
	struct sockaddr_storage ss;
	socklen_t               len;
	int                     on = 1;
	int                     fd;

	if (!read_listen_address(config->address, config->port, &ss, &len))
	{
		snprintf(error, error_size, "\"%s\" is not an address", config->address);
		return -1;
	}
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 &&
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
		(ss.ss_family != AF_INET6 ||
		 setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
		bind(fd, (struct sockaddr *) &ss, len) == 0 &&
		listen(fd, 1024) == 0)
		return fd;
	snprintf(error, error_size, "%s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static struct MHD_Daemon *
start_daemon(SdServer *server, int fd)
{
	const SdServerConfig *config = &server->config;
	unsigned int          flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
	struct MHD_OptionItem tls[] = {
		{MHD_OPTION_HTTPS_MEM_CERT, 0, (void *) config->certificate},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, (void *) config->key},
		{MHD_OPTION_END, 0, NULL}};
	struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};

	if (config->certificate != NULL)
		flags |= MHD_USE_TLS;
	return MHD_start_daemon(flags, 0, sd_connection_on_accept, server, sd_intake_on_request, server,
							MHD_OPTION_LISTEN_SOCKET, fd,
							MHD_OPTION_CONNECTION_LIMIT, (unsigned int) config->max_connections,
							MHD_OPTION_CONNECTION_TIMEOUT,
							(unsigned int) ((config->idle_timeout + 999) / 1000),
							MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) CONNECTION_MEMORY,
							MHD_OPTION_NOTIFY_CONNECTION, sd_connection_on_notify, server,
							MHD_OPTION_NOTIFY_COMPLETED, sd_intake_on_completed, server,
							MHD_OPTION_URI_LOG_CALLBACK, sd_intake_on_request_line, server,
							MHD_OPTION_UNESCAPE_CALLBACK, sd_intake_on_unescape, server,
							MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
							MHD_OPTION_ARRAY, config->certificate != NULL ? tls : none,
							MHD_OPTION_END);
}

SdServer *
sd_server_start(const SdServerConfig *config, SdServerCounters *counters,
				char *error, size_t error_size)
{
	SdServer *server;
	int       fd = listen_at(config, error, error_size);

	if (fd < 0)
		return NULL;
	server = calloc(1, sizeof(SdServer));
	if (server != NULL)
	{
		server->config = *config;
		server->counters = counters;
		server->next_deadline = NO_DEADLINE;
		server->now = monotonic_ms();
		if (config->metrics_token != NULL && config->metrics_token[0] != '\0')
			server->metrics_token = strdup(config->metrics_token);
		server->daemon = start_daemon(server, fd);
	}
	if (server == NULL || server->daemon == NULL)
	{
		snprintf(error, error_size, "%s", config->certificate != NULL ? "the HTTP server could not be started; are certificate and key right?" : "the HTTP server could not be started");
		close(fd);
		if (server != NULL)
			free(server->metrics_token);
		free(server);
		return NULL;
	}
	return server;
}

static void
free_accounts(SdServer *server)
{
	for (int i = 0; i < server->n_accounts; i++)
	{
		free(server->accounts[i].name);
		free(server->accounts[i].token);
	}
	free(server->accounts);
	server->accounts = NULL;
	server->n_accounts = 0;
}

void
sd_server_stop(SdServer *server)
{
	SdRequest *r;

	while ((r = sd_server_take(server)) != NULL)
		sd_server_answer(server, r, 503, NULL);
	sd_server_run(server);
	MHD_stop_daemon(server->daemon);
	for (int i = 0; i < server->n_lingering; i++)
		close(server->lingering[i].fd);
	free_accounts(server);
	free(server->metrics_token);
	free(server);
}

int
sd_server_fd(const SdServer *server)
{
	return MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

int
sd_server_port(const SdServer *server)
{
	return server->config.port;
}

int
sd_server_connections(const SdServer *server)
{
	return server->n_connections;
}

size_t
sd_server_buffered(const SdServer *server)
{
	return server->buffered;
}

long
sd_server_timeout(SdServer *server)
{
	unsigned long long left;
	int64_t            result = -1;
	int64_t            now = monotonic_ms();

	if (server->first != NULL)
		return 0;
	if (MHD_get_timeout(server->daemon, &left) == MHD_YES)
		result = left > 3600 * 1000 ? 3600 * 1000 : (int64_t) left;
	if (server->next_deadline != NO_DEADLINE)
	{
		int64_t d = server->next_deadline > now ? server->next_deadline - now : 0;

		if (result < 0 || d < result)
			result = d;
	}
	if (server->n_lingering > 0 && (result < 0 || result > LINGER_STEP_MS))
		result = LINGER_STEP_MS;
	return (long) result;
}

void
sd_server_run(SdServer *server)
{
	unsigned long long left;
	bool               was_full;

	server->now = monotonic_ms();
	sd_connection_enforce_deadlines(server);
	for (int i = 0; i < RUNS_PER_TURN; i++)
	{
		was_full = server->n_connections >= server->config.max_connections;
		MHD_run(server->daemon);
		if (was_full && server->n_connections < server->config.max_connections)
			continue; /* it looks at the queue of the kernel again only now */
		if (MHD_get_timeout(server->daemon, &left) != MHD_YES || left > 0)
			break;
	}
	if (server->n_lingering > 0)
		sd_connection_drain(server);
}

bool
sd_server_accounts(SdServer *server, const char *const *names, const char *const *tokens, int n)
{
	free_accounts(server);
	server->accounts = calloc(n > 0 ? n : 1, sizeof(Account));
	if (server->accounts == NULL)
		return false;
	for (int i = 0; i < n; i++)
	{
		Account *a = &server->accounts[server->n_accounts];

		a->name = strdup(names[i]);
		a->token = strdup(tokens[i]);
		server->n_accounts++;
		if (a->name == NULL || a->token == NULL)
		{
			free_accounts(server);
			return false;
		}
	}
	return true;
}

SdRequest *
sd_server_take(SdServer *server)
{
	SdRequest *r = server->first;

	if (r == NULL)
		return NULL;
	server->first = r->next;
	if (server->first == NULL)
		server->last = NULL;
	r->next = NULL;
	return r;
}

void
sd_server_answer(SdServer *server, SdRequest *request, int status, const char *body)
{
	(void) server;
	sd_intake_answer(request->state, status, body);
}
