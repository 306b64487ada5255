/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Very many peers, and very many one after another. */


#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/process.h"
#include "tests/protocol/served.h"

#define STAR_PEERS 1000U
#define MESH_PEERS 300U
#define RECONNECTS 70000U

/* A page here and there is no leak; a byte for each of the reconnects would be. */
#define MEMORY_SLACK (64 * 1024)

static uint64_t private_bytes(Served *served) {
        uint64_t bytes;

        assert_int_equal(process_private_bytes(served->server->pid, &bytes), 0);
        return bytes;
}

static void test_a_star_of_1000(void **state) {
        Served *served = serve_definition(*state, "Topology=star\nMaxPeers=1000\n[Access]\nConnectRate=0\n",
                                          1, NULL);
        Client **clients = talloc_array(served, Client *, STAR_PEERS);

        for (size_t i = 0; i < STAR_PEERS; i++) {
                clients[i] = join(served, CLIENT_NOTE);
                assert_int_equal(clients[i]->vm_id, i);
        }
        assert_views_exact(clients, STAR_PEERS, 1, /* star= */ true);
        served_end(served);
}

static void test_a_mesh_of_300(void **state) {
        Served *served = serve_definition(*state, "MaxPeers=300\n[Access]\nConnectRate=0\n", 2, NULL);
        Client **clients = talloc_array(served, Client *, MESH_PEERS);

        for (size_t i = 0; i < MESH_PEERS; i++) {
                clients[i] = join(served, CLIENT_NOTE);
                assert_int_equal(clients[i]->vm_id, i);
        }
        assert_views_exact(clients, MESH_PEERS, 2, /* star= */ false);
        served_end(served);
}

/* One joins after the other; the last one stays. Nobody waits for the server to have noticed a hang-up: it looks itself
 * before it calls a seat taken. */
static Client *reconnect(Served *served, size_t n) {
        Client *client = NULL;

        for (size_t i = 0; i < n; i++) {
                talloc_free(client);
                client = join(served, CLIENT_NOTE);
                assert_int_equal(client->vm_id, 1);
        }
        return client;
}

static void test_70000_reconnects(void **state) {
        Served *served = serve_dropin(*state, "1M", 1, NULL);
        Client *other = join(served, CLIENT_NOTE);
        Client *client = reconnect(served, RECONNECTS / 10);
        uint64_t bytes = private_bytes(served);
        uint32_t fds = served_fds(served);

        talloc_free(client);
        reconnect(served, RECONNECTS);
        wait_fds_at_most(served, fds);
        assert_in_range(private_bytes(served), 0, bytes + MEMORY_SLACK);
        assert_int_equal(client_read_doorbells(other, 2), CLIENT_OK);
        assert_false(client_has_input(other));
        served_end(served);
}

/* Taking one client a time, all peers of a full domain come back in turns. */
static void test_a_full_domain_comes_back(void **state) {
        Served *served = serve_definition(*state, "MaxPeers=32\n[Access]\nConnectRate=0\n", 2, NULL);
        Client *clients[32];

        for (size_t i = 0; i < 32; i++) {
                clients[i] = join(served, CLIENT_NOTE);
        }
        for (size_t round = 0; round < 50; round++) {
                for (size_t i = round % 3; i < 32; i += 3) {
                        talloc_free(clients[i]);
                        clients[i] = join(served, CLIENT_NOTE);
                        assert_int_equal(clients[i]->vm_id, i);
                }
        }
        assert_views_exact(clients, 32, 2, /* star= */ false);
        served_end(served);
}

/* A server under the address sanitizer keeps what it freed for a while: not so much that it looks like a leak. */
static void keep_quarantine_small(void) {
        const char *options = getenv("ASAN_OPTIONS");
        char text[512];

        snprintf(text, sizeof(text), "%s:quarantine_size_mb=1:thread_local_quarantine_size_kb=64",
                 options ? options : "");
        (void) setenv("ASAN_OPTIONS", text, /* overwrite= */ 1);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_a_star_of_1000),
                TEST(test_a_mesh_of_300),
                TEST(test_a_full_domain_comes_back),
                TEST(test_70000_reconnects),
        };

        keep_quarantine_small();
        return protocol_tests_run("crowd", tests);
}
