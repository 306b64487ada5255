/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One request over the control link, or a signal. */

#include "service/server/reload.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/base/fd.h"
#include "service/core/control.h"
#include "service/core/text.h"

#define SOCKET_OF "/run/ivshmem-control/%s"

/* A server that does not answer for so long is the watchdog's business. */
#define ANSWER_SECONDS 30

#define SERIAL 1U

static int fail(void *ctx, int r, const char *what, char **ret_error) {
        *ret_error = talloc_asprintf(ctx, "%s: %s", what, strerror(-r));
        return r;
}

/* ---- Over the control link ---- */

static int link_open(const char *domain) {
        const struct timeval timeout = { .tv_sec = ANSWER_SECONDS };
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        if (fd < 0) {
                return errno_negative();
        }
        snprintf(address.sun_path, sizeof(address.sun_path), SOCKET_OF, domain);
        if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
            connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0) {
                return errno_negative();
        }
        return fd_steal(&fd);
}

static int ask(int fd) {
        const ControlRecord request = { .kind = CONTROL_RELOAD, .serial = SERIAL };
        uint8_t bytes[CONTROL_RECORD_SIZE];

        control_encode(&request, bytes);
        return errno_or((int) send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL));
}

/* Passes over all that a new link is told first. */
static int wait_for_reply(int fd, ControlRecord *ret) {
        do {
                uint8_t bytes[CONTROL_RECORD_SIZE];
                ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
                int r;

                if (n <= 0) {
                        return n < 0 ? errno_negative() : -ECONNRESET;
                }
                r = control_decode(bytes, (size_t) n, ret);
                if (r < 0) {
                        return r;
                }
        } while (ret->kind != CONTROL_REPLY || ret->serial != SERIAL);
        return 0;
}

static int ask_server(void *ctx, int fd, char **ret_error) {
        ControlRecord reply;
        int r = ask(fd);

        if (r >= 0) {
                r = wait_for_reply(fd, &reply);
        }
        if (r < 0) {
                return fail(ctx, r, "The server does not answer", ret_error);
        }
        if (reply.result == CONTROL_OK) {
                return 0;
        }
        *ret_error = talloc_asprintf(ctx, "Not reloaded: %s", reply.text);
        return -EBADMSG;
}

/* ---- By a signal ---- */

/*
 * The service manager takes the unit for reloading until the server says READY=1, which it does when it has reloaded. So
 * this must be said before the signal: a server that is quick would be done before anybody had begun.
 */
static int signal_server(void *ctx, const char *main_pid, char **ret_error) {
        uint32_t pid;

        if (number_parse(main_pid, INT32_MAX, &pid) < 0 || pid == 0) {
                *ret_error = talloc_asprintf(ctx, "$MAINPID is \"%s\", which is no process", main_pid);
                return -ESRCH;
        }
        (void) sd_notify(/* unset_environment= */ 0, "RELOADING=1");
        return kill((pid_t) pid, SIGHUP) < 0
                       ? fail(ctx, errno_negative(), "Cannot signal the server", ret_error)
                       : 0;
}

/* Called by hand, for nobody who could be asked. */
static int fail_to_reach(void *ctx, int r, const char *domain, char **ret_error) {
        if (r == -EACCES) {
                *ret_error = talloc_asprintf(ctx,
                                             "Cannot reach the server of domain \"%s\": %s; run it as root",
                                             domain, strerror(-r));
        } else {
                *ret_error = talloc_asprintf(ctx,
                                             "Nobody answers for domain \"%s\" at " SOCKET_OF
                                             ": it does not run, or has no control link; see "
                                             "'systemctl status ivshmem@%s.service'",
                                             domain, domain, domain);
        }
        return r;
}

int reload_request(void *ctx, const char *domain, char **ret_error) {
        const char *main_pid = getenv("MAINPID");
        cleanup_close int fd = link_open(domain);

        if (fd == -ENOENT && main_pid) {
                return signal_server(ctx, main_pid, ret_error);
        }
        if (fd == -ENOENT || fd == -ECONNREFUSED || fd == -EACCES) {
                return fail_to_reach(ctx, fd, domain, ret_error);
        }
        return fd < 0 ? fail(ctx, fd, "Cannot reach the server", ret_error) : ask_server(ctx, fd, ret_error);
}
