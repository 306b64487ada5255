/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl status: domains for people. */

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "client/ctl/call.h"
#include "client/ctl/connection.h"
#include "client/ctl/human.h"
#include "client/ctl/memory.h"
#include "client/ctl/pager.h"
#include "client/ctl/peers.h"
#include "client/ctl/state.h"
#include "client/ctl/value.h"
#include "client/ctl/verbs.h"

#define LABEL_WIDTH 12

static void line(const char *label, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void line(const char *label, const char *format, ...) {
        va_list arguments;

        printf("%*s: ", LABEL_WIDTH, label);
        va_start(arguments, format);
        vprintf(format, arguments);
        va_end(arguments);
        putchar('\n');
}

static const char *safe(const void *ctx, json_object *domain, const char *key) {
        return human_safe(ctx, value_text(domain, key));
}

static char *since(const void *ctx, uint64_t usec) {
        struct timespec now;
        uint64_t then = usec;

        clock_gettime(CLOCK_REALTIME, &now);
        usec = (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
        return text_new(ctx, "%s; %s ago", human_time(ctx, then),
                        human_span(ctx, usec > then ? usec - then : 0));
}

static void print_head(const void *ctx, json_object *domain) {
        const char *state = value_text(domain, "State"), *description = safe(ctx, domain, "Description");
        const char *colour = terminal_colour(state_colour(state)), *off = terminal_colour(COLOUR_NONE);
        uint64_t start = value_number(domain, "RunningSince");

        printf("%s%s%s %s%s%s\n", colour, "\u25cf", off, safe(ctx, domain, "Name"),
               *description ? " - " : "", description);
        line("State", "%s%s%s%s%s", colour, human_safe(ctx, state), off, start > 0 ? " since " : "",
             start > 0 ? since(ctx, start) : "");
        if (*value_text(domain, "StatusText")) {
                line("Status", "%s", safe(ctx, domain, "StatusText"));
        }
        if (strcmp(state, "starting") == 0 && value_number(domain, "Progress") < 100) {
                line("Progress", "%" PRIu64 "%%", value_number(domain, "Progress"));
        }
}

/* What is odd about the definition. */
static const char *definition_remark(json_object *domain) {
        static const struct {
                const char *state;
                const char *remark;
        } remarks[] = {
                { "changed", "; changed since the start: a restart takes it over" },
                { "removed", "; removed: the domain ends when it is stopped" },
                { "invalid", "; invalid" },
        };

        for (size_t i = 0; i < sizeof(remarks) / sizeof(*remarks); i++) {
                if (strcmp(value_text(domain, "DefinitionState"), remarks[i].state) == 0) {
                        return remarks[i].remark;
                }
        }
        return "";
}

static void print_definition(const void *ctx, json_object *domain) {
        const char *error = value_text(domain, "DefinitionError");

        line("Definition", "%s (%s%s)", safe(ctx, domain, "DefinitionPath"), safe(ctx, domain, "Origin"),
             definition_remark(domain));
        if (*error) {
                line("Error", "%s%s%s", terminal_colour(COLOUR_BAD), human_safe(ctx, error),
                     terminal_colour(COLOUR_NONE));
        }
        line("Owner", "%s", human_user(ctx, (uint32_t) value_number(domain, "OwnerUID")));
}

/* Whether a definition of it was good since the manager runs: otherwise nothing is known of its size and the rest. */
static bool has_settings(json_object *domain) {
        return value_number(domain, "Size") > 0;
}

static void print_memory(const void *ctx, json_object *domain) {
        const char *pages = value_text(domain, "HugePages"), *path = value_text(domain, "Path");
        const char *nodes = value_text(domain, "NUMANodes");
        bool huge = *pages && strcmp(pages, "no") != 0;
        char *text = text_new(ctx, "%s in %s pages", human_size(ctx, value_number(domain, "Size")),
                              huge ? human_safe(ctx, pages) : "4K");

        if (*nodes) {
                text = text_append(text, ", NUMA nodes %s (%s)", human_safe(ctx, nodes),
                                   safe(ctx, domain, "NUMAPolicy"));
        }
        if (*path) {
                text = text_append(text, ", file %s", human_safe(ctx, path));
        }
        line("Memory", "%s", text);
        line("Vectors", "%" PRIu64 ", topology %s", value_number(domain, "Vectors"),
             safe(ctx, domain, "Topology"));
}

/* Whether systemd starts it at boot; "" where that cannot be said. */
static const char *enabled(Ctl *ctl, json_object *domain) {
        cleanup_message sd_bus_message *reply = NULL;
        char *socket = text_new(ctl, "ivshmem@%s.socket", value_text(domain, "Name"));
        const char *state = "";

        if (!ctl->connection->destination ||
            sd_bus_call_method(ctl->connection->bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                               "org.freedesktop.systemd1.Manager", "GetUnitFileState", NULL, &reply, "s",
                               socket) < 0 ||
            sd_bus_message_read(reply, "s", &state) < 0) {
                return "";
        }
        return text_new(ctl, "; %s", human_safe(ctl, state));
}

static void print_server(Ctl *ctl, json_object *domain) {
        const char *unit = safe(ctl, domain, "Unit");
        uint64_t pid = value_number(domain, "MainPID"), messages = value_number(domain, "MessagesSent");

        line("Socket", "%s", safe(ctl, domain, "SocketPath"));
        if (*unit) {
                line("Unit", "%s%s", unit, enabled(ctl, domain));
        }
        if (pid > 0) {
                line("Main PID", "%" PRIu64, pid);
                line("Since start",
                     "%" PRIu64 " joined, %" PRIu64 " left, %" PRIu64 " refused, %" PRIu64
                     " evicted, %" PRIu64 " message%s",
                     value_number(domain, "Joins"), value_number(domain, "Leaves"),
                     value_number(domain, "Refusals"), value_number(domain, "Evictions"), messages,
                     human_plural(messages));
        }
        if (has_settings(domain) || pid > 0) {
                line("Peers", "%" PRIu64 " of %" PRIu64, value_number(domain, "NPeers"),
                     value_number(domain, "MaxPeers"));
        }
}

static ExitStatus print_peers(Ctl *ctl, const Target *target) {
        Table *table = peers_table(ctl, false);
        ExitStatus status = peers_add(ctl, target, NULL, table);

        if (status == STATUS_OK && table_rows(table) > 0) {
                putchar('\n');
                table_print(table, stdout, !ctl->options.no_legend);
        }
        return status;
}

static ExitStatus print_domain(Ctl *ctl, const Target *target, json_object *domain) {
        print_head(ctl, domain);
        print_definition(ctl, domain);
        if (has_settings(domain)) {
                print_memory(ctl, domain);
        }
        print_server(ctl, domain);
        return value_number(domain, "NPeers") > 0 ? print_peers(ctl, target) : STATUS_OK;
}

static ExitStatus show_domain(Ctl *ctl, const char *name, json_object *list) {
        json_object *domain;
        bool running;
        Target target;
        ExitStatus status = call_find_domain(ctl, name, &target);

        if (status == STATUS_OK) {
                status = call_properties(ctl, &target, text_new(ctl, "look at domain %s", name), &domain);
        }
        if (status != STATUS_OK) {
                return status;
        }
        running = strcmp(value_text(domain, "State"), "running") == 0;
        if (ctl->options.json == JSON_OFF) {
                pager_open(ctl);
                status = print_domain(ctl, &target, domain);
                json_object_put(domain);
        } else {
                json_object_array_add(list, domain);
        }
        return status != STATUS_OK ? status : running ? STATUS_OK : STATUS_NOT_RUNNING;
}

static void count_states(Ctl *ctl, sd_bus_message *reply) {
        uint64_t n = 0, running = 0, failed = 0, peers = 0;
        const char *name, *state, *path;
        uint32_t owner, connected, most;
        uint64_t size, bytes = 0;

        if (sd_bus_message_enter_container(reply, 'a', "(ssutuuo)") < 0) {
                return;
        }
        while (sd_bus_message_read(reply, "(ssutuuo)", &name, &state, &owner, &size, &connected, &most,
                                   &path) > 0) {
                bool runs = strcmp(state, "running") == 0;

                n++;
                running += runs;
                failed += strcmp(state, "failed") == 0;
                bytes += runs ? size : 0;
                peers += connected;
        }
        line("Domains", "%" PRIu64 ", %" PRIu64 " running, %" PRIu64 " failed", n, running, failed);
        line("Peers", "%" PRIu64, peers);
        line("Memory", "%s in running domains", human_size(ctl, bytes));
}

static void print_pools(const void *ctx, json_object *manager) {
        json_object *pools = value_list(manager, "HugePagePools");

        for (size_t i = 0; pools && i < json_object_array_length(pools); i++) {
                json_object *pool = json_object_array_get_idx(pools, i);

                line("Huge pages", "%" PRIu64 " of %" PRIu64 " of %s free", value_number(pool, "free"),
                     value_number(pool, "pages"), human_size(ctx, value_number(pool, "page_size")));
        }
}

static ExitStatus show_manager(Ctl *ctl) {
        cleanup_value json_object *manager = NULL;
        cleanup_message sd_bus_message *reply = NULL;
        ExitStatus status = call_properties(ctl, &manager_target, "look at the manager", &manager);

        if (status == STATUS_OK && ctl->options.json != JSON_OFF) {
                ctl_show_json(ctl, json_object_get(manager));
                return STATUS_OK;
        }
        if (status == STATUS_OK) {
                status = call(ctl, &manager_target, "ListDomains", "list domains", &reply, "");
        }
        if (status != STATUS_OK) {
                return status;
        }
        pager_open(ctl);
        printf("%s%s%s ivshmemd %s\n", terminal_colour(COLOUR_GOOD), "\u25cf", terminal_colour(COLOUR_NONE),
               safe(ctl, manager, "Version"));
        line("Asked by", "%s", ctl->connection->where);
        line("Launcher", "%s", safe(ctl, manager, "Launcher"));
        count_states(ctl, reply);
        print_pools(ctl, manager);
        return STATUS_OK;
}

ExitStatus verb_status(Ctl *ctl) {
        json_object *list;
        ExitStatus status = STATUS_OK;

        if (ctl->options.n_arguments == 0) {
                return show_manager(ctl);
        }
        list = need(json_object_new_array());
        for (size_t i = 0; i < ctl->options.n_arguments; i++) {
                if (i > 0 && ctl->options.json == JSON_OFF) {
                        putchar('\n');
                }
                status = ctl_worse(status, show_domain(ctl, ctl->options.arguments[i], list));
        }
        if (ctl->options.json != JSON_OFF) {
                ctl_show_json(ctl, list);
        } else {
                json_object_put(list);
        }
        return status;
}
