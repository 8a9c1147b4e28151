/*
 * Prints the scheduling of a thread as JSON: policy (0: SCHED_OTHER), nice, and its time slice in
 * ns, which kernels before 6.12 give as 0.
 *
 *   scheduling-of TID
 */
#include "tool.h"

#include <sys/syscall.h>

int main(int argc, char **argv)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} got = { 0 };

	if (argc < 2)
		die("usage", "scheduling-of TID");
	if (syscall(SYS_sched_getattr, atoi(argv[1]), &got, sizeof(got), 0) < 0)
		die("sched_getattr", strerror(errno));
	printf("{\"policy\":%u,\"nice\":%d,\"slice\":%lu}\n", got.policy, got.nice,
	       (unsigned long)got.runtime);
	return 0;
}
