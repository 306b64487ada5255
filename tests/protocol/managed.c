/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of the control link share. */

#include "tests/protocol/managed.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "tests/lib/socket.h"

Scene *scene_new(void *ctx, const char *lines, uint32_t vectors) {
        ServerOptions options = { .passed_name = "control" };
        Scene *scene = talloc_zero(ctx, Scene);
        Fd *listener;

        assert_non_null(scene);
        assert_int_equal(scratch_new(scene, &scene->scratch), 0);
        scene->control = scratch_path(scene->scratch, "control");
        assert_non_null(scene->control);
        assert_int_equal(unix_listen(scene, scene->control, SOCK_SEQPACKET, &listener), 0);
        assert_int_equal(chmod(scene->control, 0666), 0);
        assert_int_equal(chown(scene->control, OTHER_UID, OTHER_UID), 0);
        options.passed_fd = fd_get(listener);
        scene->served = lines ? serve_definition(scene, lines, vectors, &options)
                              : serve_dropin(scene, "1M", vectors, &options);
        talloc_free(listener);
        return scene;
}

void scene_end(Scene *scene) {
        served_end(scene->served);
        talloc_free(scene);
}

ControlRecord next_record(Manager *manager, ControlKind kind) {
        ControlRecord record;

        assert_int_equal(manager_next(manager, &record, NULL), MANAGER_OK);
        if (record.kind != kind) {
                fail_msg("a record of kind %s came, not %s", control_kind_names[record.kind],
                         control_kind_names[kind]);
        }
        return record;
}

ControlRecord next_event(Manager *manager, ControlKind kind) {
        ControlRecord record;

        do {
                assert_int_equal(manager_next(manager, &record, NULL), MANAGER_OK);
        } while (record.kind == CONTROL_DOMAIN);
        assert_int_equal(record.kind, kind);
        return record;
}

void wait_domain(Manager *manager, bool (*is_so)(const ControlDomain *domain)) {
        ControlRecord record;

        do {
                assert_int_equal(manager_next(manager, &record, NULL), MANAGER_OK);
        } while (record.kind != CONTROL_DOMAIN || !is_so(&record.domain));
}

size_t take_picture(Manager *manager) {
        ControlRecord record = next_record(manager, CONTROL_DOMAIN);
        size_t n = 0;

        for (;; n++) {
                assert_int_equal(manager_next(manager, &record, NULL), MANAGER_OK);
                if (record.kind == CONTROL_SYNCED) {
                        return n;
                }
                assert_int_equal(record.kind, CONTROL_PEER);
        }
}

Manager *manage(Scene *scene, size_t n_peers) {
        Manager *manager;

        assert_int_equal(manager_connect(scene, scene->control, &manager), 0);
        assert_int_equal(take_picture(manager), n_peers);
        return manager;
}

Manager *connect_manager_as(Scene *scene, uint32_t uid) {
        Manager *manager;

        assert_int_equal(setresuid(-1, uid, -1), 0);
        assert_int_equal(manager_connect(scene, scene->control, &manager), 0);
        assert_int_equal(setresuid(-1, 0, -1), 0);
        return manager;
}

void assert_closed(Manager *manager) {
        ControlRecord record;
        int r;

        do {
                r = manager_next(manager, &record, NULL);
        } while (r == MANAGER_OK);
        assert_int_equal(r, MANAGER_END);
}

ControlRecord ask(Manager *manager, ControlRecord request) {
        ControlRecord reply;
        Fd *fd;

        assert_int_equal(manager_ask(manager, &request, &reply, &fd), MANAGER_OK);
        assert_null(fd);
        return reply;
}

void ask_ok(Manager *manager, ControlRecord request) {
        ControlRecord reply = ask(manager, request);

        if (reply.result != CONTROL_OK) {
                fail_msg("%s: %s", control_result_names[reply.result], reply.text);
        }
        assert_string_equal(reply.text, "");
}

Fd *ask_fd(Manager *manager, ControlRecord request) {
        ControlRecord reply;
        Fd *fd;

        assert_int_equal(manager_ask(manager, &request, &reply, &fd), MANAGER_OK);
        assert_int_equal(reply.result, CONTROL_OK);
        assert_non_null(fd);
        return fd;
}

void assert_result(ControlRecord reply, ControlResult result, const char *text) {
        assert_int_equal(reply.result, result);
        if (!strstr(reply.text, text)) {
                fail_msg("\"%s\" is not in \"%s\"", text, reply.text);
        }
}
