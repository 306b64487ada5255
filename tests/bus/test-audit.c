/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dbus/audit: what is logged of calls, and how much of it. */

#include "dbus/audit.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "service/base/log.h"
#include "tests/lib/scratch.h"
#include "tests/unit/testing.h"

/* Standard error, for a while, in a file. */
typedef struct Capture {
        Scratch *scratch;
        char *path;
        int before;
} Capture;

static void begin(void *ctx, Capture *ret) {
        assert_int_equal(scratch_new(ctx, &ret->scratch), 0);
        assert_int_equal(scratch_write(ret->scratch, "log", "", &ret->path), 0);
        fflush(stderr);
        ret->before = dup(STDERR_FILENO);
        assert_true(ret->before >= 0);
        assert_non_null(freopen(ret->path, "w", stderr));
        log_open("test", NULL, LOG_INFO);
}

/* What was logged, with the file's end cut off if it is long. */
static char *end(Capture *capture) {
        char *text = talloc_zero_size(capture->scratch, 65536);
        FILE *file;

        fflush(stderr);
        dup2(capture->before, STDERR_FILENO);
        close(capture->before);
        file = fopen(capture->path, "r");
        assert_non_null(file);
        (void) !fread(text, 1, 65535, file);
        fclose(file);
        return text;
}

static size_t count_lines(const char *text, const char *with) {
        size_t n = 0;

        for (const char *found = text; (found = strstr(found, with)); found += strlen(with)) {
                n++;
        }
        return n;
}

static void test_what_is_said(void **state) {
        const AuditEntry done = { .uid = 1000, .pid = 7, .method = "StartDomain", .domain = "ring" };
        const AuditEntry refused = { .uid = 1001, .method = "Reload", .error = "a.b.c", .text = "no" };
        Capture capture;
        Audit *audit;
        char *text;

        assert_int_equal(audit_new(*state, &audit), 0);
        begin(*state, &capture);
        audit_record(audit, &done);
        audit_record(audit, &refused);
        text = end(&capture);
        assert_non_null(strstr(text, "StartDomain \"ring\" by uid 1000\n"));
        assert_non_null(strstr(text, "Reload by uid 1001: no\n"));
        talloc_free(capture.scratch);
        talloc_free(audit);
}

/* One who fills the log leaves it to others. */
static void test_users_are_bounded_each(void **state) {
        AuditEntry entry = { .uid = 1000, .method = "StartDomain", .domain = "ring" };
        Capture capture;
        Audit *audit;
        char *text;

        assert_int_equal(audit_new(*state, &audit), 0);
        begin(*state, &capture);
        for (int i = 0; i < 1000; i++) {
                audit_record(audit, &entry);
        }
        entry.uid = 1001;
        audit_record(audit, &entry);
        text = end(&capture);
        /* A machine that is slow enough has time for some more. */
        assert_in_range(count_lines(text, "by uid 1000\n"), AUDIT_BURST, AUDIT_BURST + 10 * AUDIT_RATE);
        assert_int_equal(count_lines(text, "by uid 1001\n"), 1);
        talloc_free(capture.scratch);
        talloc_free(audit);
}

static void test_many_users(void **state) {
        AuditEntry entry = { .method = "StartDomain" };
        Capture capture;
        Audit *audit;

        assert_int_equal(audit_new(*state, &audit), 0);
        begin(*state, &capture);
        for (uid_t uid = 0; uid < 4 * AUDIT_USERS_MAX; uid++) {
                entry.uid = uid;
                audit_record(audit, &entry);
        }
        (void) end(&capture);
        talloc_free(capture.scratch);
        talloc_free(audit);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_what_is_said),
                TEST(test_users_are_bounded_each),
                TEST(test_many_users),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
