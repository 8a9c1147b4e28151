/*
 * The shim under AddressSanitizer and UndefinedBehaviorSanitizer: includes it and calls each
 * function with usual arguments and with arguments that it must refuse. Prints one line per failed
 * check, and their number. Run by shim.test.ts.
 */
#include "../../native/shim.c"

#include <netinet/in.h>
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

static char name[64], directory_name[64], directory_path[80];

/* The sender's credentials come until they are turned off. */
static void test_senders(int32_t accepted, int32_t client)
{
	char bytes[64];
	int32_t from[3] = { 0, -1, -1 };

	CHECK(shim_receive_from(accepted, bytes, sizeof(bytes), from) == -EAGAIN && from[0] == -1);
	CHECK(shim_send(client, "one", 3) == 3);
	CHECK(shim_receive_from(accepted, bytes, sizeof(bytes), from) == 3);
	CHECK(from[0] == getpid() && from[1] == (int32_t)getuid() && from[2] == (int32_t)getgid());
	CHECK(shim_stop_credentials(accepted) == 0);
	CHECK(shim_stop_credentials(-1) == -EBADF);
	CHECK(shim_send(client, "two", 3) == 3);
	CHECK(shim_receive_from(accepted, bytes, sizeof(bytes), from) == 3 && from[0] == -1);
	CHECK(shim_receive_from(-1, bytes, sizeof(bytes), from) == -EBADF);
}

/* MSG_OOB, or 0: for pass(). */
static int urgent;

/* Sends a byte with `passed`; 0, or an errno. */
static int pass(int socket, int passed)
{
	char byte = 'x', space[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec part = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = space,
				  .msg_controllen = sizeof(space) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &passed, sizeof(int));
	return sendmsg(socket, &message, MSG_NOSIGNAL | urgent) < 0 ? errno : 0;
}

/*
 * Passes a TCP socket, which was its last owner's, whose last close waits 10 s: the peer `reader`
 * (the result) does not read.
 */
static int pass_lingering(int socket_fd)
{
	static char unread[1 << 20];
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr *any = (struct sockaddr *)&address;
	struct linger linger = { 1, 10 };
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
	int reader;

	CHECK(bind(listener, any, size) == 0 && listen(listener, 1) == 0);
	CHECK(getsockname(listener, any, &size) == 0 && connect(fd, any, size) == 0);
	reader = accept(listener, NULL, NULL);
	close(listener);
	while (send(fd, unread, sizeof(unread), MSG_DONTWAIT) > 0)
		continue;
	CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
	CHECK(pass(socket_fd, fd) == 0);
	close(fd);
	return reader;
}

static int threads(void)
{
	struct stat status;

	CHECK(stat("/proc/self/task", &status) == 0);
	return (int)status.st_nlink - 2;
}

/* Passed descriptors are not received; no function and no thread waits for their close. */
static void test_passed(int32_t credentials)
{
	int64_t start = now_ns();
	int32_t pair[2], from[3];
	char bytes[64];
	int before = threads(), reader;

	rights_refused = 0;
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
	CHECK(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &credentials, sizeof(int)) == 0);
	CHECK(shim_send(pair[1], "one", 3) == 3);
	if (credentials) {
		CHECK(shim_receive_from(pair[0], bytes, sizeof(bytes), from) == 3);
		reader = pass_lingering(pair[1]);
		CHECK(shim_receive_from(pair[0], bytes, sizeof(bytes), from) == -EBADMSG);
	} else {
		CHECK(shim_receive(pair[0], bytes, 2) == 2 && drain(pair[0]) == 1);
		CHECK(drain(pair[0]) == -1);
		reader = pass_lingering(pair[1]);
		CHECK(shim_receive(pair[0], bytes, sizeof(bytes)) == -EBADMSG);
		CHECK(drain(pair[0]) == 0);
	}
	CHECK(shim_close_socket(pair[0]) == 0);
	struct pollfd closed = { .fd = pair[1] };
	CHECK(poll(&closed, 1, 5000) == 1 && (closed.revents & POLLHUP));
	while (threads() > before && now_ns() - start < 5000000000ll)
		sched_yield();
	CHECK(now_ns() - start < 5000000000ll);
	close(pair[1]);
	close(reader);
}

/* Urgent data (MSG_OOB): a read of the bytes after it drops it, and its descriptors. */
static void test_urgent(int before, int after)
{
	int64_t start = now_ns();
	int32_t pair[2];

	/* Where the kernel refuses descriptors it is dropped, and the socket does not stay readable. */
	rights_refused = 1;
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
	CHECK(send(pair[1], "u", 1, MSG_OOB) == 1);
	for (int reads = 0; reads < 3 && shim_readable(pair[0]); reads++)
		CHECK(drain(pair[0]) <= 0);
	CHECK(shim_readable(pair[0]) == 0);
	CHECK(shim_close(pair[0]) == 0 && shim_close(pair[1]) == 0);
	/* Elsewhere it ends the connection. */
	rights_refused = 0;
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
	CHECK(before == 0 || shim_send(pair[1], "b", 1) == 1);
	urgent = MSG_OOB;
	int reader = pass_lingering(pair[1]);
	urgent = 0;
	CHECK(after == 0 || shim_send(pair[1], "a", 1) == 1);
	CHECK(before == 0 || drain(pair[0]) == 1);
	CHECK(drain(pair[0]) == 0);
	CHECK(shim_close_socket(pair[0]) == 0);
	CHECK(now_ns() - start < 5000000000ll);
	CHECK(shim_close(pair[1]) == 0);
	close(reader);
}

/* Sockets of a service refuse descriptors where the kernel can (SO_PASSRIGHTS). */
static void test_refused(int32_t accepted, int32_t client)
{
	char bytes[64];
	int32_t from[3];
	int error = pass(client, 0);

	CHECK(error == (rights_refused ? EPERM : 0) && pass(accepted, 0) == error);
	if (error != 0) {
		urgent = MSG_OOB;
		CHECK(pass(client, 0) == error && pass(accepted, 0) == error);
		urgent = 0;
		return;
	}
	CHECK(shim_receive_from(accepted, bytes, sizeof(bytes), from) == -EBADMSG);
	CHECK(shim_receive(client, bytes, sizeof(bytes)) == -EBADMSG);
}

/* The name of a closed listening socket is free at once, whatever its clients have sent. */
static void test_withdrawn(void)
{
	int64_t listener = shim_listen(name, 8), client = shim_connect(name);

	rights_refused = 0;
	CHECK(listener >= 0 && client >= 0 && shim_send((int32_t)client, "x", 1) == 1);
	CHECK(shim_close_socket((int32_t)listener) == 0);
	listener = shim_listen(name, 8);
	CHECK(listener >= 0);
	CHECK(shim_close_socket((int32_t)listener) == 0);
	CHECK(shim_close((int32_t)client) == 0);
}

static void test_sockets(void)
{
	int32_t peer[3] = { -1, -1, -1 };
	char bytes[64];
	int64_t listener = shim_listen(name, 8), client, accepted;

	CHECK(listener >= 0);
	CHECK(shim_listen(name, 8) == -EADDRINUSE);
	client = shim_connect(name);
	CHECK(client >= 0);
	CHECK(shim_connect("nobody-listens-on-this") == -ECONNREFUSED);
	accepted = shim_accept((int32_t)listener);
	CHECK(accepted >= 0);
	CHECK(shim_accept((int32_t)listener) == -EAGAIN);
	CHECK(shim_accept(-1) == -EBADF);
	CHECK(shim_peer((int32_t)accepted, peer) == 0);
	CHECK(peer[0] == getpid() && peer[1] == (int32_t)getuid() && peer[2] == (int32_t)getgid());
	CHECK(shim_peer(-1, peer) == -EBADF);
	CHECK(shim_receive((int32_t)accepted, bytes, sizeof(bytes)) == -EAGAIN);
	CHECK(shim_send((int32_t)client, "hello", 5) == 5);
	CHECK(shim_receive((int32_t)accepted, bytes, sizeof(bytes)) == 5);
	test_senders((int32_t)accepted, (int32_t)client);
	test_refused((int32_t)accepted, (int32_t)client);
	CHECK(shim_close((int32_t)client) == 0);
	CHECK(shim_receive((int32_t)accepted, bytes, sizeof(bytes)) == 0);
	CHECK(shim_send((int32_t)accepted, "x", 1) == -EPIPE);
	shim_close((int32_t)accepted);
	shim_close((int32_t)listener);
	CHECK(shim_close(-1) == -EBADF);
}

/*
 * A socket path: a dead server's is replaced, and a listening server keeps its own, also while its
 * backlog is full (connect(2) then fails with EAGAIN).
 */
static void test_socket_path(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const struct sockaddr *any = (const struct sockaddr *)&address;
	int type = SOCK_STREAM | SOCK_NONBLOCK, waiting[8], count = 0, error = 0;
	int64_t first, second;

	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/%s", name);
	first = listen_at(&address, 1, 0);
	CHECK(first >= 0);
	close((int)first);
	first = listen_at(&address, 1, 0);
	CHECK(first >= 0);
	CHECK(listen_at(&address, 1, 0) == -EADDRINUSE);
	while (error == 0 && count < 8) {
		waiting[count] = socket(AF_UNIX, type, 0);
		if (connect(waiting[count++], any, sizeof(address)) < 0)
			error = errno;
	}
	CHECK(error == EAGAIN);
	second = listen_at(&address, 1, 0);
	CHECK(second == -EADDRINUSE);
	if (second >= 0)
		close((int)second);
	while (count > 0)
		close(waiting[--count]);
	close((int)first);
	CHECK(unlink(address.sun_path) == 0);
}

/* The longest name, and one that leaves no room for a NUL. */
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

static void test_epoll(void)
{
	struct turn_event events[TURN_EVENTS];
	int64_t at = (int64_t)(intptr_t)events;
	int32_t pair[2], set = (int32_t)shim_epoll(), outer = (int32_t)shim_epoll(), carrier;
	char bytes[300] = { 0 };

	CHECK(set >= 0 && outer >= 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
	CHECK(shim_epoll_watch(set, EPOLL_CTL_ADD, pair[0], 7, CAN_READ, 0) == 0);
	CHECK(shim_epoll_watch(set, EPOLL_CTL_ADD, pair[0], 7, CAN_READ, 0) == -EEXIST);
	CHECK(shim_epoll_watch(set, EPOLL_CTL_ADD, -1, 7, CAN_READ, 0) == -EBADF);
	CHECK(shim_epoll_turn(set, at) == 0);
	CHECK(shim_epoll_turn(-1, at) == -EBADF);
	CHECK(write(pair[1], bytes, sizeof(bytes)) == sizeof(bytes));
	CHECK(shim_epoll_turn(set, at) == 1 && events[0].token == 7 && events[0].readiness == CAN_READ);
	CHECK(shim_epoll_watch(set, EPOLL_CTL_MOD, pair[0], INT32_MAX, CAN_READ | CAN_WRITE, 1) == 0);
	CHECK(shim_epoll_turn(set, at) == 1 && events[0].token == INT32_MAX);
	CHECK(events[0].readiness == (CAN_READ | CAN_WRITE));
	CHECK(shim_epoll_watch(set, EPOLL_CTL_MOD, pair[0], 7, CAN_READ, 1) == 0);
	CHECK(shim_readable(set) == 1);
	CHECK(shim_epoll_turn(set, at) == 1);
	CHECK(shim_readable(set) == 0 && shim_readable(-1) == 0);
	CHECK(shim_replace(-1, pair[0]) == -EBADF);
	CHECK(shim_execute("/nonexistent", "a\0\0b", 3, "c=d", 1) == -ENOENT);
	/* The owner closes the carrier; the epoll set stays. */
	carrier = dup(pair[1]);
	CHECK(shim_graft(outer, carrier, set, 42, 0) == -ENOENT);
	CHECK(shim_epoll_watch(outer, EPOLL_CTL_ADD, carrier, 42, CAN_READ, 0) == 0);
	CHECK(shim_graft(outer, carrier, set, 42, 0) == 0);
	CHECK(shim_epoll_turn(outer, at) == 0);
	close(pair[1]);
	CHECK(shim_epoll_turn(outer, at) == 1 && events[0].token == 42);
	CHECK(shim_epoll_turn(set, at) == 1 && events[0].readiness == ENDED);
	CHECK(shim_epoll_watch(set, EPOLL_CTL_DEL, pair[0], 0, 0, 0) == 0);
	CHECK(shim_epoll_turn(set, at) == 0);
	close(carrier);
	close(pair[0]);
	close(set);
	close(outer);
}

/* Without a free descriptor no directory is made, and none is left. */
static void test_no_descriptor(int32_t parent)
{
	struct rlimit before, none;
	int64_t start = now_ns();
	int lowest;

	/* The last passed descriptors are closed by threads, which would free a number here. */
	while (threads() > 1 && now_ns() - start < 5000000000ll)
		sched_yield();
	lowest = dup(0);
	CHECK(lowest >= 0 && close(lowest) == 0 && getrlimit(RLIMIT_NOFILE, &before) == 0);
	none = (struct rlimit){ .rlim_cur = (rlim_t)lowest, .rlim_max = before.rlim_max };
	CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
	CHECK(shim_dir_make(parent, directory_name) == -EMFILE);
	CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
	CHECK(faccessat(parent, directory_name, F_OK, 0) < 0 && errno == ENOENT);
}

static void test_files(void)
{
	int64_t shm = shim_dir_open(-1, "/dev/shm"), directory, file, again;
	int32_t uid = (int32_t)getuid(), gid = (int32_t)getgid(), look[3];

	CHECK(shm >= 0);
	CHECK(shim_dir_open(-1, "/dev/null") == -ENOTDIR);
	test_no_descriptor((int32_t)shm);
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
	CHECK(shim_give_group((int32_t)file, gid, 0660) == 0 && shim_give_group(-1, gid, 0) == -EBADF);
	CHECK(shim_share((int32_t)file, 4711, 6) == 0 && shim_share(-1, 0, 6) == -EBADF);
	CHECK(shim_lock((int32_t)again) == 0 && shim_lock((int32_t)again) == 0);
	CHECK(shim_lock((int32_t)file) == -EAGAIN && shim_lock(-1) == -EBADF);
	CHECK(shim_look_at((int32_t)shm, directory_name, look) == 0);
	CHECK(look[0] == uid && look[1] == 1 && look[2] >= 0 && look[2] < 3600);
	CHECK(shim_look_at((int32_t)directory, "link", look) == 0 && look[1] == 0);
	CHECK(shim_look_at((int32_t)directory, "none", look) == -ENOENT);
	CHECK(shim_rmdir((int32_t)shm, directory_name) == -ENOTEMPTY);
	CHECK(shim_unlink((int32_t)directory, "link") == 0);
	CHECK(shim_rmdir((int32_t)shm, directory_name) == 0);
	CHECK(shim_raise_descriptors() > 0);
	shim_close((int32_t)again);
	shim_close((int32_t)file);
	shim_close((int32_t)directory);
	shim_close((int32_t)shm);
}

/* The way of opening a directory for kernels without openat2(2) refuses what openat2 refuses. */
static void test_stepwise(void)
{
	int dev = (int)shim_dir_open(-1, "/dev"), fd;

	CHECK(shim_dir_open_below(dev, "/dev/shm") == -EXDEV);
	CHECK(shim_dir_open_below(dev, "../dev/shm") == -EXDEV);
	CHECK(shim_dir_open_below(dev, "") == -ENOENT);
	CHECK(shim_dir_open_below(dev, "fd") == -ENOTDIR);
	CHECK(dir_open_stepwise(dev, "/dev/shm", 1) == -EXDEV);
	CHECK(dir_open_stepwise(dev, "../dev/shm", 1) == -EXDEV);
	CHECK(dir_open_stepwise(dev, "", 1) == -ENOENT);
	CHECK(dir_open_stepwise(dev, "fd", 1) == -ENOTDIR);
	CHECK(dir_open_stepwise(dev, "none", 1) == -ENOENT);
	fd = (int)dir_open_stepwise(dev, "shm//", 1);
	CHECK(fd >= 0 && shim_inode(fd) == shim_inode((int)shim_dir_open(-1, "/dev/shm")));
	close(fd);
	fd = (int)dir_open_stepwise(AT_FDCWD, "/dev/shm", 0);
	CHECK(fd >= 0);
	close(fd);
	close(dev);
}

static void test_inotify(void)
{
	char events[4096];
	struct inotify_event *event = (struct inotify_event *)events;
	int fd = (int)shim_inotify_open(), watch, made;

	CHECK(fd >= 0);
	CHECK(shim_inotify_read(fd, events, sizeof(events)) == -EAGAIN);
	CHECK(shim_inotify_watch(fd, "/nowhere", IN_CREATE) == -ENOENT);
	CHECK(shim_inotify_watch(-1, "/dev/shm", IN_CREATE) == -EBADF);
	CHECK(shim_inotify_watch(fd, "/dev/null", IN_CREATE | IN_ONLYDIR) == -ENOTDIR);
	CHECK(mkdir(directory_path, 0700) == 0);
	watch = (int)shim_inotify_watch(fd, directory_path, IN_CREATE);
	made = (int)shim_dir_open(-1, directory_path);
	CHECK(watch > 0 && mkdirat(made, "new", 0700) == 0);
	CHECK(shim_inotify_read(fd, events, sizeof(events)) > (int64_t)sizeof(*event));
	CHECK(event->wd == watch && strcmp(event->name, "new") == 0);
	CHECK(shim_inotify_unwatch(fd, watch) == 0 && shim_inotify_unwatch(fd, watch) == -EINVAL);
	CHECK(shim_rmdir(made, "new") == 0 && rmdir(directory_path) == 0);
	close(made);
	close(fd);
}

/*
 * A mapped file is truncated: reads give zeros instead of SIGBUS, and the counter is incremented.
 */
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

/* A SIGBUS outside guarded memory ends the process, as without the guard. */
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
	_Atomic uint64_t *unread = data + 16;
	_Atomic uint32_t *indices = (_Atomic uint32_t *)(data + 24);
	int64_t reply_semaphore = (int64_t)(intptr_t)unread, reply_indices = (int64_t)(intptr_t)indices;
	int32_t pair[2];
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
	struct polled_ring rings[2] = { { empty, reply_indices, reply_semaphore, .fd = pair[0] },
					{ at, reply_indices, reply_semaphore, .fd = pair[0] } };
	int64_t table = (int64_t)(intptr_t)rings;
	pthread_t thread;

	CHECK(shim_wait(at, 0, 1000) == 0 && atomic_load(data) == 0);
	CHECK(shim_wait(at, 1000, 500) == 0);
	atomic_store(data, 2);
	CHECK(shim_wait(at, 0, 1000) == 1 && atomic_load(data) == 1);
	CHECK(shim_poll(table, 2, 0, -1, 1000) == 1);
	CHECK(shim_poll(table, 2, 0, 1, 1000) == -ETIMEDOUT);
	CHECK(shim_poll(table, 1, 0, -1, 1000) == -ETIMEDOUT);
	CHECK(shim_poll(table, 1, 0, -1, 0) == -ETIMEDOUT);
	/* When a client was seen reading is known of a watched ring only, and of one request. */
	CHECK(rings[1].since_reading == INT32_MAX);
	indices[0] = 1;
	CHECK(shim_poll(table, 2, 0, 1, 1000) == -ETIMEDOUT && rings[1].reading_ns == 0);
	rings[1].watched = IS_LARGE;
	CHECK(shim_poll(table, 2, 0, 1, 1000) == -ETIMEDOUT && rings[1].reading_ns > 0);
	CHECK(shim_poll(table, 2, 0, -1, 1000) == 1);
	CHECK(rings[1].since_reading > 0 && rings[1].since_reading < INT32_MAX);
	CHECK(rings[1].reading_ns == 0 && shim_poll(table, 2, 0, -1, 1000) == 1);
	CHECK(rings[1].since_reading == INT32_MAX);
	/* It has not begun to read, unless it was asleep; then it has read. */
	atomic_store(unread, 1);
	CHECK(shim_poll(table, 2, 0, 1, 1000) == -ETIMEDOUT && rings[1].reading_ns == 0);
	rings[1].watched = WAS_ASLEEP;
	CHECK(shim_poll(table, 2, 0, 1, 1000) == -ETIMEDOUT && rings[1].reading_ns > 0);
	rings[1].reading_ns = 0;
	indices[1] = 1;
	CHECK(shim_poll(table, 2, 0, 1, 1000) == -ETIMEDOUT && rings[1].reading_ns == 0);
	/* Notify bytes are read when there are DRAIN_AT of them, or by shim_drain_all. */
	CHECK(write(pair[1], "bytes", 5) == 5);
	rings[0].undrained = DRAIN_AT - 1;
	CHECK(shim_poll(table, 1, 0, -1, 1000) == -ETIMEDOUT && rings[0].undrained == DRAIN_AT - 1);
	rings[0].undrained = DRAIN_AT;
	CHECK(shim_poll(table, 1, 0, -1, 1000) == -ETIMEDOUT && rings[0].undrained == 0);
	CHECK(drain(pair[0]) == -1);
	CHECK(write(pair[1], "bytes", 5) == 5);
	rings[1].undrained = 1;
	CHECK(shim_drain_all(table, 2) == 0 && rings[1].undrained == 0 && drain(pair[0]) == -1);
	close(pair[0]);
	close(pair[1]);
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

/* A watchdog that cannot be started is reported, at whichever of its two clones (RLIMIT_NPROC). */
static void test_watchdog_limit(void)
{
	for (rlim_t processes = 1; processes <= 2 && getuid() == 0; processes++) {
		int status = 0;
		pid_t child = fork();

		if (child == 0) {
			struct rlimit limit = { processes, processes };
			int32_t pair[2];

			/* A uid without other processes; root has no limit. */
			if (shim_socket_pair(pair) < 0 || setrlimit(RLIMIT_NPROC, &limit) < 0 ||
			    setresuid(1947114711, 1947114711, 1947114711) < 0)
				_exit(2);
			_exit(shim_watchdog(pair[0], pair[1], 1000) == -EAGAIN ? 0 : 1);
		}
		CHECK(child > 0 && waitpid(child, &status, 0) == child);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
}

int main(void)
{
	snprintf(name, sizeof(name), "shim-test-%d", getpid());
	snprintf(directory_name, sizeof(directory_name), "qb-%d-0-0-shimtest", getpid());
	snprintf(directory_path, sizeof(directory_path), "/dev/shm/%s", directory_name);
	test_sockets();
	test_withdrawn();
	test_passed(0);
	test_passed(1);
	test_urgent(0, 0);
	test_urgent(1, 0);
	test_urgent(0, 1);
	test_urgent(1, 1);
	test_socket_path();
	test_names();
	test_epoll();
	test_files();
	test_stepwise();
	test_inotify();
	test_guard();
	test_guard_chain();
	test_semaphores();
	test_watchdog_limit();
	printf("%d failed\n", failures);
	return failures;
}
