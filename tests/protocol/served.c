/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of this folder share. Each test still says itself what it expects. */

#include "tests/protocol/served.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/process.h"
#include "tests/lib/socket.h"

/* A test that did not come to its end: what the server had to say helps. */
static void served_explain(Served *served) {
        const char *log = server_log(served->server);

        if (server_has_ended(served->server)) {
                fprintf(stderr, "# the server had ended, with status %d\n", served->server->status);
        }
        fprintf(stderr, "# the server's log:\n%s", log ? log : "");
}

static int served_destructor(Served *served) {
        if (served->server && !served->server->ended) {
                served_explain(served);
        }
        if (served->shm) {
                (void) unlink(served->shm);
        }
        return 0;
}

Served *served_new(void *ctx, uint32_t vectors) {
        Served *served = talloc_zero(ctx, Served);

        assert_non_null(served);
        talloc_set_destructor(served, served_destructor);
        served->vectors = vectors;
        assert_int_equal(scratch_new(served, &served->scratch), 0);
        assert_int_equal(chown(served->scratch->path, LONELY_UID, LONELY_UID), 0);
        served->socket = scratch_path(served->scratch, "socket");
        assert_non_null(served->socket);
        return served;
}

static void served_start(Served *served, const ServerOptions *options, const char *const *arguments) {
        ServerOptions all = options ? *options : (ServerOptions){ 0 };

        all.uid = LONELY_UID;
        all.arguments = arguments;
        if (server_start(served, &all, &served->server) != SERVER_OK) {
                fail_msg("the server did not start: %s", served->server ? server_log(served->server) : "");
        }
}

Served *serve_definition(void *ctx, const char *lines, uint32_t vectors, const ServerOptions *options) {
        Served *served = served_new(ctx, vectors);
        const char *size = strstr(lines, "Size=") ? "" : "Size=1M\n";
        char *text = talloc_asprintf(served, "[Domain]\n%sVectors=%u\n%s", size, vectors, lines);
        char *path;

        assert_non_null(text);
        assert_int_equal(scratch_write(served->scratch, "test.domain", text, &path), 0);
        served_start(served, options,
                     (const char *const[]){ "--definition", path, "-S", served->socket, NULL });
        return served;
}

Served *serve_dropin(void *ctx, const char *size, uint32_t vectors, const ServerOptions *options) {
        Served *served = served_new(ctx, vectors);
        char *count = talloc_asprintf(served, "%u", vectors);

        served->shm = talloc_asprintf(served, "/dev/shm/ivshmem-test-%d", getpid());
        assert_true(count && served->shm);
        served_start(served, options,
                     (const char *const[]){ "-F", "-S", served->socket, "-M", basename(served->shm), "-l",
                                            size, "-n", count, NULL });
        return served;
}

void served_end(Served *served) {
        int status;

        assert_int_equal(server_stop(served->server, &status), 0);
        if (status != 0) {
                fail_msg("exit status %d: %s", status, server_log(served->server));
        }
        talloc_free(served);
}

Client *connect_only(Served *served, ClientMode mode) {
        Client *client;

        assert_int_equal(client_connect(served, served->socket, mode, &client), 0);
        return client;
}

/* The kernel notes who a peer is when it connects. */
Client *connect_as(Served *served, ClientMode mode, uint32_t uid) {
        Client *client;

        assert_int_equal(setresgid(-1, uid, -1), 0);
        assert_int_equal(setresuid(-1, uid, -1), 0);
        client = connect_only(served, mode);
        assert_int_equal(setresuid(-1, 0, -1), 0);
        assert_int_equal(setresgid(-1, 0, -1), 0);
        return client;
}

static Client *read_until_joined(Served *served, Client *client) {
        WireEvent event = { .kind = WIRE_EVENT_VERSION };

        while (!(event.kind == WIRE_EVENT_CONNECT && event.own && event.vector == served->vectors - 1)) {
                assert_int_equal(client_step(client, &event), CLIENT_OK);
        }
        return client;
}

Client *join(Served *served, ClientMode mode) {
        return read_until_joined(served, connect_only(served, mode));
}

Client *join_as(Served *served, ClientMode mode, uint32_t uid) {
        return read_until_joined(served, connect_as(served, mode, uid));
}

static int64_t read_refusal(Client *client) {
        int64_t refusal;

        assert_int_equal(client_step(client, NULL), CLIENT_FAILURE);
        assert_int_equal(client->failure, WIRE_REFUSED);
        refusal = wire_decoder_refusal(client->decoder);
        talloc_free(client);
        return refusal;
}

int64_t refusal_of(Served *served) {
        return read_refusal(connect_only(served, CLIENT_KEEP));
}

int64_t refusal_as(Served *served, uint32_t uid) {
        return read_refusal(connect_as(served, CLIENT_KEEP, uid));
}

void assert_ended(Client *client) {
        assert_int_equal(client_read_to_end(client), CLIENT_END);
}

static void assert_sees(const Client *client, const Client *other, uint32_t vectors) {
        assert_int_equal(client_vectors(client, other->vm_id), vectors);
        for (uint32_t vector = 0; vector < vectors; vector++) {
                assert_int_equal(client_doorbell(client, other->vm_id, vector)->identity,
                                 client_doorbell(other, other->vm_id, vector)->identity);
        }
}

void assert_views_exact(Client *const *clients, size_t n, uint32_t vectors, bool star) {
        for (size_t i = 0; i < n; i++) {
                bool sees_all = !star || i == 0;
                size_t n_seen = sees_all ? n : 2;

                assert_int_equal(client_read_doorbells(clients[i], n_seen * vectors), CLIENT_OK);
                assert_int_equal(clients[i]->n_doorbells, n_seen * vectors);
                assert_false(client_has_input(clients[i]));
        }
        for (size_t i = 0; i < n; i++) {
                for (size_t j = 0; j < n; j++) {
                        if (!star || i == 0 || j == 0 || i == j) {
                                assert_sees(clients[i], clients[j], vectors);
                        }
                }
        }
}

void assert_rings(const Client *from, const Client *to, uint32_t vectors) {
        for (uint32_t vector = 0; vector < vectors; vector++) {
                assert_int_equal(client_ring(from, to->vm_id, vector), 0);
                for (uint32_t other = 0; other < vectors; other++) {
                        uint64_t count;

                        assert_int_equal(client_rings(to, other, &count), 0);
                        assert_int_equal(count, other == vector ? 1 : 0);
                }
        }
}

uint32_t served_fds(Served *served) {
        uint32_t n;

        assert_int_equal(process_count_fds(served->server->pid, &n), 0);
        return n;
}

void wait_fds_at_most(Served *served, uint32_t n) {
        time_t end = time(NULL) + WAIT_MSEC / 1000;

        while (served_fds(served) > n) {
                assert_true(time(NULL) < end);
                sched_yield();
        }
}

bool protocol_tests_possible(void) {
        int r;

        if (geteuid() != 0) {
                printf("1..0 # SKIP servers and clients have users of their own, which takes root\n");
                return false;
        }
        r = process_raise_nofile(NULL);
        if (r < 0) {
                printf("1..0 # SKIP cannot raise RLIMIT_NOFILE: %s\n", strerror(-r));
        }
        return r >= 0;
}
