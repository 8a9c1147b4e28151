/*
 * A libqb client driven by commands on stdin, one a line; connects first and prints one line of
 * JSON per result. For golden vectors and for tests of behaviour.
 *
 *   qb-client SERVICE [--uid N] [--gid N] [--max-msg-size N] [--recv-buffer N]
 *
 *   send ID HEX [HEADER_SIZE]      sendrecv ID HEX [HEADER_SIZE]   recv [TIMEOUT_MS]
 *   pipeline N ID HEX              event [TIMEOUT_MS]              fc MAX
 *   alive   server   connect   disconnect
 *
 * HEX "-" is an empty body. HEADER_SIZE replaces the true size in the header. `res` is the result
 * of the libqb call: bytes, or a negative errno. Timeouts default to 20 s.
 */
#include "tool.h"

#include <qb/qbipcc.h>
#include <sys/uio.h>

enum { DEFAULT_TIMEOUT_MS = 20000, STEP_MS = 100 };

static struct {
	const char *service;
	qb_ipcc_connection_t *connection;
	size_t max_msg_size;
	size_t buffer_size;
	uint8_t *buffer;
} client = { .max_msg_size = 1 << 20, .buffer_size = 4 << 20 };

static void connect_service(void)
{
	uint64_t start = now_ns();
	client.connection = qb_ipcc_connect(client.service, client.max_msg_size);
	int error = errno;
	uint64_t took = now_ns() - start;
	if (client.connection == NULL)
		printf("{\"ev\":\"connect\",\"res\":%d,\"text\":\"%s\",\"ns\":%lu}\n", -error,
		       strerror(error), took);
	else
		printf("{\"ev\":\"connect\",\"res\":0,\"buffer\":%d,\"ns\":%lu}\n",
		       qb_ipcc_get_buffer_size(client.connection), took);
}

static void print_message(const char *ev, ssize_t result)
{
	printf("{\"ev\":\"%s\",\"res\":%zd", ev, result);
	if (result >= (ssize_t)sizeof(request_header)) {
		/*
		 * An event has a response header, too, but a server may send one with a shorter
		 * header.
		 */
		const response_header *header = (const response_header *)client.buffer;
		size_t body = sizeof *header;
		printf(",\"id\":%d,\"size\":%d", header->id, header->size);
		if (result >= (ssize_t)body) {
			printf(",\"error\":%d,\"body\":\"", header->error);
			print_hex(client.buffer + body, (size_t)result - body);
			printf("\"");
		}
	}
	printf("}\n");
}

/* Waits in short steps: qb_ipcc_recv checks the setup socket only when its timeout ends. */
static ssize_t receive(int timeout_ms)
{
	ssize_t result = -ETIMEDOUT;
	for (int left = timeout_ms; left > 0 && result == -ETIMEDOUT; left -= STEP_MS)
		result = qb_ipcc_recv(client.connection, client.buffer, client.buffer_size,
				      left < STEP_MS ? left : STEP_MS);
	return result;
}

static ssize_t send_body(int id, const char *hex, const char *header_size)
{
	size_t size;
	uint8_t *message = unhex(hex, sizeof(request_header), &size);
	request_header *header = (request_header *)message;
	size += sizeof *header;
	header->id = id;
	header->size = header_size == NULL ? (int32_t)size : (int32_t)number("size", header_size);
	struct iovec iov = { message, size };
	ssize_t result = qb_ipcc_sendv(client.connection, &iov, 1);
	free(message);
	return result;
}

/* The body of message `i` of a pipeline is HEX followed by i, so that echoes show their order. */
static void pipeline(long count, int id, const char *hex)
{
	size_t given;
	uint8_t *message = unhex(hex, sizeof(request_header), &given);
	size_t size = sizeof(request_header) + given + sizeof(uint32_t);
	message = realloc(message, size);
	long sent = 0, received = 0, mismatches = 0;
	ssize_t error = 0;
	for (; sent < count; sent++) {
		request_header *header = (request_header *)message;
		uint32_t i = (uint32_t)sent;
		header->id = id;
		header->size = (int32_t)size;
		memcpy(message + size - sizeof i, &i, sizeof i);
		error = qb_ipcc_send(client.connection, message, size);
		if (error < 0)
			break;
	}
	for (; received < sent; received++) {
		ssize_t result = receive(DEFAULT_TIMEOUT_MS);
		uint32_t i = (uint32_t)received;
		if (result < 0) {
			error = result;
			break;
		}
		memcpy(message + size - sizeof i, &i, sizeof i);
		size_t body = size - sizeof(request_header);
		if ((size_t)result != sizeof(response_header) + body ||
		    memcmp(client.buffer + sizeof(response_header),
			   message + sizeof(request_header), body) != 0)
			mismatches++;
	}
	free(message);
	printf("{\"ev\":\"pipeline\",\"res\":%zd,\"sent\":%ld,\"received\":%ld,\"mismatches\":%ld}\n",
	       error < 0 ? error : 0, sent, received, mismatches);
}

static void print_server(void)
{
	pid_t pid = 0;
	uid_t uid = 0;
	gid_t gid = 0;
	int32_t result = qb_ipcc_auth_get(client.connection, &pid, &uid, &gid);
	printf("{\"ev\":\"server\",\"res\":%d,\"pid\":%d,\"uid\":%u,\"gid\":%u}\n", result, pid, uid,
	       gid);
}

static int timeout_of(const char *word)
{
	return word == NULL ? DEFAULT_TIMEOUT_MS : (int)number("timeout", word);
}

static int is(const char *word, const char *verb)
{
	return strcmp(word, verb) == 0;
}

static void run(char *line)
{
	char *words[4] = { NULL }, *save = NULL;
	int count = 0;
	for (char *w = strtok_r(line, " \n", &save); w && count < 4; w = strtok_r(NULL, " \n", &save))
		words[count++] = w;
	if (count == 0)
		return;
	const char *verb = words[0];
	if (is(verb, "connect")) {
		connect_service();
	} else if (client.connection == NULL) {
		printf("{\"ev\":\"%s\",\"res\":%d}\n", verb, -ENOTCONN);
	} else if (is(verb, "send") && count >= 3) {
		printf("{\"ev\":\"send\",\"res\":%zd}\n",
		       send_body((int)number("id", words[1]), words[2], words[3]));
	} else if (is(verb, "sendrecv") && count >= 3) {
		ssize_t sent = send_body((int)number("id", words[1]), words[2], words[3]);
		print_message(sent < 0 ? "send" : "recv", sent < 0 ? sent : receive(DEFAULT_TIMEOUT_MS));
	} else if (is(verb, "recv")) {
		print_message("recv", receive(timeout_of(words[1])));
	} else if (is(verb, "event")) {
		print_message("event", qb_ipcc_event_recv(client.connection, client.buffer,
							  client.buffer_size, timeout_of(words[1])));
	} else if (is(verb, "fc") && count == 2) {
		printf("{\"ev\":\"fc\",\"res\":%d}\n",
		       qb_ipcc_fc_enable_max_set(client.connection, (uint32_t)number("fc", words[1])));
	} else if (is(verb, "pipeline") && count == 4) {
		pipeline(number("count", words[1]), (int)number("id", words[2]), words[3]);
	} else if (is(verb, "alive")) {
		printf("{\"ev\":\"alive\",\"res\":%d}\n", qb_ipcc_is_connected(client.connection));
	} else if (is(verb, "server")) {
		print_server();
	} else if (is(verb, "disconnect")) {
		qb_ipcc_disconnect(client.connection);
		client.connection = NULL;
		printf("{\"ev\":\"disconnect\",\"res\":0}\n");
	} else {
		die("unknown line", verb);
	}
}

int main(int argc, char **argv)
{
	long uid = -1, gid = -1, real_uid = -1, real_gid = -1;
	if (argc < 2 || argc % 2 != 0)
		die("usage", "qb-client SERVICE [--uid N] [--gid N] [--max-msg-size N] [--recv-buffer N]");
	client.service = argv[1];
	for (int i = 2; i < argc; i += 2) {
		long value = number(argv[i], argv[i + 1]);
		if (is(argv[i], "--uid"))
			uid = value;
		else if (is(argv[i], "--gid"))
			gid = value;
		else if (is(argv[i], "--real-uid"))
			real_uid = value;
		else if (is(argv[i], "--real-gid"))
			real_gid = value;
		else if (is(argv[i], "--max-msg-size"))
			client.max_msg_size = (size_t)value;
		else if (is(argv[i], "--recv-buffer"))
			client.buffer_size = (size_t)value;
		else
			die("unknown option", argv[i]);
	}
	client.buffer = malloc(client.buffer_size);
	if (client.buffer == NULL)
		die("buffer", "no memory");
	become_twofold(real_uid, real_gid, uid, gid);
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	connect_service();
	fflush(stdout);
	char *line = NULL;
	size_t room = 0;
	while (getline(&line, &room, stdin) > 0) {
		run(line);
		fflush(stdout);
	}
	if (client.connection != NULL)
		qb_ipcc_disconnect(client.connection);
	return 0;
}
