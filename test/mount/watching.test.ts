/** Observing a mount: trace --fuse, metrics, the status for `top`; and fault injection. */
import { expect } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { noPrivateNode, PrivateNode } from "../support/private-node.ts";
import { testUnless } from "../support/unless.ts";

const testOnNode = testUnless(noPrivateNode());

testOnNode("trace --fuse shows each operation with its process and result", async () => {
  await using node = await PrivateNode.start();
  await node.serve("pmxcfs", "-l", "-f");
  const trace = node.spawn(["pmxcfs-ipc", "trace", "--fuse"]);
  await eventually("it traces", async () => {
    await node.sh(
      "echo content >/etc/pve/f; mv /etc/pve/f /etc/pve/g; ! cat /etc/pve/missing 2>/dev/null",
    );
    return /write[^]*missing/.test(trace.output());
  });
  const lines = trace.output();
  expect(lines).toMatch(/write +\/f offset=0 size=8 = OK \d+us pid \d+ \(\S+\) uid 0/);
  expect(lines).toMatch(/rename2? +\/f to=g = OK/);
  expect(lines).toMatch(/lookup +\/missing = ENOENT/);
});

testOnNode("a closed stdout ends trace --fuse, as it ends other commands", async () => {
  await using node = await PrivateNode.start();
  await node.serve("pmxcfs", "-l", "-f");
  const script = `(while sleep 0.05; do ls /etc/pve > /dev/null; done) & loop=$!
    pmxcfs-ipc trace --fuse | head -n 1 > /dev/null; echo "\${PIPESTATUS[0]}"; kill $loop`;
  const { stdout } = await node.run(["bash", "-c", script]);
  expect(stdout).toBe("141\n");
});

testOnNode("metrics and status count the operations of the mount", async () => {
  await using node = await PrivateNode.start();
  await node.serve("pmxcfs", "-l", "-f", "--metrics", "unix:/run/metrics");
  await node.sh(
    "for i in 1 2 3; do echo $i >/etc/pve/f$i; done; ! mkdir /etc/pve/f1/x 2>/dev/null; ! rmdir /etc/pve/local 2>/dev/null",
  );
  const metrics = await node.sh(
    'python3 -c \'import socket; s = socket.socket(socket.AF_UNIX); s.connect("/run/metrics"); s.send(b"GET /metrics HTTP/1.0\\r\\n\\r\\n"); print(b"".join(iter(lambda: s.recv(65536), b"")).decode())\'',
  );
  expect(metrics).toMatch(/^pmxcfs_ipc_mount_operations_total\{operation="create"\} 3$/m);
  expect(metrics).toMatch(/^pmxcfs_ipc_mount_operations_total\{operation="write"\} 3$/m);
  expect(metrics).toMatch(/^pmxcfs_ipc_mount_waiting 0$/m);
  const wal = await node.sh("stat -c %s /var/lib/pve-cluster/config.db-wal");
  expect(metrics).toMatch(new RegExp(`^pmxcfs_ipc_store_wal_bytes ${wal}$`, "m"));
  expect(metrics).toMatch(/^pmxcfs_ipc_store_waiting_changes 0$/m);
  expect(metrics).toMatch(/^pmxcfs_ipc_store_commit_failures_total 0$/m);
  expect(metrics).toMatch(/^pmxcfs_ipc_store_checkpoints_total \d+$/m);
  const status = JSON.parse(await node.sh("pmxcfs-ipc top --json --once")) as {
    mount: { directory: string; operations: number };
  };
  expect(status.mount.directory).toBe("/etc/pve");
  expect(status.mount.operations).toBeGreaterThan(6);
});

testOnNode("--inject fails writes to one path and delays mkdir, but not other calls", async () => {
  await using node = await PrivateNode.start();
  const rules = ["--inject", "write:path=storage.cfg,errno=EIO", "--inject", "mkdir:delay=2s"];
  const server = await node.serve("pmxcfs", "-l", "-f", ...rules);
  const { stderr } = await node.run(["sh", "-c", "echo x >/etc/pve/storage.cfg"]);
  expect(stderr).toContain("I/O error");
  const script =
    "mkdir /etc/pve/d; mkdir /etc/pve/d/slow & cat /etc/pve/.version >/dev/null; " +
    "kill -0 $! && echo 'mkdir waits'; wait; ls -d /etc/pve/d/slow";
  expect((await node.sh(script)).split("\n")).toEqual(["mkdir waits", "/etc/pve/d/slow"]);
  const wrong = await node.run(["pmxcfs-ipc", "serve", "--mount", "--inject", "wriet:errno=EIO"]);
  expect(wrong.stderr).toContain('did you mean "write"?');
  expect(await node.stop(server)).toBe(0);
  expect(server.output().match(/injected faults of the mount: .*/g)).toEqual([
    'injected faults of the mount: 1 by "write:path=storage.cfg,errno=EIO", ' +
      '2 by "mkdir:delay=2s"',
  ]);
});
