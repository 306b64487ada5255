/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The descriptors that systemd passed: the listening sockets of the socket units, and what a predecessor left in the fd
 * store. Each is checked before it is used; they come in any order, so that only names count.
 */
#pragma once

#include <stddef.h>

#include "service/base/fd.h"
#include "service/core/fdname.h"

typedef struct Inherited Inherited;
typedef struct InheritedFd InheritedFd;

struct InheritedFd {
        FdName name;
        Fd *fd; /* NULL: taken by somebody */
};

struct Inherited {
        Fd *listener; /* for peers; NULL: none was passed */
        Fd *control;  /* for the control link; NULL: none was passed */
        InheritedFd *stored;
        size_t n_stored;
        const char **strangers; /* names in the store that mean nothing to us */
        size_t n_strangers;
};

/*
 * Takes the descriptors of LISTEN_FDS (sd_listen_fds(3)). A socket that somebody could connect to and that we would not
 * serve is refused - two of one name, one of another kind or name: -EINVAL with *ret_error, a chunk of `ctx`. What is
 * not what its name says is closed and listed as a stranger.
 */
int inherited_take(void *ctx, Inherited **ret, char **ret_error);

/* Closes what nobody claimed. */
void inherited_drop(Inherited *inherited);

/* Takes the stored descriptor of this name out, for the caller to own below `ctx`. NULL: there is none. */
Fd *inherited_claim(Inherited *inherited, void *ctx, const FdName *name);
