/*
 * A load of writers in a mounted tree: each is a process that keeps its own file open and
 * repeatedly writes 1000 bytes at its start. Prints one line of JSON: the writes per second of all
 * writers, p50 and p99 in microseconds.
 *
 *   write-load DIRECTORY WRITERS WRITES
 */
#include "tool.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { MOST_WRITERS = 256, WRITE_BYTES = 1000 };

static uint32_t *taken;

static void write_all(int writer, size_t count, uint32_t *times)
{
	char name[32], block[WRITE_BYTES];
	int fd;

	memset(block, 'x', sizeof block);
	snprintf(name, sizeof name, "%d", writer);
	fd = open(name, O_WRONLY | O_CREAT, 0640);
	if (fd < 0)
		die(name, strerror(errno));
	for (size_t index = 0; index < count; index++) {
		uint64_t before = now_ns();

		if (pwrite(fd, block, sizeof block, 0) != sizeof block)
			die("pwrite", strerror(errno));
		times[index] = (uint32_t)((now_ns() - before) / 1000);
	}
	close(fd);
}

int main(int argc, char **argv)
{
	int writers = argc == 4 ? atoi(argv[2]) : 0, failed = 0, status;
	size_t each, count;
	uint64_t start;
	double seconds;

	if (writers < 1 || writers > MOST_WRITERS || atoll(argv[3]) < writers)
		die("usage", "write-load DIRECTORY WRITERS WRITES");
	if (chdir(argv[1]) != 0)
		die(argv[1], strerror(errno));
	each = (size_t)atoll(argv[3]) / (size_t)writers;
	count = each * (size_t)writers;
	taken = mmap(NULL, count * sizeof *taken, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		     -1, 0);
	if (taken == MAP_FAILED)
		die("memory", strerror(errno));
	start = now_ns();
	for (int writer = 0; writer < writers; writer++) {
		pid_t child = fork();

		if (child < 0)
			die("fork", strerror(errno));
		if (child == 0) {
			write_all(writer, each, taken + (size_t)writer * each);
			_exit(0);
		}
	}
	while (wait(&status) > 0)
		failed |= status;
	seconds = (double)(now_ns() - start) / 1e9;
	if (failed)
		return 1;
	print_rate(taken, count, seconds);
	return 0;
}
