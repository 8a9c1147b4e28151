/*
 * A minimal proxy: a C server on libqb that forwards each request to another server, over one
 * connection for all clients. It records nothing and limits nothing; its cost is that of two hops
 * on this machine.
 *
 *   qb-relay SERVICE UPSTREAM
 */
#include "qb-server.h"

#include <qb/qbipcc.h>

enum { MAX_MSG_SIZE = 1 << 20, TIMEOUT_MS = 20000 };

static qb_ipcc_connection_t *upstream;
static uint8_t reply[MAX_MSG_SIZE];

static int32_t relay(qb_ipcs_connection_t *c, void *data, size_t size)
{
	struct iovec request = { data, size };
	ssize_t got =
		qb_ipcc_sendv_recv(upstream, &request, 1, reply, sizeof reply, TIMEOUT_MS);
	if (got < 0)
		return (int32_t)got;
	ssize_t sent = qb_ipcs_response_send(c, reply, (size_t)got);
	return sent < 0 ? (int32_t)sent : 0;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		die("usage", "qb-relay SERVICE UPSTREAM");
	upstream = qb_ipcc_connect(argv[2], MAX_MSG_SIZE);
	if (upstream == NULL)
		die(argv[2], strerror(errno));
	return serve(argv[1], relay, NULL, NULL);
}
