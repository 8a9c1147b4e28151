"""manager.py CGROUP TIMES: a service manager with a descriptor store, as far as sd_notify(3) and sd_listen_fds(3) say.

Starts `pmxcfs -l` under it, restarts it TIMES while processes write, read, stand in the mount and have a
bind mount of it, and says what they saw. `systemctl list-jobs` of this node shows the restart.
"""
import os, signal, socket, sqlite3, subprocess, sys, threading, time

GROUP, TIMES = sys.argv[1], int(sys.argv[2])
SOCKET, JOBS = "/run/notify", "/run/jobs"


class Manager:
    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(SOCKET)
        self.stored, self.ready = {}, threading.Event()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            text, fds, _flags, _from = socket.recv_fds(self.socket, 4096, 8)
            fields = dict(line.split("=", 1) for line in text.decode().split("\n") if "=" in line)
            if fields.get("FDSTORE") == "1":
                self.stored.setdefault(fields["FDNAME"], fds[0])
            if fields.get("FDSTOREREMOVE") == "1" and fields["FDNAME"] in self.stored:
                os.close(self.stored.pop(fields["FDNAME"]))
            if "READY" in fields:
                self.ready.set()

    def start(self):
        self.ready.clear()
        pid = os.fork()
        if pid == 0:
            open(GROUP + "/cgroup.procs", "w").write(str(os.getpid()))
            os.environ.update(NOTIFY_SOCKET=SOCKET, INVOCATION_ID="0", LISTEN_PID=str(os.getpid()))
            os.environ.update(LISTEN_FDS=str(len(self.stored)), LISTEN_FDNAMES=":".join(self.stored))
            # Away from where they go first: one may stand in another's place.
            for place, fd in enumerate([os.dup(fd) for fd in self.stored.values()], 3):
                os.dup2(fd, place, inheritable=True)
            os.execvp("pmxcfs", ["pmxcfs", "-l"])
        self.pid = pid
        if not self.ready.wait(20):
            sys.exit("the server is not ready")

    def stop(self, job):
        with open(JOBS, "w") as jobs:
            jobs.write("17 pve-cluster.service %s running\n" % job)
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)
        os.unlink(JOBS)


def write_file(path, text):
    with open(path, "w") as f:
        f.write(text)


def worker(path, stop, rounds, waits, errors):
    """Writes and reads back, all the time; notes how long each call took."""
    directory, number = os.path.dirname(path), 0
    while not stop.is_set():
        number += 1
        calls = [lambda: write_file(path + ".tmp", str(number)), lambda: os.rename(path + ".tmp", path), lambda: open(path).read(),
                 lambda: os.statvfs(directory), lambda: os.listdir(directory)]
        for call in calls:
            since = time.monotonic()
            try:
                result = call()
                if isinstance(result, str) and result != str(number):
                    errors.append("wrong content")
            except OSError as e:
                errors.append(str(e))
            waits.append(time.monotonic() - since)
        rounds.append(path)


with open("/run/bin/systemctl", "w") as script:
    script.write("#!/bin/sh\ncat %s 2>/dev/null; true\n" % JOBS)
os.chmod("/run/bin/systemctl", 0o755)
manager = Manager()
manager.start()
os.mkdir("/etc/pve/d")
held = open("/etc/pve/d/held", "w+")
held.write("held"), held.flush()
os.mkdir("/run/bound")
subprocess.run(["mount", "--bind", "/etc/pve/d", "/run/bound"], check=True)
shell = subprocess.Popen(["sleep", "infinity"], cwd="/etc/pve/d")
stop, rounds, waits, errors = threading.Event(), [], [], []
paths = ("/etc/pve/d/one", "/run/bound/two")
workers = [threading.Thread(target=worker, args=(path, stop, rounds, waits, errors)) for path in paths]
for each in workers:
    each.start()
for _ in range(TIMES):
    wanted = len(rounds) + 4
    while len(rounds) < wanted:
        time.sleep(0.001)
    manager.stop("restart")
    manager.start()
stop.set()
for each in workers:
    each.join()
held.seek(0)
if held.read() != "held" or os.listdir("/proc/%d/cwd" % shell.pid) != os.listdir("/etc/pve/d"):
    errors.append("what was open or entered is another one")
shell.kill(), held.close()
subprocess.run(["umount", "/run/bound"], check=True)
manager.stop("stop")
if any(line.split()[1] == "/etc/pve" for line in open("/proc/mounts")):
    errors.append("a plain stop left the mount")
rows = sqlite3.connect("/var/lib/pve-cluster/config.db").execute("select max(version), count(*) from tree").fetchone()
# mkdir 1, held 2 (create, write), then 3 for each round that ended.
expected = 1 + 1 + 2 + 3 * len(rounds)
if rows[0] != expected:
    errors.append("version %d, not %d" % (rows[0], expected))
print("%d restarts, %d operations, %s, longest %.2f s, versions %s" % (
    TIMES, len(waits), errors[:5] or "no error", max(waits), "without a gap" if rows[0] == expected else "with a gap"))
