/*
 * A minimal /etc/pve: a FUSE file system with a root directory and a directory `local` of the given
 * mode. Speaks to /dev/fuse directly, without libfuse.
 *
 *   fuse-node MOUNTPOINT MODE [MS]
 *
 * With MS, each statfs is answered MS milliseconds late.
 */
#include "tool.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum { ROOT = 1, LOCAL = 2 };

static mode_t mode;
static unsigned delay_ms;

static void reply(int fd, uint64_t unique, int error, const void *body, size_t size)
{
	char out[4096];
	struct fuse_out_header header = { .len = (uint32_t)(sizeof header + size), .error = error,
					  .unique = unique };
	memcpy(out, &header, sizeof header);
	if (size > 0)
		memcpy(out + sizeof header, body, size);
	if (write(fd, out, sizeof header + size) < 0 && errno != ENOENT)
		die("/dev/fuse", strerror(errno));
}

static struct fuse_attr attributes(uint64_t node)
{
	struct fuse_attr attr = { .ino = node, .mode = S_IFDIR | mode, .nlink = 2 };
	return attr;
}

static void start(int fd, const struct fuse_in_header *in, const struct fuse_init_in *init)
{
	struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION, .minor = init->minor,
				     .max_write = 4096 };
	reply(fd, in->unique, 0, &out, sizeof out);
}

static void look_up(int fd, const struct fuse_in_header *in, const char *name)
{
	struct fuse_entry_out out = { .nodeid = LOCAL, .attr = attributes(LOCAL) };
	if (strcmp(name, "local") != 0)
		reply(fd, in->unique, -ENOENT, NULL, 0);
	else
		reply(fd, in->unique, 0, &out, sizeof out);
}

static void answer(int fd, const struct fuse_in_header *in, const void *body)
{
	struct fuse_attr_out attr = { .attr = attributes(in->nodeid) };
	struct fuse_statfs_out space = { .st = { .bsize = 4096, .namelen = 255, .blocks = 1 } };
	switch (in->opcode) {
	case FUSE_INIT:
		start(fd, in, body);
		break;
	case FUSE_LOOKUP:
		look_up(fd, in, body);
		break;
	case FUSE_GETATTR:
		reply(fd, in->unique, 0, &attr, sizeof attr);
		break;
	case FUSE_STATFS:
		usleep(delay_ms * 1000);
		reply(fd, in->unique, 0, &space, sizeof space);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
		break;
	default:
		reply(fd, in->unique, -ENOSYS, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	static char request[1 << 17];
	char options[128];
	if (argc != 3 && argc != 4)
		die("usage", "fuse-node MOUNTPOINT MODE [MS]");
	mode = (mode_t)number("MODE", argv[2]);
	if (argc == 4)
		delay_ms = (unsigned)number("MS", argv[3]);
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd);
	if (fd < 0 || mount("pmxcfs", argv[1], "fuse", MS_NOSUID | MS_NODEV, options) != 0)
		die(argv[1], strerror(errno));
	for (;;) {
		ssize_t size = read(fd, request, sizeof request);
		if (size < 0 && errno == ENODEV)
			return 0;
		if (size < (ssize_t)sizeof(struct fuse_in_header))
			continue;
		answer(fd, (struct fuse_in_header *)request, request + sizeof(struct fuse_in_header));
	}
}
