/*
 * The memory of qb-answer-server.c: named byte strings in chained hash tables, in place of glib's
 * GHashTable, and a growing output text. Allocation failures end the program.
 */
#ifndef PMXCFS_IPC_ANSWER_STORE_H
#define PMXCFS_IPC_ANSWER_STORE_H

#include "tool.h"

#include <stdarg.h>

typedef struct entry {
	struct entry *chain, *next; /* same bucket; order of creation */
	char *name;
	char *bytes; /* `size` of them, and a NUL */
	size_t size;
	unsigned version;
} entry;

enum { BUCKETS = 16384 };

typedef struct {
	entry *buckets[BUCKETS], *first, **last;
	size_t count;
} table;

static inline entry **slot(table *t, const char *name)
{
	uint32_t hash = 2166136261u;
	for (const char *c = name; *c != '\0'; c++)
		hash = (hash ^ (uint8_t)*c) * 16777619u;
	entry **at = &t->buckets[hash % BUCKETS];
	while (*at != NULL && strcmp((*at)->name, name) != 0)
		at = &(*at)->chain;
	return at;
}

/* Stores a copy of the bytes under `name`; each call increments the entry's version. */
static inline entry *put(table *t, const char *name, const void *bytes, size_t size)
{
	entry **at = slot(t, name);
	if (*at == NULL) {
		if (t->last == NULL)
			t->last = &t->first;
		*at = calloc(1, sizeof **at);
		if (*at == NULL || ((*at)->name = strdup(name)) == NULL)
			die(name, "no memory");
		*t->last = *at;
		t->last = &(*at)->next;
		t->count++;
	}
	char *copy = malloc(size + 1);
	if (copy == NULL)
		die(name, "no memory");
	memcpy(copy, bytes, size);
	copy[size] = '\0';
	free((*at)->bytes);
	(*at)->bytes = copy;
	(*at)->size = size;
	(*at)->version++;
	return *at;
}

static struct {
	char *bytes;
	size_t size, room;
} text;

static inline void append(const char *bytes, size_t size)
{
	if (text.size + size + 1 > text.room) {
		text.room = (text.size + size + 1) * 2;
		text.bytes = realloc(text.bytes, text.room);
		if (text.bytes == NULL)
			die("text", "no memory");
	}
	memcpy(text.bytes + text.size, bytes, size);
	text.size += size;
	text.bytes[text.size] = '\0';
}

__attribute__((format(printf, 1, 2))) static inline void print(const char *format, ...)
{
	char line[8192];
	va_list arguments;
	va_start(arguments, format);
	int size = vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	append(line, size < (int)sizeof line ? (size_t)size : sizeof line - 1);
}

#endif
