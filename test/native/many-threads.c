/*
 * Starts threads that sleep, prints their number, and sleeps.
 *
 *   many-threads NUMBER
 */
#include "tool.h"

#include <pthread.h>

static void *sleeps(void *argument)
{
	for (;;)
		pause();
	return argument;
}

int main(int argc, char **argv)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int threads = 0;

	if (argc < 2)
		die("usage", "many-threads NUMBER");
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 1 << 17);
	while (threads < atoi(argv[1]) && pthread_create(&thread, &attributes, sleeps, NULL) == 0)
		threads++;
	printf("%d\n", threads);
	fflush(stdout);
	sleeps(NULL);
}
