/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/server/succession: a ledger that somebody else has as well, and goes on writing to. */

#include "service/server/succession.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "service/core/ledger-layout.h"
#include "service/server/notify.h"
#include "tests/unit/testing.h"

/* So many that it is read for a while. */
#define SEATS 1024U
#define ROUNDS 1500
#define CAPACITY 64

/* A peer that a server which was taken over gave its ledger to. */
typedef struct Accomplice {
        Ledger *ledger;
        atomic_bool done;
} Accomplice;

/* Nothing of it is true for longer than a moment. */
static void *write_on(void *userdata) {
        Accomplice *accomplice = userdata;
        volatile uint32_t *n_used = &accomplice->ledger->n_used,
                          *index = &accomplice->ledger->seats[0].index;

        while (!accomplice->done) {
                *index = 1U << 30;
                *n_used = 1U << 30;
                *n_used = SEATS;
                *index = 0;
        }
        return NULL;
}

static int make_ledger(Ledger **ret) {
        static const LedgerShape shape = { .memory_size = 4096, .max_peers = SEATS, .vectors = 1 };
        int fd = memfd_create("ledger", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, (off_t) ledger_size(SEATS)), 0);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
        *ret = mmap(NULL, ledger_size(SEATS), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_ptr_not_equal(*ret, MAP_FAILED);
        ledger_format(*ret, &shape);
        (*ret)->seats[0] = (LedgerSeat){ .word = SEAT_VACANT, .left = 1, .identity = { "somebody" } };
        (*ret)->n_used = SEATS;
        return fd;
}

/* Whether it is gone on with may be either way. */
static bool resumes(void *ctx, Notify *notify, int fd) {
        void *scratch = talloc_new(ctx);
        InheritedFd stored = { .name = { .kind = FD_LEDGER } };
        Inherited *inherited = talloc_zero(scratch, Inherited);
        Succession *succession = NULL;
        Inheritance *inheritance;
        char *error = NULL;
        int r;

        inherited->stored = &stored;
        inherited->n_stored = 1;
        assert_int_equal(fd_new(inherited, fcntl(fd, F_DUPFD_CLOEXEC, 3), &stored.fd), 0);
        r = succession_resume(scratch, notify, CAPACITY, inherited, &succession, &inheritance, &error);
        assert_true(r >= 0 || error);
        talloc_free(scratch);
        return r >= 0;
}

static Notify *meet_nobody(void *ctx, int manager) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        socklen_t length = sizeof(address);
        Notify *notify;

        assert_int_equal(bind(manager, (struct sockaddr *) &address, sizeof(sa_family_t)), 0);
        assert_int_equal(getsockname(manager, (struct sockaddr *) &address, &length), 0);
        address.sun_path[0] = '@';
        assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
        assert_int_equal(notify_new(ctx, &notify), 0);
        unsetenv("NOTIFY_SOCKET");
        return notify;
}

static void test_a_ledger_that_somebody_else_writes_to(void **state) {
        cleanup_close int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), fd = -EBADF;
        Notify *notify = meet_nobody(*state, manager);
        Accomplice accomplice = { .done = false };
        pthread_t thread;

        fd = make_ledger(&accomplice.ledger);
        assert_true(resumes(*state, notify, fd));
        assert_int_equal(pthread_create(&thread, NULL, write_on, &accomplice), 0);
        for (int i = 0; i < ROUNDS; i++) {
                (void) resumes(*state, notify, fd);
        }
        accomplice.done = true;
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(munmap(accomplice.ledger, ledger_size(SEATS)), 0);
        talloc_free(notify);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_a_ledger_that_somebody_else_writes_to),
        };

        return cmocka_run_group_tests_name("succession", tests, NULL, NULL);
}
