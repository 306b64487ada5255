/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Both ends of the private socket in one event loop. */

#include "tests/bus/stage.h"

#include <errno.h>
#include <stdarg.h>
#include <talloc.h>
#include <time.h>

#include "dbus/names.h"

#define SECONDS 10

static void on_idle_changed(bool idle, void *userdata) {
        ((Stage *) userdata)->idle = idle;
}

static void on_end(const char *what, void *userdata) {
}

static void on_released(void *userdata) {
        ((Stage *) userdata)->released = true;
}

static int stage_destructor(Stage *stage) {
        sd_bus_flush_close_unref(stage->client);
        TALLOC_FREE(stage->bus);
        TALLOC_FREE(stage->manager);
        return 0;
}

sd_bus *stage_connect(Stage *stage) {
        char *address = talloc_asprintf(stage, "unix:path=%s", scratch_path(stage->scratch, "bus"));
        sd_bus *client = NULL;
        int r = sd_bus_new(&client);

        if (r >= 0) {
                r = sd_bus_set_address(client, address);
        }
        if (r >= 0) {
                r = sd_bus_negotiate_fds(client, true);
        }
        if (r >= 0) {
                r = sd_bus_attach_event(client, stage->event->loop, SD_EVENT_PRIORITY_NORMAL);
        }
        if (r >= 0) {
                r = sd_bus_start(client);
        }
        talloc_free(address);
        return r < 0 ? sd_bus_unref(client) : client;
}

int stage_new(void *ctx, Stage **ret) {
        Stage *stage = talloc_zero(ctx, Stage);
        const BusOps ops = {
                .idle_changed = on_idle_changed,
                .lost = on_end,
                .released = on_released,
                .userdata = stage,
        };
        int r = scratch_new(stage, &stage->scratch);

        if (r >= 0) {
                r = event_new(stage, &stage->event);
        }
        if (r >= 0) {
                r = fake_manager_new(stage, stage->event, &stage->manager);
        }
        if (r >= 0) {
                r = bus_new(stage, stage->event, stage->manager, &ops, &stage->bus);
        }
        if (r >= 0) {
                talloc_set_destructor(stage, stage_destructor);
                r = bus_listen_at(stage->bus, scratch_path(stage->scratch, "bus"));
        }
        if (r >= 0) {
                stage->client = stage_connect(stage);
                r = stage->client ? 0 : -ENOTCONN;
        }
        if (r >= 0) {
                r = stage_call(stage, BUS_PATH, "org.freedesktop.DBus.Peer", "Ping", NULL, NULL, NULL);
        }
        if (r < 0) {
                talloc_free(stage);
                return r;
        }
        *ret = stage;
        return 0;
}

Client *stage_side(const Stage *stage) {
        Connection *connection = list_entry(stage->bus->connections.next, Connection, link);

        return list_entry(connection->clients.next, Client, link);
}

void stage_demote(const Stage *stage, uid_t uid) {
        Client *client = stage_side(stage);

        client->privileged = false;
        client->uid = uid;
}

static time_t now(void) {
        struct timespec time;

        clock_gettime(CLOCK_MONOTONIC, &time);
        return time.tv_sec;
}

bool stage_until(Stage *stage, bool (*holds)(void *userdata), void *userdata) {
        time_t begin = now();

        while (!holds(userdata)) {
                if (now() > begin + SECONDS || sd_event_run(stage->event->loop, 1000000) < 0) {
                        return false;
                }
        }
        return true;
}

void stage_settle(Stage *stage) {
        while (sd_event_run(stage->event->loop, 0) > 0) {
        }
}

static int on_reply(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        *(sd_bus_message **) userdata = sd_bus_message_ref(message);
        return 0;
}

static bool is_there(void *userdata) {
        return *(sd_bus_message **) userdata;
}

int stage_send(Stage *stage, sd_bus_message *call, sd_bus_message **ret_reply, sd_bus_error *ret_error) {
        sd_bus_message *reply = NULL;
        sd_bus_slot *slot = NULL;
        int r = sd_bus_call_async(stage->client, &slot, call, on_reply, &reply, 0);

        sd_bus_message_unref(call);
        if (r >= 0 && !stage_until(stage, is_there, &reply)) {
                r = -ETIMEDOUT;
        }
        sd_bus_slot_unref(slot);
        if (r >= 0 && sd_bus_message_is_method_error(reply, NULL)) {
                r = -sd_bus_message_get_errno(reply);
                if (ret_error) {
                        (void) sd_bus_error_copy(ret_error, sd_bus_message_get_error(reply));
                }
        }
        if (r < 0 || !ret_reply) {
                sd_bus_message_unref(reply);
                return r < 0 ? r : 0;
        }
        *ret_reply = reply;
        return 0;
}

int stage_call(Stage *stage, const char *path, const char *interface, const char *member,
               sd_bus_message **ret_reply, sd_bus_error *ret_error, const char *types, ...) {
        sd_bus_message *call;
        va_list ap;
        int r = sd_bus_message_new_method_call(stage->client, &call, NULL, path, interface, member);

        if (r >= 0 && types) {
                va_start(ap, types);
                r = sd_bus_message_appendv(call, types, ap);
                va_end(ap);
        }
        return r < 0 ? r : stage_send(stage, call, ret_reply, ret_error);
}
