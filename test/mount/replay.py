"""replay.py VECTORS --server COMMAND [--cluster COMMAND] [--only WORD] [--slow]: replays mount.json on a server.

Runs inside the namespaces of test/support/private-node.ts. For each scenario the server is started
with an empty database; it mounts /etc/pve, stays in the foreground and ends on SIGTERM. PMXCFS_C says
that it is the C server: scenarios and results that are only ours are then left out. Each difference
is printed as a line; the exit code is 1 if there was one.
"""
import argparse, hashlib, json, os, shutil, signal, sqlite3, stat, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import steps as S

ROOT, DATABASE, HOST_CONF = "/etc/pve", "/var/lib/pve-cluster/config.db", "/etc/corosync/corosync.conf"
SPECIAL = {b"local", b"qemu-server", b"lxc", b"openvz", b".version", b".members", b".vmlist", b".rrd", b".clusterlog", b".debug"}
IS_C = "PMXCFS_C" in os.environ


def mounted():
    return any(line.split()[1] == ROOT for line in open("/proc/self/mounts"))


class Server:
    def __init__(self, command, may_hang=False):
        """`may_hang`: one that does not end on SIGTERM is killed, and its mount is removed."""
        self.command, self.may_hang = command, may_hang

    def start(self):
        self.process = subprocess.Popen(["sh", "-c", "exec " + self.command], stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                sys.exit("the server ended with %d" % self.process.returncode)
            # A call before the server serves waits in the kernel until it does.
            if mounted() and os.path.islink(ROOT + "/local"):
                return
            time.sleep(0.005)
        sys.exit("the server did not mount %s" % ROOT)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            if not self.may_hang:
                sys.exit("the server did not end on SIGTERM")
            self.process.wait()
            subprocess.run(["umount", "-l", ROOT], stderr=subprocess.DEVNULL)


def dot(name):
    path = (ROOT + "/" + name).encode()
    S.ask_for_attributes(path)
    return json.loads(S.read_whole(path).decode("latin1"))


def settle():
    """With --commit batched, changes are in a journal until a process opens the database."""
    open(DATABASE).close()
    for _ in range(200):
        try:
            if os.stat(DATABASE + ".changes").st_size == 0: return
        except FileNotFoundError: return
        time.sleep(0.01)


def rows():
    settle()
    database = sqlite3.connect("file:%s?mode=ro" % DATABASE, uri=True, timeout=10)
    try:
        return database.execute("select inode, parent, version, writer, mtime, type, cast(name as blob), data, typeof(data) from tree order by inode").fetchall()
    finally:
        database.close()


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16] if data else ""


class Base:
    """Counters and versions at the start, to which results are relative."""

    def __init__(self):
        self.root_version, self.started = rows()[0][2], int(time.time())
        self.note_counters()

    def note_counters(self):
        self.version, self.vmlist = dot(".version"), dot(".vmlist")["version"]

    def counters(self, value):
        changed = {key: n - self.version[key] for key, n in value.items() if isinstance(n, int) and key != "starttime" and n != self.version[key]}
        return {"changed": changed, "keys": len(value)}

    def guests(self, value):
        ids = value.get("ids", {})
        return {"changed": value["version"] - self.vmlist, "ids": {n: [ids[n]["node"], ids[n]["type"]] for n in sorted(ids)},
                "oldest_first": sorted(ids, key=lambda n: ids[n]["version"]), "versions": {n: ids[n]["version"] for n in sorted(ids)}}

    def special(self, name, text):
        """A special file's text in the form for comparison."""
        if name in (".debug", ".rrd"):
            return {"text": text}
        value = json.loads(text)
        if name == ".version":
            return self.counters(value)
        if name == ".vmlist":
            return self.guests(value)
        if name == ".clusterlog":
            return {"entries": len(value["data"]), "last_tag": value["data"][-1]["tag"] if value["data"] else ""}
        return {"json": value}

    def rows(self):
        shown, base = [], self.root_version
        for inode, parent, version, writer, mtime, kind, name, data, how in rows():
            when = "now" if self.started - 2 <= mtime <= time.time() + 2 else mtime
            shown.append([inode and inode - base, parent and parent - base, version - base, writer, when, kind, os.fsdecode(name), len(data or b""), digest(data), how])
        return shown


def tree_of(shown):
    """{path: (type, size, digest)} of rows."""
    by_inode, tree = {row[0]: row for row in shown}, {}
    for row in shown:
        if row[6] == "__version__" and row[0] == 0:
            continue
        path, parent = os.fsencode(row[6]), row[1]
        while parent:
            path, parent = os.fsencode(by_inode[parent][6]) + b"/" + path, by_inode[parent][1]
        tree[path] = (row[5], row[7], row[8])
    return tree


def tree_seen():
    """The same for the tree that the mount shows."""
    tree, ahead = {}, [b""]
    while ahead:
        directory = ahead.pop()
        for name in os.listdir(ROOT.encode() + b"/" + directory):
            if not directory and name in SPECIAL:
                continue
            path = directory + b"/" + name if directory else name
            full = ROOT.encode() + b"/" + path
            S.ask_for_attributes(full)
            if stat.S_ISDIR(os.lstat(full).st_mode):
                tree[path] = (4, 0, "")
                ahead.append(path)
            else:
                data = S.read_whole(full)
                tree[path] = (8, len(data), digest(data))
    return tree


def compare_end(scenario, base):
    want, shown, found = scenario["end"], base.rows(), []
    if scenario.get("compare_rows") == "tree":
        if tree_of(shown) != tree_of(want["rows"]):
            found.append("tree in the database: %s, not %s" % (tree_of(shown), tree_of(want["rows"])))
    else:
        found += ["row missing: %s" % row for row in want["rows"] if row not in shown]
        found += ["unexpected row: %s" % row for row in shown if row not in want["rows"]]
        others = {} if IS_C else scenario.get("ours_end", {})
        for key, got in (("version", base.counters(dot(".version"))), ("vmlist", base.guests(dot(".vmlist")))):
            if got != want[key] and got not in others.get(key, []):
                found.append("%s at the end: %s, not %s" % (key, got, want[key]))
    if tree_seen() != tree_of(shown):
        found.append("the mount does not show what the database holds")
    return found


class Replay:
    def __init__(self, server, started_at):
        self.server, self.identities, self.started_at = server, {}, started_at

    def close(self):
        for name in sorted(self.identities):
            self.identities[name].perform({"op": "end"})
            self.identities[name].close()
        self.identities = {}

    def step(self, step, base):
        if step["op"] == "sleep":
            time.sleep(step["seconds"])
            return {}
        if step["op"] == "restart":
            self.close(), self.server.stop(), self.server.start()
            base.note_counters()
            return {}
        name = step.get("as", "root")
        if name not in self.identities:
            self.identities[name] = S.Identity(name, ROOT, time.time)
        result = self.identities[name].perform(step)
        if "raw" in result:
            shown = base.special(step["path"], result["raw"])
            return shown if result["size"] == len(result["raw"]) else dict(shown, size=result["size"])
        return result

    def run(self, scenario):
        base, found = Base(), []
        for number, step in enumerate(scenario["steps"], 1):
            got = self.step(step, base)
            allowed = [step["r"]] + ([] if IS_C else step.get("ours", []))
            if got not in allowed:
                asked = {key: value for key, value in step.items() if key not in ("r", "ours")}
                found.append("step %d %s: %s, not %s" % (number, json.dumps(asked), json.dumps(got), json.dumps(step["r"])))
        self.close()
        # The kernel sends the last RELEASE after close(2) has returned; only then is a removed
        # file's content dropped.
        return found + (compare_end(scenario, base) if "end" in scenario else [])


def wipe(corosync_conf=None):
    """Removes the database and the host's corosync.conf, or writes that."""
    shutil.rmtree(os.path.dirname(DATABASE), ignore_errors=True)
    if os.path.exists(HOST_CONF):
        os.unlink(HOST_CONF)
    if corosync_conf is not None:
        os.makedirs(os.path.dirname(HOST_CONF), exist_ok=True)
        open(HOST_CONF, "w").write(corosync_conf)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("vectors"), parser.add_argument("--server", required=True), parser.add_argument("--cluster")
    parser.add_argument("--only", default=""), parser.add_argument("--slow", action="store_true")
    args = parser.parse_args()
    chosen = [s for s in json.load(open(args.vectors))["scenarios"] if args.only in s["name"] and bool(s.get("slow")) == args.slow]
    chosen = [s for s in chosen if not (IS_C and s.get("only") == "ours") and (args.cluster or s.get("needs") != "cluster")]
    bad = steps = 0
    for scenario in chosen:
        wipe(scenario.get("corosync_conf"))
        server = Server(args.cluster if scenario.get("needs") == "cluster" else args.server)
        server.start()
        replay = Replay(server, time.time())
        found = replay.run(scenario)
        server.stop()
        bad, steps = bad + len(found), steps + len(scenario["steps"])
        for line in found[:20]:
            print("%s: %s" % (scenario["name"], line[:600]), flush=True)
    print("%d scenarios, %d steps, %d differences" % (len(chosen), steps, bad))
    sys.exit(1 if bad or not chosen else 0)


if __name__ == "__main__":
    main()
