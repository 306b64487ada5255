/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Log records, to the journal or to standard error. It never fails and never blocks a caller with an error: a record
 * that cannot be written is lost. */

#include "service/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#define MESSAGE_MAX 1024U
#define FIELD_MAX 320U
#define FIELDS_MAX 16U

/* The process has one log; everything else hangs on objects. */
static struct {
        const char *identifier;
        const char *domain;
        int level;
        bool journal;
} log_target = { .identifier = "ivshmemd", .level = LOG_INFO };

/* Standard error is the journal's stream when $JOURNAL_STREAM names its device and inode (systemd.exec(5)). */
static bool stderr_is_journal(void) {
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;

        return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
               fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_open(const char *identifier, const char *domain, int level) {
        log_target.identifier = identifier;
        log_target.domain = domain;
        log_target.level = level;
        log_target.journal = stderr_is_journal();
}

void log_set_level(int level) {
        log_target.level = level;
}

bool log_is_on(int level) {
        return level <= log_target.level;
}

static void escape_controls(char *text) {
        for (char *c = text; *c; c++) {
                if ((unsigned char) *c < ' ' || *c == 0x7f) {
                        *c = '?';
                }
        }
}

/* `level` is for the journal to read (sd-daemon(3)); below 0: a reader of lines needs none. */
static void log_to_stderr(int level, const char *message) {
        char line[MESSAGE_MAX + FIELD_MAX];
        int n;

        if (level >= 0) {
                n = snprintf(line, sizeof(line), "<%d>%s\n", level, message);
        } else if (log_target.domain) {
                n = snprintf(line, sizeof(line), "%s[%s]: %s\n", log_target.identifier, log_target.domain,
                             message);
        } else {
                n = snprintf(line, sizeof(line), "%s: %s\n", log_target.identifier, message);
        }
        if (n > 0) {
                size_t length = (size_t) n < sizeof(line) ? (size_t) n : sizeof(line) - 1;

                /* One write, so that lines of several processes do not mix. */
                (void) !write(STDERR_FILENO, line, length);
        }
}

typedef struct JournalRecord {
        struct iovec iov[FIELDS_MAX];
        char text[FIELDS_MAX][FIELD_MAX];
        int n;
} JournalRecord;

static void journal_add(JournalRecord *record, const char *name, const char *text, int64_t number) {
        char *field;

        if (!name || (size_t) record->n == FIELDS_MAX) {
                return;
        }
        field = record->text[record->n];
        if (text) {
                snprintf(field, FIELD_MAX, "%s=%s", name, text);
        } else {
                snprintf(field, FIELD_MAX, "%s=%lld", name, (long long) number);
        }
        escape_controls(field);
        record->iov[record->n++] = (struct iovec){ .iov_base = field, .iov_len = strlen(field) };
}

static void log_to_journal(int level, const char *message_id, const LogField *fields, size_t n_fields,
                           const char *message) {
        char message_field[sizeof("MESSAGE=") + MESSAGE_MAX];
        JournalRecord record = { .n = 0 };

        snprintf(message_field, sizeof(message_field), "MESSAGE=%s", message);
        record.iov[record.n++] = (struct iovec){ .iov_base = message_field,
                                                 .iov_len = strlen(message_field) };
        journal_add(&record, "PRIORITY", NULL, level);
        journal_add(&record, "SYSLOG_IDENTIFIER", log_target.identifier, 0);
        journal_add(&record, log_target.domain ? "IVSHMEM_DOMAIN" : NULL, log_target.domain, 0);
        journal_add(&record, message_id ? "MESSAGE_ID" : NULL, message_id, 0);
        for (size_t i = 0; i < n_fields; i++) {
                journal_add(&record, fields[i].name, fields[i].text, fields[i].number);
        }
        (void) sd_journal_sendv(record.iov, record.n);
}

void log_record(int level, const char *message_id, const LogField *fields, size_t n_fields,
                const char *format, ...) {
        char message[MESSAGE_MAX];
        va_list ap;

        if (!log_is_on(level)) {
                return;
        }
        va_start(ap, format);
        vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);
        escape_controls(message);
        if (log_target.journal) {
                log_to_journal(level, message_id, fields, n_fields, message);
        } else {
                log_to_stderr(/* level= */ -1, message);
        }
}

void log_parting(int level, const char *format, ...) {
        char message[MESSAGE_MAX];
        va_list ap;

        va_start(ap, format);
        vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);
        escape_controls(message);
        log_to_stderr(log_target.journal ? level : -1, message);
}
