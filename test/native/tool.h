/*
 * Shared by the native test tools: time, hex, identity, and exit with a message. Each tool is one
 * .c file that needs Debian's libqb-dev; test/support/native.ts compiles them.
 */
#ifndef PMXCFS_IPC_TOOL_H
#define PMXCFS_IPC_TOOL_H

#define _GNU_SOURCE

#include <errno.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <qb/qbipc_common.h>

/* The headers of requests (16 bytes) and of responses (24 bytes). */
typedef struct qb_ipc_request_header request_header;
typedef struct qb_ipc_response_header response_header;

static inline uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

__attribute__((noreturn)) static inline void die(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(2);
}

static inline long number(const char *name, const char *text)
{
	char *end;
	errno = 0;
	long value = strtol(text, &end, 0);
	if (errno != 0 || end == text || *end != '\0')
		die(name, "not a number");
	return value;
}

/* Sets gid, then uid, without supplementary groups. -1 leaves an id as it is. */
static inline void become(long uid, long gid)
{
	if (uid < 0 && gid < 0)
		return;
	if (setgroups(0, NULL) != 0 || (gid >= 0 && setgid((gid_t)gid) != 0) ||
	    (uid >= 0 && setuid((uid_t)uid) != 0))
		die("cannot change identity", strerror(errno));
}

/*
 * Sets effective `uid` and `gid` and different real ids, as in a setuid program, or in a daemon
 * that dropped its effective ids. A real id of -1 is set to the effective one.
 */
static inline void become_twofold(long real_uid, long real_gid, long uid, long gid)
{
	if (real_uid < 0 && real_gid < 0) {
		become(uid, gid);
		return;
	}
	real_uid = real_uid < 0 ? uid : real_uid;
	real_gid = real_gid < 0 ? gid : real_gid;
	if (setgroups(0, NULL) != 0 || setresgid((gid_t)real_gid, (gid_t)gid, (gid_t)gid) != 0 ||
	    setresuid((uid_t)real_uid, (uid_t)uid, (uid_t)uid) != 0)
		die("cannot change identity", strerror(errno));
}

/* For qsort: the order of two times. */
static inline int compare_times(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
	return left < right ? -1 : left > right;
}

/* Sorts `count` times in us; prints them as a line of JSON, with their number per second. */
static inline void print_rate(uint32_t *times, size_t count, double seconds)
{
	qsort(times, count, sizeof *times, compare_times);
	printf("{\"perSecond\":%.0f,\"p50\":%u,\"p99\":%u}\n", (double)count / seconds,
	       times[count / 2], times[count * 99 / 100]);
}

static inline int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Decodes `text` ("-" is empty) into new memory, after `before` bytes of room. */
static inline uint8_t *unhex(const char *text, size_t before, size_t *size)
{
	size_t length = strcmp(text, "-") == 0 ? 0 : strlen(text);
	if (length % 2 != 0)
		die("hex", "odd number of digits");
	uint8_t *bytes = calloc(1, before + length / 2 + 1);
	if (bytes == NULL)
		die("hex", "no memory");
	for (size_t i = 0; i < length / 2; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
		if (high < 0 || low < 0)
			die("hex", "not a hex digit");
		bytes[before + i] = (uint8_t)(high << 4 | low);
	}
	*size = length / 2;
	return bytes;
}

static inline void print_hex(const uint8_t *bytes, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < size; i++) {
		putchar_unlocked(digits[bytes[i] >> 4]);
		putchar_unlocked(digits[bytes[i] & 15]);
	}
}

#endif
