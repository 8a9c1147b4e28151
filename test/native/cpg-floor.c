/*
 * What corosync alone allows: messages in a process group, sent and received by programs that do
 * nothing else. No server can answer a change of the cluster's tree sooner than this.
 *
 *   cpg-floor GROUP                        receives until it is killed
 *   cpg-floor GROUP MEMBERS MESSAGES IN-FLIGHT BYTES
 *
 * The second form waits until the group has MEMBERS members, keeps IN-FLIGHT messages of BYTES on
 * their way until MESSAGES have come back, and prints one line of JSON: messages per second, p50
 * and p99 in microseconds, of which each is the time from a message's sending to its delivery here.
 *
 * Loads libcpg of the corosync package at run time, so that no headers of corosync are needed.
 */
#include "tool.h"

#include <dlfcn.h>
#include <poll.h>
#include <sys/uio.h>

/* Values and types of corosync/cpg.h and corosync/corotypes.h. */
enum { CS_OK = 1, CS_TRY_AGAIN = 6, CS_DISPATCH_ALL = 2, CPG_AGREED = 2 };
enum { MOST_BYTES = 65536, RETRY_US = 100 };

struct cpg_group {
	uint32_t length;
	char name[128];
};

struct callbacks {
	void (*deliver)(uint64_t handle, const struct cpg_group *group, uint32_t node, uint32_t pid,
			void *message, size_t size);
	void (*confchg)(uint64_t handle, const struct cpg_group *group, const void *members,
			size_t member_count, const void *left, size_t left_count,
			const void *joined, size_t joined_count);
};

static int (*cpg_mcast_joined)(uint64_t handle, int guarantee, const struct iovec *parts,
			       unsigned int count);

static uint64_t cpg;
static size_t wanted, sent, received, members_needed, bytes;
static int running;
static uint64_t started;
static uint32_t *times;
static char block[MOST_BYTES];

static void *function(void *library, const char *name)
{
	void *found = dlsym(library, name);

	if (found == NULL)
		die(name, dlerror());
	return found;
}

static void must(const char *what, int result)
{
	char text[32];

	if (result == CS_OK)
		return;
	snprintf(text, sizeof text, "error %d of corosync", result);
	die(what, text);
}

/* Sends the next message, with the time in its first bytes. */
static void send_next(void)
{
	struct iovec part = { block, bytes };
	uint64_t now = now_ns();
	int result;

	memcpy(block, &now, sizeof now);
	while ((result = cpg_mcast_joined(cpg, CPG_AGREED, &part, 1)) == CS_TRY_AGAIN)
		usleep(RETRY_US);
	must("cpg_mcast_joined", result);
	sent++;
}

static void delivered(uint64_t handle, const struct cpg_group *group, uint32_t node, uint32_t pid,
		      void *message, size_t size)
{
	uint64_t then;

	(void)handle, (void)group, (void)node;
	if (wanted == 0 || pid != (uint32_t)getpid() || size < sizeof then)
		return;
	memcpy(&then, message, sizeof then);
	times[received++] = (uint32_t)((now_ns() - then) / 1000);
	if (received == wanted) {
		print_rate(times, received, (double)(now_ns() - started) / 1e9);
		exit(0);
	}
	if (sent < wanted)
		send_next();
}

static void changed(uint64_t handle, const struct cpg_group *group, const void *members,
		    size_t member_count, const void *left, size_t left_count, const void *joined,
		    size_t joined_count)
{
	(void)handle, (void)group, (void)members, (void)left, (void)left_count, (void)joined;
	(void)joined_count;
	running = member_count >= members_needed;
}

int main(int argc, char **argv)
{
	struct callbacks callbacks = { delivered, changed };
	struct cpg_group group = { 0 };
	struct pollfd events = { .events = POLLIN };
	void *library = dlopen("libcpg.so.4", RTLD_NOW);
	size_t in_flight = 0;

	if (argc != 2 && argc != 6)
		die("usage", "cpg-floor GROUP [MEMBERS MESSAGES IN-FLIGHT BYTES]");
	if (library == NULL)
		die("libcpg of the package corosync", dlerror());
	if (argc == 6) {
		members_needed = (size_t)number("MEMBERS", argv[2]);
		wanted = (size_t)number("MESSAGES", argv[3]);
		in_flight = (size_t)number("IN-FLIGHT", argv[4]);
		bytes = (size_t)number("BYTES", argv[5]);
		if (wanted < in_flight || in_flight == 0 || bytes < 8 || bytes > MOST_BYTES)
			die("usage", "IN-FLIGHT is 1 to MESSAGES, BYTES is 8 to 65536");
		times = calloc(wanted, sizeof *times);
		if (times == NULL)
			die("memory", strerror(errno));
	}
	int (*initialize)(uint64_t *, struct callbacks *) = function(library, "cpg_initialize");
	int (*join)(uint64_t, const struct cpg_group *) = function(library, "cpg_join");
	int (*descriptor)(uint64_t, int *) = function(library, "cpg_fd_get");
	int (*dispatch)(uint64_t, int) = function(library, "cpg_dispatch");
	cpg_mcast_joined = function(library, "cpg_mcast_joined");

	group.length = (uint32_t)snprintf(group.name, sizeof group.name, "%s", argv[1]);
	must("cpg_initialize", initialize(&cpg, &callbacks));
	must("cpg_fd_get", descriptor(cpg, &events.fd));
	must("cpg_join", join(cpg, &group));
	for (;;) {
		if (poll(&events, 1, -1) < 0)
			die("poll", strerror(errno));
		must("cpg_dispatch", dispatch(cpg, CS_DISPATCH_ALL));
		if (wanted == 0 || !running || started != 0)
			continue;
		started = now_ns();
		for (size_t index = 0; index < in_flight; index++)
			send_next();
	}
}
