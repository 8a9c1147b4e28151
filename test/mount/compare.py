"""compare.py --c COMMAND --server COMMAND --seeds FIRST:LAST [--steps N]: random steps on the C server, then on ours.

Runs inside the namespaces of test/support/private-node.ts. chooser.py chooses the steps while the C server
answers them; ours gets the same ones and must give the same results, and the same rows and counters at the
end. Each difference is printed as a line; the exit code is 1 if there was one. A scenario in which the C
server ends, or its own mount and database differ at the end, is left out, and counted.
"""
import argparse, os, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import chooser, replay

GONE = ("ENOTCONN", "ECONNABORTED")


class CServerFailed(Exception):
    """The recording has an end that is no answer."""


def recorded(command, seed, count):
    """A scenario: the steps with the C server's results, and what there is at the end."""
    replay.wipe()
    server = replay.Server(command, may_hang=True)
    server.start()
    try:
        performer, base, steps = replay.Replay(server, time.time()), replay.Base(), []
        chosen = chooser.Chooser(seed, count)
        for step in chosen:
            result = performer.step(step, base)
            if result.get("errno") in GONE:
                raise CServerFailed("it ended at step %d: %s" % (len(steps) + 1, step))
            chosen.saw(step, result)
            steps.append(dict(step, r=result))
        performer.close()
        end = {"rows": base.rows(), "version": base.counters(replay.dot(".version")), "vmlist": base.guests(replay.dot(".vmlist"))}
        tree = replay.tree_of(end["rows"])
        if replay.tree_seen() != tree or len(tree) != len(end["rows"]) - 1:
            raise CServerFailed("its mount does not show what its database holds")
        return {"name": "seed %d" % seed, "steps": steps, "end": end}
    except OSError as error:
        raise CServerFailed("it ended: %s" % error) from error
    finally:
        server.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--c", required=True), parser.add_argument("--server", required=True)
    parser.add_argument("--seeds", required=True), parser.add_argument("--steps", type=int, default=250)
    args = parser.parse_args()
    first, last = map(int, args.seeds.split(":"))
    bad = steps = left_out = 0
    for seed in range(first, last):
        try:
            scenario = recorded(args.c, seed, args.steps)
        except CServerFailed as failure:
            left_out += 1
            print("seed %d: left out, since the C server failed: %s" % (seed, failure), flush=True)
            continue
        replay.wipe()
        server = replay.Server(args.server)
        server.start()
        found = replay.Replay(server, time.time()).run(scenario)
        server.stop()
        bad, steps = bad + len(found), steps + len(scenario["steps"])
        for line in found[:20]:
            print("seed %d: %s" % (seed, line[:600]), flush=True)
    print("%d scenarios, %d steps, %d differences, %d left out" % (last - first - left_out, steps, bad, left_out))
    sys.exit(1 if bad or steps == 0 else 0)


main()
