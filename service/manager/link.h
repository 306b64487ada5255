/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The manager's end of a control link (service/core/control.h). It connects, and connects again when the link is lost,
 * until it is closed. A server is what tenants attack: what it says is taken for records that may be lies, and one that
 * breaks the rules is not listened to for a while.
 */
#pragma once

#include <stdbool.h>

#include "service/base/event.h"
#include "service/core/control.h"
#include "service/manager/failure.h"

typedef struct Link Link;
typedef struct LinkParts LinkParts;

/* A server that does not answer for so long is not there. */
#define LINK_REPLY_USEC UINT64_C(30000000)

struct LinkParts {
        Event *event;
        uint64_t reply_usec; /* how long an answer may take */
        const char *path;    /* of the socket; must outlive the link */
        const char *name;    /* of the domain, for the log; the same */
        /* The server can be connected to: not one that has ended, whose socket would start it again. */
        bool (*alive)(void *userdata);
        /* A connection begins: what was said before does not count. */
        void (*begun)(void *userdata);
        /* A record that is no reply. What is not true ends the connection: return -EBADMSG. */
        int (*record)(const ControlRecord *record, void *userdata);
        void *userdata;
};

/* The end of a request. `failure` is NULL when it was done; `fd` is the receiver's to close, -EBADF where there is none. */
typedef void (*LinkDone)(const Failure *failure, int fd, void *userdata);

/* -ENOMEM. */
int link_new(void *ctx, const LinkParts *parts, Link **ret);

/* Ends it: requests that are pending fail. It can be freed then, but not from within one of its own callbacks. */
void link_close(Link *link);

/* Asks the server; `done` is called exactly once, from the loop or by link_close(). The serial is the link's to set.
 * -EREMOTEIO with *ret_failure: too many are pending, or there is no connection now. */
int link_request(Link *link, const ControlRecord *request, LinkDone done, void *userdata,
                 Failure *ret_failure);
