/*
 * Loads a mounted tree with each kind of operation in turn and prints one line of JSON per kind:
 * operations per second, p50, p99 and p99.9 in microseconds.
 *
 *   mount-load DIRECTORY MILLISECONDS [KIND...]
 */
#include "tool.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>

enum { MOST = 4 * 1024 * 1024, KIB = 1024, MIB = 1024 * 1024, ENTRIES = 1000 };

static char block[MIB];
static uint32_t *taken;

static void must(int ok, const char *what)
{
	if (!ok)
		die(what, strerror(errno));
}

static void put(const char *name, size_t size)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0640);
	must(fd >= 0 && write(fd, block, size) == (ssize_t)size, name);
	close(fd);
}

/* Forces the kernel to ask the server: attributes from its cache would not measure the server. */
static void forced_stat(void)
{
	struct statx status;
	must(statx(AT_FDCWD, "file", AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &status) == 0, "statx");
}

static void read_file(void)
{
	char bytes[2 * KIB];
	int fd = open("file", O_RDONLY);
	must(fd >= 0 && read(fd, bytes, sizeof bytes) == KIB, "read");
	close(fd);
}

static void replace_file(void)
{
	put("new", KIB);
	must(rename("new", "replaced") == 0, "rename");
}

static void list_directory(void)
{
	DIR *directory = opendir("many");
	int count = 0;
	must(directory != NULL, "opendir");
	while (readdir(directory) != NULL)
		count++;
	closedir(directory);
	must(count == ENTRIES + 2, "readdir");
}

static void write_large(void)
{
	int fd = open("large", O_WRONLY);
	must(fd >= 0 && write(fd, block, MIB) == MIB, "write");
	close(fd);
}

static void cycle_lock(void)
{
	must(mkdir("lock", 0755) == 0 && rmdir("lock") == 0, "lock");
}

static const struct {
	const char *name;
	void (*run)(void);
} kinds[] = { { "stat", forced_stat },
	      { "open-read-close", read_file },
	      { "create-write-rename", replace_file },
	      { "readdir-1000", list_directory },
	      { "write-1MiB", write_large },
	      { "mkdir-rmdir", cycle_lock } };

static void measure(const char *name, void (*run)(void), int64_t ms)
{
	uint64_t start = now_ns(), end = start + (uint64_t)ms * 1000000, before = start;
	size_t count = 0;

	while (before < end && count < MOST) {
		uint64_t after;
		run();
		after = now_ns();
		taken[count++] = (uint32_t)(after - before);
		before = after;
	}
	qsort(taken, count, sizeof *taken, compare_times);
	printf("{\"kind\":\"%s\",\"operations\":%zu,\"perSecond\":%.0f,\"p50\":%.1f,\"p99\":%.1f,"
	       "\"p999\":%.1f}\n",
	       name, count, count * 1e9 / (double)(before - start), taken[count / 2] / 1e3,
	       taken[count * 99 / 100] / 1e3, taken[count * 999 / 1000] / 1e3);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		die("usage", "mount-load DIRECTORY MILLISECONDS [KIND...]");
	must(chdir(argv[1]) == 0, argv[1]);
	taken = malloc(MOST * sizeof *taken);
	must(taken != NULL, "memory");
	memset(block, 'x', sizeof block);
	put("file", KIB);
	put("large", MIB);
	if (mkdir("many", 0755) == 0) {
		char name[32];
		for (int index = 0; index < ENTRIES; index++) {
			snprintf(name, sizeof name, "many/%d", index);
			put(name, 0);
		}
	}
	for (size_t index = 0; index < sizeof kinds / sizeof *kinds; index++) {
		int wanted = argc == 3;
		for (int word = 3; word < argc; word++)
			wanted |= strcmp(argv[word], kinds[index].name) == 0;
		if (wanted)
			measure(kinds[index].name, kinds[index].run, atoll(argv[2]));
	}
	return 0;
}
