/*
 * The only C in the server: system calls that Bun does not offer.
 *
 *   sockets     abstract addresses of all 110 bytes, peer credentials (and sending those of other
 *               users, for a proxy that root runs), sd_notify datagrams; no passed descriptors
 *   files       created, given to their user and removed through descriptors; pages are reserved
 *   inotify     changes of directories and files
 *   process     execve(2) that keeps descriptors open, RLIMIT_NOFILE
 *   clock       the seconds that the kernel stamps files with
 *   memory      one reservation per connection, into which files are mapped (ring data twice)
 *   guard       a page that vanished (truncated file) ends its connection, not the process
 *   semaphores  post and wait on glibc's 64-bit sem_t; sem_wait and sem_post may abort the process
 *               when the client has overwritten the semaphore
 *   epoll       the sockets of a service, and adding them to Bun's event loop
 *   polling     a bounded poll of the active rings
 *   processors  moving off the processor that a client is waiting for; short slices
 *   fuse        mounting, reading requests, writing answers, a thread that wakes the loop, and the
 *               process that aborts the mount of a hung server
 *
 * Every function returns a value >= 0 or -errno. Memory comes from mmap, except the arguments of a
 * thread and of execve. The only state: the guard's table, as a signal handler cannot be given any,
 * and whether the kernel refuses passed descriptors.
 */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/openat2.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define API __attribute__((visibility("default")))

static_assert(sizeof(struct sockaddr_un) == 110, "libqb binds and connects with all 110 bytes");
static_assert(sizeof(sem_t) == 32, "the semaphore takes 32 bytes of the ring header");
static_assert(sizeof(void *) == 8, "64-bit only");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a semaphore shared with other processes needs it");

#define FORCE_FILESYSTEM_SOCKETS "/etc/libqb/force-filesystem-sockets"

/* ---- sockets -------------------------------------------------------------------------------- */

/* Fills the address of a service; returns 1 when it is a path in the file system, else 0. */
static int service_address(const char *name, struct sockaddr_un *address)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if (access(FORCE_FILESYSTEM_SOCKETS, F_OK) == 0) {
		static const char directory[] = "/run/";
		size_t room = sizeof(address->sun_path) - sizeof(directory);

		memcpy(address->sun_path, directory, sizeof(directory) - 1);
		memcpy(address->sun_path + sizeof(directory) - 1, name, strnlen(name, room));
		return 1;
	}
	memcpy(address->sun_path + 1, name, strnlen(name, sizeof(address->sun_path) - 1));
	return 0;
}

static int64_t close_with(int fd, int error)
{
	close(fd);
	return -error;
}

/*
 * Passed descriptors (SCM_RIGHTS), which no client of libqb sends. What the receiver does not take
 * the kernel closes, in the receiver's thread: the last close of a TCP socket with SO_LINGER waits
 * as long as the sender has set, hours if it likes, and the event loop with it. So:
 *
 *   - since Linux 6.16 the kernel refuses them at the sender (SO_PASSRIGHTS);
 *   - before, the bytes that carry them stay in the socket: its end is reported (receive_plain),
 *     and a thread that is exiting closes it, which waits for nothing (shim_close_socket).
 */
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

/* Whether the kernel refuses them; found out by the first socket. */
static _Atomic int rights_refused;

/* For a socket that is not connected yet; sockets that it accepts inherit it. */
static void refuse_rights(int fd)
{
	int off = 0;

	if (setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off)) == 0)
		atomic_store(&rights_refused, 1);
}

/*
 * recvmsg(2), never blocking. `message` has no room for descriptors; with SO_PASSCRED it has room
 * for exactly the credentials, so that MSG_CTRUNC means descriptors. -1 with EBADMSG: there are
 * some, or may be.
 */
static ssize_t receive_plain(int fd, struct msghdr *message)
{
	struct msghdr peeked = *message;
	ssize_t received;
	int urgent = 0;
	int error;

	if (!atomic_load_explicit(&rights_refused, memory_order_relaxed)) {
		received = recvmsg(fd, &peeked, MSG_DONTWAIT | MSG_PEEK);
		error = errno;
		/* No peek sees urgent data (MSG_OOB), which a read drops, descriptors included. */
		if (ioctl(fd, SIOCATMARK, &urgent) < 0)
			urgent = 0;
		if (urgent || (received > 0 && (peeked.msg_flags & MSG_CTRUNC))) {
			errno = EBADMSG;
			return -1;
		}
		errno = error;
		if (received <= 0)
			return received;
		/* Bytes that have come since then may carry descriptors. */
		message->msg_iov->iov_len = (size_t)received;
	}
	return recvmsg(fd, message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
}

static int64_t listen_at(const struct sockaddr_un *address, int is_path, int32_t backlog)
{
	const struct sockaddr *any = (const struct sockaddr *)address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		return -errno;
	refuse_rights(fd);
	if (is_path) {
		/* EAGAIN: the backlog of a listening server is full. */
		if (connect(fd, any, sizeof(*address)) == 0 || errno == EAGAIN)
			return close_with(fd, EADDRINUSE);
		if (errno == ECONNREFUSED)
			unlink(address->sun_path);
	}
	if (bind(fd, any, sizeof(*address)) < 0)
		return close_with(fd, errno);
	if (is_path && chmod(address->sun_path, 0777) < 0)
		return close_with(fd, errno);
	/* Accepted sockets inherit it, so the setup message arrives with the sender's real ids. */
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return close_with(fd, errno);
	if (listen(fd, backlog) < 0)
		return close_with(fd, errno);
	return fd;
}

/*
 * A listening setup socket for service `name`; the caller owns the descriptor. In the file system,
 * the socket of a dead server is replaced. EADDRINUSE: a server listens on the name.
 */
API int64_t shim_listen(const char *name, int32_t backlog)
{
	struct sockaddr_un address;
	int is_path = service_address(name, &address);

	return listen_at(&address, is_path, backlog);
}

/* A socket connected to service `name`; the caller owns the descriptor. EAGAIN: backlog full. */
API int64_t shim_connect(const char *name)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	service_address(name, &address);
	if (fd < 0)
		return -errno;
	/* Any user can listen on the name while its server is down. */
	refuse_rights(fd);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return close_with(fd, errno);
	return fd;
}

/* pid, uid and gid of the peer of `fd` at its connect(2), into out[0..2]. */
API int64_t shim_peer(int32_t fd, int32_t *out)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		return -errno;
	out[0] = peer.pid;
	out[1] = (int32_t)peer.uid;
	out[2] = (int32_t)peer.gid;
	return 0;
}

/* send(2), never blocking, never SIGPIPE; bytes sent. */
API int64_t shim_send(int32_t fd, const void *bytes, int64_t length)
{
	ssize_t sent = send(fd, bytes, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);

	return sent < 0 ? -errno : sent;
}

/*
 * Sets the effective ids of this thread only (glibc's calls change all threads). The real and saved
 * uid stay: kill(2) checks those of its target, so the other user gains no right to signal us.
 */
static int set_effective(uid_t uid, gid_t gid)
{
	return syscall(SYS_setresuid, -1, uid, -1) < 0 || syscall(SYS_setresgid, -1, gid, -1) < 0 ?
		       errno :
		       0;
}

/*
 * As shim_connect, with `uid` and `gid` as this thread's effective ids, which SO_PEERCRED shows to
 * the peer. The gid is set before the uid and restored after it: only root may change it.
 */
API int64_t shim_connect_as(const char *name, int32_t uid, int32_t gid)
{
	uid_t own_uid = geteuid();
	gid_t own_gid = getegid();
	int64_t result;

	if (syscall(SYS_setresgid, -1, (gid_t)gid, -1) < 0)
		return -errno;
	if (syscall(SYS_setresuid, -1, (uid_t)uid, -1) < 0)
		result = -errno;
	else
		result = shim_connect(name);
	/* Cannot fail, as the saved ids never changed. Continuing as another user would be worse. */
	if (set_effective(own_uid, own_gid) != 0)
		abort();
	return result;
}

/*
 * As shim_send, with explicit credentials, which a peer with SO_PASSCRED receives. The ids of this
 * process do not change. Ids other than its own need CAP_SETUID and CAP_SETGID.
 */
API int64_t shim_send_as(int32_t fd, const void *bytes, int64_t length, int32_t uid, int32_t gid)
{
	union {
		char space[CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control = { .space = { 0 } };
	struct ucred sender = { .pid = getpid(), .uid = (uid_t)uid, .gid = (gid_t)gid };
	/* sendmsg(2) reads only; iovec has no const. */
	struct iovec part = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = (size_t)length };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control.space,
				  .msg_controllen = sizeof(control.space) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	ssize_t sent;

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_CREDENTIALS;
	header->cmsg_len = CMSG_LEN(sizeof(sender));
	memcpy(CMSG_DATA(header), &sender, sizeof(sender));
	sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	return sent < 0 ? -errno : sent;
}

/* The next connection of a listening socket; the caller owns the descriptor. EAGAIN: none. */
API int64_t shim_accept(int32_t listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/*
 * recvmsg(2), never blocking: the bytes of one sender; 0 is the end of the stream. The sender's pid
 * and real ids go into out[0..2]; pid -1: the kernel attached none. -EBADMSG: they carry
 * descriptors.
 */
API int64_t shim_receive_from(int32_t fd, void *bytes, int64_t length, int32_t *out)
{
	union {
		char space[CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control;
	struct iovec part = { .iov_base = bytes, .iov_len = (size_t)length };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control.space,
				  .msg_controllen = sizeof(control.space) };
	struct cmsghdr *header;
	ssize_t received = receive_plain(fd, &message);

	out[0] = -1;
	if (received < 0)
		return -errno;
	for (header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header)) {
		struct ucred sender;

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_CREDENTIALS)
			continue;
		memcpy(&sender, CMSG_DATA(header), sizeof(sender));
		out[0] = sender.pid;
		out[1] = (int32_t)sender.uid;
		out[2] = (int32_t)sender.gid;
	}
	return received;
}

/* Turns SO_PASSCRED off: attaching credentials costs the sender time. */
API int64_t shim_stop_credentials(int32_t fd)
{
	int off = 0;

	return setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &off, sizeof(off)) < 0 ? -errno : 0;
}

/* recv(2), never blocking; 0 is the end of the stream. -EBADMSG: the bytes carry descriptors. */
API int64_t shim_receive(int32_t fd, void *bytes, int64_t length)
{
	struct iovec part = { .iov_base = bytes, .iov_len = (size_t)length };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t received = receive_plain(fd, &message);

	return received < 0 ? -errno : received;
}

/* PTHREAD_STACK_MIN of arm64 is 128 KiB, and a smaller stack is refused. */
#define THREAD_STACK_BYTES (256 * 1024)

/* Starts a detached thread without signals, which are for the event loop's; 0, or an errno. */
static int start_thread(void *(*run)(void *), void *argument)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all;
	sigset_t before;
	int error;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, &attributes, run, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return error;
}

/* A close by an exiting thread, and its steps. */
struct last_close {
	int fd;
	sem_t copied;
	sem_t closed;
};

/* Threads that may have a copy of descriptors other than the one that they close. */
static _Atomic int copying;

/*
 * Takes a copy of descriptor `fd`, in a table of its own, and exits when the original is closed: so
 * the last close is done by an exiting thread, for which the kernel ignores SO_LINGER.
 */
static void *exit_with_copy(void *argument)
{
	struct last_close *last = argument;

	/* Not permitted in some containers: then the thread that closes waits. */
	if (unshare(CLONE_FILES) == 0) {
		if (last->fd > 0)
			syscall(SYS_close_range, 0u, (unsigned)last->fd - 1, 0u);
		syscall(SYS_close_range, (unsigned)last->fd + 1, ~0u, 0u);
	}
	sem_post(&last->copied);
	while (sem_wait(&last->closed) < 0 && errno == EINTR)
		continue;
	return NULL;
}

/* Closes descriptor `argument`. */
static void *close_elsewhere(void *argument)
{
	struct last_close last = { .fd = (int)(intptr_t)argument };
	pthread_t thread;
	int error;

	sem_init(&last.copied, 0, 0);
	sem_init(&last.closed, 0, 0);
	error = pthread_create(&thread, NULL, exit_with_copy, &last);
	while (error == 0 && sem_wait(&last.copied) < 0 && errno == EINTR)
		continue;
	atomic_fetch_sub(&copying, 1);
	close(last.fd);
	sem_post(&last.closed);
	if (error == 0)
		pthread_join(thread, NULL);
	return NULL;
}

API int64_t shim_close_socket(int32_t fd);

/* Most waits of 1 ms for threads that may have a copy of a listening socket. */
#define COPY_WAITS 100

/* Closes the sockets that wait in a listening one, so that its name is free when it is closed. */
static void close_backlog(int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		shim_close_socket(fd);
	for (int wait = 0; wait < COPY_WAITS && atomic_load(&copying) > 0; wait++)
		poll(NULL, 0, 1);
}

/* close(2) for a socket whose peer is not trusted; does not wait, whatever is unread in it. */
API int64_t shim_close_socket(int32_t fd)
{
	int unread = 0;

	if (!atomic_load(&rights_refused)) {
		/* Nothing more comes after this. */
		shutdown(fd, SHUT_RD);
		/* EINVAL: it listens. */
		if (ioctl(fd, SIOCINQ, &unread) < 0)
			close_backlog(fd);
		if (unread > 0) {
			atomic_fetch_add(&copying, 1);
			if (start_thread(close_elsewhere, (void *)(intptr_t)fd) == 0)
				return 0;
			atomic_fetch_sub(&copying, 1);
		}
	}
	return close(fd) < 0 ? -errno : 0;
}

/* Sends one datagram to systemd's notify socket (sd_notify(3)); `@` starts an abstract name. */
static int64_t send_to_notify_socket(const char *path, struct msghdr *message, int flags)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(path);
	ssize_t sent;
	int error;
	int fd;

	if (length < 2 || length >= sizeof(address.sun_path))
		return -EINVAL;
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = 0;
	message->msg_name = &address;
	message->msg_namelen = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	sent = sendmsg(fd, message, MSG_NOSIGNAL | flags);
	error = errno;
	close(fd);
	return sent < 0 ? -error : 0;
}

/* sd_notify(3); -EAGAIN while systemd's socket is full. */
API int64_t shim_notify(const char *path, const char *text)
{
	struct iovec part = { (void *)text, strlen(text) };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	return send_to_notify_socket(path, &message, MSG_DONTWAIT);
}

/*
 * sd_notify(3) with descriptor `passed`, for systemd's descriptor store. Blocks while systemd's
 * socket is full: the caller must know whether the descriptor was sent.
 */
API int64_t shim_notify_descriptor(const char *path, const char *text, int32_t passed)
{
	struct iovec part = { (void *)text, strlen(text) };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &passed, sizeof(passed));
	return send_to_notify_socket(path, &message, 0);
}

/* Two connected sockets, out[0] and out[1]. */
API int64_t shim_socket_pair(int32_t *out)
{
	int32_t type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

	return socketpair(AF_UNIX, type, 0, out) < 0 ? -errno : 0;
}

/* ---- files ---------------------------------------------------------------------------------- */

API int64_t shim_close(int32_t fd)
{
	return close(fd) < 0 ? -errno : 0;
}

/* dup3(2): makes `to` a duplicate of `from`, atomically; retries on EINTR and EBUSY. */
API int64_t shim_replace(int32_t from, int32_t to)
{
	int result;

	do {
		result = dup3(from, to, O_CLOEXEC);
	} while (result < 0 && (errno == EINTR || errno == EBUSY));
	return result < 0 ? -errno : 0;
}

/* Makes an inherited descriptor non-blocking and close-on-exec. */
API int64_t shim_adopt(int32_t fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
}

/* Opens an existing directory, not through a symlink. */
API int64_t shim_dir_open(int32_t parent, const char *name)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(parent < 0 ? AT_FDCWD : parent, name, flags);

	return fd < 0 ? -errno : fd;
}

/* Makes directory `name`, mode 0700, and opens it; if it cannot be opened (EMFILE) removes it. */
API int64_t shim_dir_make(int32_t parent, const char *name)
{
	int64_t fd;

	if (mkdirat(parent, name, 0700) < 0)
		return -errno;
	fd = shim_dir_open(parent, name);
	if (fd < 0)
		unlinkat(parent, name, AT_REMOVEDIR);
	return fd;
}

/* Creates file `name`, mode 0600, with `size` reserved zero bytes; on failure it is removed. */
API int64_t shim_file_make(int32_t directory, const char *name, int64_t size)
{
	int fd = openat(directory, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int error;

	if (fd < 0)
		return -errno;
	do {
		error = posix_fallocate(fd, 0, size);
	} while (error == EINTR);
	if (error != 0) {
		unlinkat(directory, name, 0);
		return close_with(fd, error);
	}
	return fd;
}

/* Opens a regular file for reading and writing, not through a symlink. */
API int64_t shim_file_open(int32_t directory, const char *path)
{
	int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	int fd = openat(directory < 0 ? AT_FDCWD : directory, path, flags);
	struct stat status;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) < 0)
		return close_with(fd, errno);
	if (!S_ISREG(status.st_mode))
		return close_with(fd, EINVAL);
	return fd;
}

API int64_t shim_file_size(int32_t fd)
{
	struct stat status;

	return fstat(fd, &status) < 0 ? -errno : status.st_size;
}

/* Sets the mode, then the owner, of a file or directory. ENOENT: it was removed meanwhile. */
API int64_t shim_give(int32_t fd, int32_t uid, int32_t gid, int32_t mode)
{
	struct stat status;

	/* In this order CAP_CHOWN suffices: fchmod on another user's file needs CAP_FOWNER. */
	if (fchmod(fd, (mode_t)mode) < 0 || fchown(fd, (uid_t)uid, (gid_t)gid) < 0)
		return -errno;
	if (fstat(fd, &status) < 0)
		return -errno;
	return status.st_nlink == 0 ? -ENOENT : 0;
}

/*
 * Adds an entry for user `uid` with `permissions` (ACL_READ, ...) to the access ACL (acl(5)) of a
 * file or directory of ours, for a server that may not chown. EOPNOTSUPP: the file system has no
 * ACLs.
 */
API int64_t shim_share(int32_t fd, int32_t uid, int32_t permissions)
{
	uint16_t granted = (uint16_t)permissions;
	uint16_t owner = granted == ACL_EXECUTE ? ACL_READ | ACL_WRITE | ACL_EXECUTE :
						  ACL_READ | ACL_WRITE;
	uint32_t no_id = (uint32_t)ACL_UNDEFINED_ID;
	struct {
		struct posix_acl_xattr_header header;
		struct posix_acl_xattr_entry entries[5];
	} list = { .header = { POSIX_ACL_XATTR_VERSION },
		   .entries = { { ACL_USER_OBJ, owner, no_id },
				{ ACL_USER, granted, (uint32_t)uid },
				{ ACL_GROUP_OBJ, 0, no_id },
				{ ACL_MASK, granted, no_id },
				{ ACL_OTHER, 0, no_id } } };

	return fsetxattr(fd, "system.posix_acl_access", &list, sizeof(list), 0) < 0 ? -errno : 0;
}

/* As shim_give, for the group only: needs no privileges if the process is a member. */
API int64_t shim_give_group(int32_t fd, int32_t gid, int32_t mode)
{
	return fchown(fd, (uid_t)-1, (gid_t)gid) < 0 || fchmod(fd, (mode_t)mode) < 0 ? -errno : 0;
}

/*
 * flock(2), exclusive, non-blocking. Held until the descriptor is closed and no mapping of the file
 * is left. -EAGAIN: another process holds it.
 */
API int64_t shim_lock(int32_t fd)
{
	return flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
}

/*
 * lstat(2) of `name` into out[0..2]: owner, 1 for a directory (else 0), seconds since its ctime.
 * Not by time(2), which may lag behind the ctime of a file that was just made.
 */
API int64_t shim_look_at(int32_t directory, const char *name, int32_t *out)
{
	struct stat status;
	struct timespec now;

	if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
	    clock_gettime(CLOCK_REALTIME, &now) < 0)
		return -errno;
	out[0] = (int32_t)status.st_uid;
	out[1] = S_ISDIR(status.st_mode);
	out[2] = (int32_t)(now.tv_sec - status.st_ctime);
	return 0;
}

/* The inode, which identifies an open file or directory after a rename. */
API int64_t shim_inode(int32_t fd)
{
	struct stat status;

	return fstat(fd, &status) < 0 ? -errno : (int64_t)status.st_ino;
}

API int64_t shim_rename(int32_t directory, const char *from, const char *to)
{
	return renameat(directory, from, directory, to) < 0 ? -errno : 0;
}

API int64_t shim_unlink(int32_t directory, const char *name)
{
	return unlinkat(directory, name, 0) < 0 ? -errno : 0;
}

API int64_t shim_rmdir(int32_t directory, const char *name)
{
	return unlinkat(directory, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

/*
 * Opens a directory by path, one component at a time, without following a symlink; refuses `..`
 * with -EXDEV, and with `beneath` an absolute path, too.
 */
static int64_t dir_open_stepwise(int directory, const char *path, int beneath)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	char name[NAME_MAX + 1];
	int fd;

	if (*path == '\0')
		return -ENOENT;
	if (*path == '/' && beneath)
		return -EXDEV;
	fd = openat(directory, *path == '/' ? "/" : ".", flags);
	if (fd < 0)
		return -errno;
	for (path += strspn(path, "/"); *path != '\0'; path += strspn(path, "/")) {
		size_t length = strcspn(path, "/");
		int next;

		if (length > NAME_MAX)
			return close_with(fd, ENAMETOOLONG);
		memcpy(name, path, length);
		name[length] = '\0';
		if (strcmp(name, "..") == 0)
			return close_with(fd, EXDEV);
		next = openat(fd, name, flags);
		if (next < 0)
			return close_with(fd, errno);
		close(fd);
		fd = next;
		path += length;
	}
	return fd;
}

/*
 * Opens a directory by path without following a symlink in any component: by openat2(2) (Linux
 * 5.6), or stepwise where that is missing (ENOSYS) or forbidden by a container's seccomp filter
 * (EPERM).
 */
static int64_t dir_open_plain(int directory, const char *path, int beneath)
{
	struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
				.resolve = RESOLVE_NO_SYMLINKS | (beneath ? RESOLVE_BENEATH : 0) };
	int64_t fd = syscall(SYS_openat2, directory, path, &how, sizeof(how));

	if (fd >= 0)
		return fd;
	if (errno == ENOSYS || errno == EPERM)
		return dir_open_stepwise(directory, path, beneath);
	return -errno;
}

/* For an absolute path. */
API int64_t shim_dir_open_exact(const char *path)
{
	return dir_open_plain(AT_FDCWD, path, 0);
}

/* For a path below an open directory. EXDEV: it leads out of it. */
API int64_t shim_dir_open_below(int32_t directory, const char *path)
{
	return dir_open_plain(directory, path, 1);
}

/* The next entries of a directory as struct linux_dirent64; bytes filled, 0 at the end. */
API int64_t shim_dir_read(int32_t fd, void *entries, int64_t length)
{
	int64_t got = syscall(SYS_getdents64, fd, entries, (size_t)length);

	return got < 0 ? -errno : got;
}

/* The next shim_dir_read starts from the first entry. */
API int64_t shim_dir_rewind(int32_t fd)
{
	return lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0;
}

/* Creates a file, mode 0600, and opens it for writing. EEXIST: there is one. */
API int64_t shim_file_new(int32_t directory, const char *name)
{
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(directory, name, flags, 0600);

	return fd < 0 ? -errno : fd;
}

API int64_t shim_set_mode(int32_t fd, int32_t mode)
{
	return fchmod(fd, (mode_t)mode) < 0 ? -errno : 0;
}

API int64_t shim_sync(int32_t fd)
{
	return fsync(fd) < 0 ? -errno : 0;
}

/* ---- inotify -------------------------------------------------------------------------------- */

/* An inotify instance; -EMFILE: this user has fs.inotify.max_user_instances of them. */
API int64_t shim_inotify_open(void)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Watches `path`; the number of the watch. -ENOSPC: fs.inotify.max_user_watches is reached. */
API int64_t shim_inotify_watch(int32_t fd, const char *path, uint32_t mask)
{
	int watch = inotify_add_watch(fd, path, mask);

	return watch < 0 ? -errno : watch;
}

API int64_t shim_inotify_unwatch(int32_t fd, int32_t watch)
{
	return inotify_rm_watch(fd, watch) < 0 ? -errno : 0;
}

/* Reads queued events (struct inotify_event); bytes read. -EAGAIN: there are none. */
API int64_t shim_inotify_read(int32_t fd, void *events, int64_t length)
{
	ssize_t got = read(fd, events, (size_t)length);

	return got < 0 ? -errno : got;
}

/* ---- process -------------------------------------------------------------------------------- */

/* A NULL-terminated array of the `count` NUL-terminated strings at `list`; NULL: no memory. */
static char **strings_of(char *list, int32_t count)
{
	char **strings = calloc((size_t)count + 1, sizeof(*strings));

	for (int32_t i = 0; strings != NULL && i < count; i++, list += strlen(list) + 1)
		strings[i] = list;
	return strings;
}

/*
 * execve(2) with `count` words and `variables` environment entries, laid out as for strings_of;
 * returns only on failure. Unlike Bun's spawn it keeps inherited descriptors open (--ready-fd).
 */
API int64_t shim_execute(const char *program, char *words, int32_t count, char *environment,
			 int32_t variables)
{
	char **argv = strings_of(words, count);
	char **envp = strings_of(environment, variables);
	int error = ENOMEM;

	if (argv != NULL && envp != NULL) {
		execve(program, argv, envp);
		error = errno;
	}
	free(argv);
	free(envp);
	return -error;
}

/* Raises RLIMIT_NOFILE to its hard limit; returns the limit now in force. */
API int64_t shim_raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	return limit.rlim_cur > INT32_MAX ? INT32_MAX : (int64_t)limit.rlim_cur;
}

/* ---- clock ---------------------------------------------------------------------------------- */

/* Seconds since 1970 of the clock of time(2) and of the kernel's time stamps on files. */
API int64_t shim_unix_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return now.tv_sec;
}

/* ---- memory --------------------------------------------------------------------------------- */

API int64_t shim_page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

/* Reserves `length` bytes of address space without memory; returns the address. */
API int64_t shim_reserve(int64_t length)
{
	void *at = mmap(NULL, (size_t)length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			-1, 0);

	return at == MAP_FAILED ? -errno : (int64_t)(intptr_t)at;
}

/*
 * Zeroed private memory, not garbage collected, so C may keep pointers to it; its address. The
 * pages are present at once: a process that is being killed gets no new ones, and the kernel fails
 * a request with EIO when it cannot copy it into the memory of the reader of /dev/fuse.
 */
API int64_t shim_allocate(int64_t length)
{
	void *at = mmap(NULL, (size_t)length, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return at == MAP_FAILED ? -errno : (int64_t)(intptr_t)at;
}

/* Maps the first `length` bytes of `fd` at address `at`, which lies in a reservation. */
API int64_t shim_place(int64_t at, int32_t fd, int64_t length)
{
	void *address = (void *)(intptr_t)at;

	if (mmap(address, (size_t)length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
	    MAP_FAILED)
		return -errno;
	return 0;
}

API int64_t shim_release(int64_t at, int64_t length)
{
	return munmap((void *)(intptr_t)at, (size_t)length) < 0 ? -errno : 0;
}

/* ---- guard ---------------------------------------------------------------------------------- */

/* src/platform/memory.ts has the same number. */
#define GUARD_SLOTS 65536

/* The address range of one reservation; end 0: the slot is free. */
struct guard_range {
	_Atomic uintptr_t start;
	_Atomic uintptr_t end;
};

static struct guard_range guard_ranges[GUARD_SLOTS];
static _Atomic int32_t guard_used;
static struct sigaction guard_previous;
/* Handled faults: [0] all, [1 + slot] those of that range. Read by src/platform/memory.ts. */
static _Atomic int32_t guard_hits[1 + GUARD_SLOTS];

static void guard_chain(int number, siginfo_t *info, void *context)
{
	if ((guard_previous.sa_flags & SA_SIGINFO) && guard_previous.sa_sigaction != NULL) {
		guard_previous.sa_sigaction(number, info, context);
	} else if (guard_previous.sa_handler == SIG_DFL || guard_previous.sa_handler == SIG_IGN) {
		/* The access faults again, now with the default action: a core dump. */
		signal(number, SIG_DFL);
		if (info->si_code <= 0)
			raise(number);
	} else {
		guard_previous.sa_handler(number);
	}
}

static void guard_handler(int number, siginfo_t *info, void *context)
{
	uintptr_t address = (uintptr_t)info->si_addr;
	int32_t used = atomic_load(&guard_used);
	int saved = errno;

	/* Sent by a process (kill -BUS): si_addr is not a fault, so no range may match. */
	if (info->si_code <= 0)
		used = 0;
	for (int32_t slot = 0; slot < used; slot++) {
		uintptr_t start = atomic_load(&guard_ranges[slot].start);
		uintptr_t end = atomic_load(&guard_ranges[slot].end);

		if (address < start || address >= end)
			continue;
		/* The whole range, because the connection ends anyway: saves further faults. */
		if (mmap((void *)start, end - start, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED)
			break;
		atomic_fetch_add(&guard_hits[1 + slot], 1);
		atomic_fetch_add(&guard_hits[0], 1);
		errno = saved;
		return;
	}
	errno = saved;
	guard_chain(number, info, context);
}

/* Installs the SIGBUS handler; returns the address of guard_hits, 1 + 65536 int32. */
API int64_t shim_guard_install(void)
{
	struct sigaction action = { .sa_sigaction = guard_handler,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	struct sigaction current;

	sigemptyset(&action.sa_mask);
	if (sigaction(SIGBUS, NULL, &current) < 0)
		return -errno;
	if (!(current.sa_flags & SA_SIGINFO) || current.sa_sigaction != guard_handler) {
		guard_previous = current;
		if (sigaction(SIGBUS, &action, NULL) < 0)
			return -errno;
	}
	return (int64_t)(intptr_t)guard_hits;
}

/* Guards [at, at + length); returns the slot. ENFILE: the table is full. */
API int64_t shim_guard_add(int64_t at, int64_t length)
{
	int32_t used = atomic_load(&guard_used);
	int32_t slot = 0;

	while (slot < used && atomic_load(&guard_ranges[slot].end) != 0)
		slot++;
	if (slot == GUARD_SLOTS)
		return -ENFILE;
	atomic_store(&guard_hits[1 + slot], 0);
	atomic_store(&guard_ranges[slot].start, (uintptr_t)at);
	atomic_store(&guard_ranges[slot].end, (uintptr_t)(at + length));
	if (slot == used)
		atomic_store(&guard_used, used + 1);
	return slot;
}

API int64_t shim_guard_remove(int32_t slot)
{
	if (slot < 0 || slot >= GUARD_SLOTS)
		return -EINVAL;
	atomic_store(&guard_ranges[slot].end, 0);
	atomic_store(&guard_ranges[slot].start, 0);
	return 0;
}

/* ---- semaphores ----------------------------------------------------------------------------- */

/* glibc's struct new_sem, 64-bit: `data` has the value in its low, the waiters in its high half. */
struct semaphore {
	_Atomic uint64_t data;
};

#define VALUE_MASK 0xffffffffull
#define ONE_WAITER (1ull << 32)
/* Most compare-and-swap attempts: after that many, the peer is writing garbage to the semaphore. */
#define TAKE_ATTEMPTS 64

static uint32_t *value_word(struct semaphore *semaphore)
{
	return (uint32_t *)&semaphore->data;
}

/* sem_trywait: 1 when the value was decremented, else 0. */
static int take(struct semaphore *semaphore)
{
	uint64_t data = atomic_load_explicit(&semaphore->data, memory_order_relaxed);

	for (int attempt = 0; attempt < TAKE_ATTEMPTS && (data & VALUE_MASK) != 0; attempt++)
		if (atomic_compare_exchange_weak(&semaphore->data, &data, data - 1))
			return 1;
	return 0;
}

/* Wakes one waiter of the semaphore at `at`; src/shm/ring.ts has incremented it before. */
API int64_t shim_wake(int64_t at)
{
	uint32_t *value = value_word((struct semaphore *)(intptr_t)at);
	long woken = syscall(SYS_futex, value, FUTEX_WAKE, 1, NULL, NULL, 0);

	return woken < 0 ? -errno : woken;
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/*
 * sem_timedwait, for clients: 1, or 0 after `timeout_us`. Spins for `spin_us` first, so that a fast
 * answer costs no sleep.
 */
API int64_t shim_wait(int64_t at, int64_t spin_us, int64_t timeout_us)
{
	struct semaphore *semaphore = (struct semaphore *)(intptr_t)at;
	int64_t start = now_ns();
	int64_t deadline = start + timeout_us * 1000;
	int64_t now = start;

	for (;;) {
		struct timespec rest;

		if (take(semaphore))
			return 1;
		now = now_ns();
		if (now >= deadline)
			return 0;
		if (now < start + spin_us * 1000) {
			relax();
			continue;
		}
		rest.tv_sec = (deadline - now) / 1000000000ll;
		rest.tv_nsec = (deadline - now) % 1000000000ll;
		atomic_fetch_add(&semaphore->data, ONE_WAITER);
		syscall(SYS_futex, value_word(semaphore), FUTEX_WAIT, 0, &rest, NULL, 0);
		atomic_fetch_sub(&semaphore->data, ONE_WAITER);
	}
}

/* ---- epoll ---------------------------------------------------------------------------------- */

/* Most events of one shim_epoll_turn. */
#define TURN_EVENTS 64
/* Notify bytes read by one recv(2). */
#define DRAIN_BYTES 256

/* The epoll user data of a watched descriptor: a token, the descriptor, and whether to drain it. */
#define DRAINED (1ull << 63)
#define WATCH(token, fd) ((uint64_t)(uint32_t)(token) | ((uint64_t)(uint32_t)(fd) << 32))

/* Bits of a readiness; the same numbers are in src/platform/epoll.ts. */
enum { CAN_READ = 1, CAN_WRITE = 2, ENDED = 4 };

/* An event as src/platform/epoll.ts reads it. */
struct turn_event {
	int32_t token;
	int32_t readiness;
};

static_assert(sizeof(struct turn_event) == 8, "epoll.ts reads two int32 per event");

/*
 * Reads and drops up to DRAIN_BYTES notify bytes: their number; 0 at the end of the stream or after
 * an error; -1: there are none.
 */
static ssize_t drain(int fd)
{
	char bytes[DRAIN_BYTES];
	struct iovec part = { .iov_base = bytes, .iov_len = sizeof(bytes) };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t received = receive_plain(fd, &message);

	if (received < 0 && errno != EAGAIN && errno != EINTR)
		return 0;
	return received;
}

API int64_t shim_epoll(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/*
 * epoll_ctl(2) for `fd`; `operation`: EPOLL_CTL_ADD (1), _DEL (2) or _MOD (3); `interest`: CAN_READ
 * and CAN_WRITE, or 0 for errors and hang-ups only; `drained`: shim_epoll_turn reads and drops its
 * notify bytes.
 */
API int64_t shim_epoll_watch(int32_t epoll, int32_t operation, int32_t fd, int32_t token,
			     int32_t interest, int32_t drained)
{
	struct epoll_event event = { 0 };

	if (interest & CAN_READ)
		event.events |= EPOLLIN | EPOLLRDHUP;
	if (interest & CAN_WRITE)
		event.events |= EPOLLOUT;
	event.data.u64 = WATCH(token, fd) | (drained ? DRAINED : 0);
	return epoll_ctl(epoll, operation, fd, &event) < 0 ? -errno : 0;
}

/* The readiness of a watched descriptor with these epoll events; drains it if that is asked for. */
static int32_t readiness_of(uint64_t watch, uint32_t events)
{
	int32_t readiness = events & EPOLLOUT ? CAN_WRITE : 0;
	ssize_t drained;

	if ((events & ~(uint32_t)EPOLLOUT) == 0)
		return readiness;
	if (!(watch & DRAINED))
		return readiness | CAN_READ;
	drained = drain((int)((watch & ~DRAINED) >> 32));
	if (drained == 0)
		return readiness | ENDED;
	return drained > 0 ? readiness | CAN_READ : readiness;
}

/* Stores up to TURN_EVENTS events at `at` and returns their number. Never waits. */
API int64_t shim_epoll_turn(int32_t epoll, int64_t at)
{
	struct epoll_event events[TURN_EVENTS];
	struct turn_event *out = (struct turn_event *)(intptr_t)at;
	int count = epoll_wait(epoll, events, TURN_EVENTS, 0);
	int stored = 0;

	if (count < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < count; i++) {
		uint64_t watch = events[i].data.u64;
		int32_t readiness = readiness_of(watch, events[i].events);

		if (readiness != 0)
			out[stored++] = (struct turn_event){ (int32_t)(uint32_t)watch, readiness };
	}
	return stored;
}

/* 1 when descriptor `fd` is readable, else 0. */
API int64_t shim_readable(int32_t fd)
{
	struct pollfd polled = { .fd = fd, .events = POLLIN };

	return poll(&polled, 1, 0) == 1;
}

/*
 * Adds `fd` to the epoll set `set` (EPOLLIN), with the user data (`low`, `high`) of another member.
 */
API int64_t shim_epoll_add(int32_t set, int32_t fd, uint32_t low, uint32_t high)
{
	struct epoll_event event = { .events = EPOLLIN };

	event.data.u64 = (uint64_t)high << 32 | low;
	return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

API int64_t shim_epoll_remove(int32_t set, int32_t fd)
{
	return epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL) < 0 ? -errno : 0;
}

/*
 * Has Bun's event loop watch `fd`. `carrier` is an unused UDP socket of Bun's: its descriptor
 * becomes a duplicate of `fd`, with its user data (`low`, `high`) in the loop's epoll set. When
 * `fd` is ready, Bun's recvmmsg(2) fails with ENOTSOCK and the socket's error handler runs. See
 * src/platform/loop-watch.ts.
 */
API int64_t shim_graft(int32_t loop, int32_t carrier, int32_t fd, uint32_t low, uint32_t high)
{
	struct epoll_event event = { .events = EPOLLIN };

	event.data.u64 = (uint64_t)high << 32 | low;
	if (epoll_ctl(loop, EPOLL_CTL_DEL, carrier, NULL) < 0)
		return -errno;
	if (dup3(fd, carrier, O_CLOEXEC) < 0)
		return -errno;
	return epoll_ctl(loop, EPOLL_CTL_ADD, carrier, &event) < 0 ? -errno : 0;
}

/* ---- polling -------------------------------------------------------------------------------- */

#define TIMED_PARTS 16
#define CALLS_PER_PART 16

/* What a system call that does nothing costs here, in ns: the least average of several parts. */
API int64_t shim_system_call_ns(void)
{
	int64_t least = INT64_MAX;

	for (int part = 0; part < TIMED_PARTS; part++) {
		int64_t start = now_ns(), spent;

		for (int call = 0; call < CALLS_PER_PART; call++)
			syscall(SYS_getppid);
		spent = (now_ns() - start) / CALLS_PER_PART;
		if (spent < least)
			least = spent;
	}
	return least;
}

/* Rounds per look at the clock: reading it costs more than a round. */
#define ROUNDS_PER_CLOCK 16

enum { NOT_WATCHED, WAS_ASLEEP, IS_LARGE };

/* One polled connection: a row of the table that src/ipc/scheduling/poll-table.ts writes. */
struct polled_ring {
	/* Addresses: the request ring's semaphore, the response ring's two indices and semaphore. */
	int64_t semaphore, reply_indices, reply_semaphore;
	/* When its client was last seen to wait for a reply or to read one; 0: never. */
	int64_t reading_ns;
	/* Its setup socket. */
	int32_t fd;
	/* Requests taken since its notify bytes were drained. */
	int32_t undrained;
	/* Whether to watch the reading: NOT_WATCHED, WAS_ASLEEP or IS_LARGE. */
	int32_t watched;
	/* Of the request that was found: ns since `reading_ns`, or INT32_MAX. */
	int32_t since_reading;
};

static_assert(sizeof(struct polled_ring) == 48 && offsetof(struct polled_ring, fd) == 32 &&
		      offsetof(struct polled_ring, since_reading) == 44,
	      "poll-table.ts writes four int64 and four int32 per row");

/*
 * Notify bytes are drained when there are this many: draining costs the client a sleep, whatever
 * their number, and a socket holds about 277 of them (wmem_default; each is charged one page).
 */
#define DRAIN_AT 200
/* Most recv(2) calls per ring in shim_drain_all. */
#define DRAIN_READS 16

/* The next ring after `after`, except `skip`, whose semaphore is not 0; -1: none. */
static int32_t next_posted(const struct polled_ring *rings, int32_t count, int32_t after,
			   int32_t skip)
{
	for (int32_t step = 1; step <= count; step++) {
		int32_t index = (after + step) % count;
		struct semaphore *semaphore = (struct semaphore *)(intptr_t)rings[index].semaphore;

		if (index == skip)
			continue;
		if (atomic_load_explicit(&semaphore->data, memory_order_acquire) & VALUE_MASK)
			return index;
	}
	return -1;
}

/*
 * Whether the client waits for a reply or reads one. Between qb_ipcc_recv's take of the semaphore
 * and its move of the read index it copies a reply. One that slept when its reply came has waited
 * since then, too, however long it took to wake up.
 */
static int is_reading(const struct polled_ring *ring)
{
	/* The write index, then the read index. */
	_Atomic uint32_t *indices = (_Atomic uint32_t *)(intptr_t)ring->reply_indices;
	struct semaphore *semaphore = (struct semaphore *)(intptr_t)ring->reply_semaphore;

	if (atomic_load_explicit(&indices[0], memory_order_relaxed) ==
	    atomic_load_explicit(&indices[1], memory_order_acquire))
		return 0;
	return ring->watched == WAS_ASLEEP ||
	       (atomic_load_explicit(&semaphore->data, memory_order_acquire) & VALUE_MASK) == 0;
}

/* Notes when clients were last seen reading, of the rings that are watched. */
static void watch_reading(struct polled_ring *rings, int32_t count)
{
	for (int32_t index = 0; index < count; index++) {
		if (rings[index].watched == NOT_WATCHED)
			continue;
		int64_t before = now_ns();

		if (is_reading(&rings[index]))
			rings[index].reading_ns = before;
	}
}

/* The next ring with a request, as next_posted, and how long ago its client was seen reading. */
static int32_t next_found(struct polled_ring *rings, int32_t count, int32_t after, int32_t skip)
{
	int32_t index = next_posted(rings, count, after, skip);

	if (index >= 0) {
		struct polled_ring *ring = &rings[index];
		int64_t since = ring->reading_ns == 0 ? INT32_MAX : now_ns() - ring->reading_ns;

		ring->since_reading = since < INT32_MAX ? (int32_t)since : INT32_MAX;
		ring->reading_ns = 0;
	}
	return index;
}

/*
 * Drains one ring with at least DRAIN_AT notify bytes. Between a reply and the next request this
 * costs the client nothing. A byte may announce a request that was not seen yet: check the rings
 * again afterwards.
 */
static void drain_one(struct polled_ring *rings, int32_t count)
{
	for (int32_t index = 0; index < count; index++) {
		if (rings[index].undrained < DRAIN_AT)
			continue;
		rings[index].undrained = 0;
		drain(rings[index].fd);
		return;
	}
}

/* Drains all rings that have notify bytes, before their sockets are watched again. */
API int64_t shim_drain_all(int64_t at, int32_t count)
{
	struct polled_ring *rings = (struct polled_ring *)(intptr_t)at;

	for (int32_t index = 0; index < count; index++) {
		if (rings[index].undrained == 0)
			continue;
		rings[index].undrained = 0;
		/* Bounded: a client that keeps writing bytes must not delay others. */
		for (int reads = 0; reads < DRAIN_READS; reads++)
			if (drain(rings[index].fd) < DRAIN_BYTES)
				break;
	}
	return 0;
}

/*
 * Polls the semaphores of `count` rings until one is not 0, at most for `budget_ns`; returns its
 * index or -ETIMEDOUT. Starts after ring `after`, so that all get their turn, and omits `skip` (-1:
 * none). With a budget of 0 each ring is checked once. Notes meanwhile which clients read replies.
 */
API int64_t shim_poll(int64_t at, int32_t count, int32_t after, int32_t skip, int64_t budget_ns)
{
	struct polled_ring *rings = (struct polled_ring *)(intptr_t)at;
	int32_t index = next_found(rings, count, after, skip);
	int64_t deadline;

	if (index >= 0)
		return index;
	if (budget_ns <= 0)
		return -ETIMEDOUT;
	drain_one(rings, count);
	deadline = now_ns() + budget_ns;
	for (int round = 1;; round++) {
		watch_reading(rings, count);
		index = next_found(rings, count, after, skip);
		if (index >= 0)
			return index;
		if (round % ROUNDS_PER_CLOCK == 0 && now_ns() >= deadline)
			return -ETIMEDOUT;
		relax();
	}
}

/* ---- processors ----------------------------------------------------------------------------- */

/* Fields of a stat file in /proc from the state, which follows the name's `)`, to the processor. */
#define FIELDS_TO_PROCESSOR 36

/*
 * The processor that the first thread of process `pid` runs on or waits for; -1: it sleeps, or is
 * gone. For /proc/PID/stat, which has the same two fields, the kernel would add up the times of all
 * threads: 0.03 us for each, and a client may have tens of thousands.
 */
static int runnable_on(int32_t pid)
{
	char path[48];
	char line[1024];
	const char *field;
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)pid, (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	size = read(fd, line, sizeof(line) - 1);
	close(fd);
	if (size <= 0)
		return -1;
	line[size] = 0;
	field = strrchr(line, ')');
	if (field == NULL || strncmp(field, ") R ", 4) != 0)
		return -1;
	field += 2;
	for (int index = 0; field != NULL && index < FIELDS_TO_PROCESSOR; index++)
		field = strchr(field + 1, ' ');
	return field == NULL ? -1 : atoi(field);
}

/*
 * Moves this thread to another processor if process `pid` is runnable on the current one: 1, or 0
 * if it is not, or if there is no other processor. The affinity mask is restored.
 */
API int64_t shim_step_aside(int32_t pid)
{
	cpu_set_t allowed;
	cpu_set_t others;
	int here = sched_getcpu();

	if (here < 0 || runnable_on(pid) != here)
		return 0;
	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return 0;
	others = allowed;
	CPU_CLR(here, &others);
	if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof(others), &others) < 0)
		return 0;
	return sched_setaffinity(0, sizeof(allowed), &allowed) < 0 ? -errno : 1;
}

/* struct sched_attr of sched(7) in its first version. */
struct scheduling {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime;
	uint64_t deadline;
	uint64_t period;
};

#define RESET_ON_FORK 1

/*
 * Asks for time slices of `ns` for this thread (0.1 to 100 ms, 0: as usual), not for threads and
 * processes that it makes from now on: EEVDF, Linux 6.12; ignored before. EBUSY: it has another
 * policy than SCHED_OTHER. The kernel would also reset a negative nice of new threads: those of
 * such a server get the same slices instead.
 */
API int64_t shim_slice(int64_t ns)
{
	struct scheduling now = { .size = sizeof(now) };

	if (syscall(SYS_sched_getattr, 0, &now, sizeof(now), 0) < 0)
		return -errno;
	if (now.policy != SCHED_OTHER)
		return -EBUSY;
	if (now.nice >= 0)
		now.flags |= RESET_ON_FORK;
	now.runtime = (uint64_t)ns;
	return syscall(SYS_sched_setattr, 0, &now, 0) < 0 ? -errno : 0;
}

/* ---- fuse ----------------------------------------------------------------------------------- */

/* Opens the FUSE device; O_CLOEXEC: a child must not keep a dead server's mount waiting. */
API int64_t shim_fuse_open(void)
{
	int fd = open("/dev/fuse", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* mount(2) of type fuse; `options` is the data string that names the descriptor. */
API int64_t shim_fuse_mount(const char *directory, const char *options)
{
	if (mount("/dev/fuse", directory, "fuse", MS_NOSUID | MS_NODEV, options) < 0)
		return -errno;
	return 0;
}

/* umount2(2). MNT_DETACH works with processes inside, MNT_FORCE aborts waiting requests. */
API int64_t shim_unmount(const char *directory, int32_t flags)
{
	return umount2(directory, flags) < 0 ? -errno : 0;
}

/* Pauses between two reads of the device, so that polling is not a series of system calls. */
#define ROUNDS_PER_READ 32

/*
 * Reads one request into the memory at `at`; returns its size. While there is none, polls for up to
 * `poll_ns`, then -EAGAIN. After EINTR and ENOENT (the request was aborted) it reads again.
 * -ENODEV: the mount is gone.
 */
API int64_t shim_fuse_read(int32_t fd, int64_t at, int64_t length, int64_t poll_ns)
{
	int64_t deadline = 0;

	for (;;) {
		ssize_t got = read(fd, (void *)(intptr_t)at, (size_t)length);

		if (got >= 0)
			return got;
		if (errno == EINTR || errno == ENOENT)
			continue;
		if (errno != EAGAIN || poll_ns <= 0)
			return -errno;
		if (deadline == 0)
			deadline = now_ns() + poll_ns;
		else if (now_ns() >= deadline)
			return -EAGAIN;
		for (int round = 0; round < ROUNDS_PER_READ; round++)
			relax();
	}
}

/* Writes one answer, head and body, in one call. -ENOENT: the request is no longer waited for. */
API int64_t shim_fuse_answer(int32_t fd, const void *head, int64_t head_length, const void *body,
			     int64_t body_length)
{
	struct iovec parts[2] = { { (void *)head, (size_t)head_length },
				  { (void *)body, (size_t)body_length } };
	ssize_t written = writev(fd, parts, body_length > 0 ? 2 : 1);

	return written < 0 ? -errno : written;
}

/* The descriptors of the watching thread, which frees this. */
struct watcher {
	int watched;
	int control;
	int bell;
};

/*
 * The thread: a byte on `control` arms it; when `watched` is then readable, it sends a byte to
 * `bell`. The end of the stream of `control` ends it.
 */
static void *watch(void *argument)
{
	struct watcher watcher = *(struct watcher *)argument;
	char byte = 0;

	free(argument);
	for (;;) {
		struct pollfd polled[2] = { { .fd = watcher.watched, .events = POLLIN },
					    { .fd = watcher.control, .events = POLLIN } };
		ssize_t got;

		do {
			got = read(watcher.control, &byte, 1);
		} while (got < 0 && errno == EINTR);
		if (got <= 0)
			break;
		while (poll(polled, 2, -1) < 0 && errno == EINTR)
			continue;
		if (polled[0].revents == 0)
			continue;
		if (send(watcher.bell, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN)
			break;
	}
	close(watcher.control);
	close(watcher.bell);
	return NULL;
}

/*
 * Starts a thread that sends a byte to `bell` when `watched` is readable, once for each byte sent
 * to the returned descriptor; closing that ends the thread. The thread owns `bell`.
 */
API int64_t shim_watch(int32_t watched, int32_t bell)
{
	struct watcher *watcher;
	int control[2];
	int error;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) < 0)
		return -errno;
	watcher = malloc(sizeof(*watcher));
	if (watcher == NULL) {
		close(control[0]);
		return close_with(control[1], ENOMEM);
	}
	*watcher = (struct watcher){ watched, control[1], bell };
	error = start_thread(watch, watcher);
	if (error != 0) {
		free(watcher);
		close(control[0]);
		return close_with(control[1], error);
	}
	return control[0];
}

/* Closes every descriptor but two, which become 0 and 1. Needs close_range(2). */
static void keep_two(int first, int second)
{
	int kept[2] = { fcntl(first, F_DUPFD, 16), fcntl(second, F_DUPFD, 16) };

	for (int index = 0; index < 2; index++)
		dup2(kept[index], index);
	syscall(SYS_close_range, 2u, ~0u, 0u);
}

/* Whether requests of the connection wait: 1 or 0; -1: it is gone. Opened anew for each read. */
static int requests_wait(int connection)
{
	int fd = openat(connection, "waiting", O_RDONLY);
	char number[16] = { 0 };
	ssize_t got;

	if (fd < 0)
		return -1;
	got = read(fd, number, sizeof(number) - 1);
	close(fd);
	return got <= 0 ? -1 : number[0] != '0';
}

/*
 * The watchdog's loop, with the heartbeat as descriptor 0 and the connection's directory as 1; see
 * shim_watchdog. Never returns.
 */
static void watch_connection(int64_t limit_ms)
{
	int64_t heard = now_ns();

	prctl(PR_SET_NAME, "mount-watchdog");
	for (;;) {
		struct pollfd polled = { .fd = 0, .events = POLLIN };
		char bytes[256];
		int waiting;
		int fd;

		if (poll(&polled, 1, 1000) > 0) {
			ssize_t got = read(0, bytes, sizeof(bytes));

			if (got == 0 || (got < 0 && errno != EINTR))
				_exit(0);
			heard = now_ns();
			continue;
		}
		if (now_ns() - heard < limit_ms * 1000000)
			continue;
		/* No request waits: a stopped server blocks no process yet. */
		waiting = requests_wait(1);
		if (waiting == 0)
			continue;
		fd = waiting < 0 ? -1 : openat(1, "abort", O_WRONLY);
		if (fd < 0 || write(fd, "1", 1) == 1)
			_exit(0);
		close(fd);
	}
}

/*
 * For kernels without a request timeout: starts a process (a thread would be stopped by SIGSTOP,
 * too) that reads `heartbeat`. When it was silent for `limit_ms` and requests wait, the process
 * aborts the FUSE connection whose fusectl directory is `connection`. It ends when `heartbeat` is
 * closed, keeps only these two descriptors, and makes only system calls. Its parent is init, which
 * reaps it. -EAGAIN: no more processes are allowed. -ENOSYS or -EPERM: close_range(2) is missing
 * (before Linux 5.9) or forbidden; without it the process would keep the server's end of
 * `heartbeat` open, and never end.
 */
API int64_t shim_watchdog(int32_t heartbeat, int32_t connection, int64_t limit_ms)
{
	sigset_t all;
	sigset_t before;
	int status = 0;
	long child;

	/* An empty range: only tests whether the call is possible. */
	if (syscall(SYS_close_range, ~0u, ~0u, 0u) < 0)
		return -errno;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	/* Not fork(3): it runs pthread_atfork handlers of libraries whose threads are gone. */
	child = syscall(SYS_clone, 0, 0, 0, 0, 0, 0);
	if (child == 0) {
		/* The exit code is the errno of the second one. */
		child = syscall(SYS_clone, 0, 0, 0, 0, 0, 0);
		if (child != 0)
			_exit(child < 0 ? errno : 0);
		keep_two(heartbeat, connection);
		watch_connection(limit_ms);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (child < 0)
		return -errno;
	while (waitpid((pid_t)child, &status, __WALL) < 0 && errno == EINTR)
		continue;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EAGAIN;
}
