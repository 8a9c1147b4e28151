/*
 * Shared by the C servers: a qb_loop, and a QB_IPC_SHM service on it that SIGTERM and SIGINT stop.
 * Each server has its own options and its own msg_process.
 */
#ifndef PMXCFS_IPC_QB_SERVER_H
#define PMXCFS_IPC_QB_SERVER_H

#include "tool.h"

#include <qb/qbdefs.h>
#include <qb/qbipcs.h>
#include <qb/qbloop.h>
#include <signal.h>
#include <sys/uio.h>

static qb_loop_t *loop;
static qb_ipcs_service_t *service;

/* Accepts every uid; without it, only root and the server's own. */
static int accept_any;
/* Unless 0, the result of the accept callback for every uid: a refusal. */
static int refuse_with;

static int32_t job_add(enum qb_loop_priority p, void *data, qb_loop_job_dispatch_fn fn)
{
	return qb_loop_job_add(loop, p, data, fn);
}

static int32_t dispatch_add(enum qb_loop_priority p, int32_t fd, int32_t events, void *data,
			    qb_ipcs_dispatch_fn_t fn)
{
	return qb_loop_poll_add(loop, p, fd, events, data, fn);
}

static int32_t dispatch_mod(enum qb_loop_priority p, int32_t fd, int32_t events, void *data,
			    qb_ipcs_dispatch_fn_t fn)
{
	return qb_loop_poll_mod(loop, p, fd, events, data, fn);
}

static int32_t dispatch_del(int32_t fd)
{
	return qb_loop_poll_del(loop, fd);
}

static int32_t accept_client(qb_ipcs_connection_t *c, uid_t uid, gid_t gid)
{
	(void)c;
	(void)gid;
	if (refuse_with != 0)
		return refuse_with;
	return accept_any || uid == 0 || uid == getuid() ? 0 : -EPERM;
}

static int32_t stop(int32_t signal_number, void *data)
{
	(void)signal_number;
	(void)data;
	qb_ipcs_destroy(service);
	qb_loop_stop(loop);
	return -1;
}

/* Answers with `error` and `size` bytes of `body`; the answer is lost if the ring is full. */
static inline int32_t answer(qb_ipcs_connection_t *c, int32_t id, int32_t error, const void *body,
			     size_t size)
{
	response_header header = { .id = id, .size = (int32_t)(sizeof header + size),
				   .error = error };
	struct iovec iov[2] = { { &header, sizeof header }, { (void *)body, size } };
	ssize_t sent = qb_ipcs_response_sendv(c, iov, size > 0 ? 2 : 1);
	return sent < 0 ? (int32_t)sent : 0;
}

static inline int serve(const char *name, qb_ipcs_msg_process_fn process,
			qb_ipcs_connection_created_fn created,
			qb_ipcs_connection_destroyed_fn destroyed)
{
	struct qb_ipcs_service_handlers handlers = { .connection_accept = accept_client,
						     .connection_created = created,
						     .connection_destroyed = destroyed,
						     .msg_process = process };
	struct qb_ipcs_poll_handlers poll = { .job_add = job_add, .dispatch_add = dispatch_add,
					      .dispatch_mod = dispatch_mod,
					      .dispatch_del = dispatch_del };
	loop = qb_loop_create();
	qb_loop_signal_add(loop, QB_LOOP_HIGH, SIGTERM, NULL, stop, NULL);
	qb_loop_signal_add(loop, QB_LOOP_HIGH, SIGINT, NULL, stop, NULL);
	service = qb_ipcs_create(name, 0, QB_IPC_SHM, &handlers);
	if (service == NULL)
		die(name, strerror(errno));
	qb_ipcs_poll_handlers_set(service, &poll);
	int32_t result = qb_ipcs_run(service);
	if (result < 0)
		die(name, strerror(-result));
	puts("READY");
	fflush(stdout);
	qb_loop_run(loop);
	qb_loop_destroy(loop);
	return 0;
}

#endif
