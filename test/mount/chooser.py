"""Chooses random steps for a mount (steps.py has the operations), each with the results so far in mind.

Known differences between the C server and ours (docs/mount.md) are avoided: what makes the C server lose
or invent something is not asked of it.
"""
import random, re

TOP = ["user.cfg", "storage.cfg", "corosync.conf", "corosync.conf.new", "datacenter.cfg", "vzdump.cron", "jobs.cfg", "authkey.pub",
       "a", "b", "ha", "sdn", "mapping", "firewall", "virtual-guest", "A B", ".hidden", "x" * 255, "\u00fc"]
BELOW = ["ha/resources.cfg", "sdn/.running-config", "mapping/pci.cfg", "firewall/cluster.fw", "firewall/100.fw", "a/b", "a/c", "a/b/c", "b/c",
         "a/100.conf", "priv", "priv/lock", "priv/lock/x", "priv/lock/y", "priv/lock/x/z", "priv/a", "priv/acme", "priv/shadow.cfg",
         "priv/tfa.cfg", "priv/token.cfg", "priv/authkey.key"]
OF_NODES = ["nodes/pve1/" + name for name in ("config", "pve-ssl.pem", "pve-ssl.key", "lrm_status", "host.fw", "priv", "priv/x", "openvz")]
GUEST_NAMES = ["100.conf", "101.conf", "99.conf", "0100.conf", "1.conf", "-1.conf", "999999999.conf", "1000000000.conf", "4294967396.conf",
               "100.conf.tmp.1", "100.conf~", "x.conf", "100"]
GUEST_PLACES = ["nodes/pve1/qemu-server", "nodes/pve1/lxc", "nodes/pve2/qemu-server", "nodes/pve2/lxc", "qemu-server", "lxc", "local/lxc"]
SPECIAL = [".version", ".members", ".vmlist", ".rrd", ".clusterlog", ".debug", "local", "qemu-server", "lxc", "openvz"]
FIRST = ["nodes", "nodes/pve1", "nodes/pve1/qemu-server", "nodes/pve1/lxc", "nodes/pve2", "nodes/pve2/qemu-server", "nodes/pve2/lxc",
         "priv", "priv/lock", "ha", "a", "b"]
# The lengths of these texts, and parts of them, depend on counters and on the server's process.
VARYING = (".version", ".vmlist", ".clusterlog", ".debug")
LINKS = {"qemu-server": "nodes/pve1/qemu-server", "lxc": "nodes/pve1/lxc", "openvz": "nodes/pve1/openvz", "local": "nodes/pve1"}
GUEST = re.compile(r"nodes/[^/]+/(qemu-server|lxc|openvz)/\d+\.conf$")
OTHERS = ["www-data", "www-data", "other", "root-www", "other-www"]
DATA = [{"text": ""}, {"text": "x"}, {"text": "name: a\nmemory: 512\n"}, {"fill": "ab", "len": 5000}, {"fill": "z", "len": 4096}, {"hex": "00ff00"},
        {"fill": "0123456789", "len": 131072}, {"fill": "q", "len": 200000}]
WRITING = ["WRONLY|CREAT", "RDWR|CREAT", "WRONLY|CREAT|TRUNC", "WRONLY|CREAT|EXCL", "WRONLY|APPEND", "RDWR|CREAT|APPEND"]
FLAGS = WRITING + ["RDONLY", "WRONLY", "RDWR", "WRONLY|TRUNC", "RDONLY|DIRECTORY", "RDONLY|NOFOLLOW", "WRONLY|CREAT|SYNC", "RDONLY|CREAT",
                   "PATH|NOFOLLOW", "RDONLY|TRUNC"]
TIMES = ["now", "omit", 0, 1500000000, -5, 4294967296, 2147483648]


def real(path):
    """The path without the links of the root."""
    head, slash, tail = path.partition("/")
    return LINKS.get(head, head) + slash + tail


class Chooser:
    """Yields steps; `saw` must be called with each result before the next step is taken."""

    def __init__(self, seed, count):
        rng = self.rng = random.Random(seed)
        self.count, self.ahead = count, [{"op": "mkdir", "path": path} for path in FIRST if path == "nodes" or rng.random() < 0.95]
        self.tree, self.full, self.fds = {"": "dir"}, set(), {}
        guests = [place + "/" + name for place in GUEST_PLACES for name in GUEST_NAMES]
        self.guests = rng.sample(guests, 16)
        self.pool = self.guests + rng.sample(TOP, 5) + rng.sample(BELOW, 9) + rng.sample(OF_NODES, 3) + rng.sample(SPECIAL, 2)

    def __iter__(self):
        while self.count > 0:
            while not self.ahead:
                self.choose()
            step = self.ahead.pop(0)
            if self.differs(step):
                continue
            holder = self.holder_of_removed(step)
            if holder is not None:
                # The C server keeps a removed open file under another name: it is closed before.
                self.ahead.insert(0, step)
                step = self.by(holder[0], op="close", fd=holder[1])
            self.count -= 1
            yield step

    def saw(self, step, result):
        """Takes what a step changed into account."""
        op, path, key = step["op"], real(step.get("path", "")), (step.get("as", "root"), step.get("fd"))
        if op == "open":
            # One that fails has closed the descriptor of that name, too.
            self.fds.pop(key, None)
        if "errno" in result:
            return
        if op == "open":
            self.fds[key] = path
            if "CREAT" in step["flags"]:
                self.tree.setdefault(path, "file")
        if op in ("write", "pwrite") and result["n"] > 0:
            self.full.add(self.fds[key])
        if op in ("truncate", "unlink", "rename") or "TRUNC" in step.get("flags", ""):
            self.full.discard(path)
        if op == "ftruncate":
            self.full.discard(self.fds[key])
        if op == "mkdir":
            self.tree[path] = "dir"
        if op == "close":
            del self.fds[key]
        if op in ("unlink", "rmdir"):
            self.tree.pop(path, None)
        if op == "restart":
            self.fds = {}
        if op == "rename":
            to = real(step["to"])
            self.full.discard(to)
            self.tree[to] = self.tree.pop(path, "file")
            self.fds = {key: to if path == held else held for key, held in self.fds.items()}

    def differs(self, step):
        """Whether the C server is known to answer otherwise, or may not answer at all."""
        op, path, to = step["op"], real(step.get("path", "")), real(step.get("to", ""))
        key = (step.get("as", "root"), step.get("fd"))
        if "fd" in step and op != "open" and key not in self.fds:
            return True
        if op == "rename" and any(other.startswith(path + "/") for other in self.tree):
            return True
        if GUEST.match(path if op == "mkdir" else to if self.tree.get(path) == "dir" else ""):
            return True
        if op in ("truncate", "ftruncate") and step["len"] > 0:
            return (path if op == "truncate" else self.fds[key]) not in self.full
        # After a start, the C server numbers guests in the order of a hash table.
        if op == "restart":
            return sum(kind == "file" and GUEST.match(path) is not None for path, kind in self.tree.items()) > 1
        return op == "cat" and path in VARYING

    def holder_of_removed(self, step):
        gone = {"unlink": [step.get("path")], "rename": [step.get("to")] + ([step["path"]] if "flags" in step else [])}.get(step["op"], [])
        paths = [real(path) for path in gone]
        return next((key for key, held in self.fds.items() if held in paths), None)

    def path(self):
        rng, kind = self.rng, self.rng.random()
        if kind < 0.45:
            path = rng.choice(list(self.tree))
            return path.replace("nodes/pve1", "local", 1) if rng.random() < 0.1 else path
        if kind < 0.60:
            directory = rng.choice([path for path, what in self.tree.items() if what == "dir"])
            return (directory + "/" if directory else "") + rng.choice(self.pool).split("/")[-1]
        if kind < 0.62:
            return rng.choice(self.pool) + rng.choice(["/x", "/", "/.", "/..", ".tmp"])
        return rng.choice(self.guests if kind < 0.85 else self.pool)

    def file(self):
        files = [path for path, what in self.tree.items() if what == "file"]
        return self.rng.choice(files) if files and self.rng.random() < 0.7 else self.path()

    @staticmethod
    def by(identity, **step):
        return step if identity == "root" else dict(step, **{"as": identity})

    def add(self, op, **words):
        identity = self.rng.choice(OTHERS) if self.rng.random() < 0.2 else "root"
        self.ahead.append(self.by(identity, op=op, **words))

    def add_held(self, op, **words):
        """A step on an open descriptor, if there is one."""
        if self.fds:
            identity, fd = self.rng.choice(sorted(self.fds))
            self.ahead.append(self.by(identity, op=op, fd=fd, **words))

    def add_writing(self):
        rng, identity, fd = self.rng, self.rng.choice(OTHERS) if self.rng.random() < 0.15 else "root", self.rng.choice(["f1", "f2", "f3"])
        self.ahead.append(self.by(identity, op="open", fd=fd, path=self.path(), flags=rng.choice(WRITING)))
        self.ahead += [self.by(identity, op="write", fd=fd, data=rng.choice(DATA)) for _ in range(rng.choice([0, 1, 1, 1, 2]))]
        if rng.random() < 0.85:
            self.ahead.append(self.by(identity, op="close", fd=fd))

    def choose(self):
        rng, path, file = self.rng, self.path, self.file
        rename = {"flags": rng.choice(["NOREPLACE", "EXCHANGE", "WHITEOUT"])} if rng.random() < 0.1 else {}
        modes = ["0640", "0600", "0644", "0755", "0777", "0750", "0700", "0000", "01777"]
        weights = {
            lambda: self.add("mkdir", path=path(), mode=rng.choice(modes)): 9,
            self.add_writing: 21,
            lambda: self.add("open", fd=rng.choice(["f1", "f2", "f3"]), path=file(), flags=rng.choice(FLAGS), mode=rng.choice(["0640", "0600", "0666"])): 5,
            lambda: self.add_held("pwrite", off=rng.choice([0, 1, 5, 4096, 524288, 1048575, 1048576, 600000]), data=rng.choice(DATA)): 4,
            lambda: self.add_held("write", data=rng.choice(DATA)): 2,
            lambda: self.add_held("pread", off=rng.choice([0, 1, 5000]), len=rng.choice([0, 1, 100, 70000])): 2,
            lambda: self.add_held("close"): 2,
            lambda: self.add("rename", path=path(), to=path(), **rename): 12,
            lambda: self.add("unlink", path=file()): 6,
            lambda: self.add("rmdir", path=path()): 3,
            lambda: self.add(rng.choice(["lstat", "stat"]), path=path()): 6,
            lambda: self.add("cat", path=file()): 3,
            lambda: self.add("readdir", path=path()): 3,
            lambda: self.add("utimens", path=path(), atime=rng.choice(TIMES), mtime=rng.choice(TIMES), nofollow=rng.random() < 0.3): 2,
            lambda: self.add("chmod", path=path(), mode=rng.choice(modes)): 2,
            lambda: self.add(rng.choice(["chown", "lchown"]), path=path(), uid=rng.choice([0, 33, -1, 1000]), gid=rng.choice([0, 33, -1, 1000])): 2,
            lambda: self.add("truncate", path=file(), len=rng.choice([0, 0, 1, 3])): 3,
            lambda: self.add_held("ftruncate", len=rng.choice([0, 0, 1, 3])): 1,
            lambda: self.add("access", path=path(), mode=rng.choice(["r", "w", "x", "f", "rw"])): 1,
            lambda: self.add("link", path=file(), to=path()): 1,
            lambda: self.add("symlink", path=path(), target=rng.choice(["a", "../b"])): 1,
            lambda: self.add("mknod", path=path(), type=rng.choice(["reg", "fifo", "sock"])): 1,
            lambda: self.add("readlink", path=path()): 1,
            lambda: self.add("statfs", path=""): 0.5,
            lambda: self.add_held("fstat"): 1,
            lambda: self.add_held(rng.choice(["fsync", "fdatasync"])): 1,
            lambda: self.add_held("lseek", off=rng.choice([0, 3, 100]), whence=rng.choice(["set", "cur", "end", "data", "hole"])): 1,
            lambda: self.add("getxattr", path=path(), name=rng.choice(["user.x", "security.selinux"])): 0.5,
            lambda: self.add_held("fallocate", off=0, len=100): 0.5,
            lambda: self.add("dot", path=rng.choice([".vmlist", ".version", ".members"])): 2,
            lambda: self.add_held("fchmod", mode=rng.choice(modes)): 0.5,
            lambda: self.ahead.append({"op": "restart"}): 0.2,
        }
        rng.choices(list(weights), list(weights.values()))[0]()
