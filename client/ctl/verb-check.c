/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl check: has ivshmem-server read definitions, for it is the one that knows what is right. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/ctl/human.h"
#include "client/ctl/memory.h"
#include "client/ctl/spawn.h"
#include "client/ctl/verbs.h"

#define PROGRAM "ivshmem-server"

/* What it says is a line or a few. */
#define OUTPUT_MAX 4096U

static const Column columns[] = {
        { "FILE", "file", false },
        { "RESULT", "result", false },
        { "ERROR", "error", false },
};

/* The one that is installed beside this program; else one in $PATH. $IVSHMEM_SERVER names another. */
static char *find_program(const void *ctx) {
        const char *named = getenv("IVSHMEM_SERVER");
        char own[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);
        char *slash, *beside;

        if (named && *named) {
                return text_new(ctx, "%s", named);
        }
        own[n > 0 ? n : 0] = '\0';
        slash = strrchr(own, '/');
        if (slash) {
                *slash = '\0';
                beside = text_new(ctx, "%s/" PROGRAM, own);
                if (access(beside, X_OK) == 0) {
                        return beside;
                }
        }
        return text_new(ctx, PROGRAM);
}

/* What it says on standard error; what is too much is read and dropped. */
static char *read_output(const void *ctx, int fd) {
        char buffer[512], *output = text_new(ctx, "%s", "");
        ssize_t n;

        while ((n = read(fd, buffer, sizeof(buffer))) > 0 || (n < 0 && errno == EINTR)) {
                if (n > 0 && strlen(output) < OUTPUT_MAX) {
                        output = text_append(output, "%.*s", (int) n, buffer);
                }
        }
        return output;
}

/* The exit status, or a negative errno. */
static int run(const void *ctx, const char *program, const char *file, char **ret_output) {
        const char *const command[] = { program, "--check", "--definition", file, NULL };
        int ends[2], null = open("/dev/null", O_WRONLY | O_CLOEXEC), r;
        SpawnFd fds[2];
        pid_t pid;

        if (null < 0) {
                return -errno;
        }
        if (pipe2(ends, O_CLOEXEC) < 0) {
                r = -errno;
                close(null);
                return r;
        }
        fds[0] = (SpawnFd){ .ours = null, .theirs = STDOUT_FILENO };
        fds[1] = (SpawnFd){ .ours = ends[1], .theirs = STDERR_FILENO };
        r = spawn(command, fds, 2, &pid);
        close(ends[1]);
        close(null);
        if (r >= 0) {
                *ret_output = read_output(ctx, ends[0]);
                r = spawn_wait(pid);
        }
        close(ends[0]);
        return r;
}

/* Line by line, as each is a message of its own. */
static void print_output(const void *ctx, char *output) {
        for (char *line; (line = strsep(&output, "\n"));) {
                if (*line) {
                        fprintf(stderr, "%s\n", human_safe(ctx, line));
                }
        }
}

static ExitStatus check(Ctl *ctl, const char *program, const char *file, Table *table) {
        char *output = NULL;
        int r = run(ctl, program, file, &output);

        if (r < 0) {
                return ctl_fail(STATUS_FAILED, "Failed to run %s: %s", program, strerror(-r));
        }
        table_text(table, file);
        table_text(table, r == 0 ? "good" : "bad");
        table_text(table, r == 0 ? NULL : output);
        if (ctl->options.json == JSON_OFF && r == 0) {
                ctl_note(ctl, "%s: good", human_safe(ctl, file));
        } else if (ctl->options.json == JSON_OFF) {
                print_output(ctl, output);
        }
        return r == 0 ? STATUS_OK : STATUS_FAILED;
}

ExitStatus verb_check(Ctl *ctl) {
        Table *table = table_new(ctl, columns, sizeof(columns) / sizeof(*columns));
        char *program = find_program(ctl);
        ExitStatus status = STATUS_OK;

        for (size_t i = 0; i < ctl->options.n_arguments; i++) {
                status = ctl_worse(status, check(ctl, program, ctl->options.arguments[i], table));
        }
        if (ctl->options.json != JSON_OFF) {
                ctl_show_json(ctl, table_json(table));
        }
        return status;
}
