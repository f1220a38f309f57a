/*
 * load.c - posts webhooks of 3 KB (padded in utmPage), each another order, over so many connections
 *
 *	load URL CONNECTIONS SECONDS COUNT FIRST_ID [GAP_MS [LINES]]
 *
 * Ends after SECONDS or COUNT requests (0: no limit).  With GAP_MS it goes one request at a time, with such a rest between.  Prints
 * "accepted refused seconds p50_ms p99_ms"; with GAP_MS one line "sent answered" for each request, seconds of CLOCK_REALTIME.
 * Customers are 8 phones, goods 20 articles.  All invented.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONN  1024
#define BODY      3072
#define MAX_TIMES 2000000

typedef struct
{
	int    fd;
	size_t out_len,
		out_done,
		in_len;
	double began;
	char   out[BODY + 1024];
	char   in[4096];
} Conn;

static char               path[512];
static struct sockaddr_in address = {.sin_family = AF_INET};
static unsigned long      next_id;
static int                lines = 2;
static float             *times;
static unsigned long      accepted,
	refused,
	sent;

static double
now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

/* An order padded to the length by utmPage. */
static size_t
order(char *out, unsigned long id)
{
	size_t n;
	int    i,
		sum = 0;

	n = (size_t) sprintf(out, "{\"info\":{\"webhookType\":\"order\",\"webhookEvent\":\"new_order\",\"account\":\"bench\"},\"data\":{\"id\":%lu,\"version\":1,"
							  "\"orderTime\":\"2026-11-20 14:46:24\",\"updateAt\":\"2026-11-20 14:46:31\",\"statusId\":1,\"comment\":\"Зразок %lu\","
							  "\"contacts\":[{\"id\":%lu,\"fName\":\"Зразок\",\"lName\":\"Вигаданий\",\"phone\":[\"38067200000%lu\"]}],\"products\":[",
						 id, id, id % 8 + 1, id % 8 + 1);
	for (i = 0; i < lines; i++)
	{
		int price = 100 + (int) (id % 50);

		n += (size_t) sprintf(out + n, "%s{\"productId\":%d,\"sku\":\"SKU-%04d\",\"text\":\"Товар\",\"amount\":%d,\"price\":%d,\"discount\":0,\"percentDiscount\":0}",
							  i ? "," : "", i + 1, (int) (id + (unsigned long) i * 7) % 20 + 1, i + 1, price);
		sum += price * (i + 1);
	}
	n += (size_t) sprintf(out + n, "],\"paymentAmount\":%d,\"utmPage\":\"", sum);
	while (n < BODY - 3)
	{
		out[n] = (char) ('a' + n % 26);
		n++;
	}
	memcpy(out + n, "\"}}", 3);
	return n + 3;
}

static void
prepare(Conn *c)
{
	static char body[BODY + 2048];
	size_t      len = order(body, next_id++);
	int         head = snprintf(c->out, sizeof(c->out), "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", path, len);

	if ((size_t) head + len > sizeof(c->out))
		exit(1);
	memcpy(c->out + head, body, len);
	c->out_len = (size_t) head + len;
	c->out_done = c->in_len = 0;
	c->began = now(CLOCK_MONOTONIC);
	sent++;
}

static void
fail(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
open_connection(Conn *c)
{
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(c->fd, (struct sockaddr *) &address, sizeof(address)) != 0)
		fail("connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void
push(Conn *c)
{
	while (c->out_done < c->out_len)
	{
		ssize_t n = send(c->fd, c->out + c->out_done, c->out_len - c->out_done, MSG_NOSIGNAL);

		if (n <= 0)
			fail("send");
		c->out_done += (size_t) n;
	}
}

/* Whether the answer is whole now. */
static int
pull(Conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - 1 - c->in_len, 0);
	char   *end,
		*field;
	size_t body = 0;

	if (n <= 0)
		fail("the server closed");
	c->in_len += (size_t) n;
	c->in[c->in_len] = '\0';
	if ((end = strstr(c->in, "\r\n\r\n")) == NULL)
		return 0;
	if ((field = strcasestr(c->in, "\r\nContent-Length:")) != NULL)
		body = strtoul(field + 17, NULL, 10);
	if (c->in_len < (size_t) (end - c->in) + 4 + body)
		return 0;
	if (strncmp(c->in, "HTTP/1.1 200", 12) == 0)
		accepted++;
	else
		refused++;
	if (accepted + refused <= MAX_TIMES)
		times[accepted + refused - 1] = (float) ((now(CLOCK_MONOTONIC) - c->began) * 1000);
	return 1;
}

static int
by_value(const void *a, const void *b)
{
	float x = *(const float *) a,
		  y = *(const float *) b;

	return (x > y) - (x < y);
}

static void
one_by_one(unsigned long count, int gap)
{
	static Conn c;

	open_connection(&c);
	while (sent < count)
	{
		double start;

		poll(NULL, 0, gap); /* the rest that makes the system idle */
		prepare(&c);
		start = now(CLOCK_REALTIME);
		push(&c);
		while (!pull(&c))
			;
		printf("%.6f %.6f\n", start, now(CLOCK_REALTIME));
	}
}

static void
flood(int connections, double seconds, unsigned long count)
{
	static Conn conns[MAX_CONN];
	int         poller = epoll_create1(0),
		busy = 0,
		i;
	double began = now(CLOCK_MONOTONIC),
		   end = began + (seconds > 0 ? seconds : 1e9);

	for (i = 0; i < connections && i < MAX_CONN && (count == 0 || sent < count); i++, busy++)
	{
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = &conns[i]};

		open_connection(&conns[i]);
		epoll_ctl(poller, EPOLL_CTL_ADD, conns[i].fd, &e);
		prepare(&conns[i]);
		push(&conns[i]);
	}
	while (busy > 0)
	{
		struct epoll_event events[256];
		int                n = epoll_wait(poller, events, 256, 10000);

		if (n == 0)
		{
			errno = ETIMEDOUT;
			fail("waiting for an answer");
		}
		for (i = 0; i < n; i++)
		{
			Conn *c = events[i].data.ptr;

			if (!pull(c))
				continue;
			if ((count > 0 && sent >= count) || now(CLOCK_MONOTONIC) >= end)
				busy--;
			else
			{
				prepare(c);
				push(c);
			}
		}
	}
	end = now(CLOCK_MONOTONIC);
	qsort(times, accepted + refused < MAX_TIMES ? accepted + refused : MAX_TIMES, sizeof(float), by_value);
	printf("%lu %lu %.3f %.2f %.2f\n", accepted, refused, end - began, (double) times[(accepted + refused) / 2], (double) times[(accepted + refused) * 99 / 100]);
}

int
main(int argc, char **argv)
{
	char     host[64];
	unsigned port;

	if (argc < 6 || sscanf(argv[1], "http://%63[^:/]:%u%511s", host, &port, path) != 3)
	{
		fprintf(stderr, "usage: load URL CONNECTIONS SECONDS COUNT FIRST_ID [GAP_MS [LINES]]\n");
		return 2;
	}
	address.sin_port = htons((unsigned short) port);
	inet_pton(AF_INET, host, &address.sin_addr);
	next_id = strtoul(argv[5], NULL, 10);
	if (argc > 7)
		lines = atoi(argv[7]);
	times = calloc(MAX_TIMES, sizeof(float));
	if (times == NULL)
		return 1;
	if (argc > 6 && atoi(argv[6]) > 0)
		one_by_one(strtoul(argv[4], NULL, 10), atoi(argv[6]));
	else
		flood(atoi(argv[2]), atof(argv[3]), strtoul(argv[4], NULL, 10));
	return 0;
}
