"""stress.py OPERATIONS SEED [STOP]: random operations on /etc/pve from four processes, each with a model of its own
directory; they end early when a file STOP exists.

Every result (errno, content, listing) must equal the model's. At the end mount, database and models must have
the same tree, the database must be sound, and its version must count every change.
"""
import errno, os, random, sqlite3, stat, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from steps import page_aligned

STOP = sys.argv[3] if len(sys.argv) > 3 else None
ROOT, DATABASE, LIMIT, PROCESSES = b"/etc/pve", "/var/lib/pve-cluster/config.db", 1 << 20, 4
NAMES = [b"a", b"b", b"c.conf", b"\xff\xfe", b"long" * 20, b".hidden"]
SIZES = [0, 1, 10, 300, 4095, 4096, 4097, 131072, 131073, 300000]


class Model:
    """The expected content of a directory: path -> bytes, or None for a directory."""

    def __init__(self, top):
        self.top, self.tree, self.changes, self.operations = top, {top: None}, 0, 0

    def children(self, path):
        return [p for p in self.tree if p.startswith(path + b"/") and b"/" not in p[len(path) + 1:]]

    def check_parent(self, path):
        parent = path.rpartition(b"/")[0]
        if parent not in self.tree:
            raise OSError(errno.ENOENT, "")
        if self.tree[parent] is not None:
            raise OSError(errno.ENOTDIR, "")

    def existing(self, path):
        self.check_parent(path)
        if path not in self.tree:
            raise OSError(errno.ENOENT, "")
        return self.tree[path]

    def mkdir(self, path):
        self.check_parent(path)
        if path in self.tree:
            raise OSError(errno.EEXIST, "")
        self.tree[path] = None
        self.changes += 1

    def write_whole(self, path, data):
        self.check_parent(path)
        if path in self.tree and self.tree[path] is None:
            raise OSError(errno.EISDIR, "")
        self.tree[path] = data
        # A create or a truncation, then one change per 128 KiB.
        self.changes += 1 + (len(data) + 131071) // 131072

    def write_at(self, path, offset, data):
        old = self.existing(path)
        if old is None:
            raise OSError(errno.EISDIR, "")
        if not data:
            return
        self.tree[path] = old[:offset].ljust(offset, b"\0") + data + old[offset + len(data):]
        self.changes += 1

    def truncate(self, path, size):
        old = self.existing(path)
        if old is None:
            raise OSError(errno.EISDIR, "")
        if size > LIMIT:
            raise OSError(errno.EFBIG, "")
        self.tree[path] = old[:size].ljust(size, b"\0")
        self.changes += 1

    def unlink(self, path):
        if self.existing(path) is None:
            raise OSError(errno.EISDIR, "")
        del self.tree[path]
        self.changes += 1

    def rmdir(self, path):
        if self.existing(path) is not None:
            raise OSError(errno.ENOTDIR, "")
        if self.children(path):
            raise OSError(errno.ENOTEMPTY, "")
        del self.tree[path]
        self.changes += 1

    def rename(self, path, to):
        self.check_parent(path), self.check_parent(to)
        if path not in self.tree:
            raise OSError(errno.ENOENT, "")
        if to.startswith(path + b"/"):
            raise OSError(errno.EINVAL, "")
        if path.startswith(to + b"/"):
            raise OSError(errno.ENOTEMPTY, "")
        source = self.tree[path]
        if path == to:
            return
        if to in self.tree and (source is None) != (self.tree[to] is None):
            raise OSError(errno.ENOTDIR if source is None else errno.EISDIR, "")
        if source is None and (self.children(path) or (to in self.tree and self.children(to))):
            raise OSError(errno.ENOTEMPTY, "")
        self.tree[to] = self.tree.pop(path)
        self.changes += 1

    def read(self, path):
        data = self.existing(path)
        if data is None:
            raise OSError(errno.EISDIR, "")
        return data

    def listing(self, path):
        if self.existing(path) is not None:
            raise OSError(errno.ENOTDIR, "")
        return sorted(p.rpartition(b"/")[2] for p in self.children(path))


class Real:
    def mkdir(self, path): os.mkdir(path)
    def unlink(self, path): os.unlink(path)
    def rmdir(self, path): os.rmdir(path)
    def rename(self, path, to): os.rename(path, to)
    def truncate(self, path, size): os.truncate(path, size)
    def listing(self, path): return sorted(os.listdir(path))

    def write_whole(self, path, data):
        with open(path, "wb", buffering=0) as f:
            rest = memoryview(page_aligned(data))
            while rest:
                rest = rest[f.write(rest):]

    def write_at(self, path, offset, data):
        with open(path, "r+b", buffering=0) as f:
            f.seek(offset)
            f.write(data)

    def read(self, path):
        with open(path, "rb") as f:
            return f.read()


def attempt(call, *arguments):
    try:
        return call(*arguments)
    except OSError as e:
        return errno.errorcode[e.errno]


def choose(rng, model):
    """One operation and its arguments, mostly on paths that exist."""
    directories = [p for p, data in model.tree.items() if data is None]
    known = [p for p in model.tree if p != model.top]
    fresh = lambda: rng.choice(directories) + b"/" + rng.choice(NAMES)
    path = rng.choice(known) if known and rng.random() < 0.7 else fresh()
    operation = rng.choice(["mkdir", "write_whole", "write_whole", "write_at", "truncate", "unlink", "rmdir", "rename", "rename", "read", "read", "listing"])
    if operation == "write_whole":
        return operation, (path, rng.randbytes(rng.choice(SIZES)))
    if operation == "write_at":
        return operation, (path, rng.choice([0, 5, 5000]), rng.randbytes(rng.choice(SIZES[:6])))
    if operation == "truncate":
        return operation, (path, rng.choice(SIZES + [LIMIT + 1]))
    if operation == "rename":
        return operation, (path, fresh())
    return operation, (path,)


def work(number, operations, seed):
    rng, model, real = random.Random(seed * PROCESSES + number), Model(ROOT + b"/p%d" % number), Real()
    os.mkdir(model.top)
    model.changes += 1
    for index in range(operations):
        if STOP is not None and os.path.exists(STOP):
            break
        operation, arguments = choose(rng, model)
        want, got = attempt(getattr(model, operation), *arguments), attempt(getattr(real, operation), *arguments)
        if want != got:
            shown = [a[:80] if isinstance(a, bytes) else a for a in (arguments + (got, want))]
            sys.exit("seed %d, process %d, operation %d: %s%s" % (seed, number, index, operation, shown))
        model.operations += 1
    return model


def walk(directory):
    for name in os.listdir(directory):
        path = directory + b"/" + name
        is_directory = stat.S_ISDIR(os.lstat(path).st_mode)
        yield path, None if is_directory else Real().read(path)
        if is_directory:
            yield from walk(path)


def stored():
    database = sqlite3.connect("file:%s?mode=ro" % DATABASE, uri=True)
    assert database.execute("pragma integrity_check").fetchone() == ("ok",)
    rows = {r[0]: r[1:] for r in database.execute("select inode, parent, type, cast(name as blob), data, version from tree")}
    for inode, (parent, kind, name, data, _version) in rows.items():
        if inode == 0:
            continue
        path = name
        while parent:
            parent, path = rows[parent][0], rows[parent][2] + b"/" + path
        yield ROOT + b"/" + path, None if kind == 4 else data or b""
    yield b"version", rows[0][4]


def main():
    operations, seed = int(sys.argv[1]) // PROCESSES, int(sys.argv[2])
    pipes = []
    for number in range(PROCESSES):
        ours, theirs = os.pipe()
        if os.fork() == 0:
            model = work(number, operations, seed)
            with os.fdopen(theirs, "wb") as out:
                out.write(repr((model.tree, model.changes, model.operations)).encode())
            os._exit(0)
        os.close(theirs)
        pipes.append(ours)
    tree, changes, done = {}, 0, 0
    for pipe in pipes:
        text = os.fdopen(pipe, "rb").read()
        if not text:
            sys.exit("a process failed")
        part, count, operations = eval(text)
        tree.update(part)
        changes += count
        done += operations
    found = dict(stored())
    version = found.pop(b"version")
    if found != tree:
        sys.exit("the database differs: %s" % sorted(p for p in set(found) | set(tree) if found.get(p, 1) != tree.get(p, 1))[:9])
    seen = {}
    for number in range(PROCESSES):
        seen[ROOT + b"/p%d" % number] = None
        seen.update(walk(ROOT + b"/p%d" % number))
    if seen != tree:
        sys.exit("the mount differs")
    if version != changes + 1:
        sys.exit("%d changes, version %d" % (changes, version))
    print("%d operations, %d changes, %d entries, equal" % (done, changes, len(tree)))


main()
