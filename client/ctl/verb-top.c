/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl top: running domains and what they do, again and again. */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <talloc.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "client/ctl/call.h"
#include "client/ctl/memory.h"
#include "client/ctl/state.h"
#include "client/ctl/value.h"
#include "client/ctl/verbs.h"
#include "dbus/names.h"

/* Microseconds until a manager that does not answer ends it: signals are not taken meanwhile. */
#define PATIENCE 5000000U

/* What is counted by a server since its start. */
typedef enum Counter {
        COUNTER_JOINS,
        COUNTER_REFUSALS,
        COUNTER_MESSAGES,
        _COUNTER_MAX,
} Counter;

static const char *const counter_properties[_COUNTER_MAX] = {
        [COUNTER_JOINS] = "Joins",
        [COUNTER_REFUSALS] = "Refusals",
        [COUNTER_MESSAGES] = "MessagesSent",
};

static const Column columns[] = {
        { "NAME", "name", false },          { "PEERS", "peers", true },   { "MAX", "max_peers", true },
        { "SIZE", "size", true },           { "JOINS/s", "joins", true }, { "REFUSED/s", "refusals", true },
        { "MESSAGES/s", "messages", true },
};

typedef struct Row {
        const char *name;
        uint64_t peers;
        uint64_t max_peers;
        uint64_t size;
        uint64_t counters[_COUNTER_MAX];
        double rates[_COUNTER_MAX]; /* a second; below zero: not known yet */
} Row;

/* The domains at one time. */
typedef struct Sample {
        Row *rows;
        size_t n;
        uint64_t time; /* CLOCK_MONOTONIC, microseconds */
} Sample;

typedef struct Top {
        Ctl *ctl;
        bool live; /* on a terminal: the screen is drawn anew each round */
        int signals;
        struct termios terminal; /* as it was */
        Sample *before;
} Top;

static uint64_t monotonic(void) {
        struct timespec time;

        clock_gettime(CLOCK_MONOTONIC, &time);
        return (uint64_t) time.tv_sec * 1000000 + (uint64_t) time.tv_nsec / 1000;
}

static void add_row(Sample *sample, json_object *domain) {
        Row *row;

        sample->rows = need(talloc_realloc(sample, sample->rows, Row, (unsigned) sample->n + 1));
        row = &sample->rows[sample->n++];
        *row = (Row){
                .name = text_new(sample, "%s", value_text(domain, "Name")),
                .peers = value_number(domain, "NPeers"),
                .max_peers = value_number(domain, "MaxPeers"),
                .size = value_number(domain, "Size"),
        };
        for (size_t i = 0; i < _COUNTER_MAX; i++) {
                row->counters[i] = value_number(domain, counter_properties[i]);
        }
}

/* All objects of the manager with all their properties come in one answer. */
static ExitStatus take_sample(Ctl *ctl, Sample **ret) {
        Target objects = { .path = BUS_PATH, .interface = "org.freedesktop.DBus.ObjectManager" };
        cleanup_message sd_bus_message *reply = NULL;
        cleanup_value json_object *paths = NULL;
        ExitStatus status = call(ctl, &objects, "GetManagedObjects", "look at the domains", &reply, "");
        Sample *sample;
        int r;

        if (status != STATUS_OK) {
                return status;
        }
        r = value_read(reply, &paths);
        if (r <= 0 || !json_object_is_type(paths, json_type_object)) {
                return call_failed(ctl, "look at the domains", NULL, r < 0 ? r : -EBADMSG);
        }
        sample = need(talloc_zero(ctl, Sample));
        sample->time = monotonic();
        json_object_object_foreach(paths, path, interfaces) {
                json_object *domain = json_object_object_get(interfaces, BUS_DOMAIN_INTERFACE);

                if (*path && domain && strcmp(value_text(domain, "State"), "running") == 0 &&
                    names_match(&ctl->options, value_text(domain, "Name"))) {
                        add_row(sample, domain);
                }
        }
        *ret = sample;
        return STATUS_OK;
}

static const Row *find_row(const Sample *sample, const char *name) {
        for (size_t i = 0; sample && i < sample->n; i++) {
                if (strcmp(sample->rows[i].name, name) == 0) {
                        return &sample->rows[i];
                }
        }
        return NULL;
}

/* A counter that fell is one of a server that was started again. */
static void compute_rates(Sample *sample, const Sample *before) {
        double seconds = before ? (double) (sample->time - before->time) / 1e6 : 0;

        for (size_t i = 0; i < sample->n; i++) {
                Row *row = &sample->rows[i];
                const Row *old = find_row(before, row->name);

                for (size_t j = 0; j < _COUNTER_MAX; j++) {
                        bool known = old && seconds > 0 && row->counters[j] >= old->counters[j];

                        row->rates[j] = known ? (double) (row->counters[j] - old->counters[j]) / seconds
                                              : -1;
                }
        }
}

static int compare_names(const void *a, const void *b, void *unused) {
        return strcmp(((const Row *) a)->name, ((const Row *) b)->name);
}

/* The value that a row is sorted by. */
static double sort_value(const Row *row, const char *key) {
        const struct {
                const char *key;
                double value;
        } table[] = {
                { "peers", (double) row->peers },
                { "max_peers", (double) row->max_peers },
                { "size", (double) row->size },
                { "joins", row->rates[COUNTER_JOINS] },
                { "refusals", row->rates[COUNTER_REFUSALS] },
                { "messages", row->rates[COUNTER_MESSAGES] },
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
                if (strcmp(table[i].key, key) == 0) {
                        return table[i].value;
                }
        }
        return 0;
}

/* The largest first; what is the same, by name. */
static int compare_rows(const void *a, const void *b, void *key) {
        double first = sort_value(a, key), second = sort_value(b, key);

        return first > second ? -1 : first < second ? 1 : compare_names(a, b, NULL);
}

static Table *make_table(Ctl *ctl, const Sample *sample) {
        Table *table = table_new(sample, columns, sizeof(columns) / sizeof(*columns));

        for (size_t i = 0; i < sample->n; i++) {
                const Row *row = &sample->rows[i];

                table_text(table, row->name);
                table_number(table, row->peers);
                table_number(table, row->max_peers);
                table_size(table, row->size);
                for (size_t j = 0; j < _COUNTER_MAX; j++) {
                        if (row->rates[j] < 0) {
                                table_none(table);
                        } else {
                                table_fraction(table, row->rates[j]);
                        }
                }
        }
        return table;
}

static void print_sample(Top *top, Sample *sample) {
        Ctl *ctl = top->ctl;
        const char *key = ctl->options.sort ?: "messages";
        Table *table;

        compute_rates(sample, top->before);
        qsort_r(sample->rows, sample->n, sizeof(Row), compare_rows, (void *) key);
        table = make_table(ctl, sample);
        if (ctl->options.json != JSON_OFF) {
                ctl_show_json(ctl, table_json(table));
        } else {
                if (top->live) {
                        fputs("\x1b[H\x1b[2J", stdout);
                }
                if (!ctl->options.no_legend) {
                        printf("%zu running\n\n", sample->n);
                }
                table_print(table, stdout, !ctl->options.no_legend);
                if (!top->live) {
                        putchar('\n');
                }
        }
        fflush(stdout);
        talloc_free(top->before);
        top->before = sample;
}

/* Waits for the next round, or for somebody to end it: q, Ctrl-C, the end of the manager. False: it is over. */
static bool wait_round(Top *top) {
        uint64_t end = monotonic() + top->ctl->options.delay, time;
        char key = 0;

        while ((time = monotonic()) < end) {
                struct pollfd fds[] = {
                        { .fd = top->signals, .events = POLLIN },
                        { .fd = top->live ? STDIN_FILENO : -1, .events = POLLIN },
                };
                int r = poll(fds, 2, (int) ((end - time + 999) / 1000));

                if (r < 0 && errno != EINTR) {
                        return false;
                }
                if (fds[0].revents || (fds[1].revents && (read(STDIN_FILENO, &key, 1) <= 0 || key == 'q'))) {
                        return false;
                }
        }
        return true;
}

static ExitStatus run(Top *top) {
        uint64_t left = top->ctl->options.count;

        for (;;) {
                Sample *sample = NULL;
                ExitStatus status = take_sample(top->ctl, &sample);

                if (status != STATUS_OK) {
                        return status;
                }
                print_sample(top, sample);
                if ((left > 0 && --left == 0) || !wait_round(top)) {
                        return STATUS_OK;
                }
        }
}

/* Keys come at once and are not shown; the terminal is as before in the end. */
static ExitStatus run_live(Top *top) {
        struct termios raw;
        ExitStatus status;

        tcgetattr(STDIN_FILENO, &top->terminal);
        raw = top->terminal;
        raw.c_lflag &= ~(tcflag_t) (ICANON | ECHO);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
        status = run(top);
        tcsetattr(STDIN_FILENO, TCSANOW, &top->terminal);
        return status;
}

static ExitStatus check_sort(const Ctl *ctl) {
        const char *key = ctl->options.sort;

        for (size_t i = 0; key && i < sizeof(columns) / sizeof(*columns); i++) {
                if (strcmp(columns[i].key, key) == 0) {
                        return STATUS_OK;
                }
        }
        return key ? ctl_misuse(
                             ctl,
                             "there is no column '%s', but name, peers, max_peers, size, joins, refusals and "
                             "messages",
                             key)
                   : STATUS_OK;
}

ExitStatus verb_top(Ctl *ctl) {
        Top *top = need(talloc_zero(ctl, Top));
        ExitStatus status = check_sort(ctl);
        sigset_t signals;

        if (status != STATUS_OK) {
                return status;
        }
        ctl->patience = PATIENCE;
        top->ctl = ctl;
        top->live = terminal_is_output() && terminal_is_input() && ctl->options.json == JSON_OFF;
        sigemptyset(&signals);
        sigaddset(&signals, SIGINT);
        sigaddset(&signals, SIGTERM);
        sigprocmask(SIG_BLOCK, &signals, NULL);
        top->signals = signalfd(-1, &signals, SFD_CLOEXEC);
        if (top->signals < 0) {
                return ctl_fail(STATUS_FAILED, "Failed to wait for signals: %m");
        }
        status = top->live ? run_live(top) : run(top);
        close(top->signals);
        return status;
}
