/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.ivshmem1.Manager. */

#include <errno.h>
#include <stdlib.h>
#include <talloc.h>

#include "config.h"
#include "dbus/bus-parts.h"
#include "dbus/call.h"
#include "dbus/names.h"
#include "service/manager/pools.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* ---- One domain ---- */

static void reply_path(Call *call, const Domain *domain) {
        Failure failure;
        char *path;
        int r = sd_bus_path_encode(BUS_DOMAIN_PATH, domain_name(domain), &path);

        if (r < 0) {
                (void) failure_errno(&failure, r, call->method->member);
                call_fail(call, &failure);
                return;
        }
        call_reply(call, "o", path);
        free(path);
}

static void run_create(Call *call) {
        const Arguments *arguments = &call->arguments;
        Failure failure;
        Domain *domain;
        int r = manager_create(call_manager(call), arguments->name, call->client->uid, arguments->flag,
                               arguments->settings.settings, arguments->settings.n, &domain, &failure);

        if (r < 0) {
                call_fail(call, &failure);
        } else {
                reply_path(call, domain);
        }
}

static void run_start(Call *call) {
        call_begin_operation(call, &(const Request){ .kind = OPERATION_START });
}

static void run_stop(Call *call) {
        call_begin_operation(call, &(const Request){ .kind = OPERATION_STOP });
}

static void run_open(Call *call) {
        ControlPeer peer;

        client_describe(call->client, &peer);
        call_begin_operation(call, &(const Request){ .kind = OPERATION_OPEN, .peer = &peer });
}

static void run_get(Call *call) {
        Domain *domain = call_find(call);

        if (domain) {
                reply_path(call, domain);
        }
}

/* ---- All ---- */

typedef struct Listing {
        const Client *client;
        sd_bus_message *reply;
        int error;
} Listing;

static void list_one(Domain *domain, void *userdata) {
        Listing *listing = userdata;
        const Definition *definition = domain_definition(domain);
        size_t n_peers;
        char *path;

        if (listing->error < 0 || !client_sees(listing->client, domain)) {
                return;
        }
        (void) domain_peers(domain, &n_peers);
        listing->error = sd_bus_path_encode(BUS_DOMAIN_PATH, domain_name(domain), &path);
        if (listing->error >= 0) {
                listing->error = sd_bus_message_append(listing->reply, "(ssutuuo)", domain_name(domain),
                                                       domain_state_names[domain_state(domain)],
                                                       domain_owner(domain),
                                                       definition ? definition->size : 0, (uint32_t) n_peers,
                                                       definition ? definition->max_peers : 0, path);
                free(path);
        }
}

static void run_list(Call *call) {
        Listing listing = { .client = call->client };

        listing.error = sd_bus_message_new_method_return(call->message, &listing.reply);
        if (listing.error >= 0) {
                listing.error = sd_bus_message_open_container(listing.reply, 'a', "(ssutuuo)");
        }
        manager_foreach(call_manager(call), list_one, &listing);
        if (listing.error >= 0) {
                listing.error = sd_bus_message_close_container(listing.reply);
        }
        call_reply_message(call, listing.reply, listing.error);
}

static int append_limits(sd_bus_message *reply, const Usage *usages) {
        int r = sd_bus_message_open_container(reply, 'a', "(stt)");

        for (size_t i = 0; r >= 0 && i < USAGES; i++) {
                r = sd_bus_message_append(reply, "(stt)", usages[i].what, usages[i].used, usages[i].limit);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static void run_get_limits(Call *call) {
        sd_bus_message *reply = NULL;
        Usage usages[USAGES];
        int r = sd_bus_message_new_method_return(call->message, &reply);

        if (r >= 0) {
                manager_usage(call_manager(call), call->arguments.uid, usages);
                r = append_limits(reply, usages);
        }
        call_reply_message(call, reply, r);
}

static void run_reload(Call *call) {
        manager_reload(call_manager(call));
        call_reply(call, NULL);
}

static void run_subscribe(Call *call) {
        call->client->subscribed = true;
        call_reply(call, NULL);
}

static void run_unsubscribe(Call *call) {
        call->client->subscribed = false;
        call_reply(call, NULL);
}

/* ---- Properties ---- */

static int append_version(sd_bus_message *message, const Property *property, const void *object) {
        return sd_bus_message_append(message, "s", PROJECT_VERSION);
}

static int append_launcher(sd_bus_message *message, const Property *property, const void *object) {
        const Bus *bus = object;

        return sd_bus_message_append(message, "s", manager_launcher_name(bus->manager));
}

static int append_pools(sd_bus_message *message, const Property *property, const void *object) {
        HugePool *pools;
        size_t n;
        int r = pools_read(NULL, HUGE_POOLS_DIRECTORY, &pools, &n);

        if (r < 0) {
                return r;
        }
        r = sd_bus_message_open_container(message, 'a', "(ttt)");
        for (size_t i = 0; r >= 0 && i < n; i++) {
                r = sd_bus_message_append(message, "(ttt)", pools[i].page_size, pools[i].pages,
                                          pools[i].free);
        }
        talloc_free(pools);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

/* ---- Tables ---- */

static const Method method_table[] = {
        { "CreateDomain",
          "sa{sv}b",
          "o",
          SD_BUS_PARAM(name) SD_BUS_PARAM(settings) SD_BUS_PARAM(persistent) SD_BUS_PARAM(domain),
          { ARGUMENT_NEW, ARGUMENT_SETTINGS, ARGUMENT_FLAG },
          run_create },
        { "RemoveDomain", "s", NULL, SD_BUS_PARAM(name), { ARGUMENT_DOMAIN }, call_remove },
        { "StartDomain", "s", NULL, SD_BUS_PARAM(name), { ARGUMENT_DOMAIN }, run_start },
        { "StopDomain", "s", NULL, SD_BUS_PARAM(name), { ARGUMENT_DOMAIN }, run_stop },
        { "GetDomain", "s", "o", SD_BUS_PARAM(name) SD_BUS_PARAM(domain), { ARGUMENT_DOMAIN }, run_get },
        { "ListDomains", .out = "a(ssutuuo)", .names = SD_BUS_PARAM(domains), .run = run_list },
        { "OpenDomain", "s", "h", SD_BUS_PARAM(name) SD_BUS_PARAM(socket), { ARGUMENT_DOMAIN }, run_open },
        { "GetLimits",
          "u",
          "a(stt)",
          SD_BUS_PARAM(uid) SD_BUS_PARAM(limits),
          { ARGUMENT_UID },
          run_get_limits },
        { "Reload", .run = run_reload },
        { "Subscribe", .run = run_subscribe },
        { "Unsubscribe", .run = run_unsubscribe },
};

static const Property property_table[] = {
        { "Version", "s", .append = append_version },
        { "Launcher", "s", .append = append_launcher },
        { "HugePagePools", "a(ttt)", .silent = true, .append = append_pools },
};

static const Signal signal_table[] = {
        { "DomainAdded", "so", SD_BUS_PARAM(name) SD_BUS_PARAM(domain) },
        { "DomainRemoved", "so", SD_BUS_PARAM(name) SD_BUS_PARAM(domain) },
};

static int on_call(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return call_take(talloc_get_type_abort(userdata, Connection), message, &manager_interface, NULL,
                         error);
}

static int on_get(sd_bus *sd, const char *path, const char *interface, const char *name,
                  sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Property *property = property_find(&manager_interface, name);
        const Connection *connection = talloc_get_type_abort(userdata, Connection);

        return property->append(reply, property, connection->bus);
}

const Interface manager_interface = {
        .name = BUS_MANAGER_INTERFACE,
        .methods = method_table,
        .n_methods = COUNT(method_table),
        .properties = property_table,
        .n_properties = COUNT(property_table),
        .signals = signal_table,
        .n_signals = COUNT(signal_table),
        .on_call = on_call,
        .on_get = on_get,
};
