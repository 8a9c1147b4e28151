/** The loop that keeps the services of corosync up, over services that the test ends. */
import { describe, expect, spyOn, test } from "bun:test";
import { everySecond } from "../../src/base/heartbeat.ts";
import { type Log, silentLog } from "../../src/base/log.ts";
import { CsError, CsFailure } from "../../src/corosync/cs-error.ts";
import { type ClusterService, Supervisor } from "../../src/pmxcfs/replication/services/service.ts";
import { eventually } from "../support/eventually.ts";

/** A service whose connection the test ends; counts its starts and how often it is asked. */
class FakeService implements ClusterService {
  readonly name = "fake";
  readonly call = "fake_initialize";
  connected = false;
  asked = 0;
  starts = 0;
  ticks = 0;
  /** Called by a start; may throw. */
  beforeStart: () => void | Promise<void> = () => {};

  get isUp(): boolean {
    this.asked++;
    return this.connected;
  }

  async start(): Promise<undefined> {
    this.starts++;
    await this.beforeStart();
    this.connected = true;
  }

  tick(): void {
    this.ticks++;
  }

  async stop(): Promise<void> {
    await Promise.resolve();
  }
}

describe("the supervisor", () => {
  test("asks no service while all are connected, and starts one that is lost", async () => {
    const services = [new FakeService(), new FakeService()];
    const [first] = services;
    const supervisor = new Supervisor(services, silentLog);
    supervisor.start();
    await eventually("both are connected", () => services.every(({ connected }) => connected));
    // The last try sees that both are.
    await eventually("a tick", () => first?.ticks === 1);
    const asked = first?.asked;
    await eventually("two more ticks", () => first?.ticks === 3);
    expect(first?.asked).toBe(asked);
    if (first !== undefined) first.connected = false;
    supervisor.tryUntilConnected();
    await eventually("it is started again", () => first?.starts === 2);
    expect(services[1]?.starts).toBe(1);
    await supervisor.stop();
  });

  test("reads what came while the process was stopped before it checks deadlines", async () => {
    const service = new FakeService();
    const supervisor = new Supervisor([service], silentLog);
    supervisor.start();
    const beats: number[] = [];
    using _after = everySecond(() => beats.push(service.ticks));
    await eventually("a tick", () => beats.length === 1);
    const now = performance.now.bind(performance);
    using _later = spyOn(performance, "now").mockImplementation(() => now() + 40_000);
    await eventually("three more seconds", () => beats.length >= 4, 60_000);
    expect(beats.slice(0, 4)).toEqual([1, 1, 2, 3]);
    await supervisor.stop();
  });

  test("logs a start that throws, at once or late, and starts the service again", async () => {
    const lines: string[] = [];
    const log: Log = { ...silentLog, error: (line) => lines.push(line), tagged: () => log };
    const services = [new FakeService(), new FakeService(), new FakeService()];
    const [first, second, third] = services;
    for (const service of [first, second]) {
      if (service === undefined) continue;
      service.beforeStart = async () => {
        // After a second the supervisor starts the next service.
        if (service === second) await eventually("the next", () => third?.connected);
        if (service.starts === 1) throw new Error("a bug of ours");
      };
    }
    const supervisor = new Supervisor(services, log);
    supervisor.start();
    await eventually("all are connected", () => services.every(({ connected }) => connected));
    expect([first?.starts, second?.starts, third?.starts]).toEqual([2, 2, 1]);
    expect(lines).toHaveLength(4);
    expect(lines[0]).toMatch(/fake_initialize failed: .*a bug of ours/);
    await supervisor.stop();
  });

  test("logs in two lines, as C, that corosync is not there, and this once", async () => {
    const lines: string[] = [];
    const log: Log = { ...silentLog, error: (line) => lines.push(line), tagged: () => log };
    const service = new FakeService();
    const none = new CsFailure(CsError.LIBRARY, "no process listens on @fake");
    spyOn(service, "start").mockImplementation(async () => {
      service.starts++;
      await Promise.resolve();
      if (service.starts < 3) return none as unknown as undefined;
      service.connected = true;
      return undefined;
    });
    const supervisor = new Supervisor([service], log);
    supervisor.start();
    await eventually("it is connected", () => service.connected);
    await supervisor.stop();
    expect(lines).toEqual([
      "fake_initialize failed: CS_ERR_LIBRARY (failed to connect to corosync): " +
        "no process listens on @fake",
      "can't initialize service",
    ]);
  });
});
