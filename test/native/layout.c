/*
 * Prints libqb's layouts as one line of JSON: struct sizes and offsets from its public headers, a
 * ring file as its public API makes it, and the first bytes that its client sends on the setup
 * socket.
 */
#include "tool.h"

#include <dirent.h>
#include <fcntl.h>
#include <qb/qbipcc.h>
#include <qb/qbrb.h>
#include <semaphore.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static void print_ring(void)
{
	char name[64], path[128];
	snprintf(name, sizeof name, "pmxcfs-ipc-layout-%d", getpid());
	qb_ringbuffer_t *ring = qb_rb_open(name, 1048576,
					   QB_RB_FLAG_CREATE | QB_RB_FLAG_SHARED_PROCESS,
					   sizeof(int32_t));
	if (ring == NULL)
		die("qb_rb_open", strerror(errno));
	int32_t *flow_control = qb_rb_shared_user_data_get(ring);
	*flow_control = 0x5a5a5a5a;
	qb_rb_chunk_write(ring, "abcdef", 6);
	snprintf(path, sizeof path, "/dev/shm/qb-%s-header", name);
	int fd = open(path, O_RDONLY);
	struct stat file;
	if (fd < 0 || fstat(fd, &file) != 0)
		die(path, strerror(errno));
	size_t size = (size_t)file.st_size;
	char *header = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	uint32_t data[4], mark = 0x5a5a5a5a;
	char *data_path = memmem(header + 16, size - 16, "-data", 5);
	while (data_path > header && data_path[-1] != '\0')
		data_path--;
	int data_fd = open(data_path, O_RDONLY);
	if (data_fd < 0 || read(data_fd, data, sizeof data) != (ssize_t)sizeof data)
		die(data_path, strerror(errno));
	printf("\"ring\":{\"fileBytes\":%zu,\"headerPath\":%td,\"dataPath\":%td,\"flowControl\":%td,"
	       "\"writePtAfterSix\":%u,\"readPt\":%u,\"wordCount\":%u,\"refCount\":%d,"
	       "\"semaphoreValue\":%u,\"semaphorePrivate\":%u,\"chunkBytes\":%u,\"chunkMagic\":%u}",
	       size, (char *)memchr(header, '/', size) - header, data_path - header,
	       (char *)memmem(header, size, &mark, sizeof mark) - header, ((uint32_t *)header)[0],
	       ((uint32_t *)header)[1], ((uint32_t *)header)[2], *(int32_t *)(header + 8204),
	       *(uint32_t *)(header + 8208), *(uint32_t *)(header + 8216), data[0], data[1]);
	qb_rb_close(ring);
}

/* Listens as a server does, lets a libqb client connect, and prints the first bytes it sends. */
static void print_handshake(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "pmxcfs-ipc-layout-%d", getpid());
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1) != 0)
		die("listen", strerror(errno));
	pid_t child = fork();
	if (child == 0) {
		close(fd);
		qb_ipcc_connect(address.sun_path + 1, 1 << 20);
		_exit(0);
	}
	int peer = accept(fd, NULL, NULL);
	uint8_t bytes[64];
	ssize_t got = read(peer, bytes, sizeof bytes);
	close(peer);
	close(fd);
	waitpid(child, NULL, 0);
	printf("\"handshake\":\"");
	print_hex(bytes, got < 0 ? 0 : (size_t)got);
	printf("\",");
}

int main(void)
{
	printf("{\"request\":{\"size\":%zu,\"offset\":{\"id\":%zu,\"size\":%zu}},",
	       sizeof(request_header), offsetof(request_header, id), offsetof(request_header, size));
	printf("\"response\":{\"size\":%zu,\"offset\":{\"id\":%zu,\"size\":%zu,\"error\":%zu}},",
	       sizeof(response_header), offsetof(response_header, id),
	       offsetof(response_header, size), offsetof(response_header, error));
	printf("\"messages\":{\"AUTHENTICATE\":%d,\"NEW_EVENT_SOCK\":%d,\"DISCONNECT\":%d},",
	       QB_IPC_MSG_AUTHENTICATE, QB_IPC_MSG_NEW_EVENT_SOCK, QB_IPC_MSG_DISCONNECT);
	printf("\"semaphoreBytes\":%zu,\"sharedMemory\":%d,", sizeof(sem_t), QB_IPC_SHM);
	fflush(stdout);
	print_handshake();
	print_ring();
	printf("}\n");
	return 0;
}
