/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The descriptors that systemd passed, by their names. */

#include "service/server/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"

/* ---- Listening sockets ---- */

/* What a socket unit may pass. */
typedef struct ListenerKind {
        FdKind kind;
        int type;
        const char *type_name;
        const char *option; /* of socket units */
} ListenerKind;

static const ListenerKind listener_kinds[] = {
        { FD_PEERS, SOCK_STREAM, "stream", "ListenStream=" },
        { FD_CONTROL, SOCK_SEQPACKET, "sequential-packet", "ListenSequentialPacket=" },
};

static bool is_listening(int fd) {
        return sd_is_socket(fd, AF_UNSPEC, /* type= */ 0, /* listening= */ 1) > 0;
}

/* NULL: no listening socket is called so. "unknown" is what sd_listen_fds(3) calls a descriptor without a name. */
static const ListenerKind *listener_kind(const char *name) {
        FdName parsed = { .kind = FD_PEERS };

        if (strcmp(name, "unknown") != 0 && !fdname_parse(name, &parsed)) {
                return NULL;
        }
        for (size_t i = 0; i < sizeof(listener_kinds) / sizeof(*listener_kinds); i++) {
                if (listener_kinds[i].kind == parsed.kind) {
                        return &listener_kinds[i];
                }
        }
        return NULL;
}

static int take_listener(Inherited *inherited, void *ctx, int fd, const char *name, char **ret_error) {
        const ListenerKind *kind = listener_kind(name);
        Fd **place;
        int r;

        if (!kind) {
                *ret_error = talloc_asprintf(ctx,
                                             "Inherited descriptor %d is called \"%s\", not \"peers\" or "
                                             "\"control\"; set FileDescriptorName= in the socket unit",
                                             fd, name);
                return -EINVAL;
        }
        place = kind->kind == FD_PEERS ? &inherited->listener : &inherited->control;
        if (*place) {
                *ret_error = talloc_asprintf(ctx,
                                             "Inherited more than one socket called \"%s\"; keep one %s",
                                             name, kind->option);
                return -EINVAL;
        }
        if (sd_is_socket_unix(fd, kind->type, /* listening= */ 1, NULL, 0) <= 0) {
                *ret_error = talloc_asprintf(
                        ctx,
                        "Inherited descriptor %d (\"%s\") is not a listening AF_UNIX %s socket; use %s with a path",
                        fd, name, kind->type_name, kind->option);
                return -EINVAL;
        }
        /* Accepting must never wait, also when the one who connected is gone again. */
        r = errno_or(fcntl(fd, F_SETFL, O_NONBLOCK));
        return r < 0 ? r : fd_new(inherited, fd, place);
}

/* ---- What was stored ---- */

/* Whether a descriptor can be what its name says. Whether it also fits the others is seen when it is used. */
static bool is_plausible(int fd, const FdName *name) {
        struct stat st;

        switch (name->kind) {
        case FD_MEMORY:
        case FD_LEDGER:
        case FD_DEFINITION:
        case FD_FILE_ERROR:
                return fstat(fd, &st) >= 0 && S_ISREG(st.st_mode) && fcntl(fd, F_GET_SEALS) >= 0;
        case FD_FILE:
        case FD_DOORBELLS:
                return sd_is_socket_unix(fd, SOCK_SEQPACKET, /* listening= */ 0, NULL, 0) > 0;
        case FD_PEER:
                return sd_is_socket_unix(fd, SOCK_STREAM, /* listening= */ 0, NULL, 0) > 0;
        default:
                return false;
        }
}

static int add_stranger(Inherited *inherited, int fd, const char *name) {
        char *copy = talloc_strdup(inherited->strangers, name);

        close(fd);
        if (!copy) {
                return -ENOMEM;
        }
        inherited->strangers[inherited->n_strangers++] = copy;
        return 0;
}

static int take_one(Inherited *inherited, void *ctx, int fd, const char *text, char **ret_error) {
        FdName name;

        if (listener_kind(text) || is_listening(fd)) {
                return take_listener(inherited, ctx, fd, text, ret_error);
        }
        if (!fdname_parse(text, &name) || !is_plausible(fd, &name)) {
                return add_stranger(inherited, fd, text);
        }
        inherited->stored[inherited->n_stored].name = name;
        return fd_new(inherited, fd, &inherited->stored[inherited->n_stored++].fd);
}

static int take_all(Inherited *inherited, void *ctx, int n, char **names, char **ret_error) {
        int r = 0;

        inherited->stored = talloc_zero_array(inherited, InheritedFd, (size_t) n);
        inherited->strangers = talloc_zero_array(inherited, const char *, (size_t) n);
        if (!inherited->stored || !inherited->strangers) {
                return -ENOMEM;
        }
        for (int i = 0; i < n && r >= 0; i++) {
                r = take_one(inherited, ctx, SD_LISTEN_FDS_START + i, names[i], ret_error);
        }
        return r;
}

int inherited_take(void *ctx, Inherited **ret, char **ret_error) {
        Inherited *inherited = talloc_zero(ctx, Inherited);
        char **names = NULL;
        int n, r;

        if (!inherited) {
                return -ENOMEM;
        }
        n = r = sd_listen_fds_with_names(/* unset_environment= */ 1, &names);
        if (n < 0) {
                *ret_error = talloc_asprintf(ctx, "Cannot take the descriptors of LISTEN_FDS: %s",
                                             strerror(-n));
        } else {
                r = take_all(inherited, ctx, n, names, ret_error);
        }
        for (int i = 0; i < n; i++) {
                free(names[i]);
        }
        free(names);
        if (r < 0) {
                talloc_free(inherited);
                return r;
        }
        *ret = inherited;
        return 0;
}

Fd *inherited_claim(Inherited *inherited, void *ctx, const FdName *name) {
        for (size_t i = 0; i < inherited->n_stored; i++) {
                InheritedFd *stored = &inherited->stored[i];

                if (stored->fd && stored->name.kind == name->kind && stored->name.vm_id == name->vm_id &&
                    stored->name.serial == name->serial) {
                        Fd *fd = talloc_steal(ctx, stored->fd);

                        stored->fd = NULL;
                        return fd;
                }
        }
        return NULL;
}

void inherited_drop(Inherited *inherited) {
        for (size_t i = 0; i < inherited->n_stored; i++) {
                TALLOC_FREE(inherited->stored[i].fd);
        }
}
