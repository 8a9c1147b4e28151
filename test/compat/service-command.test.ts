/** The command of `compat --command`: the server takes the place of the shell. */
import { expect, test } from "bun:test";
import { commandOf, openServices } from "../../src/tools/compat/services.ts";
import { echoCommand, startService } from "../support/service.ts";

test.each([
  ["server --name {socket}", "exec server --name s"],
  ["A=1 server {socket}", "A=1 exec server s"],
  [`A="1 2" B='3 4' C=5 server`, `A="1 2" B='3 4' C=5 exec server`],
  ["LD_LIBRARY_PATH=/x:/y sudo -u a server", "LD_LIBRARY_PATH=/x:/y exec sudo -u a server"],
  ["server A=1", "exec server A=1"],
])("%s", (command, line) => {
  expect(commandOf(command, "s")).toEqual(["sh", "-c", line]);
});

test("a variable before the command is the server's", () => {
  const words = commandOf(`WORD="a b" sh -c 'echo $$ $WORD {socket}'`, "s");
  const { stdout } = Bun.spawnSync([...words]);
  expect(stdout.toString()).toMatch(/^\d+ a b s\n$/);
});

test("a name that another server has is refused: its status and log would be written", async () => {
  await using other = await startService(echoCommand);
  const { name } = other;
  const services = await openServices({ socket: name, command: "sleep 60", writes: false });
  expect(services).toStartWith(`@${name} is served already: `);
  expect(await other.stop()).toBe(0);
});
