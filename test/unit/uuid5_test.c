/*
 * uuid5_test.c
 *	  Version and variant of name-based UUIDs.
 */
#include "tap.h"
#include "uuid5.h"

int
main(void)
{
	/* SHA-1 of the DNS namespace followed by "www.example.com", and its UUID */
	static const unsigned char sha1[SD_SHA1_LENGTH] = {
		0x2e, 0xd6, 0x65, 0x7d, 0xe9, 0x27, 0x46, 0x8b, 0x55, 0xe1,
		0x26, 0x65, 0xa8, 0xae, 0xa6, 0xa2, 0x2d, 0xee, 0x3e, 0x35};
	static const unsigned char expected[SD_UUID_LENGTH] = {
		0x2e, 0xd6, 0x65, 0x7d, 0xe9, 0x27, 0x56, 0x8b,
		0x95, 0xe1, 0x26, 0x65, 0xa8, 0xae, 0xa6, 0xa2};
	unsigned char uuid[SD_UUID_LENGTH];
	unsigned char digest[SD_SHA1_LENGTH];
	int           byte;
	int           wrong = 0;

	sd_uuid5_from_sha1(sha1, uuid);
	ok(memcmp(uuid, expected, sizeof(uuid)) == 0, "the vector of www.example.com");

	for (byte = 0; byte < 256; byte++)
	{
		memset(digest, byte, sizeof(digest));
		sd_uuid5_from_sha1(digest, uuid);
		if ((uuid[6] >> 4) != 5 || (uuid[8] >> 6) != 2 ||
			(uuid[6] & 0x0f) != (byte & 0x0f) || (uuid[8] & 0x3f) != (byte & 0x3f) ||
			uuid[0] != byte || uuid[15] != byte)
			wrong++;
	}
	is_int(wrong, 0, "version 5, variant 10x and nothing else is changed, for every byte");
	return done_testing();
}
