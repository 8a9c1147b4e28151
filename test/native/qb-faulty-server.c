/*
 * A libqb server with the given faults, which the diagnosis must find. Requests without a fault are
 * answered with `{}`.
 *
 *   qb-faulty-server SERVICE [--refuse RESULT] [FAULT ID]... [--large ID BYTES]
 *
 *   --refuse RESULT    result of the accept callback: 1, as in pmxcfs, or a negative errno
 *   --short ID         an answer of 8 bytes
 *   --silent ID        no answer
 *   --disconnect ID    disconnects instead of answering
 *   --crash ID         aborts
 *   --large ID BYTES   an answer of BYTES; disconnects when it does not fit, as pmxcfs does
 */
#include "qb-server.h"

enum { IDS = 16 };

enum fault { NONE, SHORT, SILENT, DISCONNECT, CRASH, LARGE };

static enum fault faults[IDS];
static size_t large_bytes;

/* Called after libqb has handled the message: before, its assertions on reference counts fail. */
static void disconnect_now(void *connection)
{
	qb_ipcs_disconnect(connection);
}

static void disconnect_soon(qb_ipcs_connection_t *c)
{
	qb_loop_job_add(loop, QB_LOOP_HIGH, c, disconnect_now);
}

static int32_t send_large(qb_ipcs_connection_t *c, int32_t id)
{
	void *body = calloc(1, large_bytes);
	if (body == NULL)
		die("calloc", strerror(errno));
	memset(body, ' ', large_bytes);
	memcpy(body, "{}", 2);
	int32_t result = answer(c, id, 0, body, large_bytes);
	free(body);
	if (result < 0)
		disconnect_soon(c);
	return 0;
}

static int32_t process(qb_ipcs_connection_t *c, void *data, size_t size)
{
	const request_header *request = data;
	(void)size;
	int32_t id = request->id;
	switch (id >= 0 && id < IDS ? faults[id] : NONE) {
	case SHORT:
		return qb_ipcs_response_send(c, "short..", 8) < 0 ? -EIO : 0;
	case SILENT:
		return 0;
	case DISCONNECT:
		disconnect_soon(c);
		return 0;
	case CRASH:
		abort();
	case LARGE:
		return send_large(c, id);
	default:
		return answer(c, id, 0, "{}", 2);
	}
}

static enum fault fault_named(const char *option)
{
	if (strcmp(option, "--short") == 0)
		return SHORT;
	if (strcmp(option, "--silent") == 0)
		return SILENT;
	if (strcmp(option, "--disconnect") == 0)
		return DISCONNECT;
	if (strcmp(option, "--crash") == 0)
		return CRASH;
	if (strcmp(option, "--large") == 0)
		return LARGE;
	die("unknown option", option);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		die("usage", "qb-faulty-server SERVICE [FAULT ID]...");
	accept_any = 1;
	for (int i = 2; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--refuse") == 0) {
			refuse_with = (int)number("--refuse", argv[i + 1]);
			continue;
		}
		enum fault fault = fault_named(argv[i]);
		faults[number("ID", argv[i + 1]) % IDS] = fault;
		if (fault == LARGE && i + 2 < argc)
			large_bytes = (size_t)number("BYTES", argv[i++ + 2]);
	}
	return serve(argv[1], process, NULL, NULL);
}
