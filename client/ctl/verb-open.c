/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl open: a peer in this process, for people and scripts. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/ctl/call.h"
#include "client/ctl/input.h"
#include "client/ctl/memory.h"
#include "client/ctl/shell.h"
#include "client/ctl/terminal.h"
#include "client/ctl/value.h"
#include "client/ctl/verbs.h"

static ExitStatus connect_socket(const char *path, int *ret) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd;

        if (strlen(path) >= sizeof(address.sun_path)) {
                return ctl_fail(STATUS_FAILED, "Failed to connect to %s: the path is too long", path);
        }
        memcpy(address.sun_path, path, strlen(path) + 1);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0) {
                ExitStatus status = ctl_fail(STATUS_FAILED, "Failed to connect to %s: %m", path);

                if (fd >= 0) {
                        close(fd);
                }
                return status;
        }
        *ret = fd;
        return STATUS_OK;
}

static ExitStatus ask_manager(Ctl *ctl, const char *name, int *ret) {
        cleanup_message sd_bus_message *reply = NULL;
        char *what = text_new(ctl, "open domain %s", name);
        ExitStatus status = call(ctl, &manager_target, "OpenDomain", what, &reply, "s", name);
        int fd, r;

        if (status != STATUS_OK) {
                return status;
        }
        r = sd_bus_message_read(reply, "h", &fd);
        if (r < 0) {
                return call_failed(ctl, what, NULL, r);
        }
        *ret = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* the message closes its own */
        return *ret < 0 ? call_failed(ctl, what, NULL, -errno) : STATUS_OK;
}

/* A peer has a descriptor for each doorbell. */
static void raise_descriptors(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
                limit.rlim_cur = limit.rlim_max;
                setrlimit(RLIMIT_NOFILE, &limit);
        }
}

/* The connection, and how many doorbells each peer has. */
static ExitStatus join(Ctl *ctl, int *ret_fd, uint32_t *ret_vectors) {
        cleanup_value json_object *domain = NULL;
        const char *name = ctl->options.arguments[0];
        ExitStatus status;

        if (ctl->options.socket) {
                *ret_vectors = 1;
                return connect_socket(ctl->options.socket, ret_fd);
        }
        status = call_domain_properties(ctl, name, &domain);
        if (status == STATUS_OK) {
                *ret_vectors = (uint32_t) value_number(domain, "Vectors");
                status = ask_manager(ctl, name, ret_fd);
        }
        return status;
}

static ShellResult run_commands(Shell *shell, const char *const *commands, size_t n) {
        ShellResult result = SHELL_OK;

        for (size_t i = 0; i < n && result == SHELL_OK; i++) {
                result = shell_run(shell, commands[i]);
        }
        return result;
}

/* A script ends with the first command that fails; people go on. */
static ShellResult run_input(Shell *shell) {
        bool people = terminal_is_input();
        Input input = { .n = 0 };
        char line[INPUT_LINE_MAX];
        ShellResult result = SHELL_OK;

        while (result == SHELL_OK && !(input.ended && input.n == 0)) {
                input_show_prompt(&input);
                result = shell_wait_input(shell, &input);
                while (result == SHELL_OK && input_next_line(&input, line)) {
                        result = shell_run(shell, line);
                        result = result == SHELL_FAILED && people ? SHELL_OK : result;
                }
        }
        return result;
}

ExitStatus verb_open(Ctl *ctl) {
        const char *const *arguments = ctl->options.arguments;
        size_t n = ctl->options.n_arguments, first = ctl->options.socket ? 0 : 1;
        ShellResult result;
        ExitStatus status;
        Shell *shell;
        uint32_t vectors = 1;
        int fd = -EBADF;

        if (n < first) {
                return ctl_misuse(ctl, "give the NAME of a domain, or --socket");
        }
        if (ctl->options.host) {
                return ctl_misuse(ctl, "memory cannot come through ssh; run it on the other machine");
        }
        raise_descriptors();
        status = join(ctl, &fd, &vectors);
        if (status != STATUS_OK) {
                return status;
        }
        shell = shell_new(ctl, fd, vectors);
        if (!shell) {
                return STATUS_FAILED;
        }
        if (terminal_is_input() && n == first && !ctl->options.quiet) {
                shell_run(shell, "info");
                printf("'help' lists the commands, 'quit' or Ctrl-D ends.\n");
        }
        result = n > first ? run_commands(shell, arguments + first, n - first) : run_input(shell);
        return result == SHELL_FAILED ? STATUS_FAILED : STATUS_OK;
}
