/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.freedesktop.PolicyKit1.Authority, as much as is needed of it. */

#include "dbus/polkit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <talloc.h>

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
        unsigned n_queries;
        uint64_t last_id;
        sd_bus_slot *match;
        void (*changed)(void *userdata);
        void *userdata;
};

struct PolkitQuery {
        List link;
        Polkit *polkit; /* NULL when it went away */
        uid_t uid;
        char id[32];
        sd_bus_slot *slot; /* NULL when it is answered */
        PolkitDone done;
        void *userdata;
};

static int polkit_destructor(Polkit *polkit) {
        LIST_FOREACH(i, &polkit->queries) {
                PolkitQuery *query = list_entry(i, PolkitQuery, link);

                list_remove(&query->link);
                query->polkit = NULL;
                query->slot = sd_bus_slot_unref(query->slot);
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

int polkit_new(void *ctx, sd_bus *sd, void (*changed)(void *userdata), void *userdata, Polkit **ret) {
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
        if (query->polkit) {
                list_remove(&query->link);
                query->polkit->n_queries--;
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

static PolkitAnswer read_answer(sd_bus_message *message, const char **ret_text) {
        const sd_bus_error *error = sd_bus_message_get_error(message);
        int authorized, challenge;

        *ret_text = "";
        if (error) {
                *ret_text = error->message ? error->message : error->name;
                return means_absent(error) ? POLKIT_ABSENT : POLKIT_FAILED;
        }
        if (sd_bus_message_enter_container(message, 'r', "bba{ss}") < 0 ||
            sd_bus_message_read(message, "bb", &authorized, &challenge) < 0) {
                *ret_text = "polkit's answer is not understood";
                return POLKIT_FAILED;
        }
        return authorized ? POLKIT_YES : challenge ? POLKIT_CHALLENGE : POLKIT_NO;
}

static int on_answer(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        PolkitQuery *query = talloc_get_type_abort(userdata, PolkitQuery);
        PolkitDone done = query->done;
        void *theirs = query->userdata;
        const char *text;
        PolkitAnswer answer = read_answer(message, &text);

        query->slot = sd_bus_slot_unref(query->slot);
        talloc_free(query);
        done(answer, text, theirs);
        return 0;
}

static int append_detail(sd_bus_message *message, const char *key, const char *value) {
        return value ? sd_bus_message_append(message, "{ss}", key, value) : 0;
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
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int send_query(PolkitQuery *query, const PolkitQuestion *question) {
        sd_bus *sd = query->polkit->sd;
        sd_bus_message *message = NULL;
        int r = sd_bus_message_new_method_call(sd, &message, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                                               "CheckAuthorization");

        if (r >= 0) {
                r = sd_bus_message_append(message, "(sa{sv})s", "system-bus-name", 1, "name", "s",
                                          question->subject, question->action);
        }
        if (r >= 0) {
                r = append_details(message, question);
        }
        if (r >= 0) {
                r = sd_bus_message_append(message, "us", question->interactive ? FLAG_INTERACTIVE : 0,
                                          query->id);
        }
        if (r >= 0) {
                /* People take their time; polkit alone does not. */
                r = sd_bus_call_async(sd, &query->slot, message, on_answer, query,
                                      question->interactive ? UINT64_MAX : 0);
        }
        sd_bus_message_unref(message);
        return r < 0 ? r : 0;
}

static bool is_full(const Polkit *polkit, uid_t uid) {
        unsigned n = 0;

        LIST_FOREACH(i, &polkit->queries) {
                n += list_entry(i, PolkitQuery, link)->uid == uid;
        }
        return n >= POLKIT_QUERIES_PER_USER_MAX || polkit->n_queries >= POLKIT_QUERIES_MAX;
}

int polkit_ask(Polkit *polkit, void *ctx, const PolkitQuestion *question, PolkitDone done, void *userdata,
               PolkitQuery **ret) {
        PolkitQuery *query;
        int r;

        if (is_full(polkit, question->uid)) {
                return -EBUSY;
        }
        query = talloc_zero(ctx, PolkitQuery);
        if (!query) {
                return -ENOMEM;
        }
        query->polkit = polkit;
        query->uid = question->uid;
        query->done = done;
        query->userdata = userdata;
        snprintf(query->id, sizeof(query->id), "ivshmem-%" PRIu64, ++polkit->last_id);
        list_append(&polkit->queries, &query->link);
        polkit->n_queries++;
        talloc_set_destructor(query, query_destructor);
        r = send_query(query, question);
        if (r < 0) {
                talloc_free(query);
                return r;
        }
        *ret = query;
        return 0;
}
