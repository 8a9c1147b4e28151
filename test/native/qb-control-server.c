/*
 * A C server that sends events and sets flow control when its clients ask for it. The reference for
 * test/support/servers/control.ts, which does the same with our library.
 *
 *   qb-control-server SERVICE [--accept-any]
 *
 *   id 100, body u32 N:     answers, then sends N events to the asking connection
 *   id 101, body u32 N:     the same to every connection
 *   id 102, body u32 LEVEL: answers, then sets flow control 0 (off), 1 (stop) or 2 (stop clients
 *                           that agreed to it), and lifts it after 300 ms
 *   any other id:           echo
 * An event has id 200; its body is its number (u32).
 */
#include "qb-server.h"

static void send_events(qb_ipcs_connection_t *c, uint32_t count)
{
	struct { response_header header; uint32_t number; } event;
	memset(&event, 0, sizeof event);
	event.header.id = 200;
	event.header.size = sizeof event.header + sizeof event.number;
	for (event.number = 0; event.number < count; event.number++)
		if (qb_ipcs_event_send(c, &event, (size_t)event.header.size) < 0)
			return;
}

static void lift(void *data)
{
	(void)data;
	qb_ipcs_request_rate_limit(service, QB_IPCS_RATE_NORMAL);
}

static void limit(uint32_t level)
{
	static const enum qb_ipcs_rate_limit rates[] = { QB_IPCS_RATE_NORMAL, QB_IPCS_RATE_OFF,
							 QB_IPCS_RATE_OFF_2 };
	qb_loop_timer_handle timer;
	qb_ipcs_request_rate_limit(service, rates[level % 3]);
	qb_loop_timer_add(loop, QB_LOOP_HIGH, 300 * QB_TIME_NS_IN_MSEC, NULL, lift, &timer);
}

static int32_t process(qb_ipcs_connection_t *c, void *data, size_t size)
{
	const request_header *request = data;
	if (size < sizeof *request)
		return answer(c, request->id, -EINVAL, NULL, 0);
	size_t body = size - sizeof *request;
	uint32_t value = 0;
	memcpy(&value, request + 1, body < sizeof value ? body : sizeof value);
	int32_t result = answer(c, request->id, 0, request + 1, body);
	if (request->id == 100) {
		send_events(c, value);
	} else if (request->id == 101) {
		qb_ipcs_connection_t *each = qb_ipcs_connection_first_get(service);
		while (each != NULL) {
			qb_ipcs_connection_t *next = qb_ipcs_connection_next_get(service, each);
			send_events(each, value);
			qb_ipcs_connection_unref(each);
			each = next;
		}
	} else if (request->id == 102) {
		limit(value);
	}
	return result;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		die("usage", "qb-control-server SERVICE [--accept-any]");
	accept_any = argc > 2 && strcmp(argv[2], "--accept-any") == 0;
	return serve(argv[1], process, NULL, NULL);
}
