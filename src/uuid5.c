/*-------------------------------------------------------------------------
 *
 * uuid5.c
 *	  Name-based UUIDs (RFC 4122, version 5).
 *
 * Role: how the digest of namespace and name becomes a UUID (see uuid5.h).
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "uuid5.h"

void
sd_uuid5_from_sha1(const unsigned char sha1[SD_SHA1_LENGTH],
				   unsigned char       uuid[SD_UUID_LENGTH])
{
	memcpy(uuid, sha1, SD_UUID_LENGTH);
	uuid[6] = (unsigned char) ((uuid[6] & 0x0f) | 0x50); /* version 5 */
	uuid[8] = (unsigned char) ((uuid[8] & 0x3f) | 0x80); /* variant 10x */
}
