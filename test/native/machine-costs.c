/*
 * Measures the parts of a round trip on this machine, in ns, as one line of JSON: a system call
 * that does nothing; a send of one byte to a unix socket on which no process waits, with its share
 * of the read; and the way of a cache line to another processor and back.
 *
 *   machine-costs
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { CALLS = 2048, LINES = 1000, ROUNDS = 25, PART = 128 };

static _Alignas(128) _Atomic int ping;
static _Alignas(128) _Atomic int pong;

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double system_call(void)
{
	double start = now();
	for (int i = 0; i < CALLS; i++)
		syscall(SYS_getppid);
	return (now() - start) / CALLS;
}

static double send_byte(void)
{
	char bytes[PART];
	int pair[2];
	double spent = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
		return -1;
	for (int part = 0; part < CALLS / PART; part++) {
		double start = now();
		for (int i = 0; i < PART; i++)
			if (send(pair[0], "x", 1, MSG_NOSIGNAL) != 1)
				return -1;
		spent += now() - start;
		if (recv(pair[1], bytes, sizeof bytes, 0) != PART)
			return -1;
	}
	close(pair[0]);
	close(pair[1]);
	return spent / (CALLS / PART * PART);
}

static void on_processor(int index)
{
	cpu_set_t allowed, one;
	CPU_ZERO(&one);
	sched_getaffinity(0, sizeof allowed, &allowed);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && index-- == 0) {
			CPU_SET(cpu, &one);
			sched_setaffinity(0, sizeof one, &one);
			return;
		}
}

static void *answer(void *unused)
{
	on_processor(1);
	for (int i = 1; i <= LINES; i++) {
		while (atomic_load_explicit(&ping, memory_order_acquire) < i)
			;
		atomic_store_explicit(&pong, i, memory_order_release);
	}
	return unused;
}

/* -1 on a single processor, where the other end would not run. */
static double cache_line(void)
{
	cpu_set_t allowed;
	pthread_t thread;

	sched_getaffinity(0, sizeof allowed, &allowed);
	if (CPU_COUNT(&allowed) < 2)
		return -1;
	ping = pong = 0;
	if (pthread_create(&thread, NULL, answer, NULL) != 0)
		return -1;
	on_processor(0);
	double start = now();
	for (int i = 1; i <= LINES; i++) {
		atomic_store_explicit(&ping, i, memory_order_release);
		while (atomic_load_explicit(&pong, memory_order_acquire) < i)
			;
	}
	double spent = (now() - start) / LINES;
	pthread_join(thread, NULL);
	sched_setaffinity(0, sizeof allowed, &allowed);
	return spent;
}

/* The minimum of several rounds: other processes can only add to it. */
static double least(double (*measure)(void))
{
	double best = measure();
	for (int round = 1; round < ROUNDS; round++) {
		double next = measure();
		best = next < best ? next : best;
	}
	return best;
}

int main(void)
{
	printf("{\"system_call_ns\":%.0f,\"send_ns\":%.0f,\"cache_line_ns\":%.0f}\n",
	       least(system_call), least(send_byte), least(cache_line));
	return 0;
}
