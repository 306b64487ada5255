/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a VM is given to take part in a domain: arguments for QEMU, XML for libvirt. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/ctl/ctl.h"

typedef struct Attachment Attachment;

struct Attachment {
        const char *id;     /* of the device: a letter, then letters, digits, "-", "_", "." */
        const char *domain; /* its name */
        const char *socket;
        const char *path; /* of the memory's file; NULL: it has none */
        uint64_t size;    /* bytes */
        uint64_t vectors;
        uint64_t max_peers;
        bool plain;
        bool master;
};

/* What the domain and the options say. What does not fit together is said. */
ExitStatus attach_get(Ctl *ctl, const char *name, Attachment *ret);

/* The arguments, with a NULL behind them. Chunks of `ctx`. */
const char **attach_qemu(const void *ctx, const Attachment *attachment);

/* A <shmem> element, and for a master that is no plain device the <qemu:override> that libvirt needs. -EINVAL and *ret_error
 * where libvirt has no way to say it. */
int attach_libvirt(const void *ctx, const Attachment *attachment, char **ret, char **ret_error);

/* As a shell takes it for one word. */
char *attach_quote(const void *ctx, const char *word);
