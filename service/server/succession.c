/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What lets a successor go on: the ledger and the store, written in step. */

#include "service/server/succession.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/server/bag.h"
#include "service/server/batch.h"
#include "service/server/doorbells.h"
#include "service/server/kept.h"
#include "service/server/memory.h"
#include "service/server/store.h"

#define LEDGER_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct Succession {
        Store *store;
        Ledger *ledger; /* mapped */
        size_t size;
        Kept *kept; /* the definition; NULL: it is not kept */
        uint64_t last_serial;
};

static int succession_destructor(Succession *succession) {
        if (succession->ledger) {
                munmap(succession->ledger, succession->size);
        }
        return 0;
}

static int fail(void *ctx, char **ret_error, int r, const char *what) {
        *ret_error = talloc_asprintf(ctx, "%s: %s", what, strerror(-r));
        return r;
}

static int map_ledger(Succession *succession, int fd, size_t size) {
        void *address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        if (address == MAP_FAILED) {
                return errno_negative();
        }
        succession->ledger = address;
        succession->size = size;
        return 0;
}

static int succession_alloc(void *ctx, Notify *notify, uint32_t capacity, uint32_t used, Succession **ret) {
        Succession *succession = talloc_zero(ctx, Succession);
        int r;

        if (!succession) {
                return -ENOMEM;
        }
        talloc_set_destructor(succession, succession_destructor);
        r = store_new(succession, notify, capacity, used, &succession->store);
        if (r < 0) {
                talloc_free(succession);
                return r;
        }
        *ret = succession;
        return 0;
}

/* ---- A new one ---- */

static int make_ledger(Succession *succession, const LedgerShape *shape, LedgerFile file) {
        size_t size = ledger_size(shape->max_peers);
        cleanup_close int fd = memfd_create("ivshmem-ledger", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        int r;

        if (fd < 0 || ftruncate(fd, (off_t) size) < 0 || fchmod(fd, 0600) < 0 ||
            fcntl(fd, F_ADD_SEALS, LEDGER_SEALS) < 0) {
                return errno_negative();
        }
        r = map_ledger(succession, fd, size);
        if (r < 0) {
                return r;
        }
        ledger_format(succession->ledger, shape);
        ledger_set_file(succession->ledger, file);
        return store_put(succession->store, &(FdName){ .kind = FD_LEDGER }, fd);
}

/* A file takes three descriptors, and in a bag one place. */
static int keep_memory(Succession *succession, const Memory *memory) {
        cleanup_close int bag = -EBADF;
        int fds[MEMORY_FILE_FDS];
        const char *path = memory_file(memory, fds);

        if (!path) {
                return store_put(succession->store, &(FdName){ .kind = FD_MEMORY }, memory_fd(memory));
        }
        bag = bag_new(fds, MEMORY_FILE_FDS, path);
        return bag < 0 ? bag : store_put(succession->store, &(FdName){ .kind = FD_FILE }, bag);
}

int succession_keep_memory(Succession *succession, const Memory *memory, LedgerFile file) {
        int r = keep_memory(succession, memory);

        if (r >= 0) {
                ledger_set_file(succession->ledger, file);
        }
        return r;
}

int succession_keep_definition(Succession *succession, const Definition *definition) {
        cleanup_close int fd = -EBADF;
        int r;

        if (!succession || succession->kept) {
                return succession_change_definition(succession, definition);
        }
        r = kept_new(succession, &succession->kept, &fd);
        if (r >= 0) {
                r = kept_set(succession->kept, definition);
        }
        if (r >= 0) {
                r = store_put(succession->store, &(FdName){ .kind = FD_DEFINITION }, fd);
        }
        if (r < 0) {
                TALLOC_FREE(succession->kept);
        }
        return r;
}

int succession_change_definition(Succession *succession, const Definition *definition) {
        return succession && succession->kept ? kept_set(succession->kept, definition) : 0;
}

int succession_new(void *ctx, Notify *notify, uint32_t capacity, const Definition *definition,
                   const Memory *memory, LedgerFile file, Succession **ret, char **ret_error) {
        const LedgerShape shape = {
                .memory_size = definition->size,
                .huge_pages = (uint32_t) definition->huge_pages,
                .max_peers = definition->max_peers,
                .vectors = definition->vectors,
                .topology = (uint32_t) definition->topology,
        };
        Succession *succession;
        int r = succession_alloc(ctx, notify, capacity, /* used= */ 0, &succession);

        if (r < 0) {
                return fail(ctx, ret_error, r, "Cannot use systemd's fd store");
        }
        /* The ledger last: without it the rest means nothing. */
        r = keep_memory(succession, memory);
        if (r >= 0) {
                r = make_ledger(succession, &shape, file);
        }
        if (r < 0) {
                talloc_free(succession);
                return fail(ctx, ret_error, r, "Cannot begin the ledger");
        }
        *ret = succession;
        return 0;
}

/* ---- Taking over ---- */

static int map_inherited_ledger(Succession *succession, const Fd *fd) {
        struct stat st;

        if (fstat(fd_get(fd), &st) < 0) {
                return errno_negative();
        }
        /* A ledger that could shrink under us is not ours. */
        if ((fcntl(fd_get(fd), F_GET_SEALS) & LEDGER_SEALS) != LEDGER_SEALS || st.st_size <= 0 ||
            (size_t) st.st_size > ledger_size(VM_IDS_MAX)) {
                return -EINVAL;
        }
        return map_ledger(succession, fd_get(fd), (size_t) st.st_size);
}

static int claim_sockets(Succession *succession, Inherited *inherited, Inheritance *inheritance) {
        const LedgerImage *image = inheritance->image;

        inheritance->sockets = talloc_zero_array(inheritance, Fd *, image->n_connections);
        inheritance->newcomers = talloc_zero_array(inheritance, Fd *, inherited->n_stored);
        if (!inheritance->sockets || !inheritance->newcomers) {
                return -ENOMEM;
        }
        for (size_t i = 0; i < image->n_connections; i++) {
                const LedgerConnection *connection = &image->connections[i];
                FdName name = { .kind = FD_PEER,
                                .vm_id = connection->feed.vm_id,
                                .serial = connection->serial };

                inheritance->sockets[i] = inherited_claim(inherited, inheritance, &name);
        }
        /* Connections that the ledger does not know were kept, and nothing was sent to them: they never joined. */
        for (size_t i = 0; i < inherited->n_stored; i++) {
                const InheritedFd *stored = &inherited->stored[i];
                const FdName name = stored->name;

                if (stored->fd && name.kind == FD_PEER) {
                        inheritance->newcomers[inheritance->n_newcomers++] = inherited_claim(
                                inherited, inheritance, &name);
                        store_remove(succession->store, &name);
                }
        }
        return 0;
}

/* A copy, for what was found good must not be changed by somebody who got the ledger from our predecessor. It is read, and
 * not copied from the mapping, which would fill the holes in it. */
static int copy_ledger(void *ctx, const Fd *fd, size_t size, void **ret) {
        char *copy = talloc_size(ctx, size);
        size_t length = 0;

        while (copy && length < size) {
                ssize_t n = pread(fd_get(fd), copy + length, size - length, (off_t) length);

                if (n <= 0) {
                        talloc_free(copy);
                        return n < 0 ? errno_negative() : -EINVAL;
                }
                length += (size_t) n;
        }
        *ret = copy;
        return copy ? 0 : -ENOMEM;
}

static int read_ledger(Succession *succession, const Fd *fd, Inheritance *inheritance, char **ret_error) {
        size_t unfinished, sent;
        void *copy;
        int r = copy_ledger(inheritance, fd, succession->size, &copy);

        if (r < 0) {
                return r;
        }
        unfinished = ledger_unfinished(copy, succession->size);
        sent = unfinished ? batch_sent(ledger_headers(copy), unfinished) : 0;
        r = ledger_load(inheritance, copy, succession->size, sent, &inheritance->image, ret_error);
        talloc_free(copy);
        if (r < 0) {
                return r;
        }
        ledger_settle(succession->ledger, inheritance->image);
        succession->last_serial = inheritance->image->last_serial;
        return 0;
}

static size_t count_definitions(const Inherited *inherited) {
        char text[FDNAME_SIZE];
        size_t n = 0;

        fdname_format(&(FdName){ .kind = FD_DEFINITION }, text);
        for (size_t i = 0; i < inherited->n_stored; i++) {
                n += inherited->stored[i].name.kind == FD_DEFINITION;
        }
        for (size_t i = 0; i < inherited->n_strangers; i++) {
                n += strcmp(inherited->strangers[i], text) == 0;
        }
        return n;
}

/* What is not as it should be is not claimed, and so forgotten. That empties the whole name, so it has to be the only one. */
static void claim_definition(Succession *succession, Inherited *inherited) {
        for (size_t i = 0; count_definitions(inherited) == 1 && i < inherited->n_stored; i++) {
                InheritedFd *stored = &inherited->stored[i];

                if (stored->name.kind == FD_DEFINITION &&
                    kept_open(succession, fd_get(stored->fd), &succession->kept) >= 0) {
                        TALLOC_FREE(stored->fd);
                        return;
                }
        }
}

int succession_resume(void *ctx, Notify *notify, uint32_t capacity, Inherited *inherited, Succession **ret,
                      Inheritance **ret_inheritance, char **ret_error) {
        uint32_t used = (uint32_t) (inherited->n_stored + inherited->n_strangers);
        Fd *ledger = inherited_claim(inherited, inherited, &(FdName){ .kind = FD_LEDGER });
        Inheritance *inheritance;
        Succession *succession;
        int r;

        if (!ledger) {
                *ret = NULL;
                return 0;
        }
        r = succession_alloc(ctx, notify, capacity, used, &succession);
        if (r < 0) {
                return fail(ctx, ret_error, r, "Cannot use systemd's fd store");
        }
        inheritance = talloc_zero(succession, Inheritance);
        r = inheritance ? map_inherited_ledger(succession, ledger) : -ENOMEM;
        if (r < 0) {
                talloc_free(succession);
                return fail(ctx, ret_error, r, "Cannot use the ledger");
        }
        claim_definition(succession, inherited);
        r = read_ledger(succession, ledger, inheritance, ret_error);
        talloc_free(ledger);
        if (r >= 0) {
                r = claim_sockets(succession, inherited, inheritance);
        }
        if (r < 0) {
                talloc_free(succession);
                return r;
        }
        *ret = succession;
        *ret_inheritance = inheritance;
        return 0;
}

static int claim_bag(Inherited *inherited, uint32_t vm_id, Doorbells *doorbells, uint32_t vectors) {
        Fd *bag = inherited_claim(inherited, inherited, &(FdName){ .kind = FD_DOORBELLS, .vm_id = vm_id });
        char note[BAG_NOTE_SIZE];
        int fds[VECTORS_MAX], r;

        if (!bag) {
                return -ENOENT;
        }
        r = bag_look(fd_get(bag), fds, vectors, note);
        talloc_free(bag);
        return r < 0 ? r : doorbells_restore(doorbells, vm_id, fds);
}

int succession_claim_doorbells(void *ctx, Inherited *inherited, const LedgerImage *image,
                               Doorbells *doorbells, char **ret_error) {
        for (uint32_t i = 0; i < seats_opened(image->seats); i++) {
                uint32_t vm_id = seats_opened_id(image->seats, i);
                int r = claim_bag(inherited, vm_id, doorbells, image->shape.vectors);

                if (r < 0) {
                        *ret_error = talloc_asprintf(ctx, "The doorbells of VM ID %u are not there: %s",
                                                     vm_id, strerror(-r));
                        return r;
                }
        }
        return 0;
}

void succession_forget(Succession *succession, Notify *notify, const Inherited *inherited, bool claimed) {
        Store *store = NULL, *counted = succession ? succession->store : NULL;

        if (!counted) {
                if (store_new(NULL, notify, /* capacity= */ 0, /* used= */ 0, &store) < 0) {
                        return;
                }
                counted = store;
        }
        for (size_t i = 0; i < inherited->n_stored; i++) {
                if (claimed || inherited->stored[i].fd) {
                        store_remove(counted, &inherited->stored[i].name);
                }
        }
        for (size_t i = 0; i < inherited->n_strangers; i++) {
                store_remove_text(counted, inherited->strangers[i]);
        }
        talloc_free(store);
}

/* ---- While serving ---- */

void *succession_headers(Succession *succession) {
        return succession ? ledger_headers(succession->ledger) : NULL;
}

static FdName peer_name(uint32_t vm_id, uint64_t serial) {
        return (FdName){ .kind = FD_PEER, .vm_id = vm_id, .serial = serial };
}

static FdName doorbells_name(uint32_t vm_id) {
        return (FdName){ .kind = FD_DOORBELLS, .vm_id = vm_id };
}

static void remove_peer(Succession *succession, uint32_t vm_id, uint64_t serial) {
        const FdName name = peer_name(vm_id, serial);

        store_remove(succession->store, &name);
}

static void remove_doorbells(Succession *succession, uint32_t vm_id) {
        const FdName name = doorbells_name(vm_id);

        store_remove(succession->store, &name);
}

static int keep_doorbells(Succession *succession, const Domain *domain, uint32_t vm_id) {
        cleanup_close int bag = bag_new(doorbells_fds(domain->doorbells, vm_id),
                                        seats_vectors(domain->seats), /* note= */ NULL);
        const FdName name = doorbells_name(vm_id);

        return bag < 0 ? bag : store_put(succession->store, &name, bag);
}

static bool is_opening(const Domain *domain, uint32_t vm_id) {
        return seats_get(domain->seats, vm_id)->state == SEAT_UNOPENED;
}

int succession_keep(Succession *succession, const Domain *domain, uint32_t vm_id, int socket,
                    uint64_t *ret_serial) {
        FdName name;
        int r = 0;

        if (!succession) {
                *ret_serial = 0;
                return 0;
        }
        if (is_opening(domain, vm_id)) {
                r = keep_doorbells(succession, domain, vm_id);
        }
        if (r < 0) {
                return r;
        }
        name = peer_name(vm_id, ++succession->last_serial);
        r = store_put(succession->store, &name, socket);
        if (r < 0) {
                if (is_opening(domain, vm_id)) {
                        remove_doorbells(succession, vm_id);
                }
                return r;
        }
        *ret_serial = name.serial;
        return 0;
}

void succession_drop(Succession *succession, const Domain *domain, uint32_t vm_id, uint64_t serial) {
        if (!succession) {
                return;
        }
        remove_peer(succession, vm_id, serial);
        if (is_opening(domain, vm_id)) {
                remove_doorbells(succession, vm_id);
        }
}

void succession_joined(Succession *succession, const Domain *domain, const LedgerConnection *connection) {
        if (succession) {
                ledger_take(succession->ledger, domain->seats, connection);
        }
}

void succession_left(Succession *succession, const Domain *domain, uint32_t vm_id, uint64_t serial) {
        if (succession) {
                ledger_leave(succession->ledger, domain->seats, vm_id);
                remove_peer(succession, vm_id, serial);
        }
}

void succession_retired(Succession *succession, const Domain *domain, uint32_t vm_id) {
        if (succession) {
                ledger_leave(succession->ledger, domain->seats, vm_id);
        }
}

void succession_sending(Succession *succession, const Feed *feed, const FeedMessage *messages, size_t n) {
        if (succession) {
                ledger_batch_begin(succession->ledger, feed, messages, n);
        }
}

void succession_sent(Succession *succession, const Feed *feed) {
        if (succession) {
                ledger_batch_end(succession->ledger, feed);
        }
}
