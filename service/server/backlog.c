/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who waits in a listening socket of a server that cannot start. Runs without an event loop, for there is none yet. */

#include "service/server/backlog.h"

#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "service/server/refused.h"

/* In one go; more of them start us once more. */
#define CLIENTS_MAX 64U

typedef struct Clients {
        struct pollfd fds[CLIENTS_MAX]; /* below 0: has closed */
        unsigned n;
        unsigned n_open;
} Clients;

static void accept_and_refuse(int listener, Clients *clients) {
        while (clients->n < CLIENTS_MAX) {
                int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

                if (fd < 0) {
                        break;
                }
                refusal_send(fd, REFUSAL_STOPPING);
                clients->fds[clients->n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
        }
        clients->n_open = clients->n;
}

/* Whatever a client does, it has had its answer. */
static void close_who_acted(Clients *clients) {
        for (unsigned i = 0; i < clients->n; i++) {
                if (clients->fds[i].fd >= 0 && clients->fds[i].revents) {
                        close(clients->fds[i].fd);
                        clients->fds[i].fd = -1;
                        clients->n_open--;
                }
        }
}

static int64_t now_msec(void) {
        struct timespec now = { .tv_sec = 0 };

        (void) clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static void wait_for_closes(Clients *clients, int wait_msec) {
        int64_t end = now_msec() + wait_msec, left = wait_msec;

        while (clients->n_open > 0 && left > 0 && poll(clients->fds, clients->n, (int) left) > 0) {
                close_who_acted(clients);
                left = end - now_msec();
        }
}

static void sleep_until(int64_t end) {
        int64_t left = end - now_msec();

        if (left > 0) {
                (void) poll(NULL, 0, (int) left);
        }
}

void backlog_refuse(int listener, int wait_msec, int pace_msec) {
        int64_t begin = now_msec();
        Clients clients = { .n = 0 };

        if (fcntl(listener, F_SETFL, O_NONBLOCK) < 0) {
                return;
        }
        accept_and_refuse(listener, &clients);
        wait_for_closes(&clients, wait_msec);
        for (unsigned i = 0; i < clients.n; i++) {
                if (clients.fds[i].fd >= 0) {
                        close(clients.fds[i].fd);
                }
        }
        if (clients.n > 0) {
                sleep_until(begin + pace_msec);
        }
}

void backlog_close(int listener) {
        int fd;

        if (fcntl(listener, F_SETFL, O_NONBLOCK) < 0) {
                return;
        }
        for (unsigned i = 0; i < CLIENTS_MAX && (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0;
             i++) {
                close(fd);
        }
}
