/*
 * An echo server as C programs write it: reply body = request body, error 0.
 *
 *   qb-echo-server SERVICE [--accept-any] [--refuse ERRNO]
 */
#include "qb-server.h"

static int32_t echo(qb_ipcs_connection_t *c, void *data, size_t size)
{
	/* libqb passes the header's size, unchecked, as `size`. */
	const request_header *request = data;
	if (size < sizeof *request)
		return answer(c, request->id, -EINVAL, NULL, 0);
	return answer(c, request->id, 0, request + 1, size - sizeof *request);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		die("usage", "qb-echo-server SERVICE [--accept-any] [--refuse ERRNO]");
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--accept-any") == 0)
			accept_rule = 1;
		else if (strcmp(argv[i], "--refuse") == 0 && i + 1 < argc)
			accept_rule = -(int)number("--refuse", argv[++i]);
		else
			die("unknown option", argv[i]);
	}
	return serve(argv[1], echo, NULL, NULL);
}
