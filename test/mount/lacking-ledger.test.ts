/** A mount whose ledger lacks inodes of a sync ends with its server, also when that is killed. */
import { expect } from "bun:test";
import { join } from "node:path";
import { noPrivateNode, PrivateNode } from "../support/private-node.ts";
import { testUnless } from "../support/unless.ts";

/** Runs its arguments with the socket of a manager, whose messages it prints. */
const MANAGER = `
import os, socket, subprocess, sys
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind("/run/notify")
ended = subprocess.run(sys.argv[1:], env={**os.environ, "NOTIFY_SOCKET": "/run/notify"})
manager.setblocking(False)
try:
    while True:
        text, fds, _, _ = socket.recv_fds(manager, 4096, 8)
        print(text.decode().split("\\n")[0])
except BlockingIOError:
    sys.exit(ended.returncode != 0)
`;

const ENDS = [
  { what: "stopped in a restart", end: "stop", exitCode: 0, mounts: "0" },
  // That of a killed server is dead.
  { what: "killed", end: "kill", exitCode: 1, mounts: "1" },
];

for (const { what, end, exitCode, mounts } of ENDS) {
  testUnless(noPrivateNode())(
    `a mount whose ledger lacks inodes of a sync is kept for no other server: ${what}`,
    async () => {
      await using node = await PrivateNode.start();
      const script = join(import.meta.dir, "servers/lacking-ledger.ts");
      const words = ["python3", "-u", "-c", MANAGER, process.execPath, script, "/run", end];
      const ran = await node.run(words);
      expect(ran).toMatchObject({ exitCode, stderr: "" });
      // Without FUSE_NOTIFY_RESEND, a device is stored only when it is handed over.
      expect(ran.stdout).toMatch(/^true false\n(?:FDSTORE=1\nFDSTOREREMOVE=1\n)?$/);
      expect(await node.sh("grep -c ' /etc/pve ' /proc/mounts || true")).toBe(mounts);
    },
  );
}
