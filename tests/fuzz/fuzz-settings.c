/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any settings of a caller on the bus. A line is one of them: a letter for its type, a blank, KEY=VALUE. "[NAME" begins a
 * section of a peer, "]" ends the last. What comes out is bounded, of one line each, and as many as went in - or it is
 * refused, with words.
 */

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <talloc.h>

#include "dbus/settings.h"
#include "tests/fuzz/fuzz.h"

#define LINES_MAX 10000U

typedef struct Writer {
        sd_bus_message *message;
        bool in_peers;
        size_t n; /* settings that were written */
        int error;
} Writer;

/* Messages belong to a bus; nothing is sent over this one. */
static sd_bus *some_bus(void) {
        static sd_bus *bus;
        int ends[2];

        if (!bus) {
                FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
                FUZZ_CHECK(sd_bus_new(&bus) >= 0);
                FUZZ_CHECK(sd_bus_set_fd(bus, ends[0], ends[0]) >= 0);
                FUZZ_CHECK(sd_bus_start(bus) >= 0);
        }
        return bus;
}

/* Keeps the first error; nothing is written behind it. */
static bool done(Writer *writer, int r) {
        if (r < 0 && writer->error >= 0) {
                writer->error = r;
        }
        return writer->error >= 0;
}

static void end_section(Writer *writer) {
        if (done(writer, sd_bus_message_close_container(writer->message))) {
                (void) done(writer, sd_bus_message_close_container(writer->message));
        }
}

static void end_peers(Writer *writer) {
        if (!writer->in_peers) {
                return;
        }
        writer->in_peers = false;
        end_section(writer);
        for (int i = 0; i < 3; i++) {
                (void) done(writer, sd_bus_message_close_container(writer->message));
        }
}

static void begin_section(Writer *writer, const char *name) {
        sd_bus_message *m = writer->message;

        if (writer->in_peers) {
                end_section(writer);
        } else if (done(writer, sd_bus_message_open_container(m, 'e', "sv")) &&
                   done(writer, sd_bus_message_append_basic(m, 's', "Peers")) &&
                   done(writer, sd_bus_message_open_container(m, 'v', "a(sa{sv})"))) {
                (void) done(writer, sd_bus_message_open_container(m, 'a', "(sa{sv})"));
        }
        writer->in_peers = true;
        if (done(writer, 0) && done(writer, sd_bus_message_open_container(m, 'r', "sa{sv}")) &&
            done(writer, sd_bus_message_append_basic(m, 's', name))) {
                (void) done(writer, sd_bus_message_open_container(m, 'a', "{sv}"));
        }
}

/* A list's entries are separated by commas, so that one can have a blank. */
static int write_list(sd_bus_message *m, char *value) {
        int r = sd_bus_message_open_container(m, 'a', "s");

        for (char *entry; r >= 0 && (entry = strsep(&value, ","));) {
                r = sd_bus_message_append_basic(m, 's', entry);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int write_value(sd_bus_message *m, char type, char *value) {
        uint64_t number = strtoull(value, NULL, 10);

        switch (type) {
        case 't':
                return sd_bus_message_append(m, "v", "t", number);
        case 'u':
                return sd_bus_message_append(m, "v", "u", (uint32_t) number);
        case 'b':
                return sd_bus_message_append(m, "v", "b", number != 0);
        case 'x':
                return sd_bus_message_append(m, "v", "x", (int64_t) number);
        case 'v':
                return sd_bus_message_append(m, "v", "v", "s", value);
        default:
                return sd_bus_message_append(m, "v", "s", value);
        }
}

static void write_setting(Writer *writer, char type, const char *key, char *value) {
        sd_bus_message *m = writer->message;

        writer->n++;
        if (!done(writer, sd_bus_message_open_container(m, 'e', "sv")) ||
            !done(writer, sd_bus_message_append_basic(m, 's', key))) {
                return;
        }
        if (type == 'a') {
                if (done(writer, sd_bus_message_open_container(m, 'v', "as")) &&
                    done(writer, write_list(m, value))) {
                        (void) done(writer, sd_bus_message_close_container(m));
                }
        } else {
                (void) done(writer, write_value(m, type, value));
        }
        (void) done(writer, sd_bus_message_close_container(m));
}

static void write_line(Writer *writer, char *line) {
        char *value;

        if (line[0] == '[') {
                begin_section(writer, line + 1);
        } else if (line[0] == ']') {
                end_peers(writer);
        } else if (line[0] && line[1] == ' ' && (value = strchr(line + 2, '='))) {
                *value = '\0';
                write_setting(writer, line[0], line + 2, value + 1);
        }
}

static void check_setting(const Setting *setting) {
        FUZZ_CHECK(setting->key[0] && strlen(setting->key) <= 64);
        FUZZ_CHECK(setting->value && !strpbrk(setting->value, "\n\r\t\x7f"));
        FUZZ_CHECK(strlen(setting->value) <= 2 * SETTINGS_BYTES_MAX);
}

static void check_read(void *ctx, const Writer *writer) {
        Settings settings = { 0 };
        Failure failure = { .kind = _FAILURE_KIND_MAX };
        int r = settings_read(ctx, writer->message, NULL, &settings, &failure);

        FUZZ_CHECK(r == 0 || r == -EBADMSG || r == -EREMOTEIO);
        FUZZ_CHECK((r == -EREMOTEIO) ==
                   (failure.kind == FAILURE_INVALID_SETTING && failure.text[0] != '\0'));
        if (r == 0) {
                FUZZ_CHECK(settings.n == writer->n && settings.n <= SETTINGS_MAX);
                for (size_t i = 0; i < settings.n; i++) {
                        check_setting(&settings.settings[i]);
                }
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        void *ctx = talloc_new(NULL);
        char *text = talloc_strndup(ctx, (const char *) data, size), *rest = text;
        Writer writer = { 0 };
        size_t n = 0;

        FUZZ_CHECK(sd_bus_message_new_method_call(some_bus(), &writer.message, NULL, "/", "a.b", "c") >= 0);
        (void) done(&writer, sd_bus_message_open_container(writer.message, 'a', "{sv}"));
        for (char *line; writer.error >= 0 && n++ < LINES_MAX && (line = strsep(&rest, "\n"));) {
                write_line(&writer, line);
        }
        end_peers(&writer);
        (void) done(&writer, sd_bus_message_close_container(writer.message));
        if (writer.error >= 0) {
                FUZZ_CHECK(sd_bus_message_seal(writer.message, 1, 0) >= 0);
                FUZZ_CHECK(sd_bus_message_rewind(writer.message, /* complete= */ true) >= 0);
                check_read(ctx, &writer);
        }
        sd_bus_message_unref(writer.message);
        talloc_free(ctx);
        return 0;
}
