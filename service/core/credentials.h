/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who a peer is, as the kernel says: read once, when its connection is accepted. */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct Credentials Credentials;

struct Credentials {
        uint32_t uid;
        uint32_t gid;
        int32_t pid;
        const uint32_t *groups; /* supplementary */
        size_t n_groups;
        const char *unit;    /* systemd unit; NULL when it is in none */
        const char *machine; /* name of the machine that the unit belongs to; NULL when it is none */
        const char *label;   /* security label; NULL when the kernel has none */
};

/* By what a VM is known when it comes back: "machine:NAME", else "unit:NAME", else "uid:NUMBER". NULL when out of
 * memory. */
char *credentials_identity(void *ctx, const Credentials *credentials);

/* "uid 1000, pid 4711, unit x.service, machine qemu-1-router": for people. NULL when out of memory. */
char *credentials_describe(void *ctx, const Credentials *credentials);
