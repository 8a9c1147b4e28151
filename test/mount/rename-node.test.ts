/** config rename-node through the mount: whenever it is killed, every guest exists exactly once. */
import { expect } from "bun:test";
import { noPrivateNode, PrivateNode } from "../support/private-node.ts";
import { testUnless } from "../support/unless.ts";

const testOnNode = testUnless(noPrivateNode());

const TREE = `
cd /etc/pve; mkdir -p nodes/old/qemu-server nodes/old/lxc nodes/old/priv nodes/old/openvz nodes/pve1
for n in 100 101 102; do echo "name: vm$n" >nodes/old/qemu-server/$n.conf; done
echo "hostname: ct" >nodes/old/lxc/200.conf
echo key >nodes/old/priv/key; echo fw >nodes/old/host.fw
printf 'dir: local\\n\\tnodes old\\n' >storage.cfg`;

testOnNode(
  "config rename-node --mount, killed repeatedly, ends with every guest exactly once",
  async () => {
    await using node = await PrivateNode.start();
    await node.serve(
      "pmxcfs",
      "-l",
      "-f",
      "--inject",
      "rename2:delay=50ms",
      "--inject",
      "rename:delay=50ms",
    );
    await node.sh(TREE);
    const script = `
for i in 2 5 8 11 14 18 22 30 40 60 90; do
  after="$((i / 10)).$((i % 10))"
  timeout -s KILL $after pmxcfs-ipc config rename-node --mount /etc/pve old new && break
  python3 -c 'import json; print(len(json.load(open("/etc/pve/.vmlist"))["ids"]))'
done; echo "runs $i"; find /etc/pve/nodes -type f | sort; ls /etc/pve/nodes`;
    const lines = (await node.sh(script, 50_000)).split("\n");
    const guests = lines.filter((line) => /^\d+$/.test(line));
    expect(new Set(guests)).toEqual(new Set(["4"]));
    const after = lines.slice(lines.findIndex((line) => line.startsWith("runs")) + 1);
    expect(after).toEqual([
      "/etc/pve/nodes/new/host.fw",
      "/etc/pve/nodes/new/lxc/200.conf",
      "/etc/pve/nodes/new/priv/key",
      "/etc/pve/nodes/new/qemu-server/100.conf",
      "/etc/pve/nodes/new/qemu-server/101.conf",
      "/etc/pve/nodes/new/qemu-server/102.conf",
      "new",
      "pve1",
    ]);
    const again = await node.run([
      "pmxcfs-ipc",
      "config",
      "rename-node",
      "--mount",
      "--",
      "old",
      "new",
    ]);
    expect(again.stdout).toContain("nothing to do");
    expect(again.stderr).toContain("still names old: storage.cfg line 2: nodes old");
  },
);
