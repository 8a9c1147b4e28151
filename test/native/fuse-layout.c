/*
 * Prints the sizes and offsets of the FUSE structures in the kernel's header (linux/fuse.h) as one
 * line of JSON, under the names of src/fuse/layouts.ts.
 */
#include "tool.h"

#include <linux/fuse.h>
#include <stddef.h>

#define FIELD(ours, type, field)                                                                   \
	printf("%s\"%s\":%zu", comma++ ? "," : "", ours, offsetof(struct type, field))
#define STRUCT(ours, type)                                                                         \
	printf("%s\"%s\":{\"size\":%zu,\"offset\":{", structs++ ? "," : "", ours,                     \
	       sizeof(struct type));                                                                   \
	comma = 0
#define END printf("}}")

int main(void)
{
	int structs = 0, comma = 0;

	printf("{");
	STRUCT("InHeader", fuse_in_header);
	FIELD("length", fuse_in_header, len);
	FIELD("opcode", fuse_in_header, opcode);
	FIELD("uniqueLow", fuse_in_header, unique);
	FIELD("node", fuse_in_header, nodeid);
	FIELD("uid", fuse_in_header, uid);
	FIELD("gid", fuse_in_header, gid);
	FIELD("pid", fuse_in_header, pid);
	END;
	STRUCT("OutHeader", fuse_out_header);
	FIELD("length", fuse_out_header, len);
	FIELD("error", fuse_out_header, error);
	FIELD("uniqueLow", fuse_out_header, unique);
	END;
	STRUCT("EntryOut", fuse_entry_out);
	FIELD("node", fuse_entry_out, nodeid);
	FIELD("generation", fuse_entry_out, generation);
	FIELD("entryValid", fuse_entry_out, entry_valid);
	FIELD("attributesValid", fuse_entry_out, attr_valid);
	FIELD("entryValidNs", fuse_entry_out, entry_valid_nsec);
	FIELD("attributesValidNs", fuse_entry_out, attr_valid_nsec);
	FIELD("inode", fuse_entry_out, attr.ino);
	FIELD("size", fuse_entry_out, attr.size);
	FIELD("blocks", fuse_entry_out, attr.blocks);
	FIELD("atime", fuse_entry_out, attr.atime);
	FIELD("mtime", fuse_entry_out, attr.mtime);
	FIELD("ctime", fuse_entry_out, attr.ctime);
	FIELD("mode", fuse_entry_out, attr.mode);
	FIELD("nlink", fuse_entry_out, attr.nlink);
	FIELD("uid", fuse_entry_out, attr.uid);
	FIELD("gid", fuse_entry_out, attr.gid);
	FIELD("device", fuse_entry_out, attr.rdev);
	FIELD("blockSize", fuse_entry_out, attr.blksize);
	END;
	STRUCT("AttributesOut", fuse_attr_out);
	FIELD("valid", fuse_attr_out, attr_valid);
	FIELD("validNs", fuse_attr_out, attr_valid_nsec);
	FIELD("inode", fuse_attr_out, attr.ino);
	FIELD("mode", fuse_attr_out, attr.mode);
	END;
	STRUCT("InitOut", fuse_init_out);
	FIELD("major", fuse_init_out, major);
	FIELD("maxReadahead", fuse_init_out, max_readahead);
	FIELD("flags", fuse_init_out, flags);
	FIELD("maxBackground", fuse_init_out, max_background);
	FIELD("congestionThreshold", fuse_init_out, congestion_threshold);
	FIELD("maxWrite", fuse_init_out, max_write);
	FIELD("timeGranularity", fuse_init_out, time_gran);
	FIELD("maxPages", fuse_init_out, max_pages);
	FIELD("flags2", fuse_init_out, flags2);
	END;
	STRUCT("GetattrIn", fuse_getattr_in);
	FIELD("flags", fuse_getattr_in, getattr_flags);
	FIELD("handle", fuse_getattr_in, fh);
	END;
	STRUCT("SetattrIn", fuse_setattr_in);
	FIELD("valid", fuse_setattr_in, valid);
	FIELD("handle", fuse_setattr_in, fh);
	FIELD("size", fuse_setattr_in, size);
	FIELD("mtimeLow", fuse_setattr_in, mtime);
	FIELD("mode", fuse_setattr_in, mode);
	FIELD("uid", fuse_setattr_in, uid);
	FIELD("gid", fuse_setattr_in, gid);
	END;
	STRUCT("MknodIn", fuse_mknod_in);
	FIELD("mode", fuse_mknod_in, mode);
	END;
	STRUCT("MkdirIn", fuse_mkdir_in);
	END;
	STRUCT("RenameIn", fuse_rename_in);
	END;
	STRUCT("Rename2In", fuse_rename2_in);
	FIELD("flags", fuse_rename2_in, flags);
	END;
	STRUCT("OpenIn", fuse_open_in);
	END;
	STRUCT("OpenOut", fuse_open_out);
	FIELD("handle", fuse_open_out, fh);
	FIELD("openFlags", fuse_open_out, open_flags);
	END;
	STRUCT("CreateIn", fuse_create_in);
	FIELD("flags", fuse_create_in, flags);
	END;
	STRUCT("ReleaseIn", fuse_release_in);
	FIELD("handle", fuse_release_in, fh);
	END;
	STRUCT("ReadIn", fuse_read_in);
	FIELD("handle", fuse_read_in, fh);
	FIELD("offset", fuse_read_in, offset);
	FIELD("size", fuse_read_in, size);
	END;
	STRUCT("WriteIn", fuse_write_in);
	FIELD("handle", fuse_write_in, fh);
	FIELD("offset", fuse_write_in, offset);
	FIELD("size", fuse_write_in, size);
	END;
	STRUCT("WriteOut", fuse_write_out);
	END;
	STRUCT("StatfsOut", fuse_statfs_out);
	FIELD("blocks", fuse_statfs_out, st.blocks);
	FIELD("files", fuse_statfs_out, st.files);
	FIELD("blockSize", fuse_statfs_out, st.bsize);
	FIELD("nameLength", fuse_statfs_out, st.namelen);
	FIELD("fragmentSize", fuse_statfs_out, st.frsize);
	END;
	STRUCT("ForgetIn", fuse_forget_in);
	END;
	STRUCT("BatchForgetIn", fuse_batch_forget_in);
	END;
	STRUCT("ForgetOne", fuse_forget_one);
	FIELD("lookups", fuse_forget_one, nlookup);
	END;
	STRUCT("InterruptIn", fuse_interrupt_in);
	END;
	STRUCT("Dirent", fuse_dirent);
	FIELD("inode", fuse_dirent, ino);
	FIELD("offset", fuse_dirent, off);
	FIELD("nameLength", fuse_dirent, namelen);
	FIELD("type", fuse_dirent, type);
	END;
	printf("}\n");
	return 0;
}
