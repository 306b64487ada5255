/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Making and removing the files of definitions: what is there is always a whole file, also after a crash. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/base/fd.h"
#include "service/manager/store-parts.h"

/* Everybody may read definitions: the server of a domain is nobody in particular. */
#define FILE_MODE 0644

static int open_place(const Store *store, Origin origin) {
        for (size_t i = 0; i < store->n_places; i++) {
                const Place *place = &store->places[i];

                if (place->origin == origin && place->ours) {
                        return errno_or(open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
                }
        }
        return -EROFS;
}

static int write_all(int fd, const char *text, size_t length) {
        while (length > 0) {
                ssize_t n = write(fd, text, length);

                if (n < 0) {
                        return errno_negative();
                }
                text += n;
                length -= (size_t) n;
        }
        return 0;
}

/* What a crash left under this name is nobody's. */
static int write_new(int directory, const char *name, const char *text) {
        cleanup_close int fd = -EBADF;
        int r;

        (void) unlinkat(directory, name, 0);
        fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0) {
                return errno_negative();
        }
        r = write_all(fd, text, strlen(text));
        if (r == 0) {
                r = errno_or(fchmod(fd, FILE_MODE));
        }
        return r < 0 ? r : errno_or(fsync(fd));
}

/* A file system that cannot tell (RENAME_NOREPLACE) has the name looked up: nobody but the manager makes files here. */
static int rename_new(int directory, const char *from, const char *to) {
        int r = errno_or(renameat2(directory, from, directory, to, RENAME_NOREPLACE));

        if (r == -EINVAL) {
                r = faccessat(directory, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0
                            ? -EEXIST
                            : errno_or(renameat(directory, from, directory, to));
        }
        return r;
}

/* `temporary` does not end as names of definitions do. */
static int write_at(int directory, const char *name, const char *temporary, bool replace, const char *text) {
        int r = write_new(directory, temporary, text);

        if (r >= 0) {
                r = replace ? errno_or(renameat(directory, temporary, directory, name))
                            : rename_new(directory, temporary, name);
        }
        if (r < 0) {
                (void) unlinkat(directory, temporary, 0);
                return r;
        }
        return errno_or(fsync(directory));
}

int store_write(Store *store, const char *name, Origin origin, bool replace, const char *text) {
        cleanup_close int directory = open_place(store, origin);
        char *file, *temporary;
        int r = -ENOMEM;

        if (directory < 0) {
                return directory;
        }
        file = talloc_asprintf(store, "%s" STORE_SUFFIX, name);
        temporary = talloc_asprintf(store, ".%s" STORE_SUFFIX ".new", name);
        if (file && temporary) {
                r = write_at(directory, file, temporary, replace, text);
        }
        talloc_free(temporary);
        talloc_free(file);
        return r;
}

int store_remove(Store *store, const char *name, Origin origin) {
        cleanup_close int directory = open_place(store, origin);
        char *file;
        int r;

        if (directory < 0) {
                return directory;
        }
        file = talloc_asprintf(store, "%s" STORE_SUFFIX, name);
        if (!file) {
                return -ENOMEM;
        }
        r = errno_or(unlinkat(directory, file, 0));
        talloc_free(file);
        return r < 0 ? r : errno_or(fsync(directory));
}

bool store_is_ours(const Store *store, Origin origin) {
        for (size_t i = 0; i < store->n_places; i++) {
                if (store->places[i].origin == origin && store->places[i].ours) {
                        return true;
                }
        }
        return false;
}
