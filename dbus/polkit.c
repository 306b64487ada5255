/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.freedesktop.PolicyKit1.Authority, as much as is needed of it. */

#include "dbus/polkit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <talloc.h>

#include "dbus/authz.h"
#include "service/base/list.h"

#define POLKIT_NAME "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"

/* CheckAuthorizationFlags */
#define FLAG_INTERACTIVE 1U

#define NO_OWNER UINT32_MAX

struct Polkit {
        sd_bus *sd;
        List queries;
        EventSource *turn; /* somebody was answered: who waits may be sent */
        uint64_t last_id;
        sd_bus_slot *match;
        void (*changed)(void *userdata);
        void *userdata;
};

struct PolkitQuery {
        List link;
        Polkit *polkit; /* NULL when it went away */
        uid_t uid;
        size_t cost;
        char id[32];
        sd_bus_message *message; /* that waits to be sent */
        uint64_t timeout;        /* microseconds; 0: the usual one */
        sd_bus_slot *slot;       /* it was sent and is not answered */
        PolkitDone done;
        void *userdata;
};

static int polkit_destructor(Polkit *polkit) {
        LIST_FOREACH(i, &polkit->queries) {
                PolkitQuery *query = list_entry(i, PolkitQuery, link);

                list_remove(&query->link);
                query->polkit = NULL;
                query->slot = sd_bus_slot_unref(query->slot);
                query->message = sd_bus_message_unref(query->message);
        }
        sd_bus_slot_unref(polkit->match);
        sd_bus_unref(polkit->sd);
        return 0;
}

static int on_changed(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Polkit *polkit = talloc_get_type_abort(userdata, Polkit);

        polkit->changed(polkit->userdata);
        return 0;
}

static int on_turn(sd_event_source *source, void *userdata);

int polkit_new(void *ctx, Event *event, sd_bus *sd, void (*changed)(void *userdata), void *userdata,
               Polkit **ret) {
        Polkit *polkit = talloc_zero(ctx, Polkit);
        int r;

        if (!polkit) {
                return -ENOMEM;
        }
        polkit->sd = sd_bus_ref(sd);
        polkit->changed = changed;
        polkit->userdata = userdata;
        list_init(&polkit->queries);
        talloc_set_destructor(polkit, polkit_destructor);
        r = sd_bus_match_signal_async(sd, &polkit->match, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                                      "Changed", on_changed, /* install_callback= */ NULL, polkit);
        if (r >= 0) {
                r = event_add_deferred(polkit, event, SD_EVENT_PRIORITY_NORMAL, on_turn, polkit,
                                       &polkit->turn);
        }
        if (r < 0) {
                talloc_free(polkit);
                return r;
        }
        *ret = polkit;
        return 0;
}

/* ---- Queries ---- */

/* Whoever is being asked to authenticate need not any more. */
static void call_off(PolkitQuery *query) {
        query->slot = sd_bus_slot_unref(query->slot);
        (void) sd_bus_call_method_async(query->polkit->sd, NULL, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                                        "CancelCheckAuthorization", /* callback= */ NULL, NULL, "s",
                                        query->id);
}

static int query_destructor(PolkitQuery *query) {
        if (query->slot) {
                call_off(query);
        }
        sd_bus_message_unref(query->message);
        if (query->polkit) {
                list_remove(&query->link);
                (void) event_source_arm_once(query->polkit->turn);
        }
        return 0;
}

/* What the bus, or systemd on its behalf, says of somebody who is not there and cannot be started. */
static bool means_absent(const sd_bus_error *error) {
        static const char *const names[] = {
                SD_BUS_ERROR_SERVICE_UNKNOWN,
                SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                "org.freedesktop.DBus.Error.Spawn.ServiceNotFound",
                "org.freedesktop.DBus.Error.Spawn.ExecFailed",
                "org.freedesktop.systemd1.NoSuchUnit",
                "org.freedesktop.systemd1.UnitMasked",
        };

        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
                if (sd_bus_error_has_name(error, names[i])) {
                        return true;
                }
        }
        return false;
}

static PolkitAnswer read_error(const sd_bus_error *error) {
        return means_absent(error)                                   ? POLKIT_ABSENT
               : sd_bus_error_has_name(error, SD_BUS_ERROR_NO_REPLY) ? POLKIT_GONE
                                                                     : POLKIT_FAILED;
}

static PolkitAnswer read_answer(sd_bus_message *message, const char **ret_text) {
        const sd_bus_error *error = sd_bus_message_get_error(message);
        int authorized, challenge;

        *ret_text = "";
        if (error) {
                *ret_text = error->message ? error->message : error->name;
                return read_error(error);
        }
        if (sd_bus_message_enter_container(message, 'r', "bba{ss}") < 0 ||
            sd_bus_message_read(message, "bb", &authorized, &challenge) < 0) {
                *ret_text = "polkit's answer is not understood";
                return POLKIT_FAILED;
        }
        return authorized ? POLKIT_YES : challenge ? POLKIT_CHALLENGE : POLKIT_NO;
}

/* The query ends. */
static void answer(PolkitQuery *query, PolkitAnswer answer, const char *text) {
        PolkitDone done = query->done;
        void *userdata = query->userdata;

        talloc_free(query);
        done(answer, text, userdata);
}

static int on_answer(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        PolkitQuery *query = talloc_get_type_abort(userdata, PolkitQuery);
        const char *text;
        PolkitAnswer read = read_answer(message, &text);

        query->slot = sd_bus_slot_unref(query->slot);
        answer(query, read, text);
        return 0;
}

static int append_detail(sd_bus_message *message, const char *key, const char *value) {
        return value ? sd_bus_message_append(message, "{ss}", key, value) : 0;
}

/* The actions' own words name a domain. Where there is none to be named, whoever is to authenticate reads these (the detail
 * "polkit.message" of polkit). */
static const char *words_of(const PolkitQuestion *question) {
        static const struct {
                const char *action;
                const char *words;
        } table[] = {
                { AUTHZ_INSPECT, "Authentication is required to see what others have of shared memory." },
                { AUTHZ_MANAGE, "Authentication is required to manage the shared memory domains of all." },
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
                if (question->interactive && !question->domain &&
                    strcmp(table[i].action, question->action) == 0) {
                        return table[i].words;
                }
        }
        return NULL;
}

static int append_details(sd_bus_message *message, const PolkitQuestion *question) {
        char owner[16];
        int r = sd_bus_message_open_container(message, 'a', "{ss}");

        snprintf(owner, sizeof(owner), "%" PRIu32, question->owner);
        if (r >= 0) {
                r = append_detail(message, "domain", question->domain);
        }
        if (r >= 0) {
                r = append_detail(message, "owner", question->owner == NO_OWNER ? NULL : owner);
        }
        if (r >= 0) {
                r = append_detail(message, "unit", question->unit);
        }
        if (r >= 0) {
                r = append_detail(message, "polkit.message", words_of(question));
        }
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int make_message(PolkitQuery *query, const PolkitQuestion *question) {
        sd_bus_message *message;
        int r = sd_bus_message_new_method_call(query->polkit->sd, &query->message, POLKIT_NAME, POLKIT_PATH,
                                               POLKIT_INTERFACE, "CheckAuthorization");

        if (r < 0) {
                return r;
        }
        message = query->message;
        r = sd_bus_message_append(message, "(sa{sv})s", "system-bus-name", 1, "name", "s", question->subject,
                                  question->action);
        if (r >= 0) {
                r = append_details(message, question);
        }
        if (r >= 0) {
                r = sd_bus_message_append(message, "us", question->interactive ? FLAG_INTERACTIVE : 0,
                                          query->id);
        }
        return r < 0 ? r : 0;
}

static int send_query(PolkitQuery *query) {
        int r = sd_bus_call_async(query->polkit->sd, &query->slot, query->message, on_answer, query,
                                  query->timeout);

        query->message = sd_bus_message_unref(query->message);
        return r < 0 ? r : 0;
}

/* ---- Turns ---- */

/* What there is of a user's, and of all. */
typedef struct Load {
        unsigned sent, sent_of_user;
        size_t cost, cost_of_user;
} Load;

static Load load_of(const Polkit *polkit, uid_t uid) {
        Load load = { 0 };

        LIST_FOREACH(i, &polkit->queries) {
                const PolkitQuery *query = list_entry(i, PolkitQuery, link);
                bool is_users = query->uid == uid;

                load.sent += query->slot != NULL;
                load.sent_of_user += is_users && query->slot;
                load.cost += query->cost;
                load.cost_of_user += is_users ? query->cost : 0;
        }
        return load;
}

static bool may_be_sent(const Polkit *polkit, uid_t uid) {
        Load load = load_of(polkit, uid);

        return load.sent < POLKIT_QUERIES_MAX && load.sent_of_user < POLKIT_QUERIES_PER_USER_MAX;
}

/* More users than these cannot have all that a user may. */
#define FULL_USERS_MAX (POLKIT_QUERIES_MAX / POLKIT_QUERIES_PER_USER_MAX)

static bool is_among(const uid_t *users, size_t n, uid_t uid) {
        for (size_t i = 0; i < n; i++) {
                if (users[i] == uid) {
                        return true;
                }
        }
        return false;
}

/* The oldest one that may be sent; NULL when there is none. */
static PolkitQuery *next_query(const Polkit *polkit) {
        uid_t full[FULL_USERS_MAX];
        size_t n = 0;

        LIST_FOREACH(i, &polkit->queries) {
                PolkitQuery *query = list_entry(i, PolkitQuery, link);

                if (!query->message || is_among(full, n, query->uid)) {
                        continue;
                }
                if (may_be_sent(polkit, query->uid)) {
                        return query;
                }
                if (n == FULL_USERS_MAX) {
                        break; /* it is all of them together that are too many */
                }
                full[n++] = query->uid;
        }
        return NULL;
}

/* One a turn: what an answer sets off may be anything. */
static int on_turn(sd_event_source *source, void *userdata) {
        Polkit *polkit = talloc_get_type_abort(userdata, Polkit);
        PolkitQuery *query = next_query(polkit);
        int r;

        if (!query) {
                return 0;
        }
        (void) event_source_arm_once(polkit->turn);
        r = send_query(query);
        if (r < 0) {
                answer(query, POLKIT_FAILED, strerror(-r));
        }
        return 0;
}

/* ---- Asking ---- */

int polkit_ask(Polkit *polkit, void *ctx, const PolkitQuestion *question, PolkitDone done, void *userdata,
               PolkitQuery **ret) {
        Load load = load_of(polkit, question->uid);
        PolkitQuery *query;
        int r;

        if (load.cost_of_user + question->cost > POLKIT_COST_PER_USER_MAX ||
            load.cost + question->cost > POLKIT_COST_MAX) {
                return -EBUSY;
        }
        query = talloc_zero(ctx, PolkitQuery);
        if (!query) {
                return -ENOMEM;
        }
        query->polkit = polkit;
        query->uid = question->uid;
        query->cost = question->cost;
        query->done = done;
        query->userdata = userdata;
        /* People take their time; polkit alone does not. */
        query->timeout = question->interactive ? UINT64_MAX : 0;
        snprintf(query->id, sizeof(query->id), "ivshmem-%" PRIu64, ++polkit->last_id);
        list_append(&polkit->queries, &query->link);
        talloc_set_destructor(query, query_destructor);
        r = make_message(query, question);
        if (r >= 0 && may_be_sent(polkit, question->uid)) {
                r = send_query(query);
        }
        if (r < 0) {
                talloc_free(query);
                return r;
        }
        *ret = query;
        return 0;
}
