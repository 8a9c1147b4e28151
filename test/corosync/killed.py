"""killed.py TIMES COMMAND...: kills the server of a node in a cluster TIMES times while a process makes a file in its
mount, which a service manager's descriptor store keeps. Prints the errors that the process gets.
"""
import os, sys, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "mount"))
from manager import Manager

TIMES, COMMAND = int(sys.argv[1]), sys.argv[2:]
DIRECTORY, GROUP = "/etc/pve/killed", "/run/group"


def make(path, errors):
    try:
        with open(path, "w") as f:
            f.write(path)
    except OSError as e:
        errors.append("%s: %s" % (path, e.strerror))


os.makedirs("/run/bin", exist_ok=True)
os.mkdir(GROUP)
manager = Manager(GROUP, COMMAND)
manager.start()
until = time.monotonic() + 30
while not os.path.isdir(DIRECTORY):
    try:
        os.mkdir(DIRECTORY)
    except OSError:
        # No quorum yet: this is no take-over.
        if time.monotonic() > until:
            raise
        time.sleep(0.01)
errors = []
for number in range(TIMES):
    manager.kill()
    maker = threading.Thread(target=make, args=("%s/%d" % (DIRECTORY, number), errors))
    # Waits in the kernel for the next server.
    maker.start()
    manager.start()
    maker.join()
paths = ["%s/%d" % (DIRECTORY, number) for number in range(TIMES)]
if not errors and [open(path).read() for path in paths] != paths:
    errors.append("other content")
manager.stop("stop")
print("%d kills, %s" % (TIMES, errors or "no error"))
