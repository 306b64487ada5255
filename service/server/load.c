/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the command line to a definition. Parsing is the core's; here are the system calls around it. */

#include "service/server/load.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <talloc.h>
#include <unistd.h>

#include "config.h"
#include "service/base/error.h"
#include "service/base/fd.h"
#include "service/base/user.h"
#include "service/core/limits.h"
#include "service/core/text.h"
#include "service/server/kept.h"

#define SUFFIX ".domain"

#define DROP_IN_NAME "ivshmem"

const char *const definition_directories[] = {
        SYSCONFDIR "/ivshmem", "/run/ivshmem", "/var/lib/ivshmem", LIBDIR "/ivshmem", NULL,
};

/* ---- Names to numbers ---- */

static int user_by_file(const char *name, uint32_t *ret, void *userdata) {
        FILE *file = fopen("/etc/passwd", "re");
        struct passwd *passwd;
        int r = -ENOENT;

        if (!file) {
                return errno_negative();
        }
        while (r < 0 && (passwd = fgetpwent(file))) {
                if (strcmp(passwd->pw_name, name) == 0) {
                        *ret = passwd->pw_uid;
                        r = 0;
                }
        }
        fclose(file);
        return r;
}

static int group_by_file(const char *name, uint32_t *ret, void *userdata) {
        FILE *file = fopen("/etc/group", "re");
        struct group *group;
        int r = -ENOENT;

        if (!file) {
                return errno_negative();
        }
        while (r < 0 && (group = fgetgrent(file))) {
                if (strcmp(group->gr_name, name) == 0) {
                        *ret = group->gr_gid;
                        r = 0;
                }
        }
        fclose(file);
        return r;
}

static const PrincipalLookup lookups[] = {
        [NAME_SERVICE_FULL] = { .user = user_by_name, .group = group_by_name },
        [NAME_SERVICE_FILES] = { .user = user_by_file, .group = group_by_file },
};

/* ---- Finding and reading ---- */

static int fail(void *ctx, char **ret_error, int r, const char *verb, const char *path) {
        *ret_error = talloc_asprintf(ctx, "Cannot %s %s: %s", verb, path, strerror(-r));
        return r;
}

/* "/a/b/ring.domain" is the definition of the domain "ring". */
static int name_of_file(void *ctx, const char *path, const char **ret, char **ret_error) {
        const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
        size_t length = strlen(base), suffix = strlen(SUFFIX);
        char *name;

        if (length > suffix && strcmp(base + length - suffix, SUFFIX) == 0) {
                length -= suffix;
        }
        name = talloc_strndup(ctx, base, length);
        if (!name) {
                return -ENOMEM;
        }
        if (!domain_name_is_valid(name)) {
                *ret_error = talloc_asprintf(
                        ctx, "%s: \"%s\" is not a domain's name; call the file NAME" SUFFIX, path, name);
                return -EINVAL;
        }
        *ret = name;
        return 0;
}

int source_of(void *ctx, const Options *options, Source *ret, char **ret_error) {
        Source source = { .name = options->name, .path = options->definition_path };

        if (options_drop_in(options)) {
                source.name = DROP_IN_NAME;
        } else if (source.path) {
                int r = name_of_file(ctx, source.path, &source.name, ret_error);

                if (r < 0) {
                        return r;
                }
        }
        *ret = source;
        return 0;
}

static int open_named(void *ctx, const char *name, const char **ret_path, char **ret_error) {
        for (size_t i = 0; definition_directories[i]; i++) {
                const char *path = talloc_asprintf(ctx, "%s/%s" SUFFIX, definition_directories[i], name);
                int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : -1;

                if (!path) {
                        return -ENOMEM;
                }
                *ret_path = path;
                if (fd >= 0) {
                        return fd;
                }
                if (errno != ENOENT) {
                        return fail(ctx, ret_error, errno_negative(), "open", path);
                }
        }
        *ret_error = talloc_asprintf(ctx, "No definition of domain \"%s\": write %s/%s" SUFFIX, name,
                                     definition_directories[0], name);
        return -ENOENT;
}

static int open_source(void *ctx, const Source *source, const char **ret_path, char **ret_error) {
        int fd;

        if (!source->path) {
                return open_named(ctx, source->name, ret_path, ret_error);
        }
        *ret_path = source->path;
        fd = open(source->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        return fd < 0 ? fail(ctx, ret_error, errno_negative(), "open", source->path) : fd;
}

bool definition_exists(const Source *source) {
        void *ctx = talloc_new(NULL);
        const char *path;
        char *error;
        cleanup_close int fd = open_source(ctx, source, &path, &error);

        talloc_free(ctx);
        return fd != -ENOENT;
}

/* Reads all of a file that is not too large. Returns its length. */
static ssize_t read_all(int fd, char *buffer, size_t size) {
        size_t length = 0;
        ssize_t n;

        while ((n = read(fd, buffer + length, size - length)) > 0) {
                length += (size_t) n;
                if (length == size) {
                        return -EFBIG;
                }
        }
        return n < 0 ? errno_negative() : (ssize_t) length;
}

static int parse_and_resolve(void *ctx, const char *path, const char *text, size_t length,
                             NameService service, Definition **ret, char **ret_error) {
        Definition *definition;
        int r = definition_parse(ctx, path, text, length, &definition, ret_error);

        if (r < 0) {
                return r;
        }
        r = definition_resolve(ctx, definition, &lookups[service], ret_error);
        if (r < 0 && *ret_error) {
                *ret_error = talloc_asprintf(ctx, "%s: %s", path, *ret_error);
        }
        if (r < 0) {
                talloc_free(definition);
                /* The file is there. */
                return r == -ENOENT ? -EINVAL : r;
        }
        *ret = definition;
        return 0;
}

static int load_file(void *ctx, const char *path, int fd, NameService service, Definition **ret,
                     char **ret_error) {
        char *text = talloc_size(ctx, DEFINITION_TEXT_MAX + 1);
        ssize_t length;
        int r;

        if (!text) {
                return -ENOMEM;
        }
        length = read_all(fd, text, DEFINITION_TEXT_MAX + 1);
        r = length < 0 ? fail(ctx, ret_error, (int) length, "read", path)
                       : parse_and_resolve(ctx, path, text, (size_t) length, service, ret, ret_error);
        talloc_free(text);
        return r;
}

int load_definition(void *ctx, const Source *source, NameService service, Definition **ret,
                    char **ret_error) {
        const char *path;
        cleanup_close int fd = open_source(ctx, source, &path, ret_error);

        return fd < 0 ? fd : load_file(ctx, path, fd, service, ret, ret_error);
}

int load_kept(void *ctx, int fd, Definition **ret, char **ret_error) {
        const char *what = "the definition that the server before kept";
        size_t length;
        Kept *kept;
        char *text;
        int r = kept_open(ctx, fd, &kept);

        if (r < 0) {
                return fail(ctx, ret_error, r, "read", what);
        }
        text = kept_text(kept, kept, &length);
        r = text ? parse_and_resolve(ctx, what, text, length, NAME_SERVICE_FULL, ret, ret_error)
                 : fail(ctx, ret_error, -ENODATA, "read", what);
        talloc_free(kept);
        return r;
}

/* ---- Drop-in form ---- */

/* The reference server takes a directory in any spelling, from where it stands; Path= has one only. */
static int memory_directory(Definition *definition, void *ctx, const char *directory, char **ret_error) {
        char *path = realpath(directory, NULL);

        if (!path) {
                return fail(ctx, ret_error, errno_negative(), "open the directory", directory);
        }
        definition->path = talloc_strdup(definition, path);
        free(path);
        return definition->path ? 0 : -ENOMEM;
}

static int memory_path(Definition *definition, void *ctx, const Options *options, char **ret_error) {
        if (options->shm_directory) {
                return memory_directory(definition, ctx, options->shm_directory, ret_error);
        }
        definition->path = talloc_asprintf(definition, "/dev/shm/%s", options->shm_name);
        return definition->path ? 0 : -ENOMEM;
}

int load_drop_in(void *ctx, const Options *options, Definition **ret, char **ret_error) {
        Definition *definition;
        int r = definition_new(ctx, &definition);

        if (r < 0) {
                return r;
        }
        definition->size = options->size;
        definition->vectors = options->vectors;
        definition->max_peers = VM_IDS_MAX;
        definition->connect_rate = 0;
        definition->log_level = options->verbose ? LOG_DEBUG : LOG_NOTICE;
        r = memory_path(definition, ctx, options, ret_error);
        if (r >= 0) {
                r = definition_validate(ctx, definition, ret_error);
        }
        if (r < 0) {
                talloc_free(definition);
                return r;
        }
        *ret = definition;
        return 0;
}
