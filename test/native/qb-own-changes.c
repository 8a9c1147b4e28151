/*
 * A client that changes a file of a server's directory and then asks for it. Prints the number of
 * first answers that do not have the change.
 *
 *   qb-own-changes SERVICE DIRECTORY FILE CHANGES BETWEEN (write|rename)
 *
 * write: pwrite(2) to a descriptor that stays open; rename: a new file in its place. Between two
 * changes BETWEEN more requests are sent back to back.
 */
#include "tool.h"

#include <fcntl.h>
#include <qb/qbipcc.h>
#include <sys/uio.h>

enum { GET_CONFIG = 6, BYTES = 8, MAX_NAME = 200 };

static struct {
	request_header header;
	char name[MAX_NAME];
} ask = { .header = { .id = GET_CONFIG } };

static struct {
	response_header header;
	char content[1 << 16];
} answer;

static qb_ipcc_connection_t *connection;

static void request(void)
{
	struct iovec iov = { &ask, (size_t)ask.header.size };

	if (qb_ipcc_sendv_recv(connection, &iov, 1, &answer, sizeof answer, 20000) < 0)
		die("sendv_recv", strerror(errno));
	if (answer.header.error != 0)
		die(ask.name, "refused");
}

static void replace(const char *path, const char *content)
{
	char temporary[2 * MAX_NAME];

	snprintf(temporary, sizeof temporary, "%s.tmp", path);
	int fd = open(temporary, O_CREAT | O_TRUNC | O_WRONLY, 0644);
	if (fd < 0 || write(fd, content, BYTES) != BYTES || close(fd) < 0 ||
	    rename(temporary, path) < 0)
		die(path, strerror(errno));
}

int main(int argc, char **argv)
{
	char path[MAX_NAME], content[BYTES + 1];
	long stale = 0;

	if (argc != 7)
		die("usage", "qb-own-changes SERVICE DIRECTORY FILE CHANGES BETWEEN write|rename");
	long changes = number("changes", argv[4]), between = number("between", argv[5]);
	int renames = strcmp(argv[6], "rename") == 0;
	snprintf(path, sizeof path, "%s/%s", argv[2], argv[3]);
	snprintf(ask.name, sizeof ask.name, "%s", argv[3]);
	ask.header.size = (int32_t)(sizeof(request_header) + strlen(ask.name) + 1);
	connection = qb_ipcc_connect(argv[1], 1 << 20);
	if (connection == NULL)
		die(argv[1], strerror(errno));
	int fd = open(path, O_RDWR);
	if (fd < 0)
		die(path, strerror(errno));
	for (long change = 0; change < changes; change++) {
		snprintf(content, sizeof content, "%08ld", change % 100000000);
		if (renames)
			replace(path, content);
		else if (pwrite(fd, content, BYTES, 0) != BYTES)
			die(path, strerror(errno));
		request();
		stale += memcmp(answer.content, content, BYTES) != 0;
		for (long more = 0; more < between; more++)
			request();
	}
	printf("{\"stale\":%ld}\n", stale);
	qb_ipcc_disconnect(connection);
	return 0;
}
