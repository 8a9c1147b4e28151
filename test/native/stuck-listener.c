/*
 * Listens on the libqb address of a service and then sleeps uninterruptibly (state D), as the
 * parent of a vfork(2) whose child does not end.
 *
 *   stuck-listener SERVICE
 */
#include "tool.h"

#include <sys/socket.h>
#include <sys/un.h>

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (argc < 2 || strlen(argv[1]) > sizeof address.sun_path - 2)
		die("usage", "stuck-listener SERVICE");
	strcpy(address.sun_path + 1, argv[1]);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 5) != 0)
		die(argv[1], strerror(errno));
	if (vfork() == 0) {
		pause();
		_exit(0);
	}
	return 0;
}
