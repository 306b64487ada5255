/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who joins is told what it must be told, in order: the handshake, the doorbells, the memory, and who comes back. */

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/core/limits.h"
#include "tests/protocol/served.h"

#define MIB (UINT64_C(1) << 20)

static void expect(Client *client, WireEventKind kind, uint32_t vm_id, uint32_t vector) {
        WireEvent event;

        assert_int_equal(client_step(client, &event), CLIENT_OK);
        assert_int_equal(event.kind, kind);
        assert_int_equal(event.vm_id, vm_id);
        assert_int_equal(event.vector, vector);
}

static void expect_handshake(Client *client, uint32_t vm_id) {
        expect(client, WIRE_EVENT_VERSION, 0, 0);
        expect(client, WIRE_EVENT_VM_ID, vm_id, 0);
        expect(client, WIRE_EVENT_MEMORY, 0, 0);
}

static void test_messages_come_in_the_order_of_the_specification(void **state) {
        Served *served = serve_definition(*state, "", 2, NULL);
        Client *first, *second;

        first = connect_only(served, CLIENT_KEEP);
        expect_handshake(first, 0);
        expect(first, WIRE_EVENT_CONNECT, 0, 0);
        expect(first, WIRE_EVENT_CONNECT, 0, 1);

        second = connect_only(served, CLIENT_KEEP);
        expect_handshake(second, 1);
        expect(second, WIRE_EVENT_CONNECT, 0, 0);
        expect(second, WIRE_EVENT_CONNECT, 0, 1);
        expect(second, WIRE_EVENT_CONNECT, 1, 0);
        expect(second, WIRE_EVENT_CONNECT, 1, 1);

        expect(first, WIRE_EVENT_CONNECT, 1, 0);
        expect(first, WIRE_EVENT_CONNECT, 1, 1);
        assert_false(client_has_input(first));
        assert_false(client_has_input(second));
        served_end(served);
}

static void test_each_vector_rings_the_right_doorbell(void **state) {
        Served *served = serve_definition(*state, "", 4, NULL);
        Client *clients[3];

        for (size_t i = 0; i < 3; i++) {
                clients[i] = join(served, CLIENT_KEEP);
        }
        assert_views_exact(clients, 3, 4, /* star= */ false);
        for (size_t i = 0; i < 3; i++) {
                for (size_t j = 0; j < 3; j++) {
                        assert_rings(clients[i], clients[j], 4);
                }
        }
        served_end(served);
}

static void test_the_most_vectors_there_are(void **state) {
        Served *served = serve_dropin(*state, "1M", VECTORS_MAX, NULL);
        Client *clients[8];

        for (size_t i = 0; i < 8; i++) {
                clients[i] = join(served, CLIENT_KEEP);
        }
        assert_views_exact(clients, 8, VECTORS_MAX, /* star= */ false);
        assert_rings(clients[0], clients[7], VECTORS_MAX);
        served_end(served);
}

static void test_a_star_shows_the_centre_only(void **state) {
        Served *served = serve_definition(*state, "Topology=star\n", 2, NULL);
        Client *clients[5];

        for (size_t i = 0; i < 5; i++) {
                clients[i] = join(served, CLIENT_KEEP);
        }
        assert_views_exact(clients, 5, 2, /* star= */ true);
        assert_rings(clients[0], clients[4], 2);
        assert_rings(clients[4], clients[0], 2);
        served_end(served);
}

static char *map(const Client *client, size_t size) {
        char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_get(client->memory), 0);

        assert_ptr_not_equal(memory, MAP_FAILED);
        return memory;
}

static uint64_t memory_bytes(const Client *client) {
        struct stat st;

        assert_int_equal(fstat(fd_get(client->memory), &st), 0);
        return (uint64_t) st.st_size;
}

static void test_all_share_one_memory(void **state) {
        Served *served = serve_definition(*state, "Size=2M\n", 1, NULL);
        Client *first = join(served, CLIENT_KEEP);
        Client *second = join(served, CLIENT_KEEP);
        char *here, *there;

        assert_int_equal(memory_bytes(first), 2 * MIB);
        here = map(first, 2 * MIB);
        there = map(second, 2 * MIB);
        assert_int_equal(there[2 * MIB - 1], 0);
        here[2 * MIB - 1] = 42;
        assert_int_equal(there[2 * MIB - 1], 42);
        munmap(here, 2 * MIB);
        munmap(there, 2 * MIB);
        served_end(served);
}

static void test_the_memory_keeps_its_size(void **state) {
        Served *served = serve_definition(*state, "", 1, NULL);
        Client *client = join(served, CLIENT_KEEP);
        int fd = fd_get(client->memory);
        char path[32];
        cleanup_close int again = -EBADF;

        assert_int_equal(ftruncate(fd, 0), -1);
        assert_int_equal(errno, EPERM);
        assert_int_equal(ftruncate(fd, 2 * MIB), -1);
        assert_int_equal(fallocate(fd, 0, MIB, MIB), -1);
        /* Nobody can seal it against writing either, which QEMU would refuse. */
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        assert_int_equal(truncate(path, 0), -1);
        again = open(path, O_RDWR | O_TRUNC | O_CLOEXEC);
        assert_int_equal(again, -1);
        assert_int_equal(memory_bytes(join(served, CLIENT_KEEP)), MIB);
        served_end(served);
}

static void test_a_memory_of_8_gib(void **state) {
        Served *served = serve_dropin(*state, "8G", 1, NULL);
        Client *client = join(served, CLIENT_KEEP);
        uint64_t size = 8192 * MIB;
        struct stat st;
        char *memory;

        assert_int_equal(memory_bytes(client), size);
        memory = map(client, size);
        memory[0] = 1;
        memory[size - 1] = 2;
        assert_int_equal(fstat(fd_get(client->memory), &st), 0);
        assert_true((uint64_t) st.st_blocks * 512 <= 4 * MIB);
        munmap(memory, size);
        served_end(served);
}

/* QEMU cannot bear a disconnect and keeps doorbells by pointer: the others must not notice (ivshmem-protocol(7)). */
static void test_who_comes_back_takes_its_seat_and_nobody_is_told(void **state) {
        Served *served = serve_definition(*state, "", 2, NULL);
        Client *clients[3], *fourth;
        uint64_t before;

        for (size_t i = 0; i < 3; i++) {
                clients[i] = join(served, CLIENT_KEEP);
        }
        before = client_doorbell(clients[1], 1, 0)->identity;
        talloc_free(clients[1]);
        clients[1] = join(served, CLIENT_KEEP);
        assert_int_equal(clients[1]->vm_id, 1);
        assert_int_equal(client_doorbell(clients[1], 1, 0)->identity, before);
        assert_views_exact(clients, 3, 2, /* star= */ false);

        /* Messages keep their order: had anything been said of the return, it would come before this. */
        fourth = join(served, CLIENT_KEEP);
        assert_int_equal(fourth->vm_id, 3);
        expect(clients[0], WIRE_EVENT_CONNECT, 3, 0);
        expect(clients[2], WIRE_EVENT_CONNECT, 3, 0);
        served_end(served);
}

static void test_a_retaken_seat_has_no_old_rings(void **state) {
        Served *served = serve_definition(*state, "", 2, NULL);
        Client *first = join(served, CLIENT_KEEP);
        Client *second = join(served, CLIENT_KEEP);
        uint64_t count;

        assert_int_equal(client_read_doorbells(first, 4), CLIENT_OK);
        talloc_free(second);
        assert_int_equal(client_ring(first, 1, 0), 0);
        assert_int_equal(client_ring(first, 1, 1), 0);
        assert_int_equal(client_ring(first, 1, 1), 0);

        second = join(served, CLIENT_KEEP);
        assert_int_equal(second->vm_id, 1);
        for (uint32_t vector = 0; vector < 2; vector++) {
                assert_int_equal(client_rings(second, vector, &count), 0);
                assert_int_equal(count, 0);
        }
        assert_rings(first, second, 2);
        served_end(served);
}

/* QEMU sets and clears O_NONBLOCK on its eventfds, and all holders share that flag. */
static void test_draining_survives_blocking_doorbells(void **state) {
        Served *served = serve_definition(*state, "", 1, NULL);
        Client *client = join(served, CLIENT_KEEP);
        int fd = fd_get(client_doorbell(client, 0, 0)->eventfd);

        assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
        talloc_free(client);
        client = join(served, CLIENT_KEEP);
        assert_int_equal(client->vm_id, 0);
        served_end(served);
}

static void test_doorbells_survive_the_server(void **state) {
        Served *served = serve_definition(*state, "", 2, NULL);
        Client *clients[2];
        int status;

        for (size_t i = 0; i < 2; i++) {
                clients[i] = join(served, CLIENT_KEEP);
        }
        assert_views_exact(clients, 2, 2, /* star= */ false);
        assert_int_equal(server_stop(served->server, &status), 0);
        assert_rings(clients[0], clients[1], 2);
        assert_rings(clients[1], clients[0], 2);
        talloc_free(served);
}

/* Nobody has anything unread whenever one more comes, so that nothing but the server's own turns gets it told to all. */
static void test_one_more_is_told_to_very_many(void **state) {
        Served *served = serve_dropin(*state, "1M", 1, NULL);
        Client *clients[150];

        for (size_t i = 0; i < 150; i++) {
                clients[i] = join(served, CLIENT_NOTE);
                for (size_t j = 0; j <= i; j++) {
                        assert_int_equal(client_read_doorbells(clients[j], i + 1), CLIENT_OK);
                }
        }
        assert_views_exact(clients, 150, 1, /* star= */ false);
        served_end(served);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_messages_come_in_the_order_of_the_specification),
                TEST(test_each_vector_rings_the_right_doorbell),
                TEST(test_the_most_vectors_there_are),
                TEST(test_a_star_shows_the_centre_only),
                TEST(test_all_share_one_memory),
                TEST(test_the_memory_keeps_its_size),
                TEST(test_a_memory_of_8_gib),
                TEST(test_who_comes_back_takes_its_seat_and_nobody_is_told),
                TEST(test_a_retaken_seat_has_no_old_rings),
                TEST(test_draining_survives_blocking_doorbells),
                TEST(test_doorbells_survive_the_server),
                TEST(test_one_more_is_told_to_very_many),
        };

        return protocol_tests_run("join", tests);
}
