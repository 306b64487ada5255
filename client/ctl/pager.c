/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pager is between standard output and the terminal from when it is opened until it is closed. */

#include "client/ctl/pager.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>
#include <unistd.h>

#include "client/ctl/human.h"
#include "client/ctl/memory.h"
#include "client/ctl/spawn.h"
#include "client/ctl/terminal.h"

struct Pager {
        pid_t pid;
        int terminal; /* standard output as it was */
};

/* Under sudo the caller's choice of a program must not become root's (as systemd has it). */
static bool is_secure(void) {
        const char *text = getenv("SYSTEMD_PAGERSECURE");
        bool secure;

        if (text && human_parse_boolean(text, &secure) == 0) {
                return secure;
        }
        return getenv("SUDO_UID") || geteuid() != getuid();
}

/* NULL: none is wanted. */
static const char *pager_command(void) {
        const char *command = getenv("SYSTEMD_PAGER");

        if (is_secure()) {
                setenv("LESSSECURE", "1", /* overwrite= */ 1);
                command = getenv("SYSTEMD_PAGERSECURE") ? command : NULL;
        } else {
                command = command ?: getenv("PAGER");
        }
        command = command ?: "less";
        return *command && strcmp(command, "cat") != 0 ? command : NULL;
}

static int start(Pager *pager, const char *command) {
        const char *const shell[] = { "/bin/sh", "-c", command, NULL };
        int ends[2], r;
        SpawnFd input;

        if (pipe2(ends, O_CLOEXEC) < 0) {
                return -1;
        }
        input = (SpawnFd){ .ours = ends[0], .theirs = STDIN_FILENO };
        r = spawn(shell, &input, 1, &pager->pid);
        close(ends[0]);
        if (r >= 0) {
                pager->terminal = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
                dup2(ends[1], STDOUT_FILENO);
        }
        close(ends[1]);
        return r;
}

void pager_open(Ctl *ctl) {
        const char *command = pager_command(), *less = getenv("SYSTEMD_LESS");
        Pager *pager;

        if (ctl->pager || ctl->options.no_pager || !terminal_is_output() || !command) {
                return;
        }
        setenv("LESS", less ?: "FRSXMK", /* overwrite= */ 1);
        setenv("LESSCHARSET", "utf-8", /* overwrite= */ 0);
        fflush(stdout);
        pager = need(talloc_zero(ctl, Pager));
        if (start(pager, command) < 0) {
                talloc_free(pager);
                return;
        }
        ctl->pager = pager;
}

void pager_close(Ctl *ctl) {
        Pager *pager = ctl->pager;

        if (!pager) {
                return;
        }
        fflush(stdout);
        if (pager->terminal >= 0) {
                dup2(pager->terminal, STDOUT_FILENO); /* the pager sees the end of its input */
                close(pager->terminal);
        } else {
                close(STDOUT_FILENO);
        }
        spawn_wait(pager->pid);
        talloc_free(pager);
        ctl->pager = NULL;
}
