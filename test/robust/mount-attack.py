#!/usr/bin/env python3
"""Misbehaviour on a mounted /etc/pve, by name: mount-attack.py BEHAVIOUR. Runs as root inside its own
node, ends within seconds, and prints one line about what it did. `steady SECONDS` is the well-behaved
client beside it: it prints its longest wait in ms, the number of wrong answers, and the number of
rounds. `steady SECONDS reads` makes no changes."""
import errno, os, resource, signal, sys, time

PVE = "/etc/pve"


def path(name):
    return os.path.join(PVE, name)


def make(name, data=b"x"):
    with open(path(name), "wb") as file:
        file.write(data)


def children(count, work):
    """Runs work(i) in `count` processes at once; returns how many exited with 0."""
    pids = []
    for i in range(count):
        pid = os.fork()
        if pid == 0:
            try:
                work(i)
                os._exit(0)
            except BaseException:
                os._exit(1)
        pids.append(pid)
    return sum(os.waitpid(pid, 0)[1] == 0 for pid in pids)


def handles():
    resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
    make("handles")
    held = [os.open(path("handles"), os.O_RDONLY) for _ in range(15000)]
    os.unlink(path("handles"))
    text = os.pread(held[-1], 10, 0)
    return "%d handles of a removed file, which still reads %r" % (len(held), text)


def forgets():
    def work(i):
        for n in range(1500):
            name = path("forget-%d-%d" % (i, n))
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o640))
            os.unlink(name)

    return "%d of 4 processes made and removed 1,500 files each" % children(4, work)


def lookups():
    def work(i):
        for n in range(20000):
            try:
                os.stat(path("missing-%d-%d" % (i, n)))
            except FileNotFoundError:
                pass

    return "%d of 4 processes asked for 20,000 names that are not there" % children(4, work)


def interrupted():
    make("big", b"y" * 1048576)
    killed = 0
    for _ in range(200):
        pid = os.fork()
        if pid == 0:
            while True:
                with open(path("big"), "rb") as file:
                    file.read()
                with open(path("scratch-%d" % os.getpid()), "wb") as file:
                    file.write(b"z" * 200000)
        time.sleep(0.005)
        os.kill(pid, signal.SIGKILL)
        killed += os.waitpid(pid, 0)[1] == signal.SIGKILL
    return "%d processes killed within their requests" % killed


def frozen():
    make("frozen", b"f" * 1048576)
    pids = []
    for _ in range(20):
        pid = os.fork()
        if pid == 0:
            while True:
                fd = os.open(path("frozen"), os.O_RDWR)
                os.read(fd, 4096)
                os.pwrite(fd, b"g" * 4096, 8192)
        pids.append(pid)
    time.sleep(0.2)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(1)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return "%d processes stopped with files open" % len(pids)


def appenders():
    make("log", b"")

    def work(i):
        fd = os.open(path("log"), os.O_WRONLY | os.O_APPEND)
        for n in range(40):
            os.write(fd, b"%04d %04d\n" % (i, n))

    return "%d of 40 processes appended 40 lines each to one file" % children(40, work)


def listings():
    os.makedirs(path("many"))
    for n in range(2000):
        os.close(os.open(path("many/%d" % n), os.O_CREAT | os.O_WRONLY, 0o640))

    def work(_):
        for _ in range(20):
            assert len(os.listdir(path("many"))) == 2000

    return "%d of 4 processes listed 2,000 names 20 times" % children(4, work)


def names():
    made = 0
    for raw in (b"\xff\xfe", b"\xc2\x9b31m", b"a" * 255, b"\xe2\x80\xae", b"nl\nnl", b"a" * 1024):
        fd = os.open(path("").encode() + raw, os.O_CREAT | os.O_WRONLY, 0o640)
        os.close(fd)
        made += 1
    try:
        os.open(path("").encode() + b"b" * 1025, os.O_CREAT | os.O_WRONLY, 0o640)
    except OSError as error:
        return "%d odd names made, 1,025 bytes: %s" % (made, errno.errorcode[error.errno])
    return "a name of 1,025 bytes was made"


def limits():
    fd = os.open(path("limit"), os.O_CREAT | os.O_WRONLY, 0o640)
    told = []
    for offset in (1048576, 1 << 31, 1 << 40, (1 << 62)):
        try:
            os.pwrite(fd, b"x", offset)
            told.append("written")
        except OSError as error:
            told.append(errno.errorcode[error.errno])
    for length in (1048577, 1 << 40):
        try:
            os.ftruncate(fd, length)
            told.append("grown")
        except OSError as error:
            told.append(errno.errorcode[error.errno])
    return "beyond the end: %s" % " ".join(told)


STOP = "/run/steady-stop"


def steady(seconds, changes=True):
    """Reads and, if `changes`, sets a file's time, in a loop until STOP exists."""
    if not os.path.exists(path("steady")):
        make("steady", b"s" * 1024)
    worst, wrong, asked, end = 0.0, 0, 0, time.monotonic() + seconds
    while time.monotonic() < end and not os.path.exists(STOP):
        start = time.monotonic()
        with open(path("steady"), "rb") as file:
            wrong += file.read() != b"s" * 1024
        with open(path(".version"), "rb") as file:
            wrong += not file.read().startswith(b"{")
        if changes:
            os.utime(path("steady"))
        worst = max(worst, time.monotonic() - start)
        asked += 1
        time.sleep(0.002)
    return "%.0f %d %d" % (worst * 1000, wrong, asked)


WORK = {f.__name__: f for f in (handles, forgets, lookups, interrupted, frozen, appenders, listings, names, limits)}

if __name__ == "__main__":
    if sys.argv[1] == "list":
        print(" ".join(WORK))
    elif sys.argv[1] == "steady":
        print(steady(float(sys.argv[2]), "reads" not in sys.argv[3:]))
    else:
        print(WORK[sys.argv[1]]())
