/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the command line to a definition: found, read, parsed, its names turned into numbers. */
#pragma once

#include <stdbool.h>

#include "service/core/definition.h"
#include "service/server/options.h"

typedef struct Source Source;

/* Where a definition came from, so that a reload finds it again. */
struct Source {
        const char *name; /* of the domain */
        const char *path; /* of --definition; NULL: looked up by name; or drop-in form */
};

/* The directories in which definitions are looked up, the first one wins; NULL-terminated. */
extern const char *const definition_directories[];

/* How user and group names are turned into numbers. */
typedef enum NameService {
        NAME_SERVICE_FULL, /* getpwnam(3): before the server confines itself */
        NAME_SERVICE_FILES, /* /etc/passwd and /etc/group only: afterwards, for NSS loads code and opens sockets */
} NameService;

/* The domain's name for a command line: NAME, or that of the definition's file. -EINVAL with *ret_error. The strings
 * are chunks of `ctx` or the options' own. */
int source_of(void *ctx, const Options *options, Source *ret, char **ret_error);

/* Whether there is a definition, good or not. */
bool definition_exists(const Source *source);

/* Loads the definition. Negative errno with *ret_error (a chunk of `ctx`), which has file and line where there is
 * one; -ENOENT only when there is no such file. */
int load_definition(void *ctx, const Source *source, NameService service, Definition **ret,
                    char **ret_error);

/* Loads the definition that a predecessor served and kept (kept.h). Negative errno with *ret_error as above. */
int load_kept(void *ctx, int fd, Definition **ret, char **ret_error);

/* The definition that the flags of the drop-in form amount to. */
int load_drop_in(void *ctx, const Options *options, Definition **ret, char **ret_error);
