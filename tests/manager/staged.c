/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A launcher and servers that do what a test says. */

#include "tests/manager/staged.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/lib/socket.h"
#include "tests/unit/testing.h"

#define SETTINGS_MAX 16

/* ---- The launcher ---- */

static int fake_attach(Launcher *launcher, const LauncherObserver *observer) {
        Staged *staged = talloc_get_type_abort(*(void **) launcher->self, Staged);

        staged->observer = *observer;
        return 0;
}

static int fake_begin(Launcher *launcher, LauncherVerb verb, const char *name, const char *definition,
                      LauncherDone done, void *userdata, Failure *ret_failure) {
        Staged *staged = talloc_get_type_abort(*(void **) launcher->self, Staged);

        if (staged->refusal) {
                *ret_failure = *staged->refusal;
                staged->refusal = NULL;
                return -EREMOTEIO;
        }
        talloc_free(staged->name);
        staged->verb = verb;
        staged->name = talloc_strdup(staged, name);
        staged->done = done;
        staged->userdata = userdata;
        return 0;
}

static char *fake_socket(void *ctx, const Launcher *launcher, const char *name) {
        const Staged *staged = talloc_get_type_abort(*(void **) launcher->self, Staged);

        return talloc_asprintf(ctx, "%s/%s.sock", staged->managed->scratch->path, name);
}

static char *fake_control(void *ctx, const Launcher *launcher, const char *name) {
        const Staged *staged = talloc_get_type_abort(*(void **) launcher->self, Staged);

        return talloc_asprintf(ctx, "%s/%s.control", staged->managed->scratch->path, name);
}

static char *fake_unit(void *ctx, const Launcher *launcher, const char *name) {
        return talloc_asprintf(ctx, "fake@%s", name);
}

static const LauncherOps fake_ops = {
        .name = "fake",
        .attach = fake_attach,
        .begin = fake_begin,
        .socket_path = fake_socket,
        .control_path = fake_control,
        .unit = fake_unit,
};

static void begin(Staged *staged) {
        ManagerParts parts = { .event = staged->managed->event, .root = staged->managed->scratch->path };
        void **self;

        staged->launcher = parts.launcher = talloc_zero(staged, Launcher);
        assert_non_null(parts.launcher);
        self = talloc(parts.launcher, void *);
        *self = staged;
        parts.launcher->ops = &fake_ops;
        parts.launcher->self = self;
        assert_int_equal(manager_new(staged->managed, &parts, &staged->managed->manager), 0);
        managed_observe(staged->managed);
}

Staged *staged_new(void *ctx) {
        Staged *staged = talloc_zero(ctx, Staged);
        const char *const directories[] = { STAGED_ETC, STAGED_RUN, STAGED_VAR, STAGED_USR };

        assert_non_null(staged);
        staged->managed = managed_prepare(staged);
        for (size_t i = 0; i < 4; i++) {
                assert_int_equal(scratch_mkdir(staged->managed->scratch, directories[i]), 0);
        }
        begin(staged);
        return staged;
}

void staged_restart(Staged *staged) {
        managed_end(staged->managed);
        staged->done = NULL;
        begin(staged);
}

void staged_free(Staged *staged) {
        managed_end(staged->managed);
        talloc_free(staged);
}

void staged_tell(Staged *staged, const char *name, DomainState state, const char *status) {
        bool alive = state == DOMAIN_RUNNING || state == DOMAIN_STARTING;
        LauncherState said = { .state = state,
                               .status = status,
                               .main_pid = alive ? (uint32_t) getpid() : 0 };

        staged->observer.changed(name, &said, staged->observer.userdata);
}

void staged_end(Staged *staged, const Failure *failure) {
        LauncherDone done = staged->done;

        assert_non_null(done);
        staged->done = NULL;
        done(failure, staged->userdata);
}

/* ---- Files ---- */

void staged_write(Staged *staged, const char *name, const char *text) {
        char *path = NULL;

        assert_int_equal(scratch_write(staged->managed->scratch, name, text, &path), 0);
        talloc_free(path);
}

void staged_remove(Staged *staged, const char *name) {
        char *path = scratch_path(staged->managed->scratch, name);

        assert_int_equal(unlink(path), 0);
        talloc_free(path);
}

const char *staged_create(Staged *staged, const char *name, uint32_t owner, bool persistent,
                          const char *const *lines) {
        Managed *managed = staged->managed;
        void *tmp = talloc_new(managed);
        Setting settings[SETTINGS_MAX];
        Domain *domain = NULL;
        size_t n = 0;
        int r;

        for (; lines[n]; n++) {
                char *text = talloc_strdup(tmp, lines[n]), *equals = strchr(text, '=');

                *equals = '\0';
                settings[n] = (Setting){ .key = text, .value = equals + 1 };
        }
        r = manager_create(managed->manager, name, owner, persistent, settings, n, &domain,
                           &managed->failure);
        talloc_free(tmp);
        return r < 0 ? managed->failure.text : NULL;
}

void staged_turn(Staged *staged) {
        managed_turn(staged->managed);
}

/* ---- Servers ---- */

int staged_listen(const char *path) {
        struct sockaddr_un address;
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        assert_true(fd >= 0);
        assert_int_equal(unix_address(path, &address), 0);
        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 4), 0);
        return fd;
}

int staged_accept(Staged *staged, int listener) {
        int fd;

        while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) < 0) {
                assert_int_equal(errno, EAGAIN);
                staged_turn(staged);
        }
        return fd;
}

void server_say(int fd, const ControlRecord *record) {
        uint8_t bytes[CONTROL_RECORD_SIZE];

        control_encode(record, bytes);
        assert_int_equal(send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL), sizeof(bytes));
}

void server_hear(Staged *staged, int fd, ControlRecord *ret) {
        uint8_t bytes[CONTROL_RECORD_SIZE];
        ssize_t n;

        while ((n = recv(fd, bytes, sizeof(bytes), 0)) < 0) {
                assert_int_equal(errno, EAGAIN);
                staged_turn(staged);
        }
        assert_int_equal(control_decode(bytes, (size_t) n, ret), 0);
}
