/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Taking over from a predecessor, or beginning anew. */

#include "service/server/takeover.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/log.h"
#include "service/server/bag.h"
#include "service/server/doorbells.h"
#include "service/server/memory.h"
#include "service/server/messages.h"
#include "service/server/notify.h"
#include "service/server/stop-signals.h"
#include "service/server/succession.h"

/* A takeover as it goes on. */
typedef struct Takeover {
        void *ctx;
        ServerParts *parts;
        Inherited *inherited;
        uint32_t fd_store;
        int file[MEMORY_FILE_FDS]; /* what came in the bag of a file */
        char path[BAG_NOTE_SIZE];  /* of that file */
        bool has_file;
        char *file_error; /* why there is none, from who was to open it */
        char **ret_error;
} Takeover;

#define FILE_ERROR_MAX 1024U

/* The one step of a start that can take long: it is told of, and it heeds who wants it to end. */
static int on_progress(uint64_t done, uint64_t total, void *userdata) {
        Notify *notify = userdata;

        if (stop_signals_came()) {
                return -ECANCELED;
        }
        notify_send(notify, "EXTEND_TIMEOUT_USEC=30000000");
        notify_status(notify, "Preparing memory: %" PRIu64 "%%", total ? done * 100 / total : 100);
        return 0;
}

static MemoryRequest memory_request(const Takeover *t, bool file) {
        return (MemoryRequest){
                .name = t->parts->source.name,
                .definition = t->parts->definition,
                .file = file ? t->file : NULL,
                .option = t->parts->drop_in ? "-M" : NULL,
                .unlinked = t->parts->unlinked,
                .progress = on_progress,
                .userdata = t->parts->notify,
        };
}

static Fd *claim(const Takeover *t, FdKind kind) {
        return inherited_claim(t->inherited, t->ctx, &(FdName){ .kind = kind });
}

static char *read_file_error(const Takeover *t, const Fd *fd) {
        char text[FILE_ERROR_MAX];
        ssize_t n = pread(fd_get(fd), text, sizeof(text), 0);

        return n > 0 ? talloc_strndup(t->ctx, text, (size_t) n) : NULL;
}

/* What is not a bag of these is as if it were not there. */
static void claim_file(Takeover *t) {
        Fd *bag = claim(t, FD_FILE), *error = claim(t, FD_FILE_ERROR);

        t->has_file = bag && bag_look(fd_get(bag), t->file, MEMORY_FILE_FDS, t->path) >= 0;
        t->file_error = error ? read_file_error(t, error) : NULL;
        talloc_free(bag);
        talloc_free(error);
}

static void close_file(const Takeover *t) {
        for (size_t i = 0; t->has_file && i < MEMORY_FILE_FDS; i++) {
                close(t->file[i]);
        }
}

/* ---- Anew ---- */

static LedgerFile file_kind(const Takeover *t, bool handed) {
        int fds[MEMORY_FILE_FDS];

        if (!memory_file(t->parts->memory, fds)) {
                return LEDGER_FILE_NONE;
        }
        return handed                                       ? LEDGER_FILE_PREPARED
               : memory_directory_fd(t->parts->memory) >= 0 ? LEDGER_FILE_OURS
                                                            : LEDGER_FILE_ADOPTED;
}

static int begin(Takeover *t) {
        ServerParts *parts = t->parts;
        const char *path = parts->definition->path;
        bool handed = t->has_file && path && strcmp(path, t->path) == 0;
        const MemoryRequest request = memory_request(t, handed);
        int r;

        if (path && !handed && t->file_error) {
                *t->ret_error = t->file_error;
                return -EACCES;
        }
        r = memory_new(t->ctx, &request, &parts->memory, t->ret_error);
        if (r >= 0) {
                r = doorbells_new(t->ctx, parts->definition->vectors, &parts->doorbells);
        }
        if (r >= 0 && t->fd_store > 0) {
                r = succession_new(t->ctx, parts->notify, t->fd_store, parts->definition, parts->memory,
                                   file_kind(t, handed), &parts->succession, t->ret_error);
        }
        return r;
}

/* ---- From a predecessor ---- */

typedef struct Change {
        const char *key;
        bool changed;
} Change;

static bool is_anonymous(const Takeover *t) {
        for (size_t i = 0; i < t->inherited->n_stored; i++) {
                if (t->inherited->stored[i].name.kind == FD_MEMORY && t->inherited->stored[i].fd) {
                        return true;
                }
        }
        return false;
}

/* Where the running domain's file is: version 1 of the ledger did not keep that. */
static const char *running_path(const Takeover *t) {
        return is_anonymous(t) ? NULL : t->has_file ? t->path : t->parts->definition->path;
}

static bool path_changed(const Definition *definition, const char *running) {
        return !definition->path || !running ? definition->path != running
                                             : strcmp(definition->path, running) != 0;
}

/* Lets the running values stay, and names what was asked for in vain. Returns whether there was anything. */
static bool keep_running_values(const Takeover *t, bool apply) {
        Definition *definition = t->parts->definition;
        const LedgerShape *shape = &t->parts->inheritance->image->shape;
        const char *path = running_path(t);
        const Change changes[] = {
                { "Size", definition->size != shape->memory_size },
                { "HugePages", (uint32_t) definition->huge_pages != shape->huge_pages },
                { "Vectors", definition->vectors != shape->vectors },
                { "MaxPeers", definition->max_peers != shape->max_peers },
                { "Topology", (uint32_t) definition->topology != shape->topology },
                { "Path", path_changed(definition, path) },
        };
        bool any = false;

        for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
                any |= changes[i].changed;
                if (changes[i].changed && apply) {
                        log_record(
                                LOG_WARNING, MESSAGE_RELOAD_REFUSED, NULL, 0,
                                "%s= was changed, but the domain is running: it stays as it was until the "
                                "domain is stopped and started again",
                                changes[i].key);
                }
        }
        if (apply) {
                definition->size = shape->memory_size;
                definition->huge_pages = (HugePages) shape->huge_pages;
                definition->vectors = shape->vectors;
                definition->max_peers = shape->max_peers;
                definition->topology = (Topology) shape->topology;
                definition->path = path ? talloc_strdup(t->ctx, path) : NULL;
        }
        return any;
}

/* The ledger of version 1 kept no file: it is opened by its name. */
static int open_again(const Takeover *t) {
        const MemoryRequest request = memory_request(t, /* file= */ false);
        const char *path = t->parts->definition->path;
        int r;

        if (!path) {
                *t->ret_error = talloc_asprintf(t->ctx, "The memory is not there");
                return -EINVAL;
        }
        /* A new one would be another memory than that of the peers. What was handed over may be such a one. */
        if (t->has_file || access(path, F_OK) < 0) {
                *t->ret_error = talloc_asprintf(t->ctx, "The file that was the memory, %s, is gone", path);
                return -EINVAL;
        }
        r = memory_new(t->ctx, &request, &t->parts->memory, t->ret_error);
        return r < 0 ? r
                     : succession_keep_memory(t->parts->succession, t->parts->memory, LEDGER_FILE_ADOPTED);
}

static int restore_memory(const Takeover *t) {
        const MemoryRequest request = memory_request(t, t->has_file);
        LedgerFile kind = t->parts->inheritance->image->file;
        Fd *fd = claim(t, FD_MEMORY);

        if (fd) {
                return memory_restore(t->ctx, &request, fd, &t->parts->memory, t->ret_error);
        }
        return t->has_file && kind != LEDGER_FILE_NONE
                       ? memory_restore_file(t->ctx, &request, kind == LEDGER_FILE_OURS, &t->parts->memory,
                                             t->ret_error)
                       : open_again(t);
}

/* Goes on with a running domain. */
static int go_on(const Takeover *t) {
        ServerParts *parts = t->parts;
        int r;

        (void) keep_running_values(t, /* apply= */ true);
        r = restore_memory(t);
        if (r >= 0) {
                r = doorbells_new(t->ctx, parts->definition->vectors, &parts->doorbells);
        }
        if (r >= 0) {
                r = succession_claim_doorbells(t->ctx, t->inherited, parts->inheritance->image,
                                               parts->doorbells, t->ret_error);
        }
        if (r >= 0) {
                succession_forget(parts->succession, parts->notify, t->inherited, /* claimed= */ false);
                inherited_drop(t->inherited);
        }
        return r;
}

/* Nobody is attached and the definition was changed: what is left of the old domain is of no use. But who handed a file
 * over does so once in a domain's life. */
static bool is_outdated(const Takeover *t) {
        const LedgerImage *image = t->parts->inheritance->image;

        return image->n_connections == 0 && t->parts->inheritance->n_newcomers == 0 &&
               image->file != LEDGER_FILE_PREPARED && keep_running_values(t, /* apply= */ false);
}

/* A file of the old domain's own goes with it. */
static void remove_old_file(Takeover *t) {
        const LedgerImage *image = t->parts->inheritance->image;

        if (t->has_file && image->file == LEDGER_FILE_OURS && t->parts->definition->keep != KEEP_ALWAYS) {
                memory_file_unlink(t->path, t->file[MEMORY_FILE_SHARED]);
        }
        if (image->file == LEDGER_FILE_OURS || image->file == LEDGER_FILE_ADOPTED) {
                close_file(t);
                t->has_file = false;
        }
}

static void forget(const Takeover *t) {
        ServerParts *parts = t->parts;

        succession_forget(parts->succession, parts->notify, t->inherited, /* claimed= */ true);
        inherited_drop(t->inherited);
        TALLOC_FREE(parts->succession);
        TALLOC_FREE(parts->memory);
        TALLOC_FREE(parts->doorbells);
        parts->inheritance = NULL;
}

static int begin_anew(Takeover *t) {
        if (t->parts->inheritance) {
                remove_old_file(t);
        }
        forget(t);
        return begin(t);
}

static int resume_or_begin(Takeover *t) {
        ServerParts *parts = t->parts;
        const Definition asked = *parts->definition;
        int r = 0;

        if (t->fd_store > 0) {
                r = succession_resume(t->ctx, parts->notify, t->fd_store, t->inherited, &parts->succession,
                                      &parts->inheritance, t->ret_error);
        }
        if (r == -EPROTONOSUPPORT) {
                *t->ret_error = talloc_asprintf(
                        t->ctx,
                        "Cannot go on with this domain: %s; start that again, or stop "
                        "the domain, which disconnects its peers",
                        *t->ret_error);
                return r;
        }
        if (r >= 0 && parts->succession && !is_outdated(t)) {
                r = go_on(t);
                if (r >= 0) {
                        return 0;
                }
        }
        if (r < 0) {
                log_record(LOG_ERR, MESSAGE_NOT_RESUMED, NULL, 0,
                           "Cannot go on with the peers of the server before, which are disconnected: %s",
                           *t->ret_error ?: strerror(-r));
                TALLOC_FREE(*t->ret_error);
        }
        *parts->definition = asked;
        return begin_anew(t);
}

/* A domain is served as well without that, until its definition is removed and its server dies. */
static void keep_definition(const Takeover *t) {
        int r = succession_keep_definition(t->parts->succession, t->parts->definition);

        if (r < 0) {
                log_plain(LOG_WARNING, "The definition cannot be kept for a server after this one: %s",
                          strerror(-r));
        }
}

int takeover(void *ctx, ServerParts *parts, Inherited *inherited, uint32_t fd_store, char **ret_error) {
        Takeover t = {
                .ctx = ctx,
                .parts = parts,
                .inherited = inherited,
                .fd_store = fd_store,
                .ret_error = ret_error,
        };
        int r;

        claim_file(&t);
        r = resume_or_begin(&t);
        close_file(&t);
        if (r >= 0) {
                keep_definition(&t);
        }
        return r;
}
