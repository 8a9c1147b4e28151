"""crashes.py CGROUP SEED storm TIMES | answers | aborted: kills the server while processes use the mount.

storm: TIMES kills at random moments, beside stress.py, which compares each result, the tree and the number of
changes with its models. A kill follows a random pause, or a write to config.db's WAL: a change is then usually
stored, but not answered.
answers: a kill before each answer of each kind of change; the process must see the same as without the kill.
aborted: the mount of the killed server is aborted before the next one reads its device, which must then mount anew
and make every change: the kernel numbers requests from the start again, so that they have recorded numbers.
"""

import ctypes, os, random, select, sqlite3, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from manager import Manager

GROUP, SEED = sys.argv[1], int(sys.argv[2])
DATABASE, WAL = "/var/lib/pve-cluster/config.db", "/var/lib/pve-cluster/config.db-wal"
IN_MODIFY = 2


def version():
    return sqlite3.connect("file:%s?mode=ro" % DATABASE, uri=True).execute("select max(version) from tree").fetchone()[0]


def wait_for_change(seconds):
    """Waits until the WAL is written, at most for `seconds`."""
    libc = ctypes.CDLL(None)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    libc.inotify_add_watch(watch, WAL.encode(), IN_MODIFY)
    select.select([watch], [], [], seconds)
    os.close(watch)


def storm(manager, times):
    rng = random.Random(SEED)
    operations = "1000000"
    stress = subprocess.Popen([sys.executable, HERE + "/stress.py", operations, str(SEED), "/run/stop"])
    for _ in range(times):
        time.sleep(rng.uniform(0, 0.08))
        if rng.random() < 0.7:
            wait_for_change(0.05)
        manager.kill()
        manager.start()
    open("/run/stop", "w").close()
    if stress.wait() != 0:
        sys.exit("a process saw the crash")


def write_at(path, data, offset=0):
    fd = os.open(path, os.O_WRONLY)
    os.pwrite(fd, data, offset)
    os.close(fd)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def exclusive(path):
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))


# By kind: the calls, in a directory with a file "f" of 6 bytes and an empty directory "d"; a check
# of the result; the number of changes.
CHANGES = {
    "create": (lambda: exclusive("new"), lambda: read("new") == b"", 1),
    "mknod": (lambda: os.mknod("new"), lambda: read("new") == b"", 1),
    "mkdir": (lambda: os.mkdir("new"), lambda: os.listdir("new") == [], 1),
    "unlink": (lambda: os.unlink("f"), lambda: os.listdir() == ["d"], 1),
    "rmdir": (lambda: os.rmdir("d"), lambda: os.listdir() == ["f"], 1),
    "rename": (lambda: os.rename("f", "new"), lambda: read("new") == b"before" and not os.path.exists("f"), 1),
    "rename over": (lambda: (exclusive("new"), os.rename("f", "new")), lambda: read("new") == b"before", 2),
    "write": (lambda: write_at("f", b"after", 6), lambda: read("f") == b"beforeafter", 1),
    "truncate": (lambda: os.truncate("f", 3), lambda: read("f") == b"bef", 1),
    "truncate to more": (lambda: os.truncate("f", 8), lambda: read("f") == b"before\0\0", 1),
    "utime": (lambda: os.utime("f", (5, 5)), lambda: os.stat("f").st_mtime == 5, 1),
    "lock": (lambda: (os.mkdir("/etc/pve/priv/lock/x"), os.rmdir("/etc/pve/priv/lock/x")), lambda: True, 2),
}
MOST_ANSWERS = 8


def strace_until_answer(manager, number):
    """Starts a tracer that kills the server in place of its `number`th answer from now."""
    inject = "inject=writev:error=EINTR:signal=SIGKILL:when=%d" % number
    words = ["strace", "-p", str(manager.pid), "-e", "trace=writev", "-P", "/dev/fuse", "-e", inject]
    tracer = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    if "attached" not in tracer.stderr.readline():
        sys.exit("strace cannot attach")
    return tracer


def ask(call):
    """Starts a process that makes the call and exits with its errno."""
    pid = os.fork()
    if pid == 0:
        try:
            call()
            os._exit(0)
        except OSError as e:
            os._exit(e.errno)
    return pid


def first_ended(*pids):
    while True:
        for pid in pids:
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return pid
        time.sleep(0.001)


def one_answer(manager, name, number):
    """True when the server was killed before this answer; False when the change has fewer answers."""
    change, holds, changes = CHANGES[name]
    directory = "/etc/pve/%s %d" % (name, number)
    os.mkdir(directory), os.mkdir(directory + "/d")
    exclusive(directory + "/f"), write_at(directory + "/f", b"before")
    os.chdir(directory)
    before = version()
    tracer = strace_until_answer(manager, number)
    worker = ask(change)
    first_ended(worker, manager.pid)
    tracer.terminate()
    tracer.communicate()
    # The tracer kills no more; a kill before this may not have ended the server yet.
    probe = ask(lambda: os.statvfs("/etc/pve"))
    crashed = first_ended(probe, manager.pid) == manager.pid
    if crashed:
        os.waitpid(manager.pid, 0)
        manager.start()
    os.waitpid(probe, 0)
    error = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    if error != 0:
        sys.exit("%s, answer %d lost: %s" % (name, number, os.strerror(error)))
    if not holds() or version() != before + changes:
        sys.exit("%s, answer %d lost: %s, %d changes" % (name, number, os.listdir(), version() - before))
    os.chdir("/")
    return crashed


def answers(manager):
    os.makedirs("/etc/pve/priv/lock")
    lost = 0
    for name in CHANGES:
        number = 1
        while one_answer(manager, name, number):
            number += 1
            if number > MOST_ANSWERS:
                sys.exit("%s needs more than %d answers" % (name, MOST_ANSWERS))
        lost += number - 1
    return lost


def write_all(directory, files):
    """Writes as many files; the number of those that failed or have other content."""
    os.mkdir(directory)
    lost = 0
    for number in range(files):
        path = "%s/%d" % (directory, number)
        try:
            with open(path, "wb") as f:
                f.write(b"%d" % number)
            lost += read(path) != b"%d" % number
        except OSError:
            lost += 1
    return lost


def aborted(manager):
    connections = "/sys/fs/fuse/connections"
    subprocess.run(["mount", "-t", "fusectl", "fusectl", connections], check=True)
    write_all("/etc/pve/before", 300)
    connection = os.minor(os.stat("/etc/pve").st_dev)
    manager.kill()
    with open("%s/%d/abort" % (connections, connection), "w") as abort:
        abort.write("1")
    manager.start()
    return write_all("/etc/pve/after", 600)


def main():
    manager = Manager(GROUP)
    manager.start()
    try:
        if sys.argv[3] == "storm":
            storm(manager, int(sys.argv[4]))
        elif sys.argv[3] == "aborted":
            print("%d of 600 files lost" % aborted(manager))
        else:
            print("%d answers of %d kinds lost, no error" % (answers(manager), len(CHANGES)))
    finally:
        manager.stop("stop")


main()
