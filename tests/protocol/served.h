/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A domain that a test is served: a scratch directory, a running server, and what is asked of clients again and again.
 * These assert: what fails here fails the test.
 */
#pragma once

#include <stdint.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/scratch.h"
#include "tests/lib/server.h"
#include "tests/unit/testing.h"

typedef struct Served Served;

struct Served {
        Scratch *scratch;
        ServerProcess *server;
        char *socket; /* path */
        char *shm;    /* drop-in form: path of the shared memory */
        uint32_t vectors;
};

/* The servers' own user, as each domain has one, and one for each run of the tests: the kernel counts descriptors in
 * flight by the sender's user, and whose limit it reaches must not depend on what else runs on the machine. */
#define LONELY_UID (100000000U + (uint32_t) getpid())

/* A user that the tests' clients are, where they must not be root. */
#define OTHER_UID 54321U

/* A scratch directory with a path for the socket, and no server yet. */
Served *served_new(void *ctx, uint32_t vectors);

/* Serves the lines of a definition, "Vectors=" among them, under the [Domain] that is put before them. The size is
 * 1M unless they say otherwise. `options` (may be NULL) has what is beyond arguments. */
Served *serve_definition(void *ctx, const char *lines, uint32_t vectors, const ServerOptions *options);

/* Serves in the form of QEMU's example server. */
Served *serve_dropin(void *ctx, const char *size, uint32_t vectors, const ServerOptions *options);

/* The server stops cleanly, which also shows that it was alive and well; everything is freed. */
void served_end(Served *served);

/* A client that has read all up to its own last doorbell. */
Client *join(Served *served, ClientMode mode);
Client *join_as(Served *served, ClientMode mode, uint32_t uid);

/* Connects, reads nothing. */
Client *connect_only(Served *served, ClientMode mode);
Client *connect_as(Served *served, ClientMode mode, uint32_t uid);

/* The version by which a new client is refused; it closes its connection then. */
int64_t refusal_of(Served *served);
int64_t refusal_as(Served *served, uint32_t uid);

/* The client's connection ends, by the server's doing; what was on its way is read. */
void assert_ended(Client *client);

/* The client was told all of `client`'s doorbells and those of each other one, and they are what those others have as
 * their own; nothing else. Reads what is missing. `star`: only the first one and itself, unless it is the first. */
void assert_views_exact(Client *const *clients, size_t n, uint32_t vectors, bool star);

/* Each doorbell that `from` knows of `to` reaches the same vector of `to`. */
void assert_rings(const Client *from, const Client *to, uint32_t vectors);

/* What the server has open now. */
uint32_t served_fds(Served *served);

/* Waits until the server has let go of what it does not need any more: until it has `n` or less open. */
void wait_fds_at_most(Served *served, uint32_t n);

/* What main() does. Servers and clients have users of their own, which takes root. */
#define protocol_tests_run(name, tests) \
        (protocol_tests_possible() ? cmocka_run_group_tests_name((name), (tests), NULL, NULL) : 77)

bool protocol_tests_possible(void);
