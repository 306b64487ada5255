/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the manager consists of. For the files of the manager that put it together; others see manager.h. */
#pragma once

#include "service/base/list.h"
#include "service/manager/domain-parts.h"
#include "service/manager/launcher.h"
#include "service/manager/limits.h"
#include "service/manager/manager.h"
#include "service/manager/registry.h"
#include "service/manager/store.h"

struct Manager {
        Event *event;
        Launcher *launcher;
        Store *store;
        Limits *limits;
        bool single_directory; /* all definitions are in one, of which nothing goes with the boot */
        ManagerOps observer;   /* zeroes: nobody looks */
        Registry registry;
        size_t n_active;     /* domains that have a server */
        size_t n_operations; /* that have not ended */
        bool busy;           /* as it was told last */
        List operations;     /* under way */
        List finished;       /* to be told of */
        void *trash;         /* what is freed when nobody can be using it */
        EventSource *finish;
        EventSource *reap;
};

/* ---- manager.c ---- */

/* Reads the file of a name again, with all that follows: a domain comes, changes or goes. */
void manager_refresh(Manager *manager, const char *name);

/* Frees a chunk later: nothing dies inside its own callback. */
void manager_discard(Manager *manager, void *chunk);

/* Tells the observer what has changed, when it is not nothing. */
void manager_tell(Domain *domain, DomainChanges changes);

/* Looks whether it is busy, and tells when that has changed. */
void manager_weigh(Manager *manager);

/* ---- operation.c ---- */

struct Operation {
        List link; /* of those under way, or of those to be told of */
        Manager *manager;
        Domain *domain; /* NULL: it is gone */
        OperationKind kind;
        OperationDone done; /* NULL: nobody wants to hear of it */
        void *userdata;
        const Operation *leader; /* the start under way that this one waits for; NULL: none */
        char *before; /* text of a definition that is brought back when the server refuses the new one */
        bool failed;
        Failure failure;
        int fd;
};

int operations_init(Manager *manager);

/* Ends all that is under way, as the manager does. */
void operations_end(Manager *manager);

/* The domain is going; what is under way for it ends by itself. */
void operations_forget(Manager *manager, const Domain *domain);

/* Has the outcome told from the loop. `failure` NULL: it was done. `fd` becomes the operation's. */
void operation_finish(Operation *operation, const Failure *failure, int fd);

/* ---- edit.c ---- */

/* Changes the definition of the operation's domain. As manager_begin(). */
int operation_edit(Operation *operation, const Request *request, Failure *ret_failure);

/* ---- change.c ---- */

/* What is to be changed. [Peer] sections are taken out before anything is set. */
typedef struct Change {
        const char *drop_peer; /* the section that is taken out; NULL: none */
        bool drop_peers;       /* all of them are */
        const Setting *settings;
        size_t n_settings;
} Change;

/* A definition changed, checked and resolved, and its text; chunks of `ctx`. `from` NULL: one with the defaults. -EREMOTEIO
 * with *ret_failure. */
int change_definition(void *ctx, const Definition *from, const Change *change, Definition **ret,
                      char **ret_text, Failure *ret_failure);

/* ---- tally.c ---- */

/* Whether the owner, and all together, may have a definition beside those of other domains than `except` (NULL: none).
 * What `before` (NULL: nothing) had of each resource already is not refused. -EREMOTEIO with *ret_failure. */
int tally_definition(const Manager *manager, const Domain *except, const Definition *before,
                     const Definition *definition, Failure *ret_failure);

/* The same for starting a domain, beside those that run. */
int tally_start(const Manager *manager, const Domain *domain, Failure *ret_failure);
