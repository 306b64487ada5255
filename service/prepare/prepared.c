/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The notes: one small text file for each domain. */

#include "service/prepare/prepared.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/base/fd.h"
#include "service/server/memory.h"

/* "remove|keep remove|keep DEVICE INODE PATH\n": of the file, of its directory. A path in a definition is shorter than a
 * line of that. */
#define NOTE_SIZE 512U

static const char *const fates[] = { [false] = "keep", [true] = "remove" };

static int directory_open(const char *directory, bool make) {
        if (make && mkdir(directory, 0700) < 0 && errno != EEXIST) {
                return errno_negative();
        }
        return errno_or(open(directory, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

int prepared_save(const char *directory, const char *domain, const Prepared *prepared) {
        cleanup_close int parent = directory_open(directory, /* make= */ true), fd = -EBADF;
        char text[NOTE_SIZE];
        int length = snprintf(text, sizeof(text), "%s %s %ju %ju %s\n", fates[prepared->remove],
                              fates[prepared->remove_directory], (uintmax_t) prepared->device,
                              (uintmax_t) prepared->inode, prepared->path);

        if (parent < 0) {
                return parent;
        }
        if (length < 0 || (size_t) length >= sizeof(text)) {
                return -ENAMETOOLONG;
        }
        fd = openat(parent, domain, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0) {
                return errno_negative();
        }
        if (write(fd, text, (size_t) length) != length) {
                (void) unlinkat(parent, domain, 0);
                return -EIO;
        }
        return 0;
}

static int parse(void *ctx, char *text, Prepared **ret) {
        uintmax_t device, inode;
        char file[8], folder[8];
        Prepared *prepared;
        int at = 0;

        if (sscanf(text, "%7s %7s %ju %ju %n", file, folder, &device, &inode, &at) != 4 || at == 0 ||
            text[at] != '/') {
                return -EBADMSG;
        }
        text[strcspn(text, "\n")] = '\0';
        prepared = talloc_zero(ctx, Prepared);
        if (!prepared) {
                return -ENOMEM;
        }
        *prepared = (Prepared){
                .path = talloc_strdup(prepared, text + at),
                .device = (dev_t) device,
                .inode = (ino_t) inode,
                .remove = strcmp(file, fates[true]) == 0,
                .remove_directory = strcmp(folder, fates[true]) == 0,
        };
        *ret = prepared;
        return prepared->path ? 0 : -ENOMEM;
}

int prepared_load(void *ctx, const char *directory, const char *domain, Prepared **ret) {
        cleanup_close int parent = directory_open(directory, /* make= */ false), fd = -EBADF;
        char text[NOTE_SIZE];
        ssize_t length;

        if (parent < 0) {
                return parent;
        }
        fd = openat(parent, domain, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) {
                return errno_negative();
        }
        length = read(fd, text, sizeof(text) - 1);
        if (length < 0) {
                return errno_negative();
        }
        text[length] = '\0';
        return parse(ctx, text, ret);
}

/* Whoever puts another file there in between is the owner of this one, or of the directory: it is theirs as well. */
static int file_remove(void *ctx, const Prepared *prepared) {
        char *folder = dirname(talloc_strdup(ctx, prepared->path));
        const char *name = basename(talloc_strdup(ctx, prepared->path));
        cleanup_close int parent = directory_open_without_links(folder);
        struct stat st;

        if (parent < 0) {
                return parent;
        }
        if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
                return errno_negative();
        }
        if (st.st_dev != prepared->device || st.st_ino != prepared->inode) {
                return -ENOENT;
        }
        return errno_or(unlinkat(parent, name, 0));
}

void prepared_drop_directory(const char *path) {
        void *ctx = talloc_new(NULL);
        const char *folder = dirname(talloc_strdup(ctx, path));
        const char *name = basename(talloc_strdup(ctx, folder));
        cleanup_close int parent = directory_open_without_links(dirname(talloc_strdup(ctx, folder)));

        if (parent >= 0) {
                (void) unlinkat(parent, name, AT_REMOVEDIR);
        }
        talloc_free(ctx);
}

static int end(void *ctx, const char *directory, const char *domain) {
        cleanup_close int parent = directory_open(directory, /* make= */ false);
        Prepared *prepared;
        int r = prepared_load(ctx, directory, domain, &prepared);

        if (r == -ENOENT) {
                return 0;
        }
        if (r >= 0 && prepared->remove) {
                r = file_remove(ctx, prepared);
        }
        if (r >= 0 && prepared->remove_directory) {
                prepared_drop_directory(prepared->path);
        }
        (void) unlinkat(parent, domain, 0);
        return r == -ENOENT ? 0 : r;
}

int prepared_end(const char *directory, const char *domain) {
        void *ctx = talloc_new(NULL);
        int r = ctx ? end(ctx, directory, domain) : -ENOMEM;

        talloc_free(ctx);
        return r;
}
