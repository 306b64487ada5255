/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.ivshmem1.Domain: methods and signals. Its properties are in domain-properties.c. */

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <talloc.h>

#include "dbus/bus-parts.h"
#include "dbus/call.h"
#include "dbus/domain-properties.h"
#include "dbus/names.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* ---- Methods ---- */

static void begin(Call *call, OperationKind kind) {
        const Arguments *arguments = &call->arguments;
        const Request request = {
                .kind = kind,
                .section = arguments->section,
                .settings = arguments->settings.settings,
                .n_settings = arguments->settings.n,
                .all_peers = arguments->settings.peers,
                .vm_id = arguments->vm_id,
                .vector = arguments->vector,
                .read_only = arguments->flag,
        };

        call_begin_operation(call, &request);
}

static void run_start(Call *call) {
        begin(call, OPERATION_START);
}

static void run_stop(Call *call) {
        begin(call, OPERATION_STOP);
}

static void run_restart(Call *call) {
        begin(call, OPERATION_RESTART);
}

static void run_set(Call *call) {
        begin(call, OPERATION_SET);
}

static void run_evict(Call *call) {
        begin(call, OPERATION_EVICT);
}

static void run_ring(Call *call) {
        begin(call, OPERATION_RING);
}

static void run_open_memory(Call *call) {
        begin(call, OPERATION_MEMORY);
}

/* To the manager the VM ID is a key of the section as the others are. */
static int add_vm_id(Call *call) {
        Settings *settings = &call->arguments.settings;
        Setting *grown = talloc_realloc(call, settings->settings, Setting, (unsigned) settings->n + 1);
        char *value = talloc_asprintf(call, "%" PRIu32, call->arguments.vm_id);

        if (!grown || !value) {
                return -ENOMEM;
        }
        settings->settings = grown;
        grown[settings->n++] = (Setting){ .section = call->arguments.section,
                                          .key = "VMID",
                                          .value = value };
        return 0;
}

static void run_reserve(Call *call) {
        const Settings *settings = &call->arguments.settings;
        Failure failure;

        for (size_t i = 0; i < settings->n; i++) {
                if (strcmp(settings->settings[i].key, "VMID") == 0) {
                        (void) failure_set(&failure, FAILURE_INVALID_SETTING,
                                           "\"VMID\" is no setting here: it is the argument vm_id");
                        call_fail(call, &failure);
                        return;
                }
        }
        if (add_vm_id(call) < 0) {
                (void) failure_errno(&failure, -ENOMEM, "Reserve a VM ID");
                call_fail(call, &failure);
                return;
        }
        begin(call, OPERATION_RESERVE);
}

static void run_release(Call *call) {
        begin(call, OPERATION_RELEASE);
}

static void run_get_definition(Call *call) {
        Domain *domain = call_find(call);
        Failure failure;
        char *text;

        if (!domain) {
                return;
        }
        if (!domain_definition(domain)) {
                (void) failure_set(&failure, FAILURE_INVALID_SETTING, "%s", domain_definition_error(domain));
                call_fail(call, &failure);
                return;
        }
        text = definition_print(call, domain_definition(domain));
        if (!text) {
                (void) failure_errno(&failure, -ENOMEM, "Print the definition");
                call_fail(call, &failure);
                return;
        }
        call_reply(call, "s", text);
}

static int append_peers(sd_bus_message *reply, const Domain *domain) {
        size_t n;
        const ControlPeer *const *peers = domain_peers(domain, &n);
        int r = sd_bus_message_open_container(reply, 'a', "(usuuussst)");

        for (size_t i = 0; r >= 0 && i < n; i++) {
                const ControlPeer *peer = peers[i];

                r = sd_bus_message_append(reply, "(usuuussst)", peer->vm_id, peer->identity, peer->uid,
                                          peer->gid, (uint32_t) peer->pid, peer->unit, peer->machine,
                                          peer->label, peer->since);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static void run_list_peers(Call *call) {
        sd_bus_message *reply = NULL;
        Domain *domain = call_find(call);
        int r;

        if (!domain) {
                return;
        }
        r = sd_bus_message_new_method_return(call->message, &reply);
        if (r >= 0) {
                r = append_peers(reply, domain);
        }
        call_reply_message(call, reply, r);
}

/* ---- Tables ---- */

static const Method method_table[] = {
        { "Start", .run = run_start },
        { "Stop", .run = run_stop },
        { "Restart", .run = run_restart },
        { "Remove", .run = call_remove },
        { "Set", "a{sv}", .names = SD_BUS_PARAM(settings), .arguments = { ARGUMENT_SETTINGS },
          .run = run_set },
        { "GetDefinition", .out = "s", .names = SD_BUS_PARAM(text), .run = run_get_definition },
        { "ListPeers", .out = "a(usuuussst)", .names = SD_BUS_PARAM(peers), .run = run_list_peers },
        { "EvictPeer", "u", .names = SD_BUS_PARAM(vm_id), .arguments = { ARGUMENT_VM_ID },
          .run = run_evict },
        { "Ring", "uu", .names = SD_BUS_PARAM(vm_id) SD_BUS_PARAM(vector),
          .arguments = { ARGUMENT_VM_ID, ARGUMENT_VECTOR }, .run = run_ring },
        { "OpenMemory",
          "b",
          "h",
          SD_BUS_PARAM(read_only) SD_BUS_PARAM(memory),
          { ARGUMENT_FLAG },
          .run = run_open_memory },
        { "ReservePeer", "sua{sv}", .names = SD_BUS_PARAM(name) SD_BUS_PARAM(vm_id) SD_BUS_PARAM(settings),
          .arguments = { ARGUMENT_SECTION, ARGUMENT_VM_ID, ARGUMENT_SETTINGS }, .run = run_reserve },
        { "ReleasePeer", "s", .names = SD_BUS_PARAM(name), .arguments = { ARGUMENT_SECTION },
          .run = run_release },
};

static const Signal signal_table[] = {
        { "PeerJoined", "usu", SD_BUS_PARAM(vm_id) SD_BUS_PARAM(identity) SD_BUS_PARAM(uid) },
        { "PeerLeft", "uss", SD_BUS_PARAM(vm_id) SD_BUS_PARAM(identity) SD_BUS_PARAM(reason) },
        { "PeerRefused", "uus", SD_BUS_PARAM(code) SD_BUS_PARAM(uid) SD_BUS_PARAM(reason) },
};

static int on_call(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return call_take(connection_current(sd_bus_message_get_bus(message)), message, &domain_interface,
                         userdata, error);
}

static int on_get(sd_bus *sd, const char *path, const char *interface, const char *name,
                  sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Property *property = property_find(&domain_interface, name);

        return property->append(reply, property, userdata);
}

const Interface domain_interface = {
        .name = BUS_DOMAIN_INTERFACE,
        .methods = method_table,
        .n_methods = COUNT(method_table),
        .properties = domain_property_table,
        .n_properties = DOMAIN_PROPERTIES,
        .signals = signal_table,
        .n_signals = COUNT(signal_table),
        .on_call = on_call,
        .on_get = on_get,
};
