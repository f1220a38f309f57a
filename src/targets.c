/*-------------------------------------------------------------------------
 *
 * targets.c
 *	  The targets of a client, and how many requests each of them wants in hand.
 *
 * Role: what client.h says of room, depth and saturation; the depth of a target
 * follows its speed.  Called by client.c (sd_target_find) and tasks.c.
 *
 * Invariant: a target is forgotten only when nothing of it is queued, on the wire
 * or waiting to be released.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "utils/memutils.h"

#include "client.h"
#include "transfer.h"

#define FIRST_ROOM       32      /* nothing is known of any target yet */
#define PROBE_ROOM       8       /* now and then, so that a new target is seen */
#define PROBE_US         1000000 /* beside busy ones */
#define LEAST_DEPTH      4       /* requests in hand for each connection */
#define MOST_DEPTH       16
#define AHEAD_US         200000 /* twice as long as answers gather, see engine.c */
#define FORGET_TARGET_US (INT64CONST(600) * 1000 * 1000)

Target *
sd_target_find(SdClient *client, const SdRequest *request)
{
	dlist_mutable_iter iter;
	int64              now = monotonic_us();
	Target            *found = NULL;

	dlist_foreach_modify(iter, &client->targets)
	{
		Target *target = dlist_container(Target, node, iter.cur);

		if (strcmp(target->name, request->target) == 0)
			found = target;
		else if (target->running + target->queued + target->finished == 0 &&
				 now - target->last_used > FORGET_TARGET_US)
		{
			dlist_delete(&target->node);
			pfree(target->name);
			pfree(target);
		}
	}
	if (found == NULL)
	{
		found = MemoryContextAllocZero(client->context, sizeof(Target));
		found->name = MemoryContextStrdup(client->context, request->target);
		dlist_init(&found->queue);
		dlist_push_tail(&client->targets, &found->node);
	}
	found->max_connections = Max(request->max_connections, 1);
	found->last_used = now;
	return found;
}

/*
 * For each connection the one on its way, and a queue that lasts while answers
 * gather and a turn is made of them, whatever the speed.
 */
static int
depth(const Target *target)
{
	int64 wanted = 1 + AHEAD_US / Max(target->usual_us, 1);

	return target->usual_us == 0 ? LEAST_DEPTH : (int) Max(LEAST_DEPTH, Min(wanted, MOST_DEPTH));
}

void
sd_target_took(Target *target, int64 us)
{
	target->usual_us = target->usual_us == 0 ? us : target->usual_us + (us - target->usual_us) / 8;
}

/* what a target has in hand beyond what it wants, having become slow, is not taken from others */
static int
missing(const SdClient *client)
{
	int        count = 0;
	dlist_iter iter;

	if (dlist_is_empty((dlist_head *) &client->targets))
		return FIRST_ROOM;
	dlist_foreach(iter, (dlist_head *) &client->targets)
	{
		Target *target = dlist_container(Target, node, iter.cur);

		count += Max(depth(target) * target->max_connections - target->running - target->queued, 0);
	}
	return count;
}

bool
sd_client_has_room(const SdClient *client)
{
	return missing(client) > 0 &&
		   sd_client_open(client) + client->unsettled + client->aside < SD_CLIENT_MAX_REQUESTS;
}

int
sd_client_room(SdClient *client)
{
	int room = missing(client);

	if (room == 0 && monotonic_us() - client->probed_at >= PROBE_US)
	{
		client->probed_at = monotonic_us();
		room = PROBE_ROOM;
	}
	room = Min(room, SD_CLIENT_MAX_REQUESTS - sd_client_open(client) - client->unsettled - client->aside);
	return Max(room, 0);
}

int
sd_client_depths(const SdClient *client, const char ***names, int **depths)
{
	int        count = 0;
	dlist_iter iter;

	dlist_foreach(iter, (dlist_head *) &client->targets)
		count++;
	*names = palloc(sizeof(char *) * Max(count, 1));
	*depths = palloc(sizeof(int) * Max(count, 1));
	count = 0;
	dlist_foreach(iter, (dlist_head *) &client->targets)
	{
		Target *target = dlist_container(Target, node, iter.cur);

		(*names)[count] = target->name;
		(*depths)[count++] = depth(target);
	}
	return count;
}

bool
sd_client_saturated(const SdClient *client)
{
	dlist_iter iter;

	dlist_foreach(iter, (dlist_head *) &client->targets)
	{
		Target *target = dlist_container(Target, node, iter.cur);

		if (target->finished > 0 &&
			(target->queued <= target->max_connections * (depth(target) - 1) / 2 ||
			 target->running < target->max_connections))
			return false;
	}
	return true;
}
