"""unknown-descriptor.py CGROUP: restarts the server through its manager, which then passes the device of the mount
under a name of another version. Prints what is served, and how many descriptors the manager keeps.
"""
import os, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from manager import Manager

manager = Manager(sys.argv[1])
manager.start()
with open("/etc/pve/f", "w") as f:
    f.write("kept")
inside = os.open("/etc/pve", os.O_RDONLY | os.O_DIRECTORY)
manager.stop("restart")
[(name, fd)] = manager.stored.items()
manager.stored = {"other-" + name: fd}
manager.start()
print(open("/etc/pve/f").read(), sorted(manager.stored) == [name])
os.close(inside)
manager.stop("stop")
