"""Performs the steps of a mount scenario as system calls, one process for each identity.

A step is a dict: "op", its arguments, "as" (an identity). The result is a dict: {"errno": NAME}, or the
call's result. docs/internals/mount.md describes the format of test/golden/mount.json.
"""
import ctypes, errno, fcntl, hashlib, json, mmap, os, stat, struct

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_STATX_FORCE_SYNC = -100, 0x100, 0x2000
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
SYS_RENAMEAT2, SYS_STATX = {"x86_64": (316, 332), "aarch64": (276, 291)}[os.uname().machine]
KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "link", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "sock"}
# By identity: uid, gid, supplementary groups.
IDENTITIES = {"root": (0, 0, []), "www-data": (33, 33, []), "other": (1000, 1000, []), "root-www": (0, 33, []), "other-www": (1000, 1000, [33])}
# The lengths of these texts depend on counters and on the server's pid.
VARYING = (".version", ".vmlist", ".clusterlog")


def raise_errno(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def bytes_of(data):
    """The bytes that a step writes."""
    if "text" in data:
        return data["text"].encode()
    if "hex" in data:
        return bytes.fromhex(data["hex"])
    return (data["fill"] * (data["len"] // len(data["fill"]) + 1)).encode()[: data["len"]]


def page_aligned(data):
    """The data in a page-aligned buffer: the kernel splits a large direct write at page boundaries."""
    if not data:
        return data
    buffer = mmap.mmap(-1, len(data))
    buffer.write(data)
    return memoryview(buffer)


def show(data):
    """Bytes in the form of a result: text, hex, or length and digest."""
    if len(data) > 300:
        return {"len": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return {"hex": data.hex()}
    return {"text": text} if all(c.isprintable() or c in "\n\t" for c in text) else {"hex": data.hex()}


def read_whole(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        parts = []
        while part := os.read(fd, 1 << 20):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def ask_for_attributes(path):
    """A statx(2) that the kernel does not answer from its cache."""
    buffer = ctypes.create_string_buffer(256)
    raise_errno(LIBC.syscall(SYS_STATX, AT_FDCWD, path, AT_STATX_FORCE_SYNC | AT_SYMLINK_NOFOLLOW, 0x7FF, buffer))


def time_pair(value):
    if value == "now":
        return 0, UTIME_NOW
    if value == "omit":
        return 0, UTIME_OMIT
    return value, 0


class Steps:
    """The steps of one identity. Descriptors have names."""

    def __init__(self, root, now):
        self.root, self.now, self.fds = os.fsencode(root), now, {}

    def perform(self, step):
        try:
            return getattr(self, step["op"])(step) or {}
        except OSError as e:
            # These two errnos have two names each.
            return {"errno": {errno.EOPNOTSUPP: "EOPNOTSUPP", errno.EAGAIN: "EAGAIN"}.get(e.errno, errno.errorcode.get(e.errno))}

    def path(self, step, key="path"):
        name = os.fsencode(step[key])
        return self.root + b"/" + name if name else self.root

    def fd(self, step):
        return self.fds[step["fd"]]

    def status(self, step, st):
        mtime = "now" if abs(st.st_mtime - self.now()) < 30 else int(st.st_mtime)
        shown = {"type": KINDS[stat.S_IFMT(st.st_mode)], "mode": "%04o" % stat.S_IMODE(st.st_mode), "uid": st.st_uid, "gid": st.st_gid,
                 "nlink": st.st_nlink, "size": st.st_size, "mtime": mtime}
        if not st.st_atime == st.st_mtime == st.st_ctime:
            shown["times"] = "differ"
        if step.get("path") in VARYING:
            shown["size"] = "text"
        return shown

    def stat(self, s): return self.status(s, os.stat(self.path(s)))
    def lstat(self, s): return self.status(s, os.lstat(self.path(s)))
    def fstat(self, s): return self.status({}, os.fstat(self.fd(s)))
    def mkdir(self, s): os.mkdir(self.path(s), int(s.get("mode", "0755"), 8))
    def rmdir(self, s): os.rmdir(self.path(s))
    def unlink(self, s): os.unlink(self.path(s))
    def link(self, s): os.link(self.path(s), self.path(s, "to"))
    def symlink(self, s): os.symlink(os.fsencode(s["target"]), self.path(s))
    def readlink(self, s): return {"target": os.fsdecode(os.readlink(self.path(s)))}

    def rename(self, s):
        flags = {None: 0, "NOREPLACE": 1, "EXCHANGE": 2, "WHITEOUT": 4}[s.get("flags")]
        raise_errno(LIBC.syscall(SYS_RENAMEAT2, AT_FDCWD, self.path(s), AT_FDCWD, self.path(s, "to"), flags))

    def mknod(self, s):
        kind = {"reg": stat.S_IFREG, "fifo": stat.S_IFIFO, "sock": stat.S_IFSOCK, "chr": stat.S_IFCHR}[s["type"]]
        os.mknod(self.path(s), kind | int(s.get("mode", "0644"), 8), os.makedev(1, 3) if kind == stat.S_IFCHR else 0)

    def open(self, s):
        flags = 0
        for word in s.get("flags", "RDONLY").split("|"):
            flags |= getattr(os, "O_" + word)
        if s["fd"] in self.fds:
            os.close(self.fds.pop(s["fd"]))
        self.fds[s["fd"]] = os.open(self.path(s), flags, int(s.get("mode", "0640"), 8))

    def close(self, s): os.close(self.fds.pop(s["fd"]))
    def read(self, s): return show(os.read(self.fd(s), s["len"]))
    def pread(self, s): return show(os.pread(self.fd(s), s["len"], s["off"]))
    def write(self, s): return {"n": os.write(self.fd(s), page_aligned(bytes_of(s["data"])))}
    def pwrite(self, s): return {"n": os.pwrite(self.fd(s), page_aligned(bytes_of(s["data"])), s["off"])}
    def truncate(self, s): os.truncate(self.path(s), s["len"])
    def ftruncate(self, s): os.ftruncate(self.fd(s), s["len"])
    def fsync(self, s): os.fsync(self.fd(s))
    def fdatasync(self, s): os.fdatasync(self.fd(s))
    def chmod(self, s): os.chmod(self.path(s), int(s["mode"], 8))
    def fchmod(self, s): os.fchmod(self.fd(s), int(s["mode"], 8))
    def chown(self, s): os.chown(self.path(s), s["uid"], s["gid"])
    def lchown(self, s): os.lchown(self.path(s), s["uid"], s["gid"])
    def fchown(self, s): os.fchown(self.fd(s), s["uid"], s["gid"])
    def access(self, s): raise_errno(LIBC.access(self.path(s), sum({"f": 0, "x": 1, "w": 2, "r": 4}[c] for c in s["mode"])))
    def readdir(self, s): return {"names": sorted(os.fsdecode(name) for name in os.listdir(self.path(s)))}
    def cat(self, s): return show(read_whole(self.path(s)))
    def getxattr(self, s): return show(os.getxattr(self.path(s), s["name"]))
    def setxattr(self, s): os.setxattr(self.path(s), s["name"], bytes_of(s["data"]))
    def listxattr(self, s): return {"names": sorted(os.listxattr(self.path(s)))}
    def removexattr(self, s): os.removexattr(self.path(s), s["name"])
    def lseek(self, s): return {"n": os.lseek(self.fd(s), s["off"], {"set": 0, "cur": 1, "end": 2, "data": 3, "hole": 4}[s["whence"]])}
    def fallocate(self, s): raise_errno(LIBC.fallocate64(self.fd(s), 0, ctypes.c_long(s["off"]), ctypes.c_long(s["len"])))

    def times(self, s):
        return struct.pack("4q", *time_pair(s["atime"]), *time_pair(s["mtime"]))

    def utimens(self, s):
        raise_errno(LIBC.utimensat(AT_FDCWD, self.path(s), self.times(s), AT_SYMLINK_NOFOLLOW if s.get("nofollow") else 0))

    def futimens(self, s):
        raise_errno(LIBC.futimens(self.fd(s), self.times(s)))

    def statfs(self, s):
        st = os.statvfs(self.path(s))
        return {"bsize": st.f_bsize, "frsize": st.f_frsize, "blocks": st.f_blocks, "used": st.f_blocks - st.f_bfree, "avail_is_free": st.f_bavail == st.f_bfree,
                "files": st.f_files, "used_files": st.f_files - st.f_ffree, "namemax": st.f_namemax}

    def lock_flags(self, s):
        return {"ex": fcntl.LOCK_EX | fcntl.LOCK_NB, "sh": fcntl.LOCK_SH | fcntl.LOCK_NB, "un": fcntl.LOCK_UN}[s["how"]]

    def flock(self, s): fcntl.flock(self.fd(s), self.lock_flags(s))
    def lockf(self, s): fcntl.lockf(self.fd(s), self.lock_flags(s))

    def mmap(self, s):
        flags = mmap.MAP_SHARED if s["kind"] == "shared" else mmap.MAP_PRIVATE
        with mmap.mmap(self.fd(s), s["len"], flags=flags, prot=mmap.PROT_READ) as mapped:
            return show(bytes(mapped))

    def dot(self, s):
        path = self.path(s)
        ask_for_attributes(path)
        return {"raw": read_whole(path).decode("latin1"), "size": os.stat(path).st_size}

    def end(self, _step):
        for name in sorted(self.fds):
            os.close(self.fds.pop(name))


class Identity:
    """A process that performs steps as one identity."""

    def __init__(self, name, root, now):
        ours, theirs = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            uid, gid, groups = IDENTITIES[name]
            os.umask(0o022), os.setgroups(groups), os.setgid(gid), os.setuid(uid)
            # Includes the pipes of other identities, which would not see the end of their input
            # otherwise.
            for fd in range(3, 256):
                if fd not in (ours[0], theirs[1]):
                    os.closerange(fd, fd + 1)
            steps = Steps(root, now)
            with os.fdopen(ours[0]) as lines, os.fdopen(theirs[1], "w") as results:
                for line in lines:
                    print(json.dumps(steps.perform(json.loads(line))), file=results, flush=True)
            os._exit(0)
        os.close(ours[0]), os.close(theirs[1])
        self.lines, self.results = os.fdopen(ours[1], "w"), os.fdopen(theirs[0])

    def perform(self, step):
        print(json.dumps(step), file=self.lines, flush=True)
        return json.loads(self.results.readline())

    def close(self):
        self.lines.close(), self.results.close()
        os.waitpid(self.pid, 0)
