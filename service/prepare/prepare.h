/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What needs privileges for a moment: opening or making the file of Path= before a domain starts, and removing it when
 * the domain has ended. The service manager runs this as root; the server itself never has more than the descriptors,
 * which are handed to it by the fd store.
 */
#pragma once

#include <stdbool.h>

#include "service/core/definition.h"

/* The program: `ivshmem-prepare [--end | --name] NAME`. Returns its exit status. */
int prepare_main(int argc, char **argv);

/* Whether only root can have written a definition: the file and its directory are root's, and nobody else can write to
 * them. */
bool definition_is_roots(const char *path);

/*
 * Whether what a definition asks for may be done with privileges. Of one that others than root can have written (the
 * manager, for its tenants) that is a new file in /dev/shm, where everybody can make one; nothing that exists is touched.
 * NULL: it may; else what is wrong, a chunk of `ctx`.
 */
char *definition_forbids(void *ctx, const Definition *definition, bool roots);
