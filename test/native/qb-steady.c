/*
 * A well-behaved libqb client beside an attack: sends a request every millisecond, opens a second
 * connection after every 40th, and compares every echoed byte.
 *
 *   qb-steady SERVICE [--id N] [--uid N] [--gid N] [--no-verify]
 *
 * Lines of stdin: `go` starts; `stop` pauses, keeps the connection, and prints one line of JSON:
 * round trips, failures, worst round trip, and worst connect with a round trip, in ns.
 */
#include "tool.h"

#include <poll.h>
#include <qb/qbipcc.h>

enum { BODY = 200, CONNECT_EVERY = 40, MAX_MSG_SIZE = 1 << 20, TIMEOUT_MS = 20000 };

static struct {
	const char *service;
	long id, uid, gid, verify;
	uint64_t turn, round_trips, failures, mismatches, worst_ns, worst_connect_ns;
	int64_t error;
} steady = { .id = 1, .uid = -1, .gid = -1, .verify = 1 };

static uint8_t message[sizeof(request_header) + BODY], reply[MAX_MSG_SIZE];

static void fail(int64_t error)
{
	steady.failures++;
	steady.error = error;
}

static void ask(qb_ipcc_connection_t *connection)
{
	struct iovec iov = { message, sizeof message };
	const response_header *header = (const response_header *)reply;
	*(request_header *)message =
		(request_header){ .id = (int32_t)steady.id, .size = sizeof message };
	memset(message + sizeof(request_header), (int)++steady.turn, BODY);
	ssize_t got = qb_ipcc_sendv_recv(connection, &iov, 1, reply, sizeof reply, TIMEOUT_MS);
	if (got < 0) {
		fail(got);
		return;
	}
	steady.round_trips++;
	if (steady.verify && (got != sizeof *header + BODY ||
			      memcmp(reply + sizeof *header, message + sizeof(request_header), BODY) != 0))
		steady.mismatches++;
}

static void keep_worst(uint64_t *worst, uint64_t since)
{
	uint64_t took = now_ns() - since;
	if (took > *worst)
		*worst = took;
}

static void connect_anew(void)
{
	uint64_t start = now_ns();
	qb_ipcc_connection_t *connection = qb_ipcc_connect(steady.service, MAX_MSG_SIZE);
	if (connection == NULL) {
		fail(-errno);
		return;
	}
	ask(connection);
	keep_worst(&steady.worst_connect_ns, start);
	qb_ipcc_disconnect(connection);
}

static void turn(qb_ipcc_connection_t *connection)
{
	uint64_t start = now_ns();
	struct timespec rest = { 0, 1000000 };
	ask(connection);
	keep_worst(&steady.worst_ns, start);
	if (steady.turn % CONNECT_EVERY == 0)
		connect_anew();
	nanosleep(&rest, NULL);
}

static void print(void)
{
	printf("{\"roundTrips\":%lu,\"failures\":%lu,\"error\":%ld,\"mismatches\":%lu,"
	       "\"worstNs\":%lu,\"worstConnectNs\":%lu}\n",
	       steady.round_trips, steady.failures, (long)steady.error, steady.mismatches,
	       steady.worst_ns, steady.worst_connect_ns);
	fflush(stdout);
	steady.round_trips = steady.failures = steady.mismatches = 0;
	steady.worst_ns = steady.worst_connect_ns = 0;
	steady.error = 0;
}

int main(int argc, char **argv)
{
	char line[64];
	int going = 0;
	if (argc < 2)
		die("usage", "qb-steady SERVICE [--id N] [--uid N] [--gid N] [--no-verify]");
	steady.service = argv[1];
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--no-verify") == 0)
			steady.verify = 0;
		else if (i + 1 < argc && strcmp(argv[i], "--id") == 0)
			steady.id = number("--id", argv[++i]);
		else if (i + 1 < argc && strcmp(argv[i], "--uid") == 0)
			steady.uid = number("--uid", argv[++i]);
		else if (i + 1 < argc && strcmp(argv[i], "--gid") == 0)
			steady.gid = number("--gid", argv[++i]);
		else
			die("unknown option", argv[i]);
	}
	become(steady.uid, steady.gid);
	qb_ipcc_connection_t *connection = qb_ipcc_connect(steady.service, MAX_MSG_SIZE);
	if (connection == NULL)
		die("connect", strerror(errno));
	printf("{\"connected\":true}\n");
	fflush(stdout);
	setvbuf(stdin, NULL, _IONBF, 0);
	for (;;) {
		struct pollfd input = { .fd = 0, .events = POLLIN };
		if (poll(&input, 1, going ? 0 : -1) > 0) {
			if (fgets(line, sizeof line, stdin) == NULL)
				break;
			going = strcmp(line, "go\n") == 0;
			if (going) {
				printf("{\"going\":true}\n");
				fflush(stdout);
			} else {
				print();
			}
		}
		if (going)
			turn(connection);
	}
	qb_ipcc_disconnect(connection);
	return 0;
}
