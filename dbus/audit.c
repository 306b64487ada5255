/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Log records about calls, of each user a bounded number. */

#include "dbus/audit.h"

#include <errno.h>
#include <inttypes.h>
#include <talloc.h>
#include <time.h>

#include "service/base/log.h"
#include "service/core/bucket.h"

typedef struct AuditUser {
        uid_t uid;
        Bucket bucket;
        uint64_t left_out; /* since the last record */
} AuditUser;

struct Audit {
        AuditUser users[AUDIT_USERS_MAX];
        size_t n;
};

static uint64_t now_usec(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

int audit_new(void *ctx, Audit **ret) {
        Audit *audit = talloc_zero(ctx, Audit);

        if (!audit) {
                return -ENOMEM;
        }
        *ret = audit;
        return 0;
}

/* Users who have not been heard of for long are forgotten for others. */
static AuditUser *make_room(Audit *audit, uint64_t now) {
        if (audit->n < AUDIT_USERS_MAX) {
                return &audit->users[audit->n++];
        }
        for (size_t i = 0; i < audit->n; i++) {
                if (bucket_is_full(&audit->users[i].bucket, now)) {
                        return &audit->users[i];
                }
        }
        return NULL;
}

static AuditUser *find_user(Audit *audit, uid_t uid, uint64_t now) {
        AuditUser *user;

        for (size_t i = 0; i < audit->n; i++) {
                if (audit->users[i].uid == uid) {
                        return &audit->users[i];
                }
        }
        user = make_room(audit, now);
        if (!user) {
                return &audit->users[0];
        }
        *user = (AuditUser){ .uid = uid, .bucket = bucket_full(AUDIT_RATE, AUDIT_BURST, now) };
        return user;
}

static void write_record(const AuditEntry *entry, uint64_t left_out) {
        const LogField fields[] = {
                { .name = entry->domain ? "IVSHMEM_DOMAIN" : NULL, .text = entry->domain },
                { .name = "IVSHMEM_METHOD", .text = entry->method },
                { .name = "IVSHMEM_CALLER_UID", .number = (int64_t) entry->uid },
                { .name = entry->pid > 0 ? "IVSHMEM_CALLER_PID" : NULL, .number = entry->pid },
                { .name = entry->error ? "IVSHMEM_ERROR" : NULL, .text = entry->error },
                { .name = left_out > 0 ? "IVSHMEM_LEFT_OUT" : NULL, .number = (int64_t) left_out },
        };

        log_record(entry->error ? LOG_NOTICE : LOG_INFO, /* message_id= */ NULL, fields,
                   sizeof(fields) / sizeof(*fields), "%s%s%s%s by uid %" PRIu32 "%s%s", entry->method,
                   entry->domain ? " \"" : "", entry->domain ? entry->domain : "", entry->domain ? "\"" : "",
                   (uint32_t) entry->uid, entry->error ? ": " : "", entry->error ? entry->text : "");
}

void audit_record(Audit *audit, const AuditEntry *entry) {
        uint64_t now = now_usec();
        AuditUser *user = find_user(audit, entry->uid, now);

        if (!bucket_take(&user->bucket, now)) {
                user->left_out++;
                return;
        }
        write_record(entry, user->left_out);
        user->left_out = 0;
}
