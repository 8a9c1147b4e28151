/* Asks pmxcfs for its version counters: cc ten-lines.c -lqb */
#include <qb/qbipcc.h>
#include <stdio.h>

int main(void)
{
	struct { struct qb_ipc_response_header head; char text[1 << 16]; } answer;
	struct qb_ipc_request_header ask = { .id = 1 /* GET_FS_VERSION */, .size = sizeof ask };
	struct iovec all = { &ask, sizeof ask };
	qb_ipcc_connection_t *pve = qb_ipcc_connect("pve2", 1 << 20);
	if (!pve || qb_ipcc_sendv_recv(pve, &all, 1, &answer, sizeof answer, 5000) < 0)
		return perror("pve2"), 1;
	fwrite(answer.text, 1, answer.head.size - sizeof answer.head, stdout);
	qb_ipcc_disconnect(pve);
	return -answer.head.error;
}
