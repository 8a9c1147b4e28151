/*
 * The setup socket without libqb: connects to the service's abstract address, performs the commands
 * on stdin, one a line, and prints one line of JSON per result. For handshakes that no libqb client
 * makes.
 *
 *   qb-raw SERVICE [--uid N] [--gid N]
 *
 *   write HEX          read BYTES TIMEOUT_MS (fewer on end of file or timeout)      close
 */
#include "tool.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

static int connect_abstract(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || strlen(name) >= sizeof address.sun_path - 1)
		die(name, "no socket");
	memcpy(address.sun_path + 1, name, strlen(name));
	/* libqb passes the whole structure: the NUL padding is part of the abstract name. */
	if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
		die(name, strerror(errno));
	return fd;
}

static void read_bytes(int fd, size_t wanted, int timeout_ms)
{
	uint8_t *bytes = malloc(wanted + 1);
	uint64_t deadline = now_ns() + (uint64_t)timeout_ms * 1000000;
	size_t size = 0;
	int ended = 0, error = 0;
	while (size < wanted && !ended) {
		uint64_t now = now_ns();
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		if (now >= deadline || poll(&wait, 1, (int)((deadline - now) / 1000000) + 1) == 0)
			break;
		ssize_t got = read(fd, bytes + size, wanted - size);
		if (got < 0)
			error = -errno;
		ended = got <= 0;
		size += got > 0 ? (size_t)got : 0;
	}
	printf("{\"ev\":\"read\",\"res\":%d,\"ended\":%s,\"hex\":\"", error, ended ? "true" : "false");
	print_hex(bytes, size);
	printf("\"}\n");
	free(bytes);
}

int main(int argc, char **argv)
{
	long uid = -1, gid = -1;
	if (argc < 2 || argc % 2 != 0)
		die("usage", "qb-raw SERVICE [--uid N] [--gid N]");
	for (int i = 2; i < argc; i += 2)
		*(strcmp(argv[i], "--uid") == 0 ? &uid : &gid) = number(argv[i], argv[i + 1]);
	become(uid, gid);
	int fd = connect_abstract(argv[1]);
	printf("{\"ev\":\"connect\",\"res\":0}\n");
	fflush(stdout);
	char *line = NULL, *save;
	size_t room = 0;
	while (getline(&line, &room, stdin) > 0) {
		const char *verb = strtok_r(line, " \n", &save);
		const char *first = strtok_r(NULL, " \n", &save), *second = strtok_r(NULL, " \n", &save);
		if (verb != NULL && strcmp(verb, "write") == 0 && first != NULL) {
			size_t size;
			uint8_t *bytes = unhex(first, 0, &size);
			ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
			printf("{\"ev\":\"write\",\"res\":%zd}\n", sent < 0 ? -errno : sent);
			free(bytes);
		} else if (verb != NULL && strcmp(verb, "read") == 0 && second != NULL) {
			read_bytes(fd, (size_t)number("bytes", first), (int)number("timeout", second));
		} else if (verb != NULL && strcmp(verb, "close") == 0) {
			close(fd);
			printf("{\"ev\":\"close\",\"res\":0}\n");
		} else {
			die("unknown line", verb == NULL ? "" : verb);
		}
		fflush(stdout);
	}
	return 0;
}
