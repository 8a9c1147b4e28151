/*
 * A C server that answers pmxcfs's requests from memory, so that benchmarks compare servers that do
 * the same work: a tree read once, hash tables, and each answer formatted on request, as pmxcfs
 * does. It checks neither permissions nor malformed requests: for benchmarks only.
 *
 *   qb-answer-server SERVICE DIR NODE
 */
#include "answer-store.h"
#include "qb-server.h"

#include <ftw.h>
#include <sys/stat.h>

enum { LOG_ENTRIES = 1000 };

static table files, guests, status;
static char *cluster_log[LOG_ENTRIES];
static unsigned long logged;
static const char *root, *node;

static const char *const observed[] = {
	"corosync.conf", "corosync.conf.new", "storage.cfg", "user.cfg", "domains.cfg",
	"notifications.cfg", "priv/notifications.cfg", "priv/shadow.cfg", "priv/acme/plugins.cfg",
	"priv/tfa.cfg", "priv/token.cfg", "priv/wg-keys.cfg", "datacenter.cfg", "vzdump.cron",
	"vzdump.conf", "jobs.cfg", "ha/crm_commands", "ha/manager_status", "ha/resources.cfg",
	"ha/rules.cfg", "ha/groups.cfg", "ha/fence.cfg", "status.cfg", "replication.cfg", "ceph.conf",
	"sdn/vnets.cfg", "sdn/zones.cfg", "sdn/controllers.cfg", "sdn/subnets.cfg", "sdn/ipams.cfg",
	"sdn/mac-cache.json", "sdn/pve-ipam-state.json", "sdn/dns.cfg", "sdn/fabrics.cfg",
	"sdn/route-maps.cfg", "sdn/prefix-lists.cfg", "sdn/.running-config",
	"virtual-guest/cpu-models.conf", "virtual-guest/profiles.cfg", "firewall/cluster.fw",
	"mapping/directory.cfg", "mapping/pci.cfg", "mapping/usb.cfg",
};

static void fs_version(void)
{
	print("{\n\"starttime\": %ld,\n\"clinfo\": 0,\n\"vmlist\": 1,\n", (long)getpid());
	for (size_t i = 0; i < sizeof observed / sizeof observed[0]; i++)
		print("\"%s\": %u,\n", observed[i], 1u);
	print("\"kvstore\": {\n\"%s\": {\n", node);
	for (entry *e = status.first; e != NULL; e = e->next)
		print("%s\"%s\": %u", e == status.first ? "" : ",\n", e->name, e->version - 1);
	print("}\n}\n}\n");
}

static void guest_list(void)
{
	print("{\n\"version\": 1,\n\"ids\": {\n");
	for (entry *e = guests.first; e != NULL; e = e->next)
		print("%s\"%s\": { \"node\": \"%s\", \"type\": \"%s\", \"version\": %u }",
		      e == guests.first ? "" : ",\n", e->name, node,
		      strstr(e->bytes, "/lxc/") == NULL ? "qemu" : "lxc", e->version);
	print("}\n\n}\n");
}

/* The properties `names` of one guest, in that order: each scans the lines of the config. */
static int properties(const entry *guest, const char *names, unsigned count, int first)
{
	const entry *file = *slot(&files, guest->bytes);
	int found = 0;
	for (; count > 0; count--, names += strlen(names) + 1) {
		size_t length = strlen(names);
		for (const char *line = file->bytes; *line != '\0' && *line != '[';) {
			const char *end = strchrnul(line, '\n');
			if (strncmp(line, names, length) == 0 && line[length] == ':') {
				const char *value = line + length + 1;
				value += strspn(value, " ");
				if (found++ == 0)
					print("%s\"%s\":{", first ? "" : ",\n", guest->name);
				print("%s\"%s\": \"%.*s\"", found > 1 ? "," : "", names,
				      (int)(end - value), value);
				break;
			}
			line = *end == '\n' ? end + 1 : end;
		}
	}
	if (found > 0)
		print("}");
	return found > 0;
}

static int32_t guest_properties(const char *body, const char *names, unsigned count)
{
	uint32_t vmid;
	char name[16];
	memcpy(&vmid, body, sizeof vmid);
	snprintf(name, sizeof name, "%u", vmid);
	entry *one = vmid == 0 ? guests.first : *slot(&guests, name);
	if (one == NULL && vmid != 0)
		return -ENOENT;
	int shown = 0;
	print("{\n");
	for (entry *e = one; e != NULL; e = vmid == 0 ? e->next : NULL)
		shown += properties(e, names, count, shown == 0);
	print("\n}\n");
	return 0;
}

static int32_t verify_token(const char *token)
{
	const entry *file = *slot(&files, "priv/token.cfg");
	size_t length = strlen(token);
	for (const char *line = file == NULL ? "" : file->bytes; *line != '\0';) {
		const char *end = strchrnul(line, '\n');
		if ((size_t)(end - line) == length && memcmp(line, token, length) == 0)
			return 0;
		line = *end == '\n' ? end + 1 : end;
	}
	return -ENOENT;
}

static void log_message(const char *body)
{
	const char *ident = body + 3, *tag = ident + (uint8_t)body[1];
	char **at = &cluster_log[logged++ % LOG_ENTRIES];
	free(*at);
	if (asprintf(at,
		     "{\"uid\": %lu, \"time\": %ld, \"pri\": %d, \"tag\": \"%s\", \"pid\": %d, "
		     "\"node\": \"%s\", \"user\": \"%s\", \"msg\": \"%s\"}",
		     logged, (long)time(NULL), body[0], tag, 1, node, ident,
		     tag + (uint8_t)body[2]) < 0)
		die("log", "no memory");
}

static void cluster_log_text(const char *body)
{
	uint32_t max;
	memcpy(&max, body, sizeof max);
	print("{\n\"data\": [\n");
	for (unsigned long i = 0; i < (max == 0 ? 50 : max) && i < logged && i < LOG_ENTRIES; i++)
		print("%s%s", i == 0 ? "" : ",\n", cluster_log[(logged - 1 - i) % LOG_ENTRIES]);
	print("\n]\n}\n");
}

static void rrd_dump(void)
{
	for (entry *e = status.first; e != NULL; e = e->next)
		if (strncmp(e->name, "rrd/", 4) == 0)
			print("%s:%s\n", e->name + 4, e->bytes);
	append("", 1);
}

static int32_t config(const char *path)
{
	const entry *file = *slot(&files, path);
	if (file == NULL)
		return -ENOENT;
	append(file->bytes, file->size);
	return 0;
}

static int32_t get_status(const char *body)
{
	const entry *e = *slot(&status, body);
	if (e == NULL)
		return -ENOENT;
	append(e->bytes, e->size);
	return 0;
}

static int32_t run(int32_t id, const char *body, size_t size)
{
	switch (id) {
	case 1:
		return fs_version(), 0;
	case 2:
		return print("{\n\"nodename\": \"%s\",\n\"version\": 0\n}\n", node), 0;
	case 3:
		return guest_list(), 0;
	case 4:
		return put(&status, body, body + 256, size - 256), 0;
	case 5:
		return get_status(body);
	case 6:
		return config(body);
	case 7:
		return log_message(body), 0;
	case 8:
		return cluster_log_text(body), 0;
	case 10:
		return rrd_dump(), 0;
	case 11:
		return guest_properties(body, body + 4, 1);
	case 12:
		return verify_token(body);
	case 13:
		return guest_properties(body, body + 5, (uint8_t)body[4]);
	default:
		return -ECHRNG;
	}
}

static int32_t process(qb_ipcs_connection_t *c, void *data, size_t size)
{
	const request_header *request = data;
	text.size = 0;
	int32_t error = run(request->id, (const char *)(request + 1), size - sizeof *request);
	return answer(c, request->id, error, text.bytes, error == 0 ? text.size : 0);
}

static int load_file(const char *path, const struct stat *meta, int kind, struct FTW *where)
{
	(void)where;
	if (kind != FTW_F)
		return 0;
	FILE *file = fopen(path, "re");
	char *bytes = malloc((size_t)meta->st_size + 1);
	if (file == NULL || bytes == NULL)
		die(path, strerror(errno));
	size_t size = fread(bytes, 1, (size_t)meta->st_size, file);
	const char *name = path + strlen(root) + 1, *base = strrchr(path, '/') + 1;
	put(&files, name, bytes, size);
	if (strncmp(name, "nodes/", 6) == 0 && strchr("0123456789", *base) != NULL) {
		char vmid[16];
		snprintf(vmid, sizeof vmid, "%.*s", (int)strcspn(base, "."), base);
		put(&guests, vmid, name, strlen(name));
	}
	fclose(file);
	free(bytes);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		die("usage", "qb-answer-server SERVICE DIR NODE");
	root = argv[2];
	node = argv[3];
	if (nftw(root, load_file, 16, FTW_PHYS) != 0)
		die(root, strerror(errno));
	return serve(argv[1], process, NULL, NULL);
}
