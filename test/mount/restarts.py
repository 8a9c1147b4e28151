"""restarts.py CGROUP TIMES: restarts the server TIMES times through its manager while processes write and read, have
their working directory in the mount, use a bind mount of it, and, under a server's name, have a file open in it.
Prints their errors and waits.
"""
import os, shutil, sqlite3, subprocess, sys, threading, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from manager import Manager

GROUP, TIMES = sys.argv[1], int(sys.argv[2])


def write_file(path, text):
    with open(path, "w") as f:
        f.write(text)


def worker(path, stop, rounds, waits, errors):
    """Writes and reads back in a loop; records how long each call takes."""
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


manager = Manager(GROUP)
manager.start()
os.mkdir("/etc/pve/d")
held = open("/etc/pve/d/held", "w+")
held.write("held"), held.flush()
os.mkdir("/run/bound")
subprocess.run(["mount", "--bind", "/etc/pve/d", "/run/bound"], check=True)
shell = subprocess.Popen(["sleep", "infinity"], cwd="/etc/pve/d")
shutil.copy(shutil.which("sleep"), "/run/pmxcfs-holder")
# The next server looks for the database among the files of this process, before it serves the mount.
holder = subprocess.Popen(["/run/pmxcfs-holder", "infinity"], stdin=held)
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
    errors.append("an open file or a working directory is not the same any more")
shell.kill(), holder.kill(), held.close()
subprocess.run(["umount", "/run/bound"], check=True)
manager.stop("stop")
if any(line.split()[1] == "/etc/pve" for line in open("/proc/mounts")):
    errors.append("a stop that is not a restart left the mount")
rows = sqlite3.connect("/var/lib/pve-cluster/config.db").execute("select max(version), count(*) from tree").fetchone()
# The new database 1, mkdir 1, held 2 (create, write), and 3 for each completed round.
expected = 1 + 1 + 2 + 3 * len(rounds)
if rows[0] != expected:
    errors.append("version %d, not %d" % (rows[0], expected))
print("%d restarts, %d operations, %s, longest %.2f s, versions %s" % (
    TIMES, len(waits), errors[:5] or "no error", max(waits), "without a gap" if rows[0] == expected else "with a gap"))
