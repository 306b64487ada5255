/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* inotify on the directories of definitions. The watches are made before the server is confined. */

#include "service/server/watch.h"

#include <errno.h>
#include <libgen.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/fd.h"

#define CHANGES (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR)

struct Watch {
        const Source *source;
        const char *name; /* of the file */
        Fd *fd;           /* NULL: nothing can be watched */
        EventSource *io;
        WatchHandler handler;
        void *userdata;
};

/* Reads all that is there. Returns whether anything of it, or something that was lost, is about our name. */
static bool is_about_us(const Watch *watch) {
        char buffer[4096];
        bool found = false;
        ssize_t n;

        while ((n = read(fd_get(watch->fd), buffer, sizeof(buffer))) > 0) {
                for (char *at = buffer; at < buffer + n;) {
                        struct inotify_event event; /* its name follows */

                        memcpy(&event, at, sizeof(event));
                        at += sizeof(event);
                        found |= event.mask & IN_Q_OVERFLOW ||
                                 (event.len > 0 && strcmp(at, watch->name) == 0);
                        at += event.len;
                }
        }
        return found;
}

static int on_change(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Watch *watch = talloc_get_type_abort(userdata, Watch);

        if (is_about_us(watch)) {
                watch->handler(definition_exists(watch->source), watch->userdata);
        }
        return 0;
}

static int add_directories(Watch *watch) {
        int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        int r = fd < 0 ? -ENOSYS : fd_new(watch, fd, &watch->fd);

        if (r < 0) {
                return r == -ENOMEM ? r : 0;
        }
        /* Those that are missing now have no definition, and one that is made later is another one's. */
        if (watch->source->path) {
                const char *folder = dirname(talloc_strdup(watch, watch->source->path));

                (void) inotify_add_watch(fd, folder, CHANGES);
                return 0;
        }
        for (size_t i = 0; definition_directories[i]; i++) {
                (void) inotify_add_watch(fd, definition_directories[i], CHANGES);
        }
        return 0;
}

static int watch_init(Watch *watch, Event *event) {
        int r = add_directories(watch);

        if (r < 0 || !watch->fd) {
                return r;
        }
        return event_add_io(watch, event, fd_get(watch->fd), EPOLLIN, SD_EVENT_PRIORITY_IDLE, on_change,
                            watch, &watch->io);
}

static const char *file_name(void *ctx, const Source *source) {
        const char *slash = source->path ? strrchr(source->path, '/') : NULL;

        return slash          ? talloc_strdup(ctx, slash + 1)
               : source->path ? talloc_strdup(ctx, source->path)
                              : talloc_asprintf(ctx, "%s.domain", source->name);
}

static int watch_destructor(Watch *watch) {
        /* The event loop lets go of the descriptor before it is closed. */
        TALLOC_FREE(watch->io);
        return 0;
}

int watch_new(void *ctx, Event *event, const Source *source, WatchHandler handler, void *userdata,
              Watch **ret) {
        Watch *watch = talloc_zero(ctx, Watch);
        int r;

        if (!watch) {
                return -ENOMEM;
        }
        *watch = (Watch){ .source = source, .handler = handler, .userdata = userdata };
        talloc_set_destructor(watch, watch_destructor);
        watch->name = file_name(watch, source);
        r = watch->name ? watch_init(watch, event) : -ENOMEM;
        if (r < 0) {
                talloc_free(watch);
                return r;
        }
        *ret = watch;
        return 0;
}

int watch_fd(const Watch *watch) {
        return watch && watch->fd ? fd_get(watch->fd) : -EBADF;
}
