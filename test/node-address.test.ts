/** The address of a node's name: the first that is not loopback, with retries. */
import { expect, test } from "bun:test";
import { findNodeAddress } from "../src/daemon/node/node-address.ts";

/** A name service that gives these answers in turn, then repeats the last one. */
function nameService(...answers: readonly (string[] | Error)[]) {
  let lookups = 0;
  return async (): Promise<string[]> => {
    const answer = answers[Math.min(lookups++, answers.length - 1)] ?? [];
    if (answer instanceof Error) throw answer;
    return await Promise.resolve(answer);
  };
}

test("the first address that is not loopback is used", async () => {
  const find = nameService(["127.0.1.1", "::1", "192.0.2.11", "2001:db8::11"]);
  expect(await findNodeAddress("pve1", find)).toEqual({ address: "192.0.2.11" });
});

test("the lookup is repeated when the name service fails at first", async () => {
  const failure = new Error("getaddrinfo EAI_AGAIN");
  const find = nameService(failure, ["127.0.1.1"], ["192.0.2.11"]);
  expect(await findNodeAddress("pve1", find)).toEqual({ address: "192.0.2.11" });
});

test("the reason for no address is the last answer of the name service", async () => {
  const failure = nameService(new Error("getaddrinfo ENOTFOUND"));
  expect(await findNodeAddress("pve1", failure)).toEqual({ reason: "getaddrinfo ENOTFOUND" });
  const loopback = nameService(["127.0.1.1", "::1"]);
  expect(await findNodeAddress("pve1", loopback)).toEqual({ reason: "found 127.0.1.1, ::1" });
});
