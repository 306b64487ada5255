/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who changed what, and what was refused to whom: a log record for each, so many a second of a user. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

typedef struct Audit Audit;
typedef struct AuditEntry AuditEntry;

/* Records of a user: so many a second, in bursts of at most so many. The next one says how many were left out. */
#define AUDIT_RATE 5U
#define AUDIT_BURST 50U

/* Users whose records are counted. When there are more, the others share what one of them may have. */
#define AUDIT_USERS_MAX 256U

struct AuditEntry {
        uid_t uid;
        pid_t pid;          /* 0: not known */
        const char *method; /* without its interface */
        const char *domain; /* NULL: of none */
        const char *error;  /* name; NULL: it was done */
        const char *text;   /* of the error */
};

/* -ENOMEM. */
int audit_new(void *ctx, Audit **ret);

void audit_record(Audit *audit, const AuditEntry *entry);
