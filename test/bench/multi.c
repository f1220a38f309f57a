/*
 * multi.c - bare curl multi: the limit of a sender that does nothing else
 *
 *	multi URL CONNECTIONS SECONDS		posts 1.2 KB over and over, with keep-alive; prints requests a second
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_CONN 256

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static size_t
swallow(char *data, size_t size, size_t n, void *arg)
{
	(void) data;
	(void) arg;
	return size * n;
}

int
main(int argc, char **argv)
{
	static char        body[1200];
	struct curl_slist *headers;
	CURLM             *multi;
	CURL              *handles[MAX_CONN];
	int                count,
		i,
		left,
		running = 0;
	unsigned long done = 0;
	double        began,
		end;

	if (argc != 4 || (count = atoi(argv[2])) < 1 || count > MAX_CONN)
		return 2;
	memset(body, ' ', sizeof(body));
	body[0] = '{';
	memcpy(body + sizeof(body) - 7, "\"a\":1}", 6);
	curl_global_init(CURL_GLOBAL_ALL);
	multi = curl_multi_init();
	headers = curl_slist_append(NULL, "Content-Type: application/json");
	headers = curl_slist_append(headers, "Expect:");
	for (i = 0; i < count; i++)
	{
		handles[i] = curl_easy_init();
		curl_easy_setopt(handles[i], CURLOPT_URL, argv[1]);
		curl_easy_setopt(handles[i], CURLOPT_POSTFIELDS, body);
		curl_easy_setopt(handles[i], CURLOPT_POSTFIELDSIZE, (long) sizeof(body) - 1);
		curl_easy_setopt(handles[i], CURLOPT_HTTPHEADER, headers);
		curl_easy_setopt(handles[i], CURLOPT_WRITEFUNCTION, swallow);
		curl_multi_add_handle(multi, handles[i]);
	}
	began = now();
	end = began + atof(argv[3]);
	while (now() < end)
	{
		CURLMsg *message;

		curl_multi_perform(multi, &running);
		while ((message = curl_multi_info_read(multi, &left)) != NULL)
		{
			CURL *handle = message->easy_handle;

			if (message->msg != CURLMSG_DONE || message->data.result != CURLE_OK)
			{
				fprintf(stderr, "multi: %s\n", curl_easy_strerror(message->data.result));
				return 1;
			}
			done++;
			curl_multi_remove_handle(multi, handle);
			curl_multi_add_handle(multi, handle);
			running = 1;
		}
		if (running > 0)
			curl_multi_poll(multi, NULL, 0, 1, NULL);
	}
	printf("%.0f\n", (double) done / (now() - began));
	for (i = 0; i < count; i++)
	{
		curl_multi_remove_handle(multi, handles[i]);
		curl_easy_cleanup(handles[i]);
	}
	curl_multi_cleanup(multi);
	curl_slist_free_all(headers);
	return 0;
}
