/*
 * The lower bound of the benchmark: a server that never sleeps. It spins over the request rings of
 * all clients, answers in place, and reads notify bytes between requests: no event loop, no system
 * call per request, no checks. What remains is the cost of the clients and the rings on this
 * machine; no server of this protocol can be faster. While a client is connected it occupies one
 * processor. For well-behaved clients only.
 *
 *   qb-floor-server SERVICE [--answer-bytes N]
 *
 * The body of an answer: that of the request, or N zero bytes.
 */
#include "../../native/shim.c"

enum {
	CLIENTS = 64,
	HEADER_BYTES = 12288, /* 8252, rounded up to whole pages */
	WRITE_PT = 0,
	READ_PT = 1,
	WORD_SIZE = 2,
	HEADER_PATH = 12,
	DATA_PATH = 4108,
	REFERENCES = 8204,
	SEMAPHORE = 8208,
	ANSWER_BYTES = 12328,
	MOST_ANSWER_BYTES = 1 << 20,
	IDLE_ROUNDS = 4096,
};

struct ring {
	uint8_t *header;
	uint32_t *words;
	uint32_t count, index;
};

static struct client {
	int fd, undrained;
	char directory[64];
	struct ring rings[3];
} clients[CLIENTS];

static int connected, answer_bytes = -1;
static const char *service;
static uint8_t zeros[MOST_ANSWER_BYTES];
static const char *const RING[3] = { "request", "response", "event" };

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void file_path(char *out, size_t size, const struct client *c, int ring, const char *part)
{
	snprintf(out, size, "/dev/shm/%s/qb-%s-%s-%s", c->directory, RING[ring], service, part);
}

/* Makes a file of reserved pages and maps it `times` times, one mapping after the other. */
static uint8_t *make_file(const char *path, size_t size, int times)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0666);
	uint8_t *at = mmap(NULL, size * (size_t)times, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (fd < 0 || fchmod(fd, 0666) < 0 || posix_fallocate(fd, 0, (off_t)size) != 0)
		fail(path);
	for (int i = 0; i < times; i++)
		if (mmap(at + (size_t)i * size, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
			 0) == MAP_FAILED)
			fail("mmap");
	close(fd);
	return at;
}

static void make_ring(struct client *c, int ring, size_t bytes)
{
	struct ring *r = &c->rings[ring];
	char header[128], data[128];

	file_path(header, sizeof(header), c, ring, "header");
	file_path(data, sizeof(data), c, ring, "data");
	r->header = make_file(header, HEADER_BYTES, 1);
	r->words = (uint32_t *)make_file(data, bytes, 2);
	r->count = (uint32_t)(bytes / 4);
	r->index = 0;
	((uint32_t *)r->header)[WORD_SIZE] = r->count;
	strcpy((char *)r->header + HEADER_PATH, header);
	strcpy((char *)r->header + DATA_PATH, data);
	*(int32_t *)(r->header + REFERENCES) = 1;
	*(int32_t *)(r->header + SEMAPHORE + 8) = 128; /* shared between processes */
}

static void set_up(struct client *c)
{
	uint8_t request[24], answer[ANSWER_BYTES] = { 0 };
	struct pollfd coming = { .fd = c->fd, .events = POLLIN };
	uint32_t size;

	poll(&coming, 1, 1000);
	if (recv(c->fd, request, sizeof(request), 0) != sizeof(request)) {
		close(c->fd);
		return;
	}
	memcpy(&size, request + 16, sizeof(size));
	snprintf(c->directory, sizeof(c->directory), "qb-%d-1-%d-floor%d", getpid(), c->fd, connected);
	char path[128];
	snprintf(path, sizeof(path), "/dev/shm/%s", c->directory);
	if (mkdir(path, 0777) < 0 || chmod(path, 0777) < 0)
		fail(path);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	for (int ring = 0; ring < 3; ring++)
		make_ring(c, ring, (size + 13 + page - 1) / page * page);
	*(int32_t *)answer = -1;
	*(int32_t *)(answer + 8) = ANSWER_BYTES;
	*(uint32_t *)(answer + 24) = 1;
	*(uint32_t *)(answer + 28) = size;
	for (int ring = 0; ring < 3; ring++)
		snprintf((char *)answer + 40 + 4096 * ring, 4096, "/dev/shm/%s/qb-%s-%s", c->directory,
			 RING[ring], service);
	c->undrained = 0;
	if (send(c->fd, answer, sizeof(answer), MSG_NOSIGNAL) == sizeof(answer))
		connected++;
}

static void drop(int index)
{
	struct client *c = &clients[index];
	char path[128];

	for (int ring = 0; ring < 3; ring++) {
		munmap(c->rings[ring].header, HEADER_BYTES);
		munmap(c->rings[ring].words, (size_t)c->rings[ring].count * 8);
		file_path(path, sizeof(path), c, ring, "header");
		unlink(path);
		file_path(path, sizeof(path), c, ring, "data");
		unlink(path);
	}
	snprintf(path, sizeof(path), "/dev/shm/%s", c->directory);
	rmdir(path);
	close(c->fd);
	clients[index] = clients[--connected];
}

static struct semaphore *semaphore_of(const struct ring *r)
{
	return (struct semaphore *)(r->header + SEMAPHORE);
}

static void store(const struct ring *r, int field, uint32_t value)
{
	__atomic_store_n((uint32_t *)r->header + field, value, __ATOMIC_RELEASE);
}

static uint32_t next(const struct ring *r, uint32_t bytes)
{
	uint32_t index = r->index + 2 + (bytes + 3) / 4;

	return index >= r->count ? index - r->count : index;
}

/*
 * Answers one request. An echo is copied to the response ring before the request's space is freed.
 */
static void answer(struct client *c)
{
	struct ring *in = &c->rings[0], *out = &c->rings[1];
	uint32_t *from = in->words + in->index, *to = out->words + out->index;

	if (!take(semaphore_of(in)))
		return;
	int echoes = answer_bytes < 0;
	uint32_t bytes = from[0], body = echoes ? from[4] - 16 : (uint32_t)answer_bytes;
	uint32_t size = 24 + body;
	to[0] = 0;
	to[1] = 0xa110ced0u;
	memset(to + 2, 0, 24);
	to[2] = from[2];
	to[4] = size;
	memcpy(to + 8, echoes ? (uint8_t *)(from + 6) : zeros, body);
	in->index = next(in, bytes);
	from[0] = 0;
	__atomic_store_n(from + 1, 0xd0d0d0d0u, __ATOMIC_RELEASE);
	store(in, READ_PT, in->index);
	to[0] = size;
	out->index = next(out, size);
	store(out, WRITE_PT, out->index);
	__atomic_store_n(to + 1, 0xa1a1a1a1u, __ATOMIC_RELEASE);
	if (atomic_fetch_add(&semaphore_of(out)->data, 1) > VALUE_MASK)
		shim_wake((int64_t)(intptr_t)semaphore_of(out));
	c->undrained++;
}

/* One round over all clients; 1 when a request was answered. */
static int round_over_all(int is_idle)
{
	int answered = 0;

	for (int i = 0; i < connected; i++) {
		struct client *c = &clients[i];

		if (atomic_load_explicit(&semaphore_of(&c->rings[0])->data, memory_order_acquire) &
		    VALUE_MASK) {
			answer(c);
			answered = 1;
		} else if (c->undrained >= 200 || is_idle) {
			c->undrained = 0;
			if (drain(c->fd) == 0)
				drop(i--);
		}
	}
	return answered;
}

static void stop(int number)
{
	(void)number;
	while (connected > 0)
		drop(0);
	_exit(0);
}

int main(int argc, char **argv)
{
	int idle = 0, listener;

	if (argc != 2 && (argc != 4 || strcmp(argv[2], "--answer-bytes") != 0))
		return 2;
	service = argv[1];
	if (argc == 4)
		answer_bytes = atoi(argv[3]);
	if (answer_bytes > MOST_ANSWER_BYTES)
		return 2;
	signal(SIGTERM, stop);
	listener = (int)shim_listen(service, 64);
	if (listener < 0)
		return 1;
	for (;;) {
		idle = round_over_all(idle >= IDLE_ROUNDS) ? 0 : idle + 1;
		if (idle > 0 && idle <= IDLE_ROUNDS)
			relax();
		if (idle <= IDLE_ROUNDS && connected > 0)
			continue;
		idle = 0;
		/* Wake-ups would take the processor from the server that is measured. */
		if (connected == 0)
			poll(&(struct pollfd){ .fd = listener, .events = POLLIN }, 1, -1);
		if (connected < CLIENTS && (clients[connected].fd = (int)shim_accept(listener)) >= 0)
			set_up(&clients[connected]);
	}
}
