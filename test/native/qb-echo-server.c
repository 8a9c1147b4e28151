/*
 * An echo server written as C programs use libqb: reply body = request body, error 0.
 *
 *   qb-echo-server SERVICE [--accept-any] [--refuse ERRNO] [--late | --late-ms MS] [--burn-us US]
 *
 * --late answers from the loop after the callback has returned; --late-ms after MS milliseconds.
 * --burn-us: the callback of request 2 spins for US microseconds.
 */
#include "qb-server.h"

enum { SLOW = 2 };

static long late = -1, burn_us;

/* A late answer. Its request has left the ring, and its client may be gone, too. */
typedef struct {
	qb_ipcs_connection_t *c;
	int32_t id;
	size_t size;
	uint8_t body[];
} debt;

static void burn(void)
{
	uint64_t until = now_ns() + (uint64_t)burn_us * 1000;
	while (now_ns() < until)
		;
}

static int32_t echo(qb_ipcs_connection_t *c, void *data, size_t size)
{
	/* libqb passes the header's size, unchecked, as `size`. */
	const request_header *request = data;
	if (size < sizeof *request)
		return answer(c, request->id, -EINVAL, NULL, 0);
	if (request->id == SLOW)
		burn();
	return answer(c, request->id, 0, request + 1, size - sizeof *request);
}

static void pay(void *data)
{
	debt *owed = data;
	answer(owed->c, owed->id, 0, owed->body, owed->size);
	qb_ipcs_connection_unref(owed->c);
	free(owed);
}

static int32_t echo_late(qb_ipcs_connection_t *c, void *data, size_t size)
{
	const request_header *request = data;
	if (size < sizeof *request)
		return answer(c, request->id, -EINVAL, NULL, 0);
	size_t body = size - sizeof *request;
	debt *owed = malloc(sizeof *owed + body);
	if (owed == NULL)
		return -ENOMEM;
	*owed = (debt){ .c = c, .id = request->id, .size = body };
	memcpy(owed->body, request + 1, body);
	qb_ipcs_connection_ref(c);
	/*
	 * A timer, not a job: when its loop has only jobs, libqb sleeps 50 ms before it runs them.
	 */
	qb_loop_timer_handle handle;
	return qb_loop_timer_add(loop, QB_LOOP_MED, (uint64_t)late * 1000000, owed, pay, &handle);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		die("usage", "qb-echo-server SERVICE [options: see the head of its source]");
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--accept-any") == 0)
			accept_any = 1;
		else if (strcmp(argv[i], "--late") == 0)
			late = 0;
		else if (strcmp(argv[i], "--refuse") == 0 && i + 1 < argc)
			refuse_with = -(int)number("--refuse", argv[++i]);
		else if (strcmp(argv[i], "--late-ms") == 0 && i + 1 < argc)
			late = number("--late-ms", argv[++i]);
		else if (strcmp(argv[i], "--burn-us") == 0 && i + 1 < argc)
			burn_us = number("--burn-us", argv[++i]);
		else
			die("unknown option", argv[i]);
	}
	return serve(argv[1], late < 0 ? echo : echo_late, NULL, NULL);
}
