/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What docs/decisions/0012 rests on: the kernel notes each message that it has sent in the headers of sendmmsg() before
 * the process can die, so that headers in memory that outlives the process tell exactly how many went.
 *
 * One long conversation of a domain of many seats goes through a row of processes. Each sends as fast as it can and is
 * killed at a moment that it cannot know; the next goes on with what the ledger says. The reader must get each message
 * once, and in order. `test-sendmmsg-kill N` does it N times and prints what the kills hit.
 */

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/core/ledger.h"
#include "service/core/wire.h"
#include "tests/unit/testing.h"

#define SEATS 128U
#define VECTORS VECTORS_MAX

/* Enough for each moment to be hit, and little enough for an impatient person. */
#define KILLS 400U

typedef union Control {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
} Control;

/* What a kill hit. */
typedef struct Hits {
        uint32_t between; /* no batch was unfinished */
        uint32_t none;    /* one was, of which nothing had gone */
        uint32_t some;
        uint32_t all;
} Hits;

/* The reader, and what would be in the store. */
typedef struct Stage {
        Seats *seats;
        Ledger *ledger; /* in a memfd */
        size_t size;
        Feed told; /* by what was received */
        Feed noted;
        int sender;
        int reader;
        uint64_t random;
        Hits hits;
} Stage;

_Static_assert(LEDGER_BATCH_MAX * sizeof(struct mmsghdr) <= LEDGER_HEADERS_SIZE, "the headers have room");

/* ---- The one that is killed ---- */

static Control controls[LEDGER_BATCH_MAX];
static struct iovec iov[LEDGER_BATCH_MAX];
static uint8_t values[LEDGER_BATCH_MAX][WIRE_MESSAGE_SIZE];

/* Lays out a message as the server does, and takes back what an earlier batch noted. */
static void set_message(struct mmsghdr *header, size_t i, int64_t value, int fd) {
        Control *control = &controls[i];

        wire_encode(value, values[i]);
        iov[i] = (struct iovec){ .iov_base = values[i], .iov_len = WIRE_MESSAGE_SIZE };
        *header = (struct mmsghdr){ .msg_hdr = { .msg_iov = &iov[i], .msg_iovlen = 1 } };
        if (i % 2 == 0) {
                control->header.cmsg_level = SOL_SOCKET;
                control->header.cmsg_type = SCM_RIGHTS;
                control->header.cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(&control->header), &fd, sizeof(fd));
                header->msg_hdr.msg_control = control->bytes;
                header->msg_hdr.msg_controllen = sizeof(control->bytes);
        }
}

/* Never returns: it is killed, or finds nobody reading. */
static void send_until_killed(const Stage *stage) {
        struct mmsghdr *headers = ledger_headers(stage->ledger);
        FeedMessage messages[LEDGER_BATCH_MAX];
        Feed feed = stage->noted;

        for (;;) {
                size_t n = feed_peek(stage->seats, &feed, messages, LEDGER_BATCH_MAX);
                int sent;

                if (n == 0) {
                        pause();
                }
                for (size_t i = 0; i < n; i++) {
                        set_message(&headers[i], i, messages[i].value, stage->sender);
                }
                ledger_batch_begin(stage->ledger, &feed, messages, n);
                sent = sendmmsg(stage->sender, headers, (unsigned) n, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (sent > 0) {
                        feed.cursor = messages[sent - 1].next;
                }
                ledger_batch_end(stage->ledger, &feed);
                if (sent < 0 && errno == EPIPE) {
                        _exit(EXIT_FAILURE);
                }
        }
}

/* ---- The one that reads, and kills ---- */

/* splitmix64 */
static uint32_t draw(Stage *stage, uint32_t bound) {
        uint64_t mixed = stage->random += UINT64_C(0x9e3779b97f4a7c15);

        mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
        return (uint32_t) ((mixed ^ mixed >> 31) % bound);
}

/* Reads what comes next and compares it with the feed. Descriptors are let go of. False when there is nothing. */
static bool receive(Stage *stage, int flags) {
        uint8_t bytes[WIRE_MESSAGE_SIZE];
        FeedMessage expected;
        ssize_t n = recv(stage->reader, bytes, sizeof(bytes), flags);

        if (n < 0 && errno == EAGAIN) {
                return false;
        }
        assert_int_equal(n, sizeof(bytes));
        assert_int_equal(feed_peek(stage->seats, &stage->told, &expected, 1), 1);
        assert_int_equal(wire_decode(bytes), expected.value);
        stage->told.cursor = expected.next;
        return true;
}

static size_t count_noted(const struct mmsghdr *headers, size_t n) {
        size_t sent = 0;

        while (sent < n && headers[sent].msg_len > 0) {
                assert_int_equal(headers[sent++].msg_len, WIRE_MESSAGE_SIZE);
        }
        return sent;
}

static void count_hit(Hits *hits, size_t sent, size_t n) {
        hits->between += n == 0;
        hits->none += n > 0 && sent == 0;
        hits->some += sent > 0 && sent < n;
        hits->all += n > 0 && sent == n;
}

/* The ledger is read as a successor reads it, and set straight as one does. */
static void take_over(Stage *stage) {
        size_t n = ledger_unfinished(stage->ledger, stage->size);
        size_t sent = count_noted(ledger_headers(stage->ledger), n);
        LedgerImage *image = NULL;
        char *error = NULL;

        count_hit(&stage->hits, sent, n);
        assert_int_equal(ledger_load(stage->seats, stage->ledger, stage->size, sent, &image, &error), 0);
        assert_int_equal(image->n_connections, 1);
        stage->noted = image->connections[0].feed;
        ledger_settle(stage->ledger, image);
        talloc_free(image);
}

/* Starts one that sends into a socket of some size: one that is full in the middle of a batch, too. */
static pid_t start(Stage *stage) {
        int size = (int) draw(stage, 4) == 0 ? INT_MAX / 2 : 4096 << draw(stage, 5);
        pid_t pid;

        assert_int_equal(setsockopt(stage->sender, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
        pid = fork();
        if (pid == 0) {
                close(stage->reader); /* it must not keep the other end open when the test fails */
                send_until_killed(stage);
        }
        assert_true(pid > 0);
        return pid;
}

static void end(pid_t pid) {
        int status;

        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void kill_once(Stage *stage) {
        uint32_t n = draw(stage, 200), spin = draw(stage, 5000);
        pid_t pid = start(stage);

        for (uint32_t i = 0; i < n && feed_is_behind(stage->seats, &stage->told); i++) {
                receive(stage, 0);
        }
        for (volatile uint32_t i = 0; i < spin; i++) {
        }
        end(pid);
        while (receive(stage, MSG_DONTWAIT)) {
        }
        take_over(stage);
        assert_int_equal(stage->noted.cursor, stage->told.cursor);
}

static Ledger *map_ledger(const LedgerShape *shape, size_t size) {
        int fd = memfd_create("ledger", MFD_CLOEXEC);
        Ledger *ledger;

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, (off_t) size), 0);
        ledger = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        assert_ptr_not_equal(ledger, MAP_FAILED);
        ledger_format(ledger, shape);
        return ledger;
}

/* A domain whose last seat is taken: 3 + SEATS * VECTORS messages are there to be sent. */
static void fill(Stage *stage) {
        const Credentials nobody = { .uid = 65534 };

        for (uint32_t id = 0; id < SEATS; id++) {
                LedgerConnection connection = { .serial = id + 1, .credentials = nobody };

                assert_int_equal(seats_take(stage->seats, id, "uid:65534"), 0);
                connection.feed = feed_begin(stage->seats, id);
                ledger_take(stage->ledger, stage->seats, &connection);
                stage->told = stage->noted = connection.feed;
                if (id < SEATS - 1) {
                        seats_leave(stage->seats, id);
                        ledger_leave(stage->ledger, stage->seats, id);
                }
        }
}

/* One conversation, until it is over or enough was killed. Returns the kills. */
static uint32_t converse(void *ctx, uint32_t kills, uint64_t seed, Hits *hits) {
        const LedgerShape shape = { .max_peers = SEATS, .vectors = VECTORS };
        Stage stage = { .size = ledger_size(SEATS), .random = seed, .hits = *hits };
        uint32_t n = 0;
        int pair[2];

        assert_int_equal(seats_new(ctx, SEATS, VECTORS, TOPOLOGY_MESH, &stage.seats), 0);
        stage.ledger = map_ledger(&shape, stage.size);
        fill(&stage);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        stage.sender = pair[0];
        stage.reader = pair[1];
        while (n < kills && feed_is_behind(stage.seats, &stage.told)) {
                kill_once(&stage);
                n++;
        }
        close(pair[0]);
        close(pair[1]);
        munmap(stage.ledger, stage.size);
        talloc_free(stage.seats);
        *hits = stage.hits;
        return n;
}

static Hits kill_often(void *ctx, uint32_t kills) {
        Hits hits = { 0 };

        for (uint32_t n = 0; n < kills;) {
                n += converse(ctx, kills - n, /* seed= */ n, &hits);
        }
        return hits;
}

static void print_hits(const Hits *hits, const char *prefix) {
        printf("%skilled between batches %u, in a batch of which none had gone %u, some %u, all %u\n",
               prefix, hits->between, hits->none, hits->some, hits->all);
}

static void test_a_conversation_goes_on_exactly_where_a_kill_left_it(void **state) {
        Hits hits = kill_often(*state, KILLS);

        print_hits(&hits, "# ");
        assert_int_equal(hits.between + hits.none + hits.some + hits.all, KILLS);
        /* The moment that this is about was hit at all. */
        assert_true(hits.some > 0);
}

int main(int argc, char **argv) {
        static const struct CMUnitTest tests[] = {
                TEST(test_a_conversation_goes_on_exactly_where_a_kill_left_it),
        };

        if (argc > 1) {
                void *ctx = talloc_new(NULL);
                Hits hits = kill_often(ctx, (uint32_t) strtoul(argv[1], NULL, 10));

                print_hits(&hits, "");
                return talloc_free(ctx);
        }
        return cmocka_run_group_tests_name("sendmmsg-kill", tests, NULL, NULL);
}
