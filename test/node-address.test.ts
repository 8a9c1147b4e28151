/** The address of a node's name: the first non-loopback one, with retries. */
import { expect, test } from "bun:test";
import { findNodeAddress } from "../src/daemon/node/node-address.ts";

/** A name service that gives these answers, and then repeats the last one. */
function answering(...answers: readonly (string[] | Error)[]) {
  let asked = 0;
  return async (): Promise<string[]> => {
    const answer = answers[Math.min(asked++, answers.length - 1)] ?? [];
    if (answer instanceof Error) throw answer;
    return await Promise.resolve(answer);
  };
}

test("the first non-loopback address is used", async () => {
  const find = answering(["127.0.1.1", "::1", "192.0.2.11", "2001:db8::11"]);
  expect(await findNodeAddress("pve1", find)).toEqual({ address: "192.0.2.11" });
});

test("the lookup is repeated when the name service fails at first", async () => {
  const failure = new Error("getaddrinfo EAI_AGAIN");
  const find = answering(failure, ["127.0.1.1"], ["192.0.2.11"]);
  expect(await findNodeAddress("pve1", find)).toEqual({ address: "192.0.2.11" });
});

test("when it keeps failing, the last answer is the reason", async () => {
  const failure = answering(new Error("getaddrinfo ENOTFOUND"));
  expect(await findNodeAddress("pve1", failure)).toEqual({ reason: "getaddrinfo ENOTFOUND" });
  const loopback = answering(["127.0.1.1", "::1"]);
  expect(await findNodeAddress("pve1", loopback)).toEqual({ reason: "found 127.0.1.1, ::1" });
});
