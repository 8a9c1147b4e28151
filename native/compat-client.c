/*
 * A C client on the host's own libqb, for `pmxcfs-ipc compat`: reads the lines described in
 * src/tools/compat/protocol.ts on stdin and answers each with one line of JSON. libqb is loaded at
 * the start, so that the build does not need it and a host without it gets an error message.
 *
 * compat-client [UID GID]: becomes that user first.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* qb/qbipc_common.h: every field is aligned to 8 bytes. */
struct qb_ipc_request_header {
	int32_t id __attribute__((aligned(8)));
	int32_t size __attribute__((aligned(8)));
} __attribute__((aligned(8)));

struct qb_ipc_response_header {
	int32_t id __attribute__((aligned(8)));
	int32_t size __attribute__((aligned(8)));
	int32_t error __attribute__((aligned(8)));
} __attribute__((aligned(8)));

typedef struct qb_ipcc_connection qb_ipcc_connection_t;

/* qb/qbipcc.h */
static struct {
	qb_ipcc_connection_t *(*connect)(const char *name, size_t max_msg_size);
	void (*disconnect)(qb_ipcc_connection_t *c);
	ssize_t (*send)(qb_ipcc_connection_t *c, const void *msg, size_t len);
	ssize_t (*recv)(qb_ipcc_connection_t *c, void *msg, size_t len, int32_t ms_timeout);
	ssize_t (*event_recv)(qb_ipcc_connection_t *c, void *msg, size_t len, int32_t ms_timeout);
	int32_t (*fc_enable_max_set)(qb_ipcc_connection_t *c, uint32_t max);
	int32_t (*is_connected)(qb_ipcc_connection_t *c);
} qb;

/* Loads libqb; 0 when it or one of the functions is missing. */
static int load(void)
{
	static const char *const names[] = {
		"qb_ipcc_connect", "qb_ipcc_disconnect", "qb_ipcc_send", "qb_ipcc_recv",
		"qb_ipcc_event_recv", "qb_ipcc_fc_enable_max_set", "qb_ipcc_is_connected",
	};
	void *library = dlopen("libqb.so.100", RTLD_NOW);
	if (library == NULL)
		library = dlopen("libqb.so.0", RTLD_NOW);
	if (library == NULL)
		return 0;
	_Static_assert(sizeof qb == sizeof names, "one member of qb per name");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		void *found = dlsym(library, names[i]);
		if (found == NULL)
			return 0;
		/* The members of `qb` are function pointers in the order of `names`. */
		memcpy((char *)&qb + i * sizeof found, &found, sizeof found);
	}
	return 1;
}

/*
 * Bytes: the longest body that is printed, the buffers `in` and `out`, and the number that pipeline
 * puts into each body.
 */
enum { SHOWN = 1 << 20, ROOM = 1 << 25, COUNTER = 4 };
static qb_ipcc_connection_t *connection;
static uint8_t *in, *out;

/* FNV-1a, 32 bits. */
static uint32_t sum(const uint8_t *bytes, size_t size)
{
	uint32_t hash = 0x811c9dc5u;
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * 0x01000193u;
	return hash;
}

static int digit(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Writes the body that a word describes after the header in `out`; returns its size. */
static size_t body(const char *word)
{
	uint8_t *to = out + sizeof(struct qb_ipc_request_header);
	size_t size = 0;
	if (strcmp(word, "-") == 0)
		return 0;
	if (word[0] == '@') {
		size = strtoul(word + 1, NULL, 10);
		for (size_t i = 0; i < size; i++)
			to[i] = (uint8_t)(i * 31 + 7 + (i >> 8));
		return size;
	}
	for (size = 0; word[2 * size] && word[2 * size + 1]; size++)
		to[size] = (uint8_t)(digit(word[2 * size]) << 4 | digit(word[2 * size + 1]));
	return size;
}

/* Sends `out` with `size` bytes of body; `claimed`, if not 0, replaces the size in the header. */
static ssize_t send_out(int id, size_t size, long claimed)
{
	struct qb_ipc_request_header *header = (void *)out;
	header->id = id;
	header->size = (int32_t)(claimed ? claimed : (long)(sizeof *header + size));
	return qb.send(connection, out, sizeof *header + size);
}

/* Prints the message of `got` bytes in `in`, or the error if `got` is negative. */
static void show(ssize_t got)
{
	struct qb_ipc_response_header header = { 0 };
	size_t length, at = sizeof header;
	if (got < (ssize_t)sizeof(struct qb_ipc_request_header)) {
		printf("{\"res\":%zd}\n", got < 0 ? got : -EBADMSG);
		return;
	}
	if (got < (ssize_t)at)
		at = sizeof(struct qb_ipc_request_header);
	memcpy(&header, in, at);
	length = (size_t)got - at;
	printf("{\"res\":%zd,\"id\":%d,\"size\":%d,\"error\":%d,\"length\":%zu,\"sum\":%u", got,
	       header.id, header.size, header.error, length, sum(in + at, length));
	if (length <= SHOWN) {
		printf(",\"body\":\"");
		for (size_t i = 0; i < length; i++)
			printf("%02x", in[at + i]);
		printf("\"");
	}
	printf("}\n");
}

/*
 * Sends `count` requests, each with its number as body, before it receives the first response. A
 * response with another id or number than the next one is counted as misordered.
 */
static void pipeline(long count, int id, int timeout)
{
	long sent = 0, received = 0, misordered = 0, errors = 0;
	ssize_t res = 0;
	for (; sent < count; sent++) {
		uint32_t number = (uint32_t)sent;
		memcpy(out + sizeof(struct qb_ipc_request_header), &number, COUNTER);
		if ((res = send_out(id, COUNTER, 0)) < 0)
			break;
	}
	for (; received < sent; received++) {
		struct qb_ipc_response_header *header = (void *)in;
		ssize_t got = qb.recv(connection, in, ROOM, timeout);
		uint32_t number = (uint32_t)received;
		if (got < (ssize_t)sizeof *header) {
			res = got < 0 ? got : -EBADMSG;
			break;
		}
		if (header->error)
			errors++;
		else if (got != (ssize_t)sizeof *header + COUNTER || memcmp(header + 1, &number, COUNTER))
			misordered++;
		if (header->id != id)
			misordered++;
	}
	printf("{\"res\":%zd,\"sent\":%ld,\"received\":%ld,\"misordered\":%ld,\"errors\":%ld}\n",
	       res < 0 ? res : 0, sent, received, misordered, errors);
}

/* Sends the request in `out` `count` times, each after the response to the one before (an echo). */
static void repeat(long count, int id, size_t size, int timeout)
{
	long received = 0, misordered = 0, errors = 0;
	ssize_t res = 0;
	for (; received < count; received++) {
		struct qb_ipc_response_header *header = (void *)in;
		if ((res = send_out(id, size, 0)) < 0)
			break;
		if ((res = qb.recv(connection, in, ROOM, timeout)) < (ssize_t)sizeof *header)
			break;
		if (header->error)
			errors++;
		else if (res != (ssize_t)(sizeof *header + size) ||
			 memcmp(header + 1, out + sizeof(struct qb_ipc_request_header), size))
			misordered++;
		if (header->id != id)
			misordered++;
	}
	printf("{\"res\":%zd,\"received\":%ld,\"misordered\":%ld,\"errors\":%ld,\"unread\":0}\n",
	       res < 0 ? res : 0, received, misordered, errors);
}

/* Connects and makes one request in a forked child; 0, or the child's error as a negative errno. */
static int fork_and_ping(const char *name, size_t size, int id)
{
	int status = 0;
	pid_t child;
	fflush(stdout);
	child = fork();
	if (child == 0) {
		ssize_t res;
		alarm(5);
		connection = qb.connect(name, size);
		if (connection == NULL)
			_exit(errno & 0xff);
		res = send_out(id, 0, 0);
		if (res >= 0)
			res = qb.recv(connection, in, ROOM, 3000);
		qb.disconnect(connection);
		_exit(res < 0 ? (int)-res & 0xff : 0);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

/* Runs one line, split into words. */
static void run(char **w)
{
	if (strcmp(w[0], "connect") == 0) {
		connection = qb.connect(w[1], strtoul(w[2], NULL, 10));
		printf("{\"res\":%d}\n", connection ? 0 : errno ? -errno : -EIO);
	} else if (strcmp(w[0], "fork") == 0) {
		printf("{\"res\":%d}\n", fork_and_ping(w[1], strtoul(w[2], NULL, 10), atoi(w[3])));
	} else if (connection == NULL) {
		printf("{\"res\":%d}\n", -ENOTCONN);
	} else if (strcmp(w[0], "send") == 0) {
		printf("{\"res\":%zd}\n", send_out(atoi(w[1]), body(w[2]), atol(w[3])));
	} else if (strcmp(w[0], "receive") == 0) {
		show(qb.recv(connection, in, ROOM, atoi(w[1])));
	} else if (strcmp(w[0], "event") == 0) {
		show(qb.event_recv(connection, in, ROOM, atoi(w[1])));
	} else if (strcmp(w[0], "pipeline") == 0) {
		pipeline(atol(w[1]), atoi(w[2]), atoi(w[3]));
	} else if (strcmp(w[0], "repeat") == 0) {
		repeat(atol(w[1]), atoi(w[2]), body(w[3]), atoi(w[4]));
	} else if (strcmp(w[0], "fc") == 0) {
		printf("{\"res\":%d}\n", qb.fc_enable_max_set(connection, (uint32_t)atoi(w[1])));
	} else if (strcmp(w[0], "alive") == 0) {
		printf("{\"res\":%d}\n", qb.is_connected(connection) ? 1 : 0);
	} else {
		qb.disconnect(connection);
		connection = NULL;
		printf("{\"res\":0}\n");
	}
}

int main(int argc, char **argv)
{
	char *line = NULL, *save;
	size_t room = 0;
	if (argc == 3) {
		gid_t gid = (gid_t)atoi(argv[2]);
		if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setuid((uid_t)atoi(argv[1])))
			return 3;
	}
	in = malloc(ROOM);
	out = malloc(ROOM);
	if (!in || !out)
		return 3;
	if (!load()) {
		printf("{\"res\":%d}\n", -ELIBACC);
		return 3;
	}
	printf("{\"res\":0}\n");
	fflush(stdout);
	while (getline(&line, &room, stdin) > 0) {
		char *words[6] = { NULL };
		int count = 0;
		char *word = strtok_r(line, " \n", &save);
		for (; word && count < 5; word = strtok_r(NULL, " \n", &save))
			words[count++] = word;
		for (; count < 5; count++)
			words[count] = "0";
		run(words);
		fflush(stdout);
	}
	if (connection)
		qb.disconnect(connection);
	return 0;
}
