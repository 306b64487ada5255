/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files of definitions: NAME.domain in several directories, of which the first that has it wins. They are watched, so
 * that what is done to them by hand shows at once. The manager writes into those directories only that are its own, and
 * keeps nothing anywhere else: the files are all of its memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/base/event.h"
#include "service/core/definition.h"
#include "service/manager/domain.h"

typedef struct Store Store;
typedef struct StoreEntry StoreEntry;
typedef struct StorePlace StorePlace;

/* A directory of definitions. */
struct StorePlace {
        const char *path;
        Origin origin;
        bool ours; /* the manager makes and removes files here */
};

/* What the file that wins says. */
struct StoreEntry {
        Origin origin;
        char *path;
        uint64_t modified;      /* CLOCK_REALTIME, microseconds */
        uint32_t owner;         /* uid; root's where the text does not tell */
        Definition *definition; /* resolved where there is no error; NULL: it cannot be parsed */
        char *error;            /* why, as FILE:LINE: ...; NULL: it is good */
};

/* Something has happened to the files of this name; called from the event loop and from store_scan(). NULL: to any, so
 * that all have to be read again, those too of which there is no file any more. */
typedef void (*StoreChanged)(const char *name, void *userdata);

/* `places` in order of precedence; strings are copied. Negative errno. */
int store_new(void *ctx, Event *event, const StorePlace *places, size_t n_places, StoreChanged changed,
              void *userdata, Store **ret);

/* Calls back for each name that has a file in any directory, and watches directories that have come to be. */
int store_scan(Store *store);

/* Reads the file that wins. -ENOENT: there is none; -ENOMEM. *ret is a chunk of `ctx`. */
int store_read(void *ctx, const Store *store, const char *name, StoreEntry **ret);

/* Writes a definition into the directory of this origin: as a whole or not at all, never through a symbolic link. -EEXIST
 * when there is one and `replace` is false, -EROFS when the directory is not ours, or another negative errno. */
int store_write(Store *store, const char *name, Origin origin, bool replace, const char *text);
int store_remove(Store *store, const char *name, Origin origin);

/* Whether files of this origin are the manager's to change. */
bool store_is_ours(const Store *store, Origin origin);
