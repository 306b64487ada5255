/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Log records. Under systemd (standard error is the journal) a record goes there with its fields; otherwise one
 * readable line goes to standard error. Whoever calls this is the top of an event handler: lower layers return their
 * reasons. Untrusted text may be passed: control characters are escaped before anything is written.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syslog.h>

typedef struct LogField LogField;

/* A journal field: `text` or, where that is NULL, `number`. Fields with a NULL name are left out. */
struct LogField {
        const char *name;
        const char *text;
        int64_t number;
};

/* Says where records go and as whom. `domain` (may be NULL) becomes IVSHMEM_DOMAIN= in each record and must outlive
 * the process's logging. Records below `level` (LOG_ERR .. LOG_DEBUG of syslog.h) are dropped. */
void log_open(const char *identifier, const char *domain, int level);

void log_set_level(int level);

/* Whether a record of this level would be written: for records that cost something to make. */
bool log_is_on(int level);

/* Writes one record. `message_id` is one of the 128-bit ids of messages.h as 32 hexadecimal digits, or NULL. */
void log_record(int level, const char *message_id, const LogField *fields, size_t n_fields,
                const char *format, ...) __attribute__((format(printf, 5, 6)));

/*
 * The last record of a process that is about to end, without fields. The journal looks up which unit a record came from
 * when it reads it, and finds nothing when the process is gone by then; of what standard error says it knows that from
 * the beginning.
 */
void log_parting(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A record that needs no fields of its own. */
#define log_plain(level, ...) log_record((level), NULL, NULL, 0, __VA_ARGS__)
