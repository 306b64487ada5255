/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Log records about peers. */

#include "service/server/record.h"

#include <inttypes.h>
#include <talloc.h>

#include "service/base/log.h"
#include "service/core/text.h"
#include "service/server/messages.h"

typedef struct Record {
        int level;
        const char *message_id;
        int64_t vm_id;   /* below 0: it has none */
        Refusal refusal; /* REFUSAL_NONE: it was not refused */
        const char *rule;
        const char *text;
} Record;

static void record_write(Tenant *tenant, const Credentials *credentials, const Record *record,
                         uint64_t now_usec) {
        const LogField fields[] = {
                { .name = record->vm_id < 0 ? NULL : "IVSHMEM_VM_ID", .number = record->vm_id },
                { .name = record->refusal ? "IVSHMEM_REFUSAL" : NULL, .number = record->refusal },
                { .name = record->rule ? "IVSHMEM_RULE" : NULL, .text = record->rule },
                { .name = "IVSHMEM_PEER_UID", .number = credentials->uid },
                { .name = "IVSHMEM_PEER_PID", .number = credentials->pid },
                { .name = credentials->unit ? "IVSHMEM_PEER_UNIT" : NULL, .text = credentials->unit },
                { .name = credentials->machine ? "IVSHMEM_PEER_MACHINE" : NULL,
                  .text = credentials->machine },
                { .name = credentials->label ? "IVSHMEM_PEER_LABEL" : NULL, .text = credentials->label },
        };
        uint32_t suppressed;

        if (!tenant_may_log(tenant, now_usec, &suppressed)) {
                return;
        }
        if (suppressed > 0) {
                log_plain(LOG_NOTICE, "Left out %" PRIu32 " record%s about uid %" PRIu32, suppressed,
                          plural(suppressed), tenant->uid);
        }
        log_record(record->level, record->message_id, fields, sizeof(fields) / sizeof(*fields), "%s",
                   record->text ?: "out of memory");
}

static const char *describe(char *text) {
        return text ?: "a peer";
}

void record_joined(Tenant *tenant, const Credentials *credentials, uint32_t vm_id, const char *rule,
                   uint64_t now_usec) {
        Record record = { .level = LOG_INFO, .message_id = MESSAGE_JOINED, .vm_id = vm_id, .rule = rule };
        void *scratch;

        if (!log_is_on(record.level)) {
                return;
        }
        scratch = talloc_new(NULL);
        record.text = talloc_asprintf(scratch, "VM %" PRIu32 " joined: %s (%s)", vm_id,
                                      describe(credentials_describe(scratch, credentials)), rule);
        record_write(tenant, credentials, &record, now_usec);
        talloc_free(scratch);
}

void record_left(Tenant *tenant, const Credentials *credentials, uint32_t vm_id, Leave why,
                 uint64_t now_usec) {
        static const struct {
                int level;
                const char *message_id;
        } kinds[_LEAVE_MAX] = {
                [LEAVE_CLOSED] = { LOG_INFO, MESSAGE_LEFT },
                [LEAVE_LOST] = { LOG_INFO, MESSAGE_LEFT },
                [LEAVE_BREACH] = { LOG_WARNING, MESSAGE_BREACH },
                [LEAVE_EVICTED] = { LOG_NOTICE, MESSAGE_EVICTED },
        };
        Record record = { .level = kinds[why].level, .message_id = kinds[why].message_id, .vm_id = vm_id };
        void *scratch;

        if (!log_is_on(record.level)) {
                return;
        }
        scratch = talloc_new(NULL);
        record.text = talloc_asprintf(scratch, "VM %" PRIu32 " left: %s (%s)", vm_id, leave_names[why],
                                      describe(credentials_describe(scratch, credentials)));
        record_write(tenant, credentials, &record, now_usec);
        talloc_free(scratch);
}

void record_refused(Tenant *tenant, const Credentials *credentials, Refusal refusal, const char *reason,
                    uint64_t now_usec) {
        Record record = {
                .level = LOG_WARNING,
                .message_id = MESSAGE_REFUSED,
                .vm_id = -1,
                .refusal = refusal,
                .rule = reason,
        };
        void *scratch;

        if (!log_is_on(record.level)) {
                return;
        }
        scratch = talloc_new(NULL);
        record.text = talloc_asprintf(scratch, "Refused %s: %d %s, %s",
                                      describe(credentials_describe(scratch, credentials)), (int) refusal,
                                      refusal_name(refusal), reason);
        record_write(tenant, credentials, &record, now_usec);
        talloc_free(scratch);
}
