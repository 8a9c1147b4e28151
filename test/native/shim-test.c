/*
 * The shim under AddressSanitizer and UndefinedBehaviorSanitizer: includes it and calls each of
 * its functions, with what they are given every day and with what they must refuse. Prints one
 * line per failed check; ends with the number of them. Run by shim.test.ts.
 */
#include "../../native/shim.c"

#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>

static int failures;

#define CHECK(condition)                                                                    \
	do {                                                                                \
		if (!(condition)) {                                                         \
			printf("line %d: %s (errno %d)\n", __LINE__, #condition, errno);    \
			failures++;                                                         \
		}                                                                           \
	} while (0)

static char name[64], directory_name[64];

static void test_sockets(void)
{
	int32_t peer[3] = { -1, -1, -1 };
	char bytes[64];
	int64_t listener = shim_listen(name, 8), client, accepted;

	CHECK(listener >= 0);
	CHECK(shim_listen(name, 8) == -EADDRINUSE);
	CHECK(shim_backlog((int32_t)listener, 16) == 0);
	CHECK(shim_backlog(-1, 16) == -EBADF);
	client = shim_connect(name);
	CHECK(client >= 0);
	CHECK(shim_connect("nobody-listens-on-this") == -ECONNREFUSED);
	accepted = accept((int)listener, NULL, NULL);
	CHECK(accepted >= 0);
	CHECK(shim_peer((int32_t)accepted, peer) == 0);
	CHECK(peer[0] == getpid() && peer[1] == (int32_t)getuid() && peer[2] == (int32_t)getgid());
	CHECK(shim_peer(-1, peer) == -EBADF);
	CHECK(shim_receive((int32_t)accepted, bytes, sizeof(bytes)) == -EAGAIN);
	CHECK(shim_send((int32_t)client, "hello", 5) == 5);
	CHECK(shim_receive((int32_t)accepted, bytes, sizeof(bytes)) == 5);
	CHECK(shim_close((int32_t)client) == 0);
	CHECK(shim_receive((int32_t)accepted, bytes, sizeof(bytes)) == 0);
	CHECK(shim_send((int32_t)accepted, "x", 1) == -EPIPE);
	shim_close((int32_t)accepted);
	shim_close((int32_t)listener);
	CHECK(shim_close(-1) == -EBADF);
}

/* The longest name there is, and one without a place for its NUL. */
static void test_names(void)
{
	char longest[300];
	int64_t fd;

	memset(longest, 'n', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	fd = shim_listen(longest, 1);
	CHECK(fd >= 0 || fd == -EADDRINUSE);
	shim_close((int32_t)fd);
	CHECK(shim_notify("", "READY=1") == -EINVAL);
	CHECK(shim_notify(longest, "READY=1") == -EINVAL);
	CHECK(shim_notify("/nowhere/at/all", "READY=1") < 0);
	CHECK(shim_notify("@nobody-there", "READY=1") == -ECONNREFUSED);
}

static void test_accept_gate(void)
{
	int32_t pair[2] = { -1, -1 };
	int64_t listener = shim_listen(name, 8), client = shim_connect(name);

	CHECK(shim_accept_hold((int32_t)listener, pair) == 0);
	CHECK(shim_accept_hold(-1, pair) == -EBADF);
	CHECK(shim_replace(pair[1], (int32_t)listener) == 0);
	CHECK(accept((int)listener, NULL, NULL) < 0 && errno == EINVAL);
	CHECK(shim_replace(pair[0], (int32_t)listener) == 0);
	int accepted = accept((int)listener, NULL, NULL);
	CHECK(accepted >= 0);
	CHECK(shim_replace(-1, (int32_t)listener) == -EBADF);
	close(accepted);
	close(pair[0]);
	close(pair[1]);
	shim_close((int32_t)client);
	shim_close((int32_t)listener);
}

static void test_files(void)
{
	int64_t shm = shim_dir_open(-1, "/dev/shm"), directory, file, again;
	int32_t uid = (int32_t)getuid(), gid = (int32_t)getgid();

	CHECK(shm >= 0);
	CHECK(shim_dir_open(-1, "/dev/null") == -ENOTDIR);
	directory = shim_dir_make((int32_t)shm, directory_name);
	CHECK(directory >= 0);
	CHECK(shim_dir_make((int32_t)shm, directory_name) == -EEXIST);
	file = shim_file_make((int32_t)directory, "file", 10000);
	CHECK(file >= 0);
	CHECK(shim_file_make((int32_t)directory, "file", 1) == -EEXIST);
	CHECK(shim_file_make((int32_t)directory, "huge", INT64_MAX) < 0);
	CHECK(shim_file_open((int32_t)directory, "huge") == -ENOENT);
	CHECK(shim_file_size((int32_t)file) == 10000);
	CHECK(shim_file_size(-1) == -EBADF);
	CHECK(shim_inode((int32_t)file) > 0 && shim_inode(-1) == -EBADF);
	CHECK(symlinkat("file", (int)directory, "link") == 0);
	CHECK(shim_file_open((int32_t)directory, "link") == -ELOOP);
	CHECK(shim_file_open(-1, "/dev/null") == -EINVAL);
	again = shim_file_open((int32_t)directory, "file");
	CHECK(again >= 0);
	CHECK(shim_give((int32_t)file, uid, gid, 0600) == 0);
	CHECK(shim_rename((int32_t)directory, "file", "other") == 0);
	CHECK(shim_rename((int32_t)directory, "file", "other") == -ENOENT);
	CHECK(shim_unlink((int32_t)directory, "other") == 0);
	CHECK(shim_give((int32_t)file, uid, gid, 0600) == -ENOENT);
	CHECK(shim_rmdir((int32_t)shm, directory_name) == -ENOTEMPTY);
	CHECK(shim_unlink((int32_t)directory, "link") == 0);
	CHECK(shim_rmdir((int32_t)shm, directory_name) == 0);
	CHECK(shim_raise_descriptors() > 0);
	shim_close((int32_t)again);
	shim_close((int32_t)file);
	shim_close((int32_t)directory);
	shim_close((int32_t)shm);
}

/* A file cut under its mapping: zeroes instead of a signal, and a count that says so. */
static void test_guard(void)
{
	int64_t page = shim_page_size(), at = shim_reserve(2 * page);
	_Atomic int32_t *hits = (_Atomic int32_t *)(intptr_t)shim_guard_install();
	int fd = memfd_create("cut", MFD_CLOEXEC);
	volatile char *memory = (volatile char *)(intptr_t)at;

	CHECK(ftruncate(fd, 2 * page) == 0);
	CHECK(shim_place(at, fd, page) == 0 && shim_place(at + page, fd, page) == 0);
	CHECK(shim_place(at, -1, page) == -EBADF);
	int64_t slot = shim_guard_add(at, 2 * page);
	CHECK(slot >= 0);
	memory[0] = 1;
	CHECK(memory[page] == 1 && hits[0] == 0);
	CHECK(ftruncate(fd, 0) == 0);
	CHECK(memory[5] == 0 && hits[0] == 1 && hits[1 + slot] == 1);
	memory[page + 3] = 7;
	CHECK(memory[page + 3] == 7 && hits[0] == 1);
	CHECK(shim_guard_install() == (int64_t)(intptr_t)hits);
	CHECK(shim_guard_remove((int32_t)slot) == 0);
	CHECK(shim_guard_remove(-1) == -EINVAL && shim_guard_remove(GUARD_SLOTS) == -EINVAL);
	CHECK(shim_guard_add(at, page) == slot && hits[1 + slot] == 0);
	shim_guard_remove((int32_t)slot);
	CHECK(shim_release(at, 2 * page) == 0);
	CHECK(shim_release(1, 1) == -EINVAL);
	close(fd);
}

/* A signal that is not about guarded memory ends the process, as without the guard. */
static void test_guard_chain(void)
{
	for (int sent = 0; sent < 2; sent++) {
		pid_t child = fork();
		int status;

		if (child == 0) {
			signal(SIGBUS, SIG_DFL);
			shim_guard_install();
			if (sent) {
				raise(SIGBUS);
			} else {
				int fd = memfd_create("cut", MFD_CLOEXEC);
				volatile char *memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

				(void)memory[0];
			}
			_exit(0);
		}
		CHECK(waitpid(child, &status, 0) == child);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	}
}

static void *scribbler(void *semaphore)
{
	_Atomic uint64_t *data = semaphore;

	for (int i = 0; i < 200000; i++)
		atomic_store(data, (uint64_t)i * 0x9e3779b97f4a7c15u);
	atomic_store(data, 0);
	return NULL;
}

static void test_semaphores(void)
{
	int64_t at = shim_allocate(4096), empty = at + 64;
	_Atomic uint64_t *data = (_Atomic uint64_t *)(intptr_t)at;
	int64_t table[2] = { empty, at };
	pthread_t thread;

	CHECK(shim_wait(at, 0, 1000) == 0 && atomic_load(data) == 0);
	CHECK(shim_wait(at, 1000, 500) == 0);
	atomic_store(data, 2);
	CHECK(shim_wait(at, 0, 1000) == 1 && atomic_load(data) == 1);
	CHECK(shim_poll(table, 2, 0, -1, 1000) == 1);
	CHECK(shim_poll(table, 2, 0, 1, 1000) == -ETIMEDOUT);
	CHECK(shim_poll(table, 1, 0, -1, 1000) == -ETIMEDOUT);
	CHECK(shim_drain(-1) == 0);
	CHECK(shim_wake(at) == 0);
	CHECK(shim_wake(8) == -EFAULT);
	pthread_create(&thread, NULL, scribbler, data);
	for (int i = 0; i < 2000; i++) {
		shim_wait(at, 0, 10);
		shim_poll(table, 2, i % 2, -1, 100);
		shim_wake(at);
	}
	pthread_join(thread, NULL);
	shim_release(at, 4096);
}

int main(void)
{
	snprintf(name, sizeof(name), "shim-test-%d", getpid());
	snprintf(directory_name, sizeof(directory_name), "qb-%d-0-0-shimtest", getpid());
	test_sockets();
	test_names();
	test_accept_gate();
	test_files();
	test_guard();
	test_guard_chain();
	test_semaphores();
	printf("%d failed\n", failures);
	return failures;
}
