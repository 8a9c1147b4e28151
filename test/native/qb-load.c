/*
 * A load of libqb clients, each a process of its own, which all start at the same moment. Prints
 * one line of JSON: round trips, their rate, latencies in ns from a log-linear histogram, client
 * CPU, body bytes of an answer.
 *
 *   qb-load SERVICE (--requests N | --ms N) [--clients K] [--id N] [--body BYTES | --body-hex HEX]
 *           [--verify] [--depth N] [--think-us N] [--sleep-us N] [--connects] [--max-msg-size N]
 *           [--idle] [--uid N] [--gid N]
 *
 * --think-us spins between round trips, --sleep-us sleeps. --depth keeps N requests in flight.
 * --connects: a round trip is a connect and a disconnect. --idle: connects K times in one process,
 * prints {"idle":K}, and holds the connections until stdin ends. --verify compares every echoed
 * byte. When it is killed, its clients are, too.
 */
#include "tool.h"

#include <poll.h>
#include <qb/qbipcc.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

enum {
	STEPS_LOG2 = 6, /* 64 buckets per power of two: 1.6 % */
	STEPS = 1 << STEPS_LOG2,
	BUCKETS = (40 - STEPS_LOG2) * STEPS,
	MAX_DEPTH = 4096,
};

typedef struct {
	uint64_t requests, errors, mismatches, first_ns, last_ns, cpu_us, max_ns, answer_bytes;
	int64_t error;
	uint32_t buckets[BUCKETS];
} result;

static struct {
	const char *service;
	long clients, requests, ms, id, body, depth, think_us, sleep_us, connects, verify, idle;
	long max_msg_size, uid, gid;
	uint8_t *message, *reply;
	size_t message_size, reply_size;
} load = { .clients = 1, .depth = 1, .id = 1, .max_msg_size = 1 << 20, .uid = -1, .gid = -1 };

static struct {
	atomic_long ready, go;
	result results[];
} *shared;

static unsigned bucket_of(uint64_t ns)
{
	if (ns < STEPS)
		return (unsigned)ns;
	unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - STEPS_LOG2;
	unsigned index = (shift + 1) * STEPS + (unsigned)(ns >> shift) - STEPS;
	return index < BUCKETS ? index : BUCKETS - 1;
}

/* The middle of a bucket. */
static uint64_t bucket_ns(unsigned index)
{
	if (index < 2 * STEPS)
		return index;
	unsigned shift = index / STEPS - 1;
	return (((uint64_t)(index % STEPS + STEPS)) << shift) + (1ull << shift) / 2;
}

static void record(result *r, uint64_t ns)
{
	r->requests++;
	r->buckets[bucket_of(ns)]++;
	if (ns > r->max_ns)
		r->max_ns = ns;
}

static void check(result *r, ssize_t got)
{
	if (got < (ssize_t)sizeof(response_header)) {
		r->errors++;
		r->error = got < 0 ? got : -EBADMSG;
		return;
	}
	const response_header *header = (const response_header *)load.reply;
	r->answer_bytes = (size_t)got - sizeof *header;
	if (header->error != 0) {
		r->errors++;
		r->error = header->error;
	}
	if (!load.verify)
		return;
	size_t body = load.message_size - sizeof(request_header);
	if ((size_t)got != sizeof *header + body || header->size != got || header->id != load.id ||
	    memcmp(load.reply + sizeof *header, load.message + sizeof(request_header), body) != 0)
		r->mismatches++;
}

/* With --verify, each request's body differs from the previous one. */
static void vary(uint64_t turn)
{
	size_t body = load.message_size - sizeof(request_header);
	if (load.verify && body > 0)
		load.message[sizeof(request_header) + turn % body] += 1;
}

static void think(void)
{
	if (load.think_us > 0) {
		uint64_t until = now_ns() + (uint64_t)load.think_us * 1000;
		while (now_ns() < until)
			;
	}
	if (load.sleep_us > 0) {
		struct timespec t = { load.sleep_us / 1000000, load.sleep_us % 1000000 * 1000 };
		nanosleep(&t, NULL);
	}
}

static int more(uint64_t turn, uint64_t now, uint64_t deadline)
{
	return load.ms > 0 ? now < deadline : turn < (uint64_t)load.requests;
}

static void run_connects(result *r, uint64_t deadline)
{
	for (uint64_t turn = 0, start; more(turn, start = now_ns(), deadline); turn++) {
		qb_ipcc_connection_t *c = qb_ipcc_connect(load.service, (size_t)load.max_msg_size);
		if (c == NULL) {
			r->errors++;
			r->error = -errno;
			return;
		}
		qb_ipcc_disconnect(c);
		record(r, now_ns() - start);
		think();
	}
}

static void run_requests(result *r, qb_ipcc_connection_t *c, uint64_t deadline)
{
	struct iovec iov = { load.message, load.message_size };
	uint64_t now = now_ns();
	for (uint64_t turn = 0; more(turn, now, deadline) && r->errors == 0; turn++) {
		vary(turn);
		uint64_t start = now;
		ssize_t got = qb_ipcc_sendv_recv(c, &iov, 1, load.reply, load.reply_size, 20000);
		now = now_ns();
		record(r, now - start);
		check(r, got);
		if (load.think_us > 0 || load.sleep_us > 0) {
			think();
			now = now_ns();
		}
	}
}

static void run_pipeline(result *r, qb_ipcc_connection_t *c, uint64_t deadline)
{
	static uint64_t sent_at[MAX_DEPTH];
	uint64_t sent = 0, depth = (uint64_t)load.depth;
	while (r->errors == 0) {
		uint64_t now = now_ns();
		if (sent - r->requests < depth && more(sent, now, deadline)) {
			ssize_t result = qb_ipcc_send(c, load.message, load.message_size);
			if (result >= 0) {
				sent_at[sent++ % depth] = now;
				continue;
			}
			if (result != -EAGAIN || sent == r->requests) {
				r->errors++;
				r->error = result;
				return;
			}
		}
		if (sent == r->requests)
			return;
		ssize_t got = qb_ipcc_recv(c, load.reply, load.reply_size, 20000);
		uint64_t start = sent_at[r->requests % depth];
		record(r, now_ns() - start);
		check(r, got);
	}
}

static void run_client(result *r, pid_t parent)
{
	qb_ipcc_connection_t *c = NULL;
	struct rusage usage;
	become(load.uid, load.gid);
	/*
	 * The client ends with its parent. Set after the change of identity, which resets it; the
	 * parent may have ended before that, and then no signal comes.
	 */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	if (!load.connects) {
		c = qb_ipcc_connect(load.service, (size_t)load.max_msg_size);
		if (c == NULL) {
			r->errors++;
			r->error = -errno;
		}
	}
	shared->ready++;
	while (!shared->go)
		usleep(200);
	if (r->errors > 0)
		return;
	r->first_ns = now_ns();
	uint64_t deadline = r->first_ns + (uint64_t)load.ms * 1000000;
	if (load.connects)
		run_connects(r, deadline);
	else if (load.depth > 1)
		run_pipeline(r, c, deadline);
	else
		run_requests(r, c, deadline);
	r->last_ns = now_ns();
	getrusage(RUSAGE_SELF, &usage);
	r->cpu_us = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000u +
		    (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
	if (c != NULL)
		qb_ipcc_disconnect(c);
}

static uint64_t quantile(const result *all, double q)
{
	uint64_t seen = 0, wanted = (uint64_t)(q * (double)all->requests);
	for (unsigned i = 0; i < BUCKETS; i++) {
		seen += all->buckets[i];
		if (seen > wanted)
			return bucket_ns(i) < all->max_ns ? bucket_ns(i) : all->max_ns;
	}
	return all->max_ns;
}

static void print_results(void)
{
	static result all;
	for (long k = 0; k < load.clients; k++) {
		const result *r = &shared->results[k];
		all.requests += r->requests;
		all.errors += r->errors;
		all.mismatches += r->mismatches;
		all.cpu_us += r->cpu_us;
		all.answer_bytes = r->answer_bytes;
		if (r->error != 0)
			all.error = r->error;
		if (r->max_ns > all.max_ns)
			all.max_ns = r->max_ns;
		if (r->first_ns != 0 && (all.first_ns == 0 || r->first_ns < all.first_ns))
			all.first_ns = r->first_ns;
		if (r->last_ns > all.last_ns)
			all.last_ns = r->last_ns;
		for (unsigned i = 0; i < BUCKETS; i++)
			all.buckets[i] += r->buckets[i];
	}
	double seconds = (double)(all.last_ns - all.first_ns) / 1e9;
	printf("{\"clients\":%ld,\"requests\":%lu,\"seconds\":%.6f,\"per_second\":%.1f,"
	       "\"p50_ns\":%lu,\"p99_ns\":%lu,\"p999_ns\":%lu,\"max_ns\":%lu,"
	       "\"client_cpu_us\":%lu,\"errors\":%lu,\"error\":%ld,\"mismatches\":%lu,"
	       "\"answer_bytes\":%lu}\n",
	       load.clients, all.requests, seconds,
	       seconds > 0 ? (double)all.requests / seconds : 0.0, quantile(&all, 0.5),
	       quantile(&all, 0.99), quantile(&all, 0.999), all.max_ns, all.cpu_us, all.errors,
	       (long)all.error, all.mismatches, all.answer_bytes);
}

static int hold_idle(void)
{
	become(load.uid, load.gid);
	for (long k = 0; k < load.clients; k++)
		if (qb_ipcc_connect(load.service, (size_t)load.max_msg_size) == NULL)
			die("idle connection", strerror(errno));
	printf("{\"idle\":%ld}\n", load.clients);
	fflush(stdout);
	char byte;
	while (read(0, &byte, 1) > 0)
		;
	/* The exit closes all connections; a disconnect would take a round trip each. */
	_exit(0);
}

static void make_message(const char *hex)
{
	size_t given = 0;
	load.message = unhex(hex == NULL ? "-" : hex, sizeof(request_header), &given);
	if (hex == NULL) {
		given = (size_t)load.body;
		free(load.message);
		load.message = calloc(1, sizeof(request_header) + given + 1);
		for (size_t i = 0; i < given; i++)
			load.message[sizeof(request_header) + i] = (uint8_t)(i * 7 + 1);
	}
	load.message_size = sizeof(request_header) + given;
	*(request_header *)load.message =
		(request_header){ .id = (int32_t)load.id, .size = (int32_t)load.message_size };
	load.reply_size = (size_t)load.max_msg_size + (1 << 16);
	load.reply = malloc(load.reply_size);
	if (load.message == NULL || load.reply == NULL)
		die("buffers", "no memory");
}

static const char *parse(int argc, char **argv)
{
	const char *hex = NULL;
	struct { const char *name; long *value; int flag; } options[] = {
		{ "--requests", &load.requests, 0 }, { "--ms", &load.ms, 0 },
		{ "--clients", &load.clients, 0 },   { "--id", &load.id, 0 },
		{ "--body", &load.body, 0 },	     { "--depth", &load.depth, 0 },
		{ "--think-us", &load.think_us, 0 }, { "--sleep-us", &load.sleep_us, 0 },
		{ "--uid", &load.uid, 0 },	     { "--gid", &load.gid, 0 },
		{ "--max-msg-size", &load.max_msg_size, 0 },
		{ "--connects", &load.connects, 1 }, { "--verify", &load.verify, 1 },
		{ "--idle", &load.idle, 1 },
	};
	for (int i = 2; i < argc; i++) {
		size_t k = 0, count = sizeof options / sizeof options[0];
		if (strcmp(argv[i], "--body-hex") == 0 && i + 1 < argc) {
			hex = argv[++i];
			continue;
		}
		while (k < count && strcmp(argv[i], options[k].name) != 0)
			k++;
		if (k == count || (!options[k].flag && i + 1 >= argc))
			die("unknown option", argv[i]);
		*options[k].value = options[k].flag ? 1 : number(argv[i], argv[i + 1]);
		i += !options[k].flag;
	}
	if (!load.idle && (load.requests > 0) == (load.ms > 0))
		die("usage", "qb-load SERVICE (--requests N | --ms N) [options]");
	if (load.depth < 1 || load.depth > MAX_DEPTH || load.clients < 1)
		die("usage", "--depth 1..4096, --clients at least 1");
	return hex;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		die("usage", "qb-load SERVICE (--requests N | --ms N) [options]");
	load.service = argv[1];
	make_message(parse(argc, argv));
	if (load.idle)
		return hold_idle();
	size_t bytes = sizeof *shared + (size_t)load.clients * sizeof(result);
	shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		die("results", strerror(errno));
	pid_t parent = getpid();
	for (long k = 0; k < load.clients; k++) {
		pid_t pid = fork();
		if (pid < 0)
			die("fork", strerror(errno));
		if (pid == 0) {
			run_client(&shared->results[k], parent);
			_exit(0);
		}
	}
	while (shared->ready < load.clients && waitpid(-1, NULL, WNOHANG) == 0)
		usleep(500);
	shared->go = 1;
	while (wait(NULL) > 0)
		;
	print_results();
	return 0;
}
