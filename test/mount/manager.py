"""A service manager with a descriptor store, by the protocols of sd_notify(3) and sd_listen_fds(3).

Starts a server, `pmxcfs -l` unless given, in a control group. A `systemctl` script of this node lists the restart job, and
says that the unit stores one descriptor.
"""
import os, signal, socket, sys, threading

SOCKET, JOBS = "/run/notify", "/run/jobs"


class Manager:
    def __init__(self, group, command=("pmxcfs", "-l")):
        self.group, self.command = group, list(command)
        with open("/run/bin/systemctl", "w") as script:
            script.write("#!/bin/sh\n[ $1 = show ] && exec echo 1\ncat %s 2>/dev/null; true\n" % JOBS)
        os.chmod("/run/bin/systemctl", 0o755)
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
            open(self.group + "/cgroup.procs", "w").write(str(os.getpid()))
            os.environ.update(NOTIFY_SOCKET=SOCKET, INVOCATION_ID="0", LISTEN_PID=str(os.getpid()))
            os.environ.update(LISTEN_FDS=str(len(self.stored)), LISTEN_FDNAMES=":".join(self.stored))
            # Duplicated first: a descriptor may have the number that another one is to get.
            for place, fd in enumerate([os.dup(fd) for fd in self.stored.values()], 3):
                os.dup2(fd, place, inheritable=True)
            os.execvp(self.command[0], self.command)
        self.pid = pid
        if not self.ready.wait(20):
            sys.exit("the server is not ready")

    def stop(self, job):
        with open(JOBS, "w") as jobs:
            jobs.write("17 pve-cluster.service %s running\n" % job)
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)
        os.unlink(JOBS)

    def kill(self):
        """Kills the server with SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
