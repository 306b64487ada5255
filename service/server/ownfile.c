/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A name in the file system that this process made, and removes again. */

#include "service/server/ownfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/base/fd.h"

struct OwnFile {
        const char *path;
        const char *name;
        Fd *directory;
        bool made;
        dev_t device;
        ino_t inode;
};

static const char *directory_of(void *ctx, const char *path) {
        const char *slash = strrchr(path, '/');

        if (!slash) {
                return talloc_strdup(ctx, ".");
        }
        return slash == path ? talloc_strdup(ctx, "/") : talloc_strndup(ctx, path, (size_t) (slash - path));
}

static int ownfile_open(OwnFile *file, const char *path) {
        const char *directory = directory_of(file, path), *slash;
        int fd;

        file->path = talloc_strdup(file, path);
        if (!directory || !file->path) {
                return -ENOMEM;
        }
        slash = strrchr(file->path, '/');
        file->name = slash ? slash + 1 : file->path;
        if (!*file->name) {
                return -EISDIR;
        }
        fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? errno_negative() : fd_new(file, fd, &file->directory);
}

int ownfile_new(void *ctx, const char *path, OwnFile **ret) {
        OwnFile *file = talloc_zero(ctx, OwnFile);
        int r;

        if (!file) {
                return -ENOMEM;
        }
        r = ownfile_open(file, path);
        if (r < 0) {
                talloc_free(file);
                return r;
        }
        *ret = file;
        return 0;
}

int ownfile_directory(const OwnFile *file) {
        return fd_get(file->directory);
}

const char *ownfile_name(const OwnFile *file) {
        return file->name;
}

const char *ownfile_path(const OwnFile *file) {
        return file->path;
}

static int ownfile_stat(const OwnFile *file, struct stat *ret) {
        return errno_or(fstatat(fd_get(file->directory), file->name, ret, AT_SYMLINK_NOFOLLOW));
}

int ownfile_made(OwnFile *file) {
        struct stat st;
        int r = ownfile_stat(file, &st);

        if (r < 0) {
                return r;
        }
        file->made = true;
        file->device = st.st_dev;
        file->inode = st.st_ino;
        return 0;
}

bool directory_is_writable(int directory) {
        mode_t bits = S_IWOTH | S_IXOTH;
        struct stat st;

        if (fstat(directory, &st) < 0) {
                return false;
        }
        if (st.st_uid == geteuid()) {
                bits = S_IWUSR | S_IXUSR;
        } else if (st.st_gid == getegid() || group_member(st.st_gid)) {
                bits = S_IWGRP | S_IXGRP;
        }
        return (st.st_mode & bits) == bits;
}

void ownfile_remove(OwnFile *file) {
        struct stat st;

        if (file->made && ownfile_stat(file, &st) >= 0 && st.st_dev == file->device &&
            st.st_ino == file->inode) {
                (void) unlinkat(fd_get(file->directory), file->name, /* flags= */ 0);
        }
        file->made = false;
}
