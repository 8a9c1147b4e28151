/*
 * Measures the time from a server's start to its first answer: forks COMMAND, retries the connect
 * until it listens, sends one request, prints the nanoseconds since the fork, and ends the server
 * with SIGTERM.
 *
 *   qb-first-answer SERVICE ID COMMAND...
 */
#include "tool.h"

#include <fcntl.h>
#include <qb/qbipcc.h>
#include <signal.h>
#include <sys/uio.h>
#include <sys/wait.h>

enum { GIVE_UP_MS = 30000, RETRY_US = 200 };

static pid_t start(char **command)
{
	pid_t pid = fork();
	if (pid < 0)
		die("fork", strerror(errno));
	if (pid > 0)
		return pid;
	int null = open("/dev/null", O_RDWR);
	dup2(null, 0);
	dup2(null, 1);
	execvp(command[0], command);
	die(command[0], strerror(errno));
}

int main(int argc, char **argv)
{
	static uint8_t reply[1 << 21];
	if (argc < 4)
		die("usage", "qb-first-answer SERVICE ID COMMAND...");
	request_header ask = { .id = (int32_t)number("id", argv[2]), .size = sizeof ask };
	struct iovec iov = { &ask, sizeof ask };
	uint64_t begin = now_ns(), deadline = begin + GIVE_UP_MS * 1000000ull;
	pid_t server = start(argv + 3);
	qb_ipcc_connection_t *c = NULL;
	while ((c = qb_ipcc_connect(argv[1], 1 << 20)) == NULL && now_ns() < deadline &&
	       waitpid(server, NULL, WNOHANG) == 0)
		usleep(RETRY_US);
	if (c == NULL) {
		kill(server, SIGKILL);
		die(argv[1], "never answered");
	}
	uint64_t connected = now_ns();
	ssize_t result = qb_ipcc_sendv_recv(c, &iov, 1, reply, sizeof reply, 20000);
	uint64_t answered = now_ns();
	printf("{\"res\":%zd,\"connect_ns\":%lu,\"answer_ns\":%lu}\n", result, connected - begin,
	       answered - begin);
	qb_ipcc_disconnect(c);
	kill(server, SIGTERM);
	waitpid(server, NULL, 0);
	return 0;
}
