/*
 * The client side of libqb's shared-memory transport without libqb, able to break its rules:
 * handshakes in pieces, arbitrary ring contents. For qb-attack.c.
 */
#ifndef PMXCFS_IPC_ATTACK_H
#define PMXCFS_IPC_ATTACK_H

#include "tool.h"

#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { REQUEST, RESPONSE, EVENT, RINGS };

/* Offsets in a ring's header file (ringbuffer_int.h), in bytes. */
enum {
	WRITE_PT = 0, READ_PT = 4, WORD_SIZE = 8, HEADER_PATH = 12, DATA_PATH = 4108,
	REF_COUNT = 8204, SEMAPHORE = 8208, WAITERS = 8212, FLOW_CONTROL = 8240,
	HEADER_BYTES = 8252, HEADER_MAPPED = 12288,
};

#define LIVE 0xa1a1a1a1u
#define ALLOC 0xa110ced0u
#define DEAD 0xd0d0d0d0u

enum { GREETING_BYTES = 24, ANSWER_BYTES = 12328, MIB = 1 << 20 };

struct ring {
	int header_fd, data_fd;
	uint8_t *header;
	uint32_t *data; /* mapped twice */
	uint32_t words, index;
	char prefix[4096];
};

struct peer {
	int fd;
	int error; /* the server's answer: 0, a negative errno, or -ENOTCONN when it hung up */
	uint32_t max;
	struct ring ring[RINGS];
};

/* One request to write; each field may be wrong. `body`: the bytes really written. */
struct message {
	int32_t id, size;
	uint32_t chunk, magic, body;
};

static const char *service;

static inline _Atomic uint32_t *field(struct ring *ring, unsigned offset)
{
	return (_Atomic uint32_t *)(ring->header + offset);
}

static inline void pause_us(long us)
{
	struct timespec t = { us / 1000000, us % 1000000 * 1000 };
	nanosleep(&t, NULL);
}

/* A socket connected to the service; retries while its backlog is full. -errno when it fails. */
static inline int open_socket(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	memcpy(address.sun_path + 1, service, strlen(service));
	while (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
		if (errno == EINTR || errno == EAGAIN)
			continue;
		int error = errno;
		close(fd);
		return -error;
	}
	return fd;
}

static inline int must_open_socket(void)
{
	int fd = open_socket();
	if (fd < 0)
		die("connect", strerror(-fd));
	return fd;
}

static inline void greeting(uint8_t *bytes, int32_t id, uint32_t max)
{
	memset(bytes, 0, GREETING_BYTES);
	*(int32_t *)bytes = id;
	*(int32_t *)(bytes + 8) = GREETING_BYTES;
	*(uint32_t *)(bytes + 16) = max;
}

static inline ssize_t push(int fd, const void *bytes, size_t size)
{
	return send(fd, bytes, size, MSG_NOSIGNAL);
}

static inline void greet(int fd, uint32_t max)
{
	uint8_t bytes[GREETING_BYTES];
	greeting(bytes, -1, max);
	push(fd, bytes, sizeof bytes);
}

/* 1 when the server hung up within `timeout_ms`; what it sends is read and dropped. */
static inline int hung_up(int fd, int timeout_ms)
{
	uint64_t deadline = now_ns() + (uint64_t)timeout_ms * 1000000;
	char bytes[4096];
	for (;;) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		int64_t left = (int64_t)(deadline - now_ns()) / 1000000;
		if (poll(&wait, 1, left > 0 ? (int)left : 0) == 0)
			return 0;
		ssize_t got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
			return 1;
	}
}

static inline int read_answer(int fd, uint8_t *answer, int timeout_ms)
{
	uint64_t deadline = now_ns() + (uint64_t)timeout_ms * 1000000;
	size_t size = 0;
	while (size < ANSWER_BYTES) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		int64_t left = (int64_t)(deadline - now_ns()) / 1000000;
		if (left <= 0 || poll(&wait, 1, (int)left) == 0)
			return -ETIMEDOUT;
		ssize_t got = recv(fd, answer + size, ANSWER_BYTES - size, 0);
		if (got <= 0)
			return -ENOTCONN;
		size += (size_t)got;
	}
	return *(int32_t *)(answer + 16);
}

static inline void open_ring(struct ring *ring)
{
	char path[4200];
	struct stat status;
	snprintf(path, sizeof path, "%s-header", ring->prefix);
	ring->header_fd = open(path, O_RDWR | O_CLOEXEC);
	snprintf(path, sizeof path, "%s-data", ring->prefix);
	ring->data_fd = open(path, O_RDWR | O_CLOEXEC);
	if (ring->header_fd < 0 || ring->data_fd < 0 || fstat(ring->data_fd, &status) != 0)
		die(path, strerror(errno));
	size_t size = (size_t)status.st_size;
	int both = PROT_READ | PROT_WRITE;
	ring->words = (uint32_t)(size / 4);
	ring->header = mmap(NULL, HEADER_MAPPED, both, MAP_SHARED, ring->header_fd, 0);
	uint8_t *data = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ring->header == MAP_FAILED || data == MAP_FAILED ||
	    mmap(data, size, both, MAP_SHARED | MAP_FIXED, ring->data_fd, 0) == MAP_FAILED ||
	    mmap(data + size, size, both, MAP_SHARED | MAP_FIXED, ring->data_fd, 0) == MAP_FAILED)
		die("mmap", strerror(errno));
	ring->data = (uint32_t *)data;
	atomic_fetch_add(field(ring, REF_COUNT), 1);
}

/* Reads the answer to a handshake sent on `fd`; the caller checks `error`. */
static inline struct peer *finish_greeting(int fd, int timeout_ms)
{
	static uint8_t answer[ANSWER_BYTES];
	struct peer *peer = calloc(1, sizeof *peer);
	peer->fd = fd;
	peer->error = read_answer(fd, answer, timeout_ms);
	if (peer->error != 0)
		return peer;
	peer->max = *(uint32_t *)(answer + 28);
	for (int r = 0; r < RINGS; r++)
		memcpy(peer->ring[r].prefix, answer + 40 + 4096 * r, 4095);
	return peer;
}

/* A whole, mapped connection; dies when it is refused. */
static inline struct peer *join(uint32_t max)
{
	int fd = must_open_socket();
	greet(fd, max);
	struct peer *peer = finish_greeting(fd, 10000);
	if (peer->error != 0)
		die("refused", strerror(-peer->error));
	for (int r = 0; r < RINGS; r++)
		open_ring(&peer->ring[r]);
	return peer;
}

static inline void leave(struct peer *peer)
{
	for (int r = 0; r < RINGS; r++) {
		struct ring *ring = &peer->ring[r];
		munmap(ring->header, HEADER_MAPPED);
		munmap(ring->data, (size_t)ring->words * 8);
		close(ring->header_fd);
		close(ring->data_fd);
	}
	close(peer->fd);
	free(peer);
}

/* Sends notify bytes without blocking; returns how many were sent. */
static inline size_t nudge(struct peer *peer, size_t count)
{
	static const uint8_t bytes[4096];
	size_t sent = 0;
	while (sent < count) {
		size_t part = count - sent < sizeof bytes ? count - sent : sizeof bytes;
		ssize_t now = send(peer->fd, bytes, part, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (now <= 0)
			break;
		sent += (size_t)now;
	}
	return sent;
}

static inline void post(struct ring *ring)
{
	atomic_fetch_add((_Atomic uint64_t *)(ring->header + SEMAPHORE), 1);
}

/* Writes a chunk without posting or announcing it. The index advances by the true size. */
static inline void place(struct peer *peer, struct message m)
{
	struct ring *ring = &peer->ring[REQUEST];
	uint32_t *chunk = ring->data + ring->index, size = 16 + m.body;
	int32_t *header = (int32_t *)(chunk + 2);
	header[0] = m.id;
	header[1] = 0;
	header[2] = m.size;
	header[3] = 0;
	memset(header + 4, 0x5a, m.body);
	chunk[0] = m.chunk;
	ring->index = (ring->index + 2 + (size + 3) / 4) % ring->words;
	atomic_store(field(ring, WRITE_PT), ring->index);
	atomic_store((_Atomic uint32_t *)(chunk + 1), m.magic);
}

static inline struct message sound(uint32_t body)
{
	struct message m = { 1, (int32_t)(16 + body), 16 + body, LIVE, body };
	return m;
}

/* Writes, posts and announces one message. */
static inline void put(struct peer *peer, struct message m)
{
	place(peer, m);
	post(&peer->ring[REQUEST]);
	nudge(peer, 1);
}

/* Whether one more chunk of `body` bytes fits in the request ring, by libqb's rule. */
static inline int has_room(struct peer *peer, uint32_t body)
{
	struct ring *ring = &peer->ring[REQUEST];
	uint32_t read_pt = atomic_load(field(ring, READ_PT)) % ring->words;
	uint32_t free = (read_pt + ring->words - ring->index - 1) % ring->words;
	if (read_pt == ring->index)
		free = atomic_load(field(ring, SEMAPHORE)) == 0 ? ring->words : 0;
	return free * 4 >= 16 + body + 12;
}

/* Takes one response: its error field, or -ETIMEDOUT, -ENOTCONN when the server hung up. */
static inline int take(struct peer *peer, int timeout_ms)
{
	struct ring *ring = &peer->ring[RESPONSE];
	_Atomic uint64_t *semaphore = (_Atomic uint64_t *)(ring->header + SEMAPHORE);
	uint64_t start = now_ns(), deadline = start + (uint64_t)timeout_ms * 1000000, now = start;
	while ((atomic_load(semaphore) & 0xffffffff) == 0) {
		if (now >= deadline)
			return -ETIMEDOUT;
		if (now > start + 200000) {
			if (hung_up(peer->fd, 0))
				return -ENOTCONN;
			pause_us(50);
		}
		now = now_ns();
	}
	atomic_fetch_sub(semaphore, 1);
	uint32_t *chunk = ring->data + ring->index, size = chunk[0];
	int error = ((int32_t *)(chunk + 2))[4];
	chunk[0] = 0;
	chunk[1] = DEAD;
	ring->index = (ring->index + 2 + (size + 3) / 4) % ring->words;
	atomic_store(field(ring, READ_PT), ring->index);
	return error;
}

/* One valid round trip; returns the answer's error. */
static inline int exchange(struct peer *peer, uint32_t body)
{
	put(peer, sound(body));
	return take(peer, 5000);
}

#endif
