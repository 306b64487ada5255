/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the descriptors are called that come from systemd: from socket units and from the fd store (FDNAME=,
 * sd_pid_notify_with_fds(3)). The only place that knows the grammar:
 *
 *   peers, control          the listening sockets
 *   memory, ledger          of the domain
 *   definition              the text of the definition that is served (service/server/kept.h)
 *   file                    the bag with the descriptors of a file that is the memory (Path=)
 *   file-error              why that file is not to be had, as a text: from who was to open it
 *   doorbells-VMID          the bag with a seat's eventfds
 *   peer-VMID-SERIAL        a peer's connection; the serial tells it from an earlier one on the same seat
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct FdName FdName;

typedef enum FdKind {
        FD_PEERS,
        FD_CONTROL,
        FD_MEMORY,
        FD_LEDGER,
        FD_DEFINITION,
        FD_FILE,
        FD_FILE_ERROR,
        FD_DOORBELLS,
        FD_PEER,
        _FD_KIND_MAX,
        _FD_KIND_INVALID = -22,
} FdKind;

/* Long enough for each name, with its NUL. */
#define FDNAME_SIZE 40U

/*
 * How many descriptors a store may have. Their names come in one environment variable, LISTEN_FDNAMES=, and the kernel
 * executes nothing with one of more than 128 KiB (MAX_ARG_STRLEN): no server could ever be started again. The longest names
 * of a seat's two take 48 bytes with their colons, and what a domain has once takes less than 128.
 */
#define FD_STORE_MAX ((131072U - 128U) / 24U)

struct FdName {
        FdKind kind;
        uint32_t vm_id;  /* FD_DOORBELLS, FD_PEER */
        uint64_t serial; /* FD_PEER; never 0 */
};

void fdname_format(const FdName *name, char ret[static FDNAME_SIZE]);

/* False for what fdname_format() never writes; *ret is untouched then. */
bool fdname_parse(const char *text, FdName *ret);
