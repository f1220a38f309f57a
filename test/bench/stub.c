/*
 * stub.c - a BAS infobase that costs nothing: the peer of the benchmark
 *
 *	stub			prints its port and serves 127.0.0.1 until SIGTERM or the end of its standard input
 *
 * It knows no data.  Every list has one row that suits all small catalogs, a search of goods finds each article asked for, a search of
 * contacts finds nobody, a write is answered with what was sent (201) and .../Post with an empty 200.  Nothing is checked: whether the
 * work is right is the business of the simulators in test/peer, here only its speed counts.
 *
 *	GET /bench/set?latency=US&hang=0|1	microseconds before each answer; answer nothing at all
 *	GET /bench/stat				requests, documents, answers owed
 *	GET /bench/times			arrivals of new documents since the last such question, seconds of CLOCK_REALTIME
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define BUFFER    262144
#define MAX_FD    1024
#define MAX_TIMES 100000

typedef struct
{
	int    open;
	size_t in_len;
	char  *in;
	size_t out_len; /* an answer that waits for its time */
	char  *out;
	double due;
} Conn;

static Conn     conns[MAX_FD];
static int      queue[MAX_FD]; /* connections whose answers wait; a constant latency keeps them in order */
static unsigned queue_head,
	queue_tail;
static int poller,
	timer,
	listener;
static long          latency;
static int           hang;
static unsigned long requests,
	documents;
static double        times[MAX_TIMES];
static unsigned long times_count;
static unsigned long number;

static const char any_row[] = "{\"Ref_Key\":\"8c1f4a10-0001-11ee-8000-000000000001\",\"DeletionMark\":false,\"IsFolder\":false,\"Code\":\"980\","
							  "\"Description\":\"Зразок\",\"НаименованиеПолное\":\"Зразок\",\"Ставка\":20,\"НеОблагается\":false,\"ТипСтруктурнойЕдиницы\":\"Склад\","
							  "\"Predefined\":true,\"PredefinedDataName\":\"ТелефонКонтрагента\",\"Тип\":\"Телефон\"}";

static double
now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static void
drop(int fd)
{
	if (conns[fd].open)
	{
		conns[fd].open = 0;
		conns[fd].in_len = conns[fd].out_len = 0;
		close(fd);
	}
}

static void
send_all(int fd, const char *data, size_t len)
{
	while (len > 0)
	{
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
		{
			drop(fd);
			return;
		}
		data += n;
		len -= (size_t) n;
	}
}

static void
set_timer(void)
{
	struct itimerspec when = {0};

	if (queue_head != queue_tail)
	{
		double due = conns[queue[queue_head % MAX_FD]].due;

		when.it_value.tv_sec = (time_t) due;
		when.it_value.tv_nsec = (long) ((due - (double) when.it_value.tv_sec) * 1e9) + 1;
		if (when.it_value.tv_nsec > 999999999)
			when.it_value.tv_nsec = 999999999;
	}
	timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void
answer(int fd, const char *status, const char *body, size_t len, int at_once)
{
	Conn *c = &conns[fd];
	int   head = snprintf(c->out, BUFFER,
						  "HTTP/1.1 %s\r\nContent-Type: application/json;odata=minimalmetadata;charset=utf-8\r\nContent-Length: %zu\r\n\r\n",
						  status, len);

	if ((size_t) head + len > BUFFER)
	{
		drop(fd);
		return;
	}
	memcpy(c->out + head, body, len);
	c->out_len = (size_t) head + len;
	if (at_once || (latency == 0 && !hang))
	{
		send_all(fd, c->out, c->out_len);
		c->out_len = 0;
		return;
	}
	if (hang)
		return;
	c->due = now(CLOCK_MONOTONIC) + (double) latency / 1e6;
	queue[queue_tail++ % MAX_FD] = fd;
	if (queue_tail - queue_head == 1)
		set_timer();
}

static void
send_due(void)
{
	while (queue_head != queue_tail)
	{
		int fd = queue[queue_head % MAX_FD];

		if (conns[fd].due > now(CLOCK_MONOTONIC))
			break;
		queue_head++;
		if (conns[fd].open && conns[fd].out_len > 0)
		{
			send_all(fd, conns[fd].out, conns[fd].out_len);
			conns[fd].out_len = 0;
		}
	}
	set_timer();
}

/* In place; the result is shorter. */
static void
url_decode(char *s)
{
	char *to = s;

	for (; *s; s++)
	{
		unsigned value;

		if (*s == '%' && sscanf(s + 1, "%2x", &value) == 1)
		{
			*to++ = (char) value;
			s += 2;
		}
		else
			*to++ = *s;
	}
	*to = '\0';
}

/* One row for each SKU-NNNN in the question. */
static size_t
goods(const char *url, char *out, size_t size)
{
	size_t      len = (size_t) snprintf(out, size, "{\"value\":[");
	const char *at = url;
	int         n = 0;

	while ((at = strstr(at, "'SKU-")) != NULL && size - len > 1000)
	{
		int id = atoi(at + 5);

		len += (size_t) snprintf(out + len, size - len,
								 "%s{\"Ref_Key\":\"8c1f4a10-0002-11ee-8000-%012d\",\"DeletionMark\":false,\"IsFolder\":false,\"Артикул\":\"SKU-%04d\","
								 "\"Description\":\"Товар %d\",\"ЕдиницаИзмерения_Key\":\"8c1f4a10-0001-11ee-8000-000000000001\","
								 "\"СтавкаНДС_Key\":\"8c1f4a10-0001-11ee-8000-000000000001\",\"ТипНоменклатуры\":\"Запас\"}",
								 n++ ? "," : "", id, id, id);
		at += 5;
	}
	return len + (size_t) snprintf(out + len, size - len, "]}");
}

static size_t
bench_path(char *url, char *out, size_t size)
{
	size_t        len = 0;
	unsigned long i;
	char         *p;
	int           fd,
		owed = 0;

	if ((p = strstr(url, "latency=")) != NULL)
		latency = atol(p + 8);
	if ((p = strstr(url, "hang=")) != NULL)
		hang = atoi(p + 5);
	if (strstr(url, "/times") != NULL)
	{
		for (i = 0; i < times_count && size - len > 32; i++)
			len += (size_t) snprintf(out + len, size - len, "%.6f\n", times[i]);
		times_count = 0;
		return len;
	}
	for (fd = 0; fd < MAX_FD; fd++)
		owed += conns[fd].open && conns[fd].out_len > 0;
	return (size_t) snprintf(out, size, "%lu %lu %d\n", requests, documents, owed);
}

static void
serve(int fd, char *method, char *url, const char *body, size_t body_len)
{
	static char out[BUFFER];
	size_t      len;

	url_decode(url);
	if (strncmp(url, "/bench/", 7) == 0)
	{
		len = bench_path(url, out, sizeof(out) - 300);
		answer(fd, "200 OK", out, len, 1);
		return;
	}
	requests++;
	if (strcmp(method, "GET") == 0)
	{
		if (strstr(url, "Catalog_Номенклатура?") != NULL)
			len = goods(url, out, sizeof(out) - 300);
		else if (strstr(url, "$metadata") != NULL)
			len = (size_t) snprintf(out, sizeof(out), "<edmx:Edmx xmlns:edmx=\"http://schemas.microsoft.com/ado/2007/06/edmx\"><Schema><EntityContainer Name=\"E\">"
													  "<EntitySet Name=\"Catalog_Валюты\" EntityType=\"StandardODATA.Catalog_Валюты\"/></EntityContainer></Schema></edmx:Edmx>");
		else if (strstr(url, "КонтактнаяИнформация") != NULL)
			len = (size_t) snprintf(out, sizeof(out), "{\"value\":[]}");
		else
			len = (size_t) snprintf(out, sizeof(out), "{\"value\":[%s]}", any_row);
		answer(fd, "200 OK", out, len, 0);
		return;
	}
	if (strstr(url, "/Post") != NULL || body_len < 2)
	{
		answer(fd, "200 OK", "", 0, 0);
		return;
	}
	if (strstr(url, "Document_") != NULL)
	{
		if (times_count < MAX_TIMES)
			times[times_count++] = now(CLOCK_REALTIME);
		documents++;
	}
	len = (size_t) snprintf(out, sizeof(out), "{\"Number\":\"ВК00-%06lu\",\"DataVersion\":\"AAAAAQAAAAA=\",\"DeletionMark\":false,\"Posted\":false,%.*s",
							++number % 1000000, (int) body_len - 1, body + 1);
	answer(fd, "201 Created", out, len < sizeof(out) ? len : 0, 0);
}

/* One request from the buffer: its length, 0 when it is not whole, -1 when it is none. */
static long
take(int fd)
{
	Conn *c = &conns[fd];
	char *end,
		*field,
		*url,
		*stop;
	size_t head,
		body = 0;

	c->in[c->in_len] = '\0';
	if ((end = strstr(c->in, "\r\n\r\n")) == NULL)
		return 0;
	head = (size_t) (end - c->in) + 4;
	if ((field = strcasestr(c->in, "\r\nContent-Length:")) != NULL && field < end)
		body = strtoul(field + 17, NULL, 10);
	if (head + body >= BUFFER)
		return -1;
	if (c->in_len < head + body)
		return 0;
	if ((url = strchr(c->in, ' ')) == NULL || (stop = strchr(url + 1, ' ')) == NULL)
		return -1;
	*url++ = '\0';
	*stop = '\0';
	serve(fd, c->in, url, c->in + head, body);
	return (long) (head + body);
}

static void
readable(int fd)
{
	Conn   *c = &conns[fd];
	ssize_t n = recv(fd, c->in + c->in_len, BUFFER - 1 - c->in_len, MSG_DONTWAIT);
	long    used;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
	{
		drop(fd);
		return;
	}
	c->in_len += (size_t) n;
	while (c->in_len > 0 && c->out_len == 0 && (used = take(fd)) != 0)
	{
		if (used < 0 || !c->open)
		{
			drop(fd);
			return;
		}
		memmove(c->in, c->in + used, c->in_len - (size_t) used);
		c->in_len -= (size_t) used;
	}
}

static void
watch(int fd)
{
	struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};

	epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
}

static void
accept_one(void)
{
	int fd = accept(listener, NULL, NULL),
		one = 1;
	Conn *c;

	if (fd < 0)
		return;
	if (fd >= MAX_FD)
	{
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c = &conns[fd];
	if (c->in == NULL)
	{
		c->in = malloc(BUFFER);
		c->out = malloc(BUFFER);
		if (c->in == NULL || c->out == NULL)
			exit(1);
	}
	c->open = 1;
	c->in_len = c->out_len = 0;
	watch(fd);
}

int
main(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t          size = sizeof(address);

	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *) &address, size) != 0 || listen(listener, 512) != 0 ||
		getsockname(listener, (struct sockaddr *) &address, &size) != 0)
	{
		perror("stub");
		return 1;
	}
	poller = epoll_create1(0);
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	watch(listener);
	watch(timer);
	watch(STDIN_FILENO);
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	for (;;)
	{
		struct epoll_event events[64];
		int                n = epoll_wait(poller, events, 64, -1),
			i;

		for (i = 0; i < n; i++)
		{
			int  fd = events[i].data.fd;
			char scrap[64];

			if (fd == listener)
				accept_one();
			else if (fd == timer)
			{
				if (read(timer, scrap, sizeof(scrap)) > 0)
					send_due();
			}
			else if (fd == STDIN_FILENO)
			{
				if (read(fd, scrap, sizeof(scrap)) <= 0)
					return 0;
			}
			else if (conns[fd].open)
				readable(fd);
		}
	}
}
