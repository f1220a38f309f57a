/*-------------------------------------------------------------------------
 *
 * uuid5.h
 *	  Name-based UUIDs (RFC 4122, version 5).
 *
 * Role: how the digest of namespace and name becomes a UUID.  Pure C: no
 * PostgreSQL header; the digest itself is the caller's work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SD_UUID5_H
#define SD_UUID5_H

#define SD_SHA1_LENGTH 20
#define SD_UUID_LENGTH 16

/* 'sha1' is SHA-1 over the 16 bytes of the namespace followed by the name. */
extern void sd_uuid5_from_sha1(const unsigned char sha1[SD_SHA1_LENGTH],
							   unsigned char       uuid[SD_UUID_LENGTH]);

#endif /* SD_UUID5_H */
