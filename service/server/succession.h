/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What lets a successor go on where this process stops, however it stops: everything the domain consists of is in
 * systemd's fd store from the moment it exists, and the ledger says what belongs where. docs/decisions/0012 has the
 * order of writes. A server without a store has no succession (NULL), which each function takes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/core/feed.h"
#include "service/core/ledger.h"
#include "service/server/domain.h"
#include "service/server/inherited.h"

typedef struct Notify Notify;
typedef struct Succession Succession;

/* What was taken over from a predecessor. */
typedef struct Inheritance {
        LedgerImage *image;
        Fd **sockets;   /* of each connection of the image; NULL: it is gone */
        Fd **newcomers; /* accepted, but nothing was sent to them yet */
        size_t n_newcomers;
} Inheritance;

/*
 * Begins a new succession in a store of so many descriptors: makes the ledger and keeps it and the memory, of which
 * `file` says whether it is a file. Negative errno with *ret_error, a chunk of `ctx`.
 */
int succession_new(void *ctx, Notify *notify, uint32_t capacity, const Definition *definition,
                   const Memory *memory, LedgerFile file, Succession **ret, char **ret_error);

/*
 * Takes over what a predecessor left. *ret is NULL when it left nothing. -EINVAL with *ret_error when what came cannot
 * be true or is not whole: then it is best forgotten (succession_forget()). -EPROTONOSUPPORT with *ret_error when a
 * newer program left it, which is best started again.
 */
int succession_resume(void *ctx, Notify *notify, uint32_t capacity, Inherited *inherited, Succession **ret,
                      Inheritance **ret_inheritance, char **ret_error);

/* Keeps the memory, which is a file that the predecessor did not keep: with version 1 of the ledger it was opened by its
 * name each time. Negative errno. */
int succession_keep_memory(Succession *succession, const Memory *memory, LedgerFile file);

/*
 * Keeps the definition that is served, for a successor that finds none. It may make something for that, so call it before
 * the server is confined, and after succession_forget(), which empties names. Negative errno: one that was kept before
 * stays.
 */
int succession_keep_definition(Succession *succession, const Definition *definition);

/* The same in a confined server, where there is something to keep it in; else nothing. */
int succession_change_definition(Succession *succession, const Definition *definition);

/* Takes the doorbells of the seats that the image has opened out of their bags. -EINVAL with *ret_error when one is
 * missing. */
int succession_claim_doorbells(void *ctx, Inherited *inherited, const LedgerImage *image,
                               Doorbells *doorbells, char **ret_error);

/* Empties the store of what came from it and was not claimed; with `claimed` of all that came from it. `succession` has then
 * so much more room; NULL when nothing is gone on with. */
void succession_forget(Succession *succession, Notify *notify, const Inherited *inherited, bool claimed);

/* Where the kernel notes what it sent; NULL without a succession. */
void *succession_headers(Succession *succession);

/*
 * Keeps the connection of a peer that is about to take its seat, and the doorbells of the seat if it is opened by that.
 * *ret_serial is the connection's. Negative errno: nothing is kept, -ENOSPC when the store is full.
 */
int succession_keep(Succession *succession, const Domain *domain, uint32_t vm_id, int socket,
                    uint64_t *ret_serial);

/* The peer did not take its seat after all. */
void succession_drop(Succession *succession, const Domain *domain, uint32_t vm_id, uint64_t serial);

/* The peer has taken its seat. */
void succession_joined(Succession *succession, const Domain *domain, const LedgerConnection *connection);

/* The peer has left its seat, which is vacant or retired. Its connection must be shut down by now. */
void succession_left(Succession *succession, const Domain *domain, uint32_t vm_id, uint64_t serial);

/* A vacant seat was retired. */
void succession_retired(Succession *succession, const Domain *domain, uint32_t vm_id);

/* Messages are about to be sent; they were sent up to the feed's cursor. */
void succession_sending(Succession *succession, const Feed *feed, const FeedMessage *messages, size_t n);
void succession_sent(Succession *succession, const Feed *feed);
