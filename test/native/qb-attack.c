/*
 * Misbehaving clients, one row of a table each: hostile ones, and unlucky ones (stopped, killed).
 *
 *   qb-attack --list                                    the rows, one line of JSON each
 *   qb-attack SERVICE GROUP NAME [--uid N] [--gid N] [--shm DIRECTORY-PREFIX]
 *
 * Runs one row and prints how the server reacted, as one line of JSON. --shm: the prefix of the
 * server's ring directories (`/dev/shm/qb-<pid>-`), for rows that need the server's user or root.
 */
#include "attack.h"

#include <dirent.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

struct row {
	const char *group, *name;
	void (*run)(const struct row *);
	int64_t a, b;
};

static const char *shm_prefix = "";
static char outcome[256] = "nothing to see";

__attribute__((format(printf, 1, 2))) static void report(const char *format, ...)
{
	va_list list;
	va_start(list, format);
	vsnprintf(outcome, sizeof outcome, format, list);
	va_end(list);
}

/* The attack has truncated its own mapping: maps an empty page there, so that it can go on. */
static void on_bus(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	void *page = (void *)((uintptr_t)info->si_addr & ~(uintptr_t)4095);
	mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/* fork(2); the child is killed when this process ends, even if that is before its prctl(2). */
static pid_t child_process(void)
{
	pid_t parent = getpid();
	pid_t child = fork();
	if (child < 0)
		die("fork", strerror(errno));
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
	}
	return child;
}

static uint32_t random_word(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15u;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16);
}

static void scribble(void *memory, size_t size)
{
	for (size_t i = 0; i + 4 <= size; i += 4)
		*(volatile uint32_t *)((uint8_t *)memory + i) = random_word();
}

/* Reports whether the server disconnected this client. */
static void say_end(struct peer *peer)
{
	report(hung_up(peer->fd, 80) ? "disconnected it" : "kept it");
}

/* The error of the answer to the request that was just put into the ring. */
static void say_answer(struct peer *peer)
{
	int error = take(peer, 1000);
	if (error == -ENOTCONN)
		report("disconnected it");
	else
		report("answered %s", error == 0 ? "0" : strerror(-error));
}

/* As say_end, after one more valid request. */
static void say_served(struct peer *peer)
{
	int error = exchange(peer, 8);
	if (error == 0)
		report("answered, and served the next request");
	else if (error == -ENOTCONN)
		report("disconnected it");
	else
		report("next request: %s", strerror(-error));
}

static struct peer *usual(void)
{
	return join(MIB);
}

/* ---- truncation: a = file 0..5 (request, response, event; header, data), b = new size ------ */

static int file_of(struct peer *peer, int64_t file)
{
	struct ring *ring = &peer->ring[file / 2];
	return file % 2 == 0 ? ring->header_fd : ring->data_fd;
}

static void cut(struct peer *peer, int64_t file, int64_t size)
{
	if (ftruncate(file_of(peer, file), size) != 0)
		die("ftruncate", strerror(errno));
}

static void cut_then_request(const struct row *row)
{
	struct peer *peer = usual();
	exchange(peer, 100);
	cut(peer, row->a, row->b);
	put(peer, sound(100));
	take(peer, 100);
	say_end(peer);
}

static void cut_then_nudge(const struct row *row)
{
	struct peer *peer = usual();
	exchange(peer, 100);
	cut(peer, row->a, row->b);
	nudge(peer, 1);
	say_end(peer);
}

static void cut_in_message(const struct row *row)
{
	struct peer *peer = usual();
	place(peer, sound(200000));
	post(&peer->ring[REQUEST]);
	cut(peer, 1, row->b);
	nudge(peer, 1);
	say_end(peer);
}

static void cut_before_reply(const struct row *row)
{
	struct peer *peer = usual();
	place(peer, sound(50000));
	post(&peer->ring[REQUEST]);
	cut(peer, row->a, row->b);
	nudge(peer, 1);
	say_end(peer);
}

static void cut_at_disconnect(const struct row *row)
{
	for (int i = 0; i < 20; i++) {
		struct peer *peer = usual();
		exchange(peer, 100);
		put(peer, sound(60000));
		if (row->b == 1)
			close(peer->fd);
		for (int file = 0; file < 6; file++)
			cut(peer, file, 0);
		if (row->b == 0)
			shutdown(peer->fd, SHUT_RDWR);
	}
	report("closed all 20");
}

static void cut_while_polled(const struct row *row)
{
	for (int i = 0; i < 20; i++) {
		struct peer *peer = usual();
		for (int k = 0; k < 200; k++)
			exchange(peer, 8);
		cut(peer, row->a, 0);
		nudge(peer, 1);
		leave(peer);
	}
	report("closed all 20");
}

static void cut_while_stalled(const struct row *row)
{
	struct peer *peer = usual();
	for (int k = 0; k < 400; k++)
		if (has_room(peer, 30000))
			put(peer, sound(30000));
		else
			pause_us(100);
	cut(peer, row->a, 0);
	nudge(peer, 1);
	say_end(peer);
}

static void cut_again_and_again(const struct row *row)
{
	(void)row;
	struct peer *peer = usual();
	int ended = 0;
	for (int i = 0; i < 300; i++) {
		int64_t file = random_word() % 6, size = (int64_t)peer->ring[0].words * 4;
		cut(peer, file, 0);
		cut(peer, file, file % 2 == 0 ? HEADER_BYTES : size);
		nudge(peer, 3);
		ended = hung_up(peer->fd, 0);
	}
	report(ended ? "disconnected it" : "kept it");
}

struct racer {
	struct peer *peer;
	const struct row *row;
	_Atomic int stop;
};

static void *cutter(void *argument)
{
	struct racer *racer = argument;
	int64_t size = (int64_t)racer->peer->ring[0].words * 4;
	int64_t file = racer->row->a < 0 ? random_word() % 6 : racer->row->a;
	pause_us(random_word() % 2000);
	while (!racer->stop) {
		cut(racer->peer, file, 0);
		cut(racer->peer, file, file % 2 == 0 ? HEADER_BYTES : size);
	}
	return NULL;
}

static void *puncher(void *argument)
{
	struct racer *racer = argument;
	pause_us(random_word() % 2000);
	while (!racer->stop)
		for (int64_t file = 0; file < 6; file++)
			fallocate(file_of(racer->peer, file), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				  (int64_t)racer->peer->ring[0].words * 4);
	return NULL;
}

/* Traffic on one connection while a second thread runs `attacker` on it; rounds of traffic. */
static int race(const struct row *row, void *(*attacker)(void *), int ms, uint32_t body)
{
	struct racer racer = { .peer = usual(), .row = row };
	uint64_t deadline = now_ns() + (uint64_t)ms * 1000000;
	pthread_t thread;
	int rounds = 0;
	pthread_create(&thread, NULL, attacker, &racer);
	while (now_ns() < deadline) {
		put(racer.peer, sound(body));
		if (take(racer.peer, 5) == -ENOTCONN)
			break;
		rounds++;
	}
	racer.stop = 1;
	pthread_join(thread, NULL);
	leave(racer.peer);
	return rounds;
}

static void cut_under_traffic(const struct row *row)
{
	int rounds = 0;
	for (int i = 0; i < 20; i++)
		rounds += race(row, cutter, 30, 5000);
	report("ended 20 connections, %d messages written", rounds);
}

static void punch_under_traffic(const struct row *row)
{
	int rounds = 0;
	for (int i = 0; i < 5; i++)
		rounds += race(row, puncher, 40, 5000);
	report("ended 5 connections, %d messages written", rounds);
}

/* ---- header fields: a = ring, b = offset ----------------------------------------------------- */

static void field_values(const struct row *row)
{
	int ended = 0, count = 0;
	for (int i = 0; i < 8; i++) {
		struct peer *peer = usual();
		struct ring *ring = &peer->ring[row->a];
		exchange(peer, 100);
		uint32_t values[] = { 0, ring->words, ring->words - 1, ring->words + 1, 0x7fffffff,
				      0x80000000, 0xffffffff, random_word() };
		atomic_store(field(ring, (unsigned)row->b), values[i]);
		for (int k = 0; k < 3; k++)
			put(peer, sound(3000));
		take(peer, 20);
		atomic_store(field(ring, (unsigned)row->b), values[i]);
		put(peer, sound(3000));
		take(peer, 20);
		ended += hung_up(peer->fd, 5);
		count++;
		leave(peer);
	}
	report("disconnected %d of %d, took the value for nothing else", ended, count);
}

static void header_filled(const struct row *row)
{
	struct peer *peer = usual();
	exchange(peer, 100);
	for (int r = 0; r < RINGS; r++)
		if (row->a < 0)
			scribble(peer->ring[r].header, 8248);
		else
			memset(peer->ring[r].header, (int)row->a, HEADER_BYTES);
	nudge(peer, 1);
	if (row->b)
		shutdown(peer->fd, SHUT_RDWR);
	say_end(peer);
}

static void paths_overwritten(const struct row *row)
{
	static const char victim[] = "/dev/shm/pmxcfs-ipc-robust-victim";
	struct peer *peer = usual();
	int fd = open(victim, O_CREAT | O_RDWR, 0666);
	for (int r = 0; r < RINGS; r++) {
		memset(peer->ring[r].header + HEADER_PATH, row->a ? 'A' : 0, 8192);
		if (row->a == 0) {
			strcpy((char *)peer->ring[r].header + HEADER_PATH, victim);
			strcpy((char *)peer->ring[r].header + DATA_PATH, victim);
		}
	}
	exchange(peer, 100);
	leave(peer);
	pause_us(30000);
	report(access(victim, F_OK) == 0 ? "served it, and followed no path" : "REMOVED A VICTIM");
	close(fd);
	unlink(victim);
}

/* ---- chunks and message headers: a = the value -------------------------------------------- */

enum { RING = 1 << 20, LARGER = 1 << 21 };

static void chunk_size(const struct row *row)
{
	struct peer *peer = usual();
	struct message m = sound(100);
	exchange(peer, 100);
	m.chunk = (uint32_t)row->a;
	put(peer, m);
	say_end(peer);
}

static void chunk_magic(const struct row *row)
{
	struct peer *peer = usual();
	struct message m = sound(100);
	exchange(peer, 100);
	m.magic = (uint32_t)row->a;
	put(peer, m);
	say_end(peer);
}

static void chunk_random(const struct row *row)
{
	for (int i = 0; i < 20; i++) {
		struct peer *peer = usual();
		scribble(peer->ring[row->a].data, (size_t)peer->ring[row->a].words * 4);
		if (row->b)
			for (uint32_t k = 0; k < peer->ring[0].words; k++)
				if (k % 2 == 1)
					peer->ring[row->a].data[k] = LIVE;
		post(&peer->ring[REQUEST]);
		nudge(peer, 1);
		put(peer, sound(100));
		hung_up(peer->fd, 5);
		leave(peer);
	}
	report("closed all 20");
}

static void header_size(const struct row *row)
{
	struct peer *peer = usual();
	struct message m = sound(100);
	exchange(peer, 100);
	m.size = (int32_t)row->a;
	put(peer, m);
	say_answer(peer);
}

static void message_id(const struct row *row)
{
	struct peer *peer = usual();
	struct message m = sound(100);
	m.id = (int32_t)row->a;
	put(peer, m);
	say_answer(peer);
}

static void message_random(const struct row *row)
{
	(void)row;
	struct peer *peer = usual();
	int answered = 0;
	for (int i = 0; i < 2000; i++) {
		struct message m = sound(random_word() % 3000);
		m.id = (int32_t)random_word() % 20;
		m.size = (int32_t)(random_word() % 2 ? random_word() : m.chunk);
		if (m.id == -3)
			continue;
		put(peer, m);
		answered += take(peer, 1000) > -1000;
	}
	report("answered %d", answered);
}

/* ---- races: a = what is flipped -------------------------------------------------------------- */

enum { FLIP_SIZE, FLIP_CHUNK, FLIP_MAGIC, FLIP_INDICES, FLIP_SEMAPHORE, FLIP_ALL };

static void flip(struct peer *peer, int64_t what)
{
	struct ring *request = &peer->ring[REQUEST], *response = &peer->ring[RESPONSE];
	volatile uint32_t *data = request->data;
	for (uint32_t at = 0; at < 4096; at += 32) {
		if (what == FLIP_CHUNK || what == FLIP_ALL)
			data[at] ^= 0x70000000;
		if (what == FLIP_MAGIC)
			data[at + 1] ^= 0x7fffffff;
		if (what == FLIP_SIZE || what == FLIP_ALL)
			data[at + 4] ^= random_word();
		if (what == FLIP_INDICES || what == FLIP_ALL) {
			atomic_store(field(request, WRITE_PT), random_word());
			atomic_store(field(request, READ_PT), random_word());
			atomic_store(field(response, READ_PT), random_word() % response->words);
		}
		if (what == FLIP_SEMAPHORE)
			atomic_fetch_xor(field(request, SEMAPHORE), random_word());
	}
}

static void *flipper(void *argument)
{
	struct racer *racer = argument;
	while (!racer->stop)
		flip(racer->peer, racer->row->a);
	return NULL;
}

/* Each chunk takes 128 bytes, so that the flipper knows where the fields are. */
static int flood_against_flips(const struct row *row, uint64_t deadline)
{
	struct racer racer = { .peer = usual(), .row = row };
	struct ring *response = &racer.peer->ring[RESPONSE];
	pthread_t thread;
	int messages = 0;
	pthread_create(&thread, NULL, flipper, &racer);
	while (now_ns() < deadline) {
		put(racer.peer, sound(104));
		/* Drops all responses unread: only what the server reads is tested. */
		atomic_store(field(response, SEMAPHORE), 0);
		atomic_store(field(response, READ_PT), atomic_load(field(response, WRITE_PT)));
		if (++messages % 64 == 0 && hung_up(racer.peer->fd, 0))
			break;
	}
	racer.stop = 1;
	pthread_join(thread, NULL);
	leave(racer.peer);
	return messages;
}

static void race_flips(const struct row *row)
{
	uint64_t deadline = now_ns() + 300000000;
	int messages = 0, connections = 0;
	while (now_ns() < deadline && connections < 200) {
		messages += flood_against_flips(row, deadline);
		connections++;
	}
	report("took %d messages on %d connections", messages, connections);
}

/* ---- semaphores: a = ring, b = value --------------------------------------------------------- */

static void semaphore_value(const struct row *row)
{
	struct peer *peer = usual();
	exchange(peer, 8);
	atomic_store((_Atomic uint64_t *)(peer->ring[row->a].header + SEMAPHORE), (uint64_t)row->b);
	put(peer, sound(100));
	nudge(peer, 10);
	say_end(peer);
}

static void semaphore_random(const struct row *row)
{
	int ended = 0;
	for (int i = 0; i < 20; i++) {
		struct peer *peer = usual();
		scribble(peer->ring[row->a].header + SEMAPHORE, 32);
		put(peer, sound(100));
		ended += hung_up(peer->fd, 5);
		leave(peer);
	}
	report("disconnected %d of 20", ended);
}

static void semaphore_flood(const struct row *row)
{
	(void)row;
	uint64_t deadline = now_ns() + 300000000;
	int connections = 0;
	for (; now_ns() < deadline; connections++) {
		struct peer *peer = usual();
		while (now_ns() < deadline && !hung_up(peer->fd, 0)) {
			scribble(peer->ring[REQUEST].header + SEMAPHORE, 8);
			nudge(peer, 4096);
		}
		leave(peer);
	}
	report("disconnected %d connections", connections - 1);
}

/* ---- notify bytes: a = bytes, b = messages --------------------------------------------------- */

static void notify_bytes(const struct row *row)
{
	struct peer *peer = usual();
	uint64_t deadline = now_ns() + 3000000000;
	int answered = 0;
	for (int64_t i = 0; i < row->b; i++) {
		place(peer, sound(100));
		post(&peer->ring[REQUEST]);
	}
	for (int64_t sent = 0; sent < row->a && now_ns() < deadline;)
		sent += (int64_t)nudge(peer, (size_t)(row->a - sent));
	for (int64_t i = 0; i < row->b && take(peer, row->a == 0 ? 20 : 1000) == 0; i++)
		answered++;
	if (row->b > 0)
		report("answered %d of %d", answered, (int)row->b);
	else
		say_served(peer);
}

/*
 * Sends `bytes` with `passed`, `count` times; without it if that is forbidden (SO_PASSRIGHTS):
 * returns 0 then.
 */
static int push_descriptors(int fd, int passed, int count, const void *bytes, size_t size)
{
	union { char bytes[CMSG_SPACE(sizeof(int) * 64)]; struct cmsghdr header; } control;
	struct iovec iov = { (void *)bytes, size };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
			    .msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count) };
	memset(&control, 0, sizeof control);
	struct cmsghdr *header = CMSG_FIRSTHDR(&m);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
	for (int i = 0; i < count; i++)
		((int *)CMSG_DATA(header))[i] = passed;
	if (sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 || errno != EPERM)
		return 1;
	push(fd, bytes, size);
	return 0;
}

static void notify_descriptors(const struct row *row)
{
	struct peer *peer = usual();
	int passed = 0;
	for (int i = 0; i < row->a; i++) {
		passed += push_descriptors(peer->fd, peer->fd, 20, "x", 1);
		if (i % 8 == 0)
			exchange(peer, 8);
	}
	if (passed > 0 && hung_up(peer->fd, 80))
		report("disconnected it, which passed descriptors");
	else
		say_served(peer);
}

/*
 * A TCP socket whose last close(2) waits `seconds`: SO_LINGER is set, and its peer, which stays
 * open as long as this process, does not read what was sent.
 */
static int lingering_descriptor(int seconds)
{
	static uint8_t unread[MIB];
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr *any = (struct sockaddr *)&address;
	socklen_t size = sizeof address;
	struct linger linger = { .l_onoff = 1, .l_linger = seconds };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, any, size) != 0 || listen(listener, 1) != 0 ||
	    getsockname(listener, any, &size) != 0 || connect(fd, any, size) != 0 ||
	    accept(listener, NULL, NULL) < 0)
		die("a TCP connection", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	while (send(fd, unread, sizeof unread, MSG_DONTWAIT) > 0)
		continue;
	return fd;
}

/* Sends bytes with such a descriptor, which then only the server's socket holds. */
static void push_lingering(int fd, int passed, const void *bytes, size_t size)
{
	struct linger none = { .l_onoff = 0 };
	if (!push_descriptors(fd, passed, 1, bytes, size))
		setsockopt(passed, SOL_SOCKET, SO_LINGER, &none, sizeof none);
	close(passed);
	pause_us(1500000);
	report("waited");
}

static void notify_lingering(const struct row *row)
{
	(void)row;
	push_lingering(usual()->fd, lingering_descriptor(5), "x", 1);
}

/* With the first byte of the set-up request. */
static void handshake_lingering(const struct row *row)
{
	(void)row;
	push_lingering(must_open_socket(), lingering_descriptor(5), "x", 1);
}

/* After a set-up request that makes the server close the socket. */
static void unread_lingering(const struct row *row)
{
	uint8_t bytes[GREETING_BYTES];
	int passed = lingering_descriptor(5);
	int fd = must_open_socket();
	(void)row;
	greeting(bytes, 0, MIB);
	push(fd, bytes, sizeof bytes);
	push_lingering(fd, passed, "x", 1);
}

/* a: 0: before the set-up request; 1: when it is connected. */
static void deaf(const struct row *row)
{
	/* Our socket reports an end of its own now: only POLLHUP means that the server closed its. */
	struct pollfd closed = { 0 };
	if (row->a == 0) {
		closed.fd = must_open_socket();
		shutdown(closed.fd, SHUT_RD);
		greet(closed.fd, MIB);
		report(poll(&closed, 1, 3000) == 1 ? "closed it" : "kept it");
		return;
	}
	struct peer *peer = usual();
	closed.fd = peer->fd;
	shutdown(peer->fd, SHUT_RD);
	int served = 0;
	for (int i = 0; i < 100 && poll(&closed, 1, 0) == 0; i++) {
		put(peer, sound(100));
		uint64_t deadline = now_ns() + 1000000000;
		while (atomic_load(field(&peer->ring[RESPONSE], SEMAPHORE)) == 0 && now_ns() < deadline)
			pause_us(50);
		served += take(peer, 0) == 0;
	}
	report("served %d of 100", served);
}

/* ---- slow and unlucky clients ---------------------------------------------------------------- */

/* Writes as fast as the ring has room and never reads; returns the number of messages written. */
static long write_only(struct peer *peer, uint32_t body, uint64_t deadline)
{
	long written = 0;
	while (now_ns() < deadline) {
		if (has_room(peer, body)) {
			put(peer, sound(body));
			written++;
		} else {
			nudge(peer, 1);
			pause_us(200);
		}
	}
	return written;
}

/* a: clients; b: bytes of each body. */
static void never_reads(const struct row *row)
{
	uint64_t deadline = now_ns() + 1200000000;
	long *written = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int64_t i = 0; i < row->a; i++)
		if (child_process() == 0) {
			long mine = write_only(usual(), (uint32_t)row->b, deadline);
			__atomic_add_fetch(written, mine, __ATOMIC_SEQ_CST);
			_exit(0);
		}
	while (wait(NULL) > 0)
		;
	report("took %ld requests, then stopped taking", *written);
}

/* A child runs `what` and stops itself (SIGSTOP); it is killed after `ms`. */
static void with_child(void (*what)(void), int ms)
{
	pid_t child = child_process();
	int status;
	if (child == 0) {
		what();
		raise(SIGSTOP);
		_exit(0);
	}
	waitpid(child, &status, WUNTRACED);
	pause_us(ms * 1000);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	report("closed it when it was killed");
}

static void stop_before_byte(void)
{
	struct peer *peer = usual();
	exchange(peer, 8);
	place(peer, sound(100));
	post(&peer->ring[REQUEST]);
}

static void stop_before_post(void)
{
	place(usual(), sound(100));
}

static void stop_unread(void)
{
	struct peer *peer = usual();
	for (int i = 0; i < 100; i++)
		if (has_room(peer, 60000))
			put(peer, sound(60000));
}

static void stop_mid_write(void)
{
	struct peer *peer = usual();
	struct message m = sound(100000);
	exchange(peer, 8);
	m.magic = ALLOC;
	m.chunk = 0;
	place(peer, m);
	nudge(peer, 1);
}

static void stop_unread_answer(void)
{
	greet(must_open_socket(), MIB);
}

static void unlucky(const struct row *row)
{
	static void (*const what[])(void) = { stop_before_byte, stop_before_post, stop_unread,
					      stop_mid_write, stop_unread_answer };
	for (int i = 0; i < 5; i++)
		with_child(what[row->a], (int)row->b);
}

static void killed_at_random(const struct row *row)
{
	(void)row;
	for (int i = 0; i < 40; i++) {
		pid_t child = child_process();
		if (child == 0)
			for (struct peer *peer = usual();;)
				exchange(peer, 20000);
		pause_us(random_word() % 15000);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	report("closed all 40");
}

static void flood(const struct row *row)
{
	struct peer *peer = usual();
	uint64_t deadline = now_ns() + 800000000;
	long answered = 0, waiting = 0;
	while (now_ns() < deadline) {
		while (waiting < row->a && has_room(peer, (uint32_t)row->b)) {
			put(peer, sound((uint32_t)row->b));
			waiting++;
		}
		while (waiting > 0 && take(peer, waiting == row->a ? 1000 : 0) == 0) {
			waiting--;
			answered++;
		}
	}
	report("answered %ld", answered);
}

/* ---- handshakes ------------------------------------------------------------------------------ */

/* a: connections; b: bytes of the request that each sends. All are held for 0.3 s. */
static void half_handshakes(const struct row *row)
{
	int *fds = calloc((size_t)row->a, sizeof *fds);
	uint8_t bytes[GREETING_BYTES];
	int closed = 0;
	greeting(bytes, -1, MIB);
	for (int64_t i = 0; i < row->a; i++) {
		fds[i] = must_open_socket();
		push(fds[i], bytes, (size_t)row->b);
	}
	pause_us(300000);
	for (int64_t i = 0; i < row->a; i++)
		closed += hung_up(fds[i], 0);
	report("closed %d of %d at once, the others by their deadline", closed, (int)row->a);
}

static void slow_handshake(const struct row *row)
{
	int fd = must_open_socket();
	uint8_t bytes[GREETING_BYTES];
	greeting(bytes, -1, MIB);
	for (int i = 0; i < GREETING_BYTES; i++) {
		if (push(fd, bytes + i, 1) < 0)
			break;
		pause_us(row->a * 1000);
	}
	int error = finish_greeting(fd, 3000)->error;
	report(error == 0 ? "accepted it" : "refused it: %s", strerror(-error));
}

static void wrong_handshake(const struct row *row)
{
	int fd = must_open_socket();
	uint8_t bytes[GREETING_BYTES];
	greeting(bytes, (int32_t)row->a, MIB);
	push(fd, bytes, sizeof bytes);
	int error = finish_greeting(fd, 3000)->error;
	report(error == -ENOTCONN ? "closed it" : "answered %d", error);
}

static void random_handshake(const struct row *row)
{
	static uint8_t bytes[MIB];
	int closed = 0;
	for (int64_t i = 0; i < row->a; i++) {
		int fd = must_open_socket();
		scribble(bytes, sizeof bytes);
		send(fd, bytes, (size_t)row->b, MSG_NOSIGNAL | MSG_DONTWAIT);
		closed += hung_up(fd, 20);
		close(fd);
	}
	report("closed %d of %d", closed, (int)row->a);
}

static void trailing_bytes(const struct row *row)
{
	int fd = must_open_socket();
	uint8_t *bytes = calloc(1, GREETING_BYTES + (size_t)row->a);
	greeting(bytes, -1, MIB);
	push(fd, bytes, GREETING_BYTES + (size_t)row->a);
	struct peer *peer = finish_greeting(fd, 3000);
	report(peer->error == 0 ? "accepted it" : "refused it: %s", strerror(-peer->error));
}

static void close_at_every_point(const struct row *row)
{
	uint8_t bytes[GREETING_BYTES];
	greeting(bytes, -1, MIB);
	for (int i = 0; i <= GREETING_BYTES; i++) {
		int fd = must_open_socket();
		push(fd, bytes, (size_t)i);
		if (row->a > 0)
			pause_us(row->a);
		close(fd);
	}
	report("closed all 25");
}

static void answers_never_read(const struct row *row)
{
	for (int64_t i = 0; i < row->a; i++)
		greet(must_open_socket(), (uint32_t)row->b);
	pause_us(300000);
	report("closed all when they left");
}

static void handshake_with_descriptors(const struct row *row)
{
	int accepted = 0;
	for (int64_t i = 0; i < row->a; i++) {
		int fd = must_open_socket();
		uint8_t bytes[GREETING_BYTES];
		greeting(bytes, -1, MIB);
		push_descriptors(fd, fd, 30, bytes, 11);
		push_descriptors(fd, fd, 30, bytes + 11, 13);
		accepted += finish_greeting(fd, 3000)->error == 0;
		close(fd);
	}
	report("accepted %d, took no descriptor", accepted);
}

/* ---- requested sizes ------------------------------------------------------------------------- */

/* a: message size; b: connections, all held. */
static void size_asked(const struct row *row)
{
	int accepted = 0, refused = 0, error = 0;
	uint32_t max = 0;
	for (int64_t i = 0; i < row->b; i++) {
		int fd = must_open_socket();
		greet(fd, (uint32_t)row->a);
		struct peer *peer = finish_greeting(fd, 5000);
		accepted += peer->error == 0;
		refused += peer->error != 0;
		if (peer->error == 0)
			max = peer->max;
		else
			error = peer->error;
	}
	if (accepted > 0)
		report("accepted %d with %u bytes, refused %d", accepted, max, refused);
	else
		report("refused %d: %s", refused, strerror(-error));
}

/* As size_asked, but all requests are sent before the first answer is read. */
static void sizes_at_once(const struct row *row)
{
	int accepted = 0, fds[1024];
	for (int64_t i = 0; i < row->b; i++) {
		fds[i] = must_open_socket();
		greet(fds[i], (uint32_t)row->a);
	}
	for (int64_t i = 0; i < row->b; i++)
		accepted += finish_greeting(fds[i], 10000)->error == 0;
	report("accepted %d of %d", accepted, (int)row->b);
}

/* ---- load ------------------------------------------------------------------------------------ */

/* a: connections of the smallest size per process; b: processes. All are held. */
static void connections(const struct row *row)
{
	int *accepted = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int64_t k = 0; k < row->b; k++)
		if (child_process() == 0) {
			for (int64_t i = 0; i < row->a; i++) {
				int fd = must_open_socket();
				greet(fd, ANSWER_BYTES);
				struct peer *peer = finish_greeting(fd, 10000);
				if (peer->error == 0)
					__atomic_add_fetch(accepted, 1, __ATOMIC_SEQ_CST);
				free(peer);
			}
			_exit(0);
		}
	while (wait(NULL) > 0)
		;
	report("accepted %d of %d", *accepted, (int)(row->a * row->b));
}

/* a: connections; b: 1 with a round trip, 0 with the handshake only, -1 without a byte. */
static void come_and_go(const struct row *row)
{
	for (int64_t i = 0; i < row->a; i++) {
		if (row->b == 1) {
			struct peer *peer = join(ANSWER_BYTES);
			exchange(peer, 8);
			leave(peer);
			continue;
		}
		int fd = must_open_socket();
		if (row->b == 0) {
			greet(fd, ANSWER_BYTES);
			free(finish_greeting(fd, 5000));
		}
		close(fd);
	}
	report("closed all %d", (int)row->a);
}

/* b: processes that connect and close as fast as they can; a: for so many ms. */
static void storm(const struct row *row)
{
	uint64_t deadline = now_ns() + (uint64_t)row->a * 1000000;
	long *count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int64_t k = 0; k < row->b; k++)
		if (child_process() == 0) {
			while (now_ns() < deadline) {
				int fd = open_socket();
				if (fd < 0)
					continue;
				greet(fd, MIB);
				close(fd);
				__atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
			}
			_exit(0);
		}
	while (wait(NULL) > 0)
		;
	report("closed %ld", *count);
}

/* ---- files: needs the server's user or root -------------------------------------------------- */

static char *directory_of(struct peer *peer)
{
	char *path = strdup(peer->ring[REQUEST].prefix);
	*strrchr(path, '/') = '\0';
	return path;
}

static void unlink_all(const char *directory)
{
	DIR *open = opendir(directory);
	for (struct dirent *entry; open != NULL && (entry = readdir(open)) != NULL;)
		unlinkat(dirfd(open), entry->d_name, 0);
	if (open != NULL)
		closedir(open);
}

enum { UNLINK, RENAME, LINK_ELSEWHERE, REPLACE, ADD, LINK_FILES };

static const char *const victim_directory = "/dev/shm/pmxcfs-ipc-robust-victim";

static void make_victim(struct peer *peer, int symlinks)
{
	char path[8400];
	mkdir(victim_directory, 0755);
	for (int r = 0; r < RINGS; r++) {
		const char *name = strrchr(peer->ring[r].prefix, '/');
		snprintf(path, sizeof path, "%s%s-header", victim_directory, name);
		if (symlinks)
			symlink("/etc/passwd", path);
		else
			close(open(path, O_CREAT | O_RDWR, 0600));
	}
}

static int count_victims(void)
{
	DIR *open = opendir(victim_directory);
	int count = 0;
	while (open != NULL && readdir(open) != NULL)
		count++;
	closedir(open);
	return count - 2;
}

static void files_changed(const struct row *row)
{
	struct peer *peer = usual();
	char *directory = directory_of(peer), other[4200], path[4200];
	snprintf(other, sizeof other, "%s-moved", directory);
	snprintf(path, sizeof path, "%s/extra", directory);
	make_victim(peer, row->a == LINK_FILES);
	if (row->a == UNLINK)
		unlink_all(directory);
	if (row->a == RENAME || row->a == LINK_ELSEWHERE || row->a == REPLACE)
		rename(directory, other);
	if (row->a == LINK_ELSEWHERE)
		symlink(victim_directory, directory);
	if (row->a == REPLACE)
		rename(victim_directory, directory);
	if (row->a == ADD)
		close(open(path, O_CREAT | O_RDWR, 0600));
	exchange(peer, 100);
	leave(peer);
	pause_us(30000);
	/* On a busy host the server may need longer. */
	for (int look = 0; look < 1000 && access(other, F_OK) == 0; look++)
		pause_us(10000);
	if (row->a == REPLACE)
		rename(directory, victim_directory);
	int left = count_victims(), moved = access(other, F_OK) == 0;
	report("served it; %d of 3 foreign files are there, %s", left,
	       moved ? "THE MOVED DIRECTORY WAS LEFT" : "none of its own was left");
	unlink(path);
	rmdir(directory);
	unlink(directory);
	unlink_all(victim_directory);
	rmdir(victim_directory);
}

/* Removes (a = 0) or empties (a = 1) every prepared ring directory while clients connect. */
static void files_during_setup(const struct row *row)
{
	uint64_t deadline = now_ns() + 400000000;
	pid_t child = child_process();
	int accepted = 0, failed = 0;
	while (child == 0) {
		DIR *shm = opendir("/dev/shm");
		const char *prefix = strrchr(shm_prefix, '/') + 1;
		for (struct dirent *entry; (entry = readdir(shm)) != NULL;) {
			char path[600];
			/*
			 * Only prepared directories (0-0-): those of other connections are left
			 * alone.
			 */
			const char *rest = strncmp(entry->d_name, prefix, strlen(prefix)) == 0 ?
						   entry->d_name + strlen(prefix) : "";
			if (strncmp(rest, "0-0-", 4) != 0)
				continue;
			snprintf(path, sizeof path, "/dev/shm/%s", entry->d_name);
			unlink_all(path);
			if (row->a == 0)
				rmdir(path);
		}
		closedir(shm);
	}
	while (now_ns() < deadline) {
		int fd = must_open_socket();
		greet(fd, MIB);
		int error = finish_greeting(fd, 5000)->error;
		accepted += error == 0;
		failed += error != 0;
		close(fd);
		pause_us(3000);
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	report("accepted %d, refused %d", accepted, failed);
}

/* ---- the table ------------------------------------------------------------------------------- */

#define TRUNCATIONS(file, number)                                                   \
	{ "truncation", file " cut to nothing, then a request", cut_then_request, number, 0 },      \
	{ "truncation", file " cut to one page, then a request", cut_then_request, number, 4096 },  \
	{ "truncation", file " cut to nothing, then a byte", cut_then_nudge, number, 0 },           \
	{ "truncation", file " cut while the server polls it", cut_while_polled, number, 0 }
#define FIELDS(ring, number)                                                                \
	{ "header fields", "write_pt of the " ring " ring", field_values, number, WRITE_PT },       \
	{ "header fields", "read_pt of the " ring " ring", field_values, number, READ_PT },         \
	{ "header fields", "word_size of the " ring " ring", field_values, number, WORD_SIZE },     \
	{ "header fields", "ref_count of the " ring " ring", field_values, number, REF_COUNT },     \
	{ "header fields", "flow control of the " ring " ring", field_values, number, FLOW_CONTROL }
#define CHUNK(value) { "chunks", "chunk size " #value, chunk_size, value, 0 }
#define MAGIC(value) { "chunks", "magic " #value ", semaphore posted", chunk_magic, value, 0 }
#define SIZE(value) { "message header", "header size " #value, header_size, value, 0 }
#define ID(value) { "message header", "id " #value, message_id, value, 0 }

static const struct row rows[] = {
	TRUNCATIONS("request header", 0),
	TRUNCATIONS("request data", 1),
	TRUNCATIONS("response header", 2),
	TRUNCATIONS("response data", 3),
	TRUNCATIONS("event header", 4),
	TRUNCATIONS("event data", 5),
	{ "truncation", "request data cut in the middle of a message", cut_in_message, 1, 100000 },
	{ "truncation", "request data cut to a page in a message", cut_in_message, 1, 4096 },
	{ "truncation", "response header cut before a reply", cut_before_reply, 2, 0 },
	{ "truncation", "response data cut before a reply", cut_before_reply, 3, 0 },
	{ "truncation", "response data cut within a reply", cut_before_reply, 3, 8192 },
	{ "truncation", "all six cut, then hung up", cut_at_disconnect, 0, 0 },
	{ "truncation", "hung up, then all six cut", cut_at_disconnect, 0, 1 },
	{ "truncation", "response header cut while a reply waits", cut_while_stalled, 2, 0 },
	{ "truncation", "request header cut while a reply waits", cut_while_stalled, 0, 0 },
	{ "truncation", "any of them cut and restored 300 times", cut_again_and_again, 0, 0 },
	{ "truncation", "any of them cut in a race with traffic", cut_under_traffic, -1, 0 },
	{ "truncation", "request data cut in a race with traffic", cut_under_traffic, 1, 0 },
	{ "truncation", "holes punched in a race with traffic", punch_under_traffic, 0, 0 },
	FIELDS("request", REQUEST),
	FIELDS("response", RESPONSE),
	FIELDS("event", EVENT),
	{ "header fields", "all bytes 0xff", header_filled, 0xff, 0 },
	{ "header fields", "all bytes 0", header_filled, 0, 0 },
	{ "header fields", "all bytes random", header_filled, -1, 0 },
	{ "header fields", "all bytes random, then hung up", header_filled, -1, 1 },
	{ "header fields", "paths name another file", paths_overwritten, 0, 0 },
	{ "header fields", "paths without a NUL", paths_overwritten, 1, 0 },
	CHUNK(0), CHUNK(1), CHUNK(8), CHUNK(15), CHUNK(RING), CHUNK(LARGER),
	CHUNK(0x7fffffff), CHUNK(0x80000000), CHUNK(0xffffffff),
	MAGIC(0), MAGIC(ALLOC), MAGIC(DEAD), MAGIC(0xffffffff),
	{ "chunks", "request data random", chunk_random, REQUEST, 0 },
	{ "chunks", "request data random with magics", chunk_random, REQUEST, 1 },
	{ "chunks", "response data random", chunk_random, RESPONSE, 0 },
	SIZE(0), SIZE(1), SIZE(15), SIZE(-1), SIZE(INT_MIN), SIZE(INT_MAX), SIZE(16), SIZE(60),
	SIZE(117), SIZE(LARGER),
	ID(-4), ID(-3), ID(-2), ID(-1), ID(0), ID(1), ID(2), ID(3), ID(4), ID(INT_MIN), ID(INT_MAX),
	{ "message header", "2000 with random ids and sizes", message_random, 0, 0 },
	{ "races", "header size flipped", race_flips, FLIP_SIZE, 0 },
	{ "races", "chunk size flipped", race_flips, FLIP_CHUNK, 0 },
	{ "races", "magic flipped", race_flips, FLIP_MAGIC, 0 },
	{ "races", "indices flipped", race_flips, FLIP_INDICES, 0 },
	{ "races", "semaphore flipped", race_flips, FLIP_SEMAPHORE, 0 },
	{ "races", "all of it flipped", race_flips, FLIP_ALL, 0 },
	{ "semaphores", "request: 1 without a message", semaphore_value, REQUEST, 1 },
	{ "semaphores", "request: huge", semaphore_value, REQUEST, 0x7fffffff },
	{ "semaphores", "request: all bits", semaphore_value, REQUEST, -1 },
	{ "semaphores", "request: random", semaphore_random, REQUEST, 0 },
	{ "semaphores", "request: flipped under a flood of bytes", semaphore_flood, 0, 0 },
	{ "semaphores", "response: at its maximum", semaphore_value, RESPONSE, 0x7fffffff },
	{ "semaphores", "response: all bits", semaphore_value, RESPONSE, -1 },
	{ "semaphores", "response: random", semaphore_random, RESPONSE, 0 },
	{ "semaphores", "event: random", semaphore_random, EVENT, 0 },
	{ "notify bytes", "1 without a message", notify_bytes, 1, 0 },
	{ "notify bytes", "1000 without a message", notify_bytes, 1000, 0 },
	{ "notify bytes", "a million without a message", notify_bytes, 1000000, 0 },
	{ "notify bytes", "1 for 100 messages", notify_bytes, 1, 100 },
	{ "notify bytes", "none for 100 messages", notify_bytes, 0, 100 },
	{ "notify bytes", "1000 for 100 messages", notify_bytes, 1000, 100 },
	{ "notify bytes", "carrying descriptors", notify_descriptors, 200, 0 },
	{ "notify bytes", "carrying a descriptor that lingers", notify_lingering, 0, 0 },
	{ "slow clients", "one that shuts down its reading end", deaf, 1, 0 },
	{ "slow clients", "one that never reads", never_reads, 1, 100 },
	{ "slow clients", "20 that never read", never_reads, 20, 100 },
	{ "slow clients", "20 that never read large replies", never_reads, 20, 300000 },
	{ "slow clients", "stopped between message and byte", unlucky, 0, 60 },
	{ "slow clients", "stopped between chunk and semaphore", unlucky, 1, 60 },
	{ "slow clients", "stopped with replies unread", unlucky, 2, 60 },
	{ "slow clients", "killed in the middle of a message", unlucky, 3, 20 },
	{ "slow clients", "killed with its answer unread", unlucky, 4, 20 },
	{ "slow clients", "killed at a random moment, 40 times", killed_at_random, 0, 0 },
	{ "slow clients", "flood at full speed", flood, 64, 100 },
	{ "slow clients", "flood of large messages", flood, 3, 300000 },
	{ "handshake", "nothing sent", half_handshakes, 1, 0 },
	{ "handshake", "half of it", half_handshakes, 1, 12 },
	{ "handshake", "half of it, 500 times", half_handshakes, 500, 12 },
	{ "handshake", "half of it, 1500 times", half_handshakes, 1500, 12 },
	{ "handshake", "nothing sent, 1500 times", half_handshakes, 1500, 0 },
	{ "handshake", "one byte per 50 ms", slow_handshake, 50, 0 },
	{ "handshake", "id 0", wrong_handshake, 0, 0 },
	{ "handshake", "id 1", wrong_handshake, 1, 0 },
	{ "handshake", "id -3", wrong_handshake, -3, 0 },
	{ "handshake", "id INT_MAX", wrong_handshake, INT_MAX, 0 },
	{ "handshake", "random bytes, 24 of them", random_handshake, 50, 24 },
	{ "handshake", "random bytes, a MiB of them", random_handshake, 10, MIB },
	{ "handshake", "1 byte after it", trailing_bytes, 1, 0 },
	{ "handshake", "100000 bytes after it", trailing_bytes, 100000, 0 },
	{ "handshake", "closed after each byte", close_at_every_point, 0, 0 },
	{ "handshake", "closed 3 ms after each byte", close_at_every_point, 3000, 0 },
	{ "handshake", "answers never read", answers_never_read, 200, MIB },
	{ "handshake", "carrying descriptors", handshake_with_descriptors, 30, 0 },
	{ "handshake", "carrying a descriptor that lingers", handshake_lingering, 0, 0 },
	{ "handshake", "leaving a descriptor that lingers", unread_lingering, 0, 0 },
	{ "handshake", "reading end shut down before it", deaf, 0, 0 },
	{ "requested sizes", "0", size_asked, 0, 1 },
	{ "requested sizes", "1", size_asked, 1, 1 },
	{ "requested sizes", "200 MiB, 8 times", size_asked, 200 * MIB, 8 },
	{ "requested sizes", "1 GiB", size_asked, 1024ll * MIB, 1 },
	{ "requested sizes", "0x7fffffff", size_asked, 0x7fffffff, 1 },
	{ "requested sizes", "0xffffffff", size_asked, 0xffffffff, 1 },
	{ "requested sizes", "16 MiB, 100 at once", sizes_at_once, 16 * MIB, 100 },
	{ "load", "1200 connections", connections, 1200, 1 },
	{ "load", "8 processes with 400 connections each", connections, 400, 8 },
	{ "load", "5000 connects and disconnects", come_and_go, 5000, 0 },
	{ "load", "5000 that connect and send nothing", come_and_go, 5000, -1 },
	{ "load", "500 with a round trip each", come_and_go, 500, 1 },
	{ "load", "4 processes that connect at full speed", storm, 1500, 4 },
	{ "files", "its files unlinked", files_changed, UNLINK, 0 },
	{ "files", "its directory renamed", files_changed, RENAME, 0 },
	{ "files", "its directory now a link elsewhere", files_changed, LINK_ELSEWHERE, 0 },
	{ "files", "its directory replaced", files_changed, REPLACE, 0 },
	{ "files", "a file added", files_changed, ADD, 0 },
	{ "files", "links to other files nearby", files_changed, LINK_FILES, 0 },
	{ "files", "ready directories removed", files_during_setup, 0, 0 },
	{ "files", "ready directories emptied", files_during_setup, 1, 0 },
};

enum { ROWS = sizeof rows / sizeof rows[0] };

static int list(void)
{
	for (int i = 0; i < ROWS; i++)
		printf("{\"group\":\"%s\",\"name\":\"%s\"}\n", rows[i].group, rows[i].name);
	return 0;
}

/* Raises the limit of descriptors, for rows that hold many connections. */
static void raise_limit(void)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
	long uid = -1, gid = -1;
	const struct row *row = NULL;
	struct sigaction action = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_NODEFER };
	if (argc == 2 && strcmp(argv[1], "--list") == 0)
		return list();
	if (argc < 4)
		die("usage", "qb-attack SERVICE GROUP NAME [--uid N] [--gid N] [--shm PREFIX]");
	service = argv[1];
	for (int i = 4; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--shm") == 0)
			shm_prefix = argv[i + 1];
		else
			*(strcmp(argv[i], "--uid") == 0 ? &uid : &gid) = number(argv[i], argv[i + 1]);
	}
	for (int i = 0; i < ROWS; i++)
		if (strcmp(rows[i].group, argv[2]) == 0 && strcmp(rows[i].name, argv[3]) == 0)
			row = &rows[i];
	if (row == NULL)
		die("no such behaviour", argv[3]);
	sigaction(SIGBUS, &action, NULL);
	raise_limit();
	become(uid, gid);
	row->run(row);
	printf("{\"did\":\"%s\"}\n", outcome);
	return 0;
}
