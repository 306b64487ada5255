/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finding, watching and reading the files of definitions. What they mean is the core's, what follows is the manager's. */

#include "service/manager/store.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <syslog.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/base/fd.h"
#include "service/base/log.h"
#include "service/core/limits.h"
#include "service/core/text.h"
#include "service/manager/file.h"
#include "service/manager/names.h"
#include "service/manager/store-parts.h"

/* IN_CREATE: links are complete at once. Of a file that is only just made the text follows, and IN_CLOSE_WRITE. */
#define WATCH_FILES                                                                         \
        (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_ATTRIB | \
         IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define WATCH_PARENT (IN_CREATE | IN_MOVED_TO | IN_ONLYDIR)

#define EVENTS_SIZE 8192U

/* ---- Names ---- */

/* "ring.domain" is the file of "ring". */
static bool name_of_file(const char *file, char ret[static DOMAIN_NAME_MAX + 1]) {
        size_t length = strlen(file), suffix = strlen(STORE_SUFFIX);

        if (length <= suffix || length - suffix > DOMAIN_NAME_MAX ||
            strcmp(file + length - suffix, STORE_SUFFIX) != 0) {
                return false;
        }
        memcpy(ret, file, length - suffix);
        ret[length - suffix] = '\0';
        return domain_name_is_valid(ret);
}

static bool looks_like_definition(const char *file) {
        size_t length = strlen(file), suffix = strlen(STORE_SUFFIX);

        return file[0] != '.' && length > suffix && strcmp(file + length - suffix, STORE_SUFFIX) == 0;
}

/* ---- Reading ---- */

static int entry_fail(StoreEntry *entry, int r) {
        entry->error = r == -EINVAL
                               ? talloc_asprintf(entry, "%s is not a regular file", entry->path)
                               : talloc_asprintf(entry, "Cannot read %s: %s", entry->path, strerror(-r));
        return entry->error ? 0 : -ENOMEM;
}

/* A text that is too long is the parser's to complain about. */
static int entry_parse(StoreEntry *entry, const char *text, size_t length) {
        Definition *definition = NULL;
        char *error = NULL;
        int r = definition_parse(entry, entry->path, text, length, &definition, &error);

        if (r == 0) {
                r = definition_resolve(entry, definition, &names_lookup, &error);
                /* Whose it is does not depend on whether all others that it names are known. */
                if (definition->owner.id != PRINCIPAL_UNRESOLVED) {
                        entry->owner = definition->owner.id;
                }
                if (r < 0 && error) {
                        error = talloc_asprintf(entry, "%s: %s", entry->path, error);
                }
        }
        /* Nor does what it takes. */
        entry->definition = definition;
        entry->error = error;
        return r == -ENOMEM || (r < 0 && !error) ? -ENOMEM : 0;
}

/* -ENOENT: this directory has no such file. */
static int entry_read(StoreEntry *entry, const Place *place, const char *name) {
        struct stat st = { 0 };
        char *text = NULL;
        size_t length;
        int r;

        entry->origin = place->origin;
        entry->path = talloc_asprintf(entry, "%s/%s" STORE_SUFFIX, place->path, name);
        if (!entry->path) {
                return -ENOMEM;
        }
        r = file_read(entry, entry->path, DEFINITION_TEXT_MAX, &text, &length, &st);
        entry->modified = (uint64_t) st.st_mtim.tv_sec * 1000000 + (uint64_t) st.st_mtim.tv_nsec / 1000;
        if (r == -ENOENT || r == -ENOTDIR) {
                TALLOC_FREE(entry->path);
                return -ENOENT;
        }
        if (r < 0) {
                return r == -ENOMEM ? r : entry_fail(entry, r);
        }
        r = entry_parse(entry, text, length);
        talloc_free(text);
        return r;
}

int store_read(void *ctx, const Store *store, const char *name, StoreEntry **ret) {
        StoreEntry *entry = talloc_zero(ctx, StoreEntry);
        int r = entry ? -ENOENT : -ENOMEM;

        for (size_t i = 0; i < store->n_places && r == -ENOENT; i++) {
                r = entry_read(entry, &store->places[i], name);
        }
        if (r < 0) {
                talloc_free(entry);
                return r;
        }
        *ret = entry;
        return 0;
}

/* ---- Scanning ---- */

static void found(const Store *store, const Place *place, const char *file) {
        char name[DOMAIN_NAME_MAX + 1];

        if (!looks_like_definition(file)) {
                return;
        }
        if (name_of_file(file, name)) {
                store->changed(name, store->userdata);
        } else {
                log_plain(LOG_WARNING, "Ignoring %s/%s: \"%.*s\" is not a domain's name: " DOMAIN_NAME_RULE,
                          place->path, file, (int) (strlen(file) - strlen(STORE_SUFFIX)), file);
        }
}

static int scan_place(const Store *store, const Place *place) {
        DIR *directory = opendir(place->path);

        if (!directory) {
                int r = errno_negative();

                return r == -ENOENT ? 0 : r;
        }
        for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
                found(store, place, entry->d_name);
        }
        closedir(directory);
        return 0;
}

/* A directory that is not there yet is waited for in its parent. That one may have to be made, too: for this there is the
 * next scan. */
static void watch_place(const Store *store, Place *place) {
        int inotify = fd_get(store->inotify);

        place->watch = inotify_add_watch(inotify, place->path, WATCH_FILES);
        if (place->watch < 0) {
                place->watch_parent = inotify_add_watch(inotify, place->parent, WATCH_PARENT | IN_MASK_ADD);
        }
}

int store_scan(Store *store) {
        int r = 0;

        for (size_t i = 0; i < store->n_places; i++) {
                Place *place = &store->places[i];
                int q;

                /* First, so that nothing is missed between the two. */
                watch_place(store, place);
                q = scan_place(store, place);
                if (q < 0) {
                        log_plain(LOG_WARNING, "Cannot read the directory %s: %s", place->path,
                                  strerror(-q));
                        r = q;
                }
        }
        return r;
}

/* ---- Watching ---- */

static bool is_empty_file(const Place *place, const char *name) {
        char path[PATH_MAX];
        struct stat st;

        return snprintf(path, sizeof(path), "%s/%s", place->path, name) < (int) sizeof(path) &&
               lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0;
}

/* Returns whether all has to be scanned again. */
static bool take_event_of(Store *store, Place *place, const struct inotify_event *event) {
        if (event->wd == place->watch) {
                if (event->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF)) {
                        return true;
                }
                if (event->len > 0 && !((event->mask & IN_CREATE) && is_empty_file(place, event->name))) {
                        found(store, place, event->name);
                }
                return false;
        }
        return place->watch < 0 && event->wd == place->watch_parent && event->len > 0 &&
               strcmp(event->name, place->base) == 0;
}

static bool take_event(Store *store, const struct inotify_event *event) {
        bool again = event->mask & IN_Q_OVERFLOW;

        for (size_t i = 0; i < store->n_places; i++) {
                again |= take_event_of(store, &store->places[i], event);
        }
        return again;
}

/* Some files may be gone that nobody told us of: who is asked knows all names that it ever heard. */
static int on_inotify(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Store *store = talloc_get_type_abort(userdata, Store);
        _Alignas(struct inotify_event) char bytes[EVENTS_SIZE];
        ssize_t n = read(fd, bytes, sizeof(bytes));
        bool again = false;

        if (n < 0) {
                return errno == EAGAIN || errno == EINTR ? 0 : errno_negative();
        }
        for (char *at = bytes; at < bytes + n;) {
                const struct inotify_event *event = (const struct inotify_event *) (void *) at;

                again |= take_event(store, event);
                at += sizeof(*event) + event->len;
        }
        if (again) {
                store->changed(NULL, store->userdata);
        }
        return 0;
}

/* ---- Beginning ---- */

static int place_init(Store *store, Place *place, const StorePlace *from) {
        const char *slash = strrchr(from->path, '/');

        *place = (Place){ .origin = from->origin, .ours = from->ours, .watch = -1, .watch_parent = -1 };
        place->path = talloc_strdup(store, from->path);
        place->parent = slash && slash > from->path
                                ? talloc_strndup(store, from->path, (size_t) (slash - from->path))
                                : talloc_strdup(store, "/");
        place->base = talloc_strdup(store, slash ? slash + 1 : from->path);
        return place->path && place->parent && place->base ? 0 : -ENOMEM;
}

static int store_init(Store *store, Event *event, const StorePlace *places, size_t n_places) {
        int fd, r = 0;

        store->places = talloc_zero_array(store, Place, n_places);
        if (!store->places) {
                return -ENOMEM;
        }
        for (size_t i = 0; i < n_places && r >= 0; i++) {
                r = place_init(store, &store->places[store->n_places++], &places[i]);
        }
        if (r < 0) {
                return r;
        }
        fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        r = fd < 0 ? errno_negative() : fd_new(store, fd, &store->inotify);
        return r < 0 ? r
                     : event_add_io(store, event, fd_get(store->inotify), EPOLLIN, SD_EVENT_PRIORITY_NORMAL,
                                    on_inotify, store, &store->source);
}

/* The loop lets go of the descriptor before it is closed. */
static int store_destructor(Store *store) {
        TALLOC_FREE(store->source);
        return 0;
}

int store_new(void *ctx, Event *event, const StorePlace *places, size_t n_places, StoreChanged changed,
              void *userdata, Store **ret) {
        Store *store = talloc_zero(ctx, Store);
        int r;

        if (!store) {
                return -ENOMEM;
        }
        talloc_set_destructor(store, store_destructor);
        store->changed = changed;
        store->userdata = userdata;
        r = store_init(store, event, places, n_places);
        if (r < 0) {
                talloc_free(store);
                return r;
        }
        *ret = store;
        return 0;
}
