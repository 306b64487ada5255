/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The way of a method call: read, authorise, run, answer. */

#include "dbus/call.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <talloc.h>

#include "dbus/bus-parts.h"
#include "dbus/errors.h"
#include "dbus/names.h"
#include "service/base/fd.h"
#include "service/base/log.h"

#define NO_OWNER UINT32_MAX

/* Bytes that a call without settings takes while it waits, about. */
#define CALL_COST 1024U

/* ---- What waits ---- */

static size_t waiting_of_user(const Bus *bus, uid_t uid) {
        size_t n = 0;

        LIST_FOREACH(i, &bus->connections) {
                LIST_FOREACH(j, &list_entry(i, Connection, link)->clients) {
                        const Client *client = list_entry(j, Client, link);

                        if (client->uid == uid) {
                                LIST_FOREACH(k, &client->calls) {
                                        n += list_entry(k, Call, link)->waits;
                                }
                        }
                }
        }
        return n;
}

/* The call does not end now. */
static int call_wait(Call *call, Failure *ret_failure) {
        Bus *bus = call_bus(call);

        if (call->waits) {
                return 0;
        }
        if (bus->n_calls >= CALLS_MAX || waiting_of_user(bus, call->client->uid) >= CALLS_PER_USER_MAX) {
                return failure_set(ret_failure, FAILURE_BUSY,
                                   "Too much waits to be done: %u calls of a user, %u of all at most",
                                   CALLS_PER_USER_MAX, CALLS_MAX);
        }
        call->waits = true;
        bus->n_calls++;
        return 0;
}

static int call_destructor(Call *call) {
        if (call->operation) {
                operation_cancel(call->operation);
        }
        TALLOC_FREE(call->query);
        if (call->waits) {
                call_bus(call)->n_calls--;
        }
        list_remove(&call->link);
        sd_bus_message_unref(call->message);
        return 0;
}

static void call_end(Call *call) {
        Bus *bus = call_bus(call);

        talloc_free(call);
        bus_check_idle(bus);
}

Bus *call_bus(const Call *call) {
        return call->client->connection->bus;
}

Manager *call_manager(const Call *call) {
        return call_bus(call)->manager;
}

/* ---- Answers ---- */

/* `error` is NULL when it was done. */
static void audit(const Call *call, const sd_bus_error *error) {
        const AuditEntry entry = {
                .uid = call->client->uid,
                .pid = call->client->pid,
                .method = call->method->member,
                .domain = call->domain ? call->domain : call->arguments.name,
                .error = error ? error->name : NULL,
                .text = error ? error->message : NULL,
        };

        if (authz_is_change(call->row)) {
                audit_record(call_bus(call)->audit, &entry);
        }
}

static void send_error(Call *call, const sd_bus_error *error) {
        audit(call, error);
        (void) sd_bus_reply_method_error(call->message, error);
        call_end(call);
}

void call_fail(Call *call, const Failure *failure) {
        sd_bus_error error = SD_BUS_ERROR_MAKE_CONST(bus_error_name(failure->kind), failure->text);

        send_error(call, &error);
}

static void fail_errno(Call *call, int error) {
        Failure failure;

        (void) failure_errno(&failure, error, call->method->member);
        call_fail(call, &failure);
}

void call_reply(Call *call, const char *types, ...) {
        va_list ap;
        int r;

        va_start(ap, types);
        r = sd_bus_reply_method_returnv(call->message, types, ap);
        va_end(ap);
        if (r < 0) {
                fail_errno(call, r);
        } else {
                audit(call, /* error= */ NULL);
                call_end(call);
        }
}

void call_reply_message(Call *call, sd_bus_message *reply, int error) {
        if (error >= 0 && sd_bus_message_get_expect_reply(call->message)) {
                error = sd_bus_send(NULL, reply, NULL);
        }
        sd_bus_message_unref(reply);
        if (error < 0) {
                fail_errno(call, error);
        } else {
                call_end(call);
        }
}

/* The same words whether there is none or it may not be seen. */
static int set_missing(Failure *ret, const char *name) {
        return failure_set(ret, FAILURE_NO_SUCH_DOMAIN, "There is no domain \"%.64s\"", name);
}

static void fail_missing(Call *call) {
        Failure failure;

        (void) set_missing(&failure, call->domain);
        call_fail(call, &failure);
}

Domain *call_find(Call *call) {
        Domain *domain = manager_find(call_manager(call), call->domain);

        if (!domain || domain_owner(domain) != call->owner) {
                fail_missing(call);
                return NULL;
        }
        return domain;
}

/* ---- Reading ---- */

/* What is in here may be shown to somebody who is to authenticate, and stays as long as polkit takes: so no name goes on
 * that could not be one. */
static int read_name(Call *call, ArgumentKind kind, Failure *ret_failure) {
        const char *name;
        int r = sd_bus_message_read_basic(call->message, 's', &name);

        if (r < 0) {
                return r;
        }
        r = manager_check_name(name, ret_failure);
        if (r < 0 && kind == ARGUMENT_DOMAIN) {
                return set_missing(ret_failure, name);
        }
        call->arguments.name = name;
        return r;
}

static int read_section(Call *call, Failure *ret_failure) {
        const char *section;
        int r = sd_bus_message_read_basic(call->message, 's', &section);

        if (r < 0) {
                return r;
        }
        if (strlen(section) > RESERVATION_NAME_MAX) {
                return failure_set(ret_failure, FAILURE_INVALID_SETTING,
                                   "[Peer %.64s...]: a section's name has at most %u bytes", section,
                                   RESERVATION_NAME_MAX);
        }
        call->arguments.section = section;
        return 0;
}

static int read_argument(Call *call, ArgumentKind kind, Failure *ret_failure) {
        Arguments *arguments = &call->arguments;
        sd_bus_message *m = call->message;
        int flag, r;

        switch (kind) {
        case ARGUMENT_DOMAIN:
        case ARGUMENT_NEW:
                return read_name(call, kind, ret_failure);
        case ARGUMENT_SECTION:
                return read_section(call, ret_failure);
        case ARGUMENT_SETTINGS:
                return settings_read(call, m, arguments->section, &arguments->settings, ret_failure);
        case ARGUMENT_FLAG:
                r = sd_bus_message_read_basic(m, 'b', &flag);
                arguments->flag = r > 0 && flag;
                return r;
        case ARGUMENT_UID:
                return sd_bus_message_read_basic(m, 'u', &arguments->uid);
        case ARGUMENT_VM_ID:
                return sd_bus_message_read_basic(m, 'u', &arguments->vm_id);
        case ARGUMENT_VECTOR:
                return sd_bus_message_read_basic(m, 'u', &arguments->vector);
        default:
                return -EINVAL;
        }
}

static int read_arguments(Call *call, Failure *ret_failure) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < METHOD_ARGUMENTS_MAX; i++) {
                ArgumentKind kind = call->method->arguments[i];

                if (kind != ARGUMENT_NONE) {
                        r = read_argument(call, kind, ret_failure);
                }
                if (kind == ARGUMENT_DOMAIN) {
                        call->domain = call->arguments.name;
                }
        }
        return r < 0 ? r : 0;
}

/* ---- Authorising ---- */

/* Whose is what the call is about? What is made is its maker's, but for Owner=, which gives it to another. */
static bool is_own(const Call *call) {
        if (call->domain) {
                return call->owner == call->client->uid && !call->arguments.settings.owner;
        }
        for (size_t i = 0; i < METHOD_ARGUMENTS_MAX; i++) {
                if (call->method->arguments[i] == ARGUMENT_NEW) {
                        return !call->arguments.settings.owner;
                }
                if (call->method->arguments[i] == ARGUMENT_UID) {
                        return call->arguments.uid == call->client->uid;
                }
        }
        return false;
}

static void run(Call *call) {
        if (call->domain && call->owner == NO_OWNER) {
                fail_missing(call);
        } else {
                call->method->run(call);
        }
}

/* Whoever may not see a domain is not told that he may not do something to it. */
static void deny(Call *call, const char *name, const char *why) {
        Domain *domain = call->domain ? manager_find(call_manager(call), call->domain) : NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;

        if (call->domain && (!domain || !client_sees(call->client, domain))) {
                fail_missing(call);
                return;
        }
        (void) sd_bus_error_setf(&error, name, "%s takes the right %s%s", call->method->member,
                                 call->row ? authz_action(call->row, &call->question) : "of root", why);
        send_error(call, &error);
        sd_bus_error_free(&error);
}

/* Whether the domain is still the one that polkit was asked about. */
static bool is_as_asked(const Call *call) {
        const Domain *domain = manager_find(call_manager(call), call->domain);

        return domain && domain_owner(domain) == call->owner;
}

static void allow(Call *call) {
        int r = 0;

        /* A grant is of what there is: who is let see a name that is not taken, or was another's by then, sees nothing of
         * who takes it later. */
        if (call->row->grants && (!call->domain || is_as_asked(call))) {
                r = client_grant(call->client, call->domain);
        }
        if (r < 0) {
                fail_errno(call, r);
        } else {
                run(call);
        }
}

/* Behind "StartDomain takes the right org.ivshmem1.manage". */
static const char *const denials[_POLKIT_ANSWER_MAX] = {
        [POLKIT_NO] = ", which polkit does not give",
        [POLKIT_CHALLENGE] = "; interactive authentication gives it, if the caller allows that",
        [POLKIT_ABSENT] = ", which only root has where there is no polkit",
        [POLKIT_GONE] =
                ", and polkit, which gives it, went away while it was asked; see 'systemctl status polkit'",
        [POLKIT_FAILED] =
                ", and polkit, which gives it, does not answer as it should; see 'systemctl status polkit'",
};

static void on_polkit(PolkitAnswer answer, const char *text, void *userdata) {
        Call *call = talloc_get_type_abort(userdata, Call);

        call->query = NULL;
        if (answer == POLKIT_GONE || answer == POLKIT_FAILED) {
                log_plain(LOG_WARNING, "Asking polkit about %s: %s",
                          authz_action(call->row, &call->question), text);
        }
        if (answer == POLKIT_YES) {
                allow(call);
        } else if (call->row->optional ||
                   (answer == POLKIT_ABSENT && authz_without_polkit(call->row, &call->question))) {
                run(call);
        } else {
                deny(call,
                     answer == POLKIT_CHALLENGE ? SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED
                                                : SD_BUS_ERROR_ACCESS_DENIED,
                     denials[answer]);
        }
}

static int ask(Call *call, Failure *ret_failure) {
        const Domain *domain = call->domain ? manager_find(call_manager(call), call->domain) : NULL;
        PolkitQuestion question = {
                .subject = call->client->name,
                .uid = call->client->uid,
                .cost = CALL_COST + call->arguments.settings.bytes,
                .action = authz_action(call->row, &call->question),
                .domain = call->domain ? call->domain : call->arguments.name,
                .unit = domain && *domain_unit(domain) ? domain_unit(domain) : NULL,
                .owner = call->owner,
                .interactive = !call->row->optional &&
                               sd_bus_message_get_allow_interactive_authorization(call->message) > 0,
        };
        Polkit *polkit = call_bus(call)->polkit;
        int r;

        if (!polkit || !question.subject) {
                on_polkit(POLKIT_ABSENT, "", call);
                return 0;
        }
        r = call_wait(call, ret_failure);
        if (r >= 0) {
                r = polkit_ask(polkit, call, &question, on_polkit, call, &call->query);
        }
        if (r == -EBUSY) {
                return failure_set(ret_failure, FAILURE_BUSY,
                                   "Too much waits for polkit: %u KiB of a user, %u KiB of all at most",
                                   POLKIT_COST_PER_USER_MAX / 1024, POLKIT_COST_MAX / 1024);
        }
        return r;
}

/* What would be granted it has already. */
static bool is_granted(const Call *call, const Domain *domain) {
        const Client *client = call->client;

        return call->row->grants &&
               (domain ? client_sees(client, domain) : !call->domain && client->sees_all);
}

/* Nothing but the owner of the domain has been looked at by now. */
static int authorise(Call *call, Failure *ret_failure) {
        const Domain *domain = call->domain ? manager_find(call_manager(call), call->domain) : NULL;

        call->owner = domain ? domain_owner(domain) : NO_OWNER;
        call->row = authz_find(call->interface->name, call->method->member);
        call->question = (AuthzCase){ .privileged = call->client->privileged, .own = is_own(call) };
        switch (authz_decide(call->row, &call->question)) {
        case AUTHZ_ALLOW:
                run(call);
                return 0;
        case AUTHZ_ASK:
                if (is_granted(call, domain)) {
                        run(call);
                        return 0;
                }
                return ask(call, ret_failure);
        default:
                deny(call, SD_BUS_ERROR_ACCESS_DENIED, "");
                return 0;
        }
}

/* ---- Operations ---- */

static void on_operation(const Failure *failure, int fd, void *userdata) {
        Call *call = talloc_get_type_abort(userdata, Call);

        call->operation = NULL;
        if (failure) {
                call_fail(call, failure);
        } else if (fd >= 0) {
                /* sd-bus sends a duplicate. */
                call_reply(call, "h", fd);
        } else {
                call_reply(call, NULL);
        }
        fd_close_aside(fd);
}

void call_begin_operation(Call *call, const Request *request) {
        Domain *domain = call_find(call);
        Failure failure;
        int r;

        if (!domain) {
                return;
        }
        r = call_wait(call, &failure);
        if (r >= 0) {
                r = manager_begin(call_manager(call), domain, request, on_operation, call, &call->operation,
                                  &failure);
        }
        if (r == -EREMOTEIO) {
                call_fail(call, &failure);
        } else if (r < 0) {
                fail_errno(call, r);
        }
}

void call_remove(Call *call) {
        Domain *domain = call_find(call);
        Failure failure;

        if (!domain) {
                return;
        }
        if (manager_remove(call_manager(call), domain, &failure) < 0) {
                call_fail(call, &failure);
        } else {
                call_reply(call, NULL);
        }
}

/* ---- Beginning ---- */

static int call_new(Client *client, sd_bus_message *message, Call **ret) {
        Call *call = talloc_zero(client, Call);

        if (!call) {
                return -ENOMEM;
        }
        call->client = client;
        call->message = sd_bus_message_ref(message);
        list_append(&client->calls, &call->link);
        talloc_set_destructor(call, call_destructor);
        *ret = call;
        return 0;
}

int call_take(Connection *connection, sd_bus_message *message, const Interface *interface,
              const Domain *domain, sd_bus_error *error) {
        Client *client = connection_client(connection, message);
        Failure failure;
        Call *call;
        int r;

        if (!client) {
                return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, "Who calls cannot be told");
        }
        r = call_new(client, message, &call);
        if (r < 0) {
                return r;
        }
        call->interface = interface;
        call->method = method_find(interface, sd_bus_message_get_member(message));
        call->domain = domain ? talloc_strdup(call, domain_name(domain)) : NULL;
        r = !call->method || (domain && !call->domain) ? -ENOMEM : read_arguments(call, &failure);
        if (r >= 0) {
                r = authorise(call, &failure);
        }
        /* From here on there may be no call any more, unless there is an error. */
        if (r < 0) {
                r = r == -EREMOTEIO ? bus_error_set(error, &failure) : r;
                talloc_free(call);
        }
        return r < 0 ? r : 1;
}
