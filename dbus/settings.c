/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a{sv} to settings. All of it comes from anybody on the bus. */

#include "dbus/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <talloc.h>

#define SETTING_OVERHEAD 64U /* bytes of a setting besides its texts */
#define KEY_MAX 64U          /* bytes; there is none as long */

/* How much of a caller's text goes into an error. */
#define SHOWN "\"%.64s\""

/* What values a key has besides text. */
typedef enum ValueKind {
        VALUE_TEXT,
        VALUE_NUMBER,
        VALUE_OCTAL, /* a file's mode */
        VALUE_BOOLEAN,
        VALUE_LIST,
        _VALUE_KIND_MAX,
} ValueKind;

static const char *const wanted[_VALUE_KIND_MAX] = {
        [VALUE_TEXT] = "a string (s)",
        [VALUE_NUMBER] = "a number (t or u), or a string (s)",
        [VALUE_OCTAL] = "a number (t or u), or a string with octal digits (s)",
        [VALUE_BOOLEAN] = "yes or no (b), or a string (s)",
        [VALUE_LIST] = "a list of strings (as), or a string with blanks between (s)",
};

/* A key that is not here is text, or none at all, which the manager finds out. */
static const struct {
        const char *key;
        ValueKind kind;
} kind_table[] = {
        { "ConnectRate", VALUE_NUMBER },  { "Group", VALUE_LIST },
        { "Label", VALUE_LIST },          { "Machine", VALUE_LIST },
        { "Master", VALUE_BOOLEAN },      { "MaxPeers", VALUE_NUMBER },
        { "Owner", VALUE_NUMBER },        { "PathMode", VALUE_OCTAL },
        { "PeersPerUser", VALUE_NUMBER }, { "Prefault", VALUE_BOOLEAN },
        { "Size", VALUE_NUMBER },         { "Unit", VALUE_LIST },
        { "User", VALUE_LIST },           { "Vectors", VALUE_NUMBER },
        { "VMID", VALUE_NUMBER },         { "WipeWhenIdle", VALUE_BOOLEAN },
};

typedef struct Reader {
        void *ctx;
        sd_bus_message *message;
        Settings settings;
        size_t n_peers; /* [Peer] sections so far */
        size_t bytes;
        Failure *failure;
} Reader;

static ValueKind kind_of(const char *key) {
        for (size_t i = 0; i < sizeof(kind_table) / sizeof(*kind_table); i++) {
                if (strcmp(kind_table[i].key, key) == 0) {
                        return kind_table[i].kind;
                }
        }
        return VALUE_TEXT;
}

/* sd-bus has seen to it that it is UTF-8. C1 controls are U+0080 to U+009F there. */
static bool has_controls(const char *text) {
        for (const unsigned char *c = (const unsigned char *) text; *c; c++) {
                if (*c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] < 0xa0)) {
                        return true;
                }
        }
        return false;
}

static int count_bytes(Reader *reader, const char *key, const char *text) {
        reader->bytes += strlen(text);
        if (reader->bytes > SETTINGS_BYTES_MAX) {
                return failure_set(reader->failure, FAILURE_INVALID_SETTING,
                                   SHOWN ": the settings together are longer than %u bytes", key,
                                   SETTINGS_BYTES_MAX);
        }
        if (has_controls(text)) {
                return failure_set(reader->failure, FAILURE_INVALID_SETTING,
                                   SHOWN ": a value is one line, without control characters", key);
        }
        return 0;
}

/* ---- Values ---- */

static int read_text(Reader *reader, const char *key, const char **ret) {
        const char *text;
        int r = sd_bus_message_read_basic(reader->message, 's', &text);

        if (r >= 0) {
                r = count_bytes(reader, key, text);
        }
        if (r >= 0) {
                *ret = text;
        }
        return r < 0 ? r : 0;
}

static int read_number(Reader *reader, const char *key, char type, const char **ret) {
        union {
                uint32_t u;
                uint64_t t;
        } value;
        uint64_t number;
        int r = sd_bus_message_read_basic(reader->message, type, &value);

        if (r < 0) {
                return r;
        }
        number = type == 'u' ? value.u : value.t;
        *ret = kind_of(key) == VALUE_OCTAL ? talloc_asprintf(reader->ctx, "%04" PRIo64, number)
                                           : talloc_asprintf(reader->ctx, "%" PRIu64, number);
        return *ret ? 0 : -ENOMEM;
}

static int read_boolean(Reader *reader, const char **ret) {
        int value;
        int r = sd_bus_message_read_basic(reader->message, 'b', &value);

        if (r < 0) {
                return r;
        }
        *ret = value ? "yes" : "no";
        return 0;
}

/* A list as text, in a chunk that grows in large steps. */
typedef struct ListText {
        char *text;
        size_t length, size;
} ListText;

static int append_entry(void *ctx, ListText *list, const char *entry) {
        size_t length = strlen(entry);

        if (list->length + length + 2 > list->size) {
                size_t size = 2 * list->size + length + 64;
                char *text = talloc_realloc(ctx, list->text, char, (unsigned) size);

                if (!text) {
                        return -ENOMEM;
                }
                list->text = text;
                list->size = size;
        }
        if (list->length > 0) {
                list->text[list->length++] = ' ';
        }
        memcpy(list->text + list->length, entry, length + 1);
        list->length += length;
        return 0;
}

/* One entry; 0 at the end. One with a blank in it would be two. */
static int read_entry(Reader *reader, const char *key, ListText *list) {
        const char *entry;
        int r = sd_bus_message_read_basic(reader->message, 's', &entry);

        if (r <= 0) {
                return r;
        }
        r = count_bytes(reader, key, entry);
        if (r < 0) {
                return r;
        }
        if (!*entry || strchr(entry, ' ')) {
                return failure_set(reader->failure, FAILURE_INVALID_SETTING,
                                   SHOWN ": an entry of the list is empty or has a blank in it", key);
        }
        r = append_entry(reader->ctx, list, entry);
        return r < 0 ? r : 1;
}

static int read_list(Reader *reader, const char *key, const char **ret) {
        ListText list = { 0 };
        int r = sd_bus_message_enter_container(reader->message, 'a', "s");

        while (r > 0) {
                r = read_entry(reader, key, &list);
        }
        if (r >= 0) {
                r = sd_bus_message_exit_container(reader->message);
        }
        if (r >= 0) {
                *ret = list.text ? list.text : "";
        }
        return r < 0 ? r : 0;
}

static int wrong_type(Reader *reader, const char *key, const char *contents) {
        return failure_set(reader->failure, FAILURE_INVALID_SETTING,
                           SHOWN " has a value of type \"%.32s\"; it takes %s", key, contents,
                           wanted[kind_of(key)]);
}

static int read_contents(Reader *reader, const char *key, const char *contents, const char **ret) {
        ValueKind kind = kind_of(key);
        bool number = kind == VALUE_NUMBER || kind == VALUE_OCTAL;

        if (strcmp(contents, "s") == 0) {
                return read_text(reader, key, ret);
        }
        if (number && (strcmp(contents, "t") == 0 || strcmp(contents, "u") == 0)) {
                return read_number(reader, key, contents[0], ret);
        }
        if (kind == VALUE_BOOLEAN && strcmp(contents, "b") == 0) {
                return read_boolean(reader, ret);
        }
        if (kind == VALUE_LIST && strcmp(contents, "as") == 0) {
                return read_list(reader, key, ret);
        }
        return wrong_type(reader, key, contents);
}

/* ---- Settings ---- */

/* How many settings the section has by now; SIZE_MAX when one of them is `key`. A section is known by where its name stands. */
static size_t count_section(const Settings *settings, const char *section, const char *key) {
        size_t n = 0;

        for (size_t i = 0; i < settings->n; i++) {
                if (settings->settings[i].section == section) {
                        if (strcmp(settings->settings[i].key, key) == 0) {
                                return SIZE_MAX;
                        }
                        n++;
                }
        }
        return n;
}

static int check_key(Reader *reader, const char *section, const char *key) {
        size_t n = count_section(&reader->settings, section, key);

        if (!*key || strlen(key) > KEY_MAX || has_controls(key)) {
                return failure_set(reader->failure, FAILURE_INVALID_SETTING, SHOWN " is no setting", key);
        }
        if (n == SIZE_MAX) {
                return failure_set(reader->failure, FAILURE_INVALID_SETTING, SHOWN " is set twice", key);
        }
        if (n >= SETTINGS_SECTION_MAX || reader->settings.n >= SETTINGS_MAX) {
                return failure_set(reader->failure, FAILURE_INVALID_SETTING,
                                   SHOWN " is one setting too many", key);
        }
        return count_bytes(reader, key, key);
}

static int add_setting(Reader *reader, const Setting *setting) {
        Settings *all = &reader->settings;

        /* Grown in steps, since talloc moves it each time. */
        if (all->n % 32 == 0) {
                Setting *grown = talloc_realloc(reader->ctx, all->settings, Setting, all->n + 32);

                if (!grown) {
                        return -ENOMEM;
                }
                all->settings = grown;
        }
        all->settings[all->n++] = *setting;
        all->owner = all->owner || (!setting->section && strcmp(setting->key, "Owner") == 0);
        return 0;
}

static int read_peers(Reader *reader, const char *contents);

static int read_value(Reader *reader, const char *section, const char *key) {
        Setting setting = { .section = section, .key = key };
        const char *contents;
        char type;
        int r = sd_bus_message_peek_type(reader->message, &type, &contents);

        if (r >= 0) {
                r = sd_bus_message_enter_container(reader->message, 'v', contents);
        }
        if (r < 0) {
                return r;
        }
        if (!section && strcmp(key, "Peers") == 0) {
                r = read_peers(reader, contents);
        } else {
                r = read_contents(reader, key, contents, &setting.value);
                r = r < 0 ? r : add_setting(reader, &setting);
        }
        return r < 0 ? r : sd_bus_message_exit_container(reader->message);
}

/* One of {sv}; 0 at the end. */
static int read_one(Reader *reader, const char *section) {
        const char *key;
        int r = sd_bus_message_enter_container(reader->message, 'e', "sv");

        if (r <= 0) {
                return r;
        }
        r = sd_bus_message_read_basic(reader->message, 's', &key);
        if (r >= 0) {
                r = check_key(reader, section, key);
        }
        if (r >= 0) {
                r = read_value(reader, section, key);
        }
        if (r >= 0) {
                r = sd_bus_message_exit_container(reader->message);
        }
        return r < 0 ? r : 1;
}

static int read_section(Reader *reader, const char *section) {
        int r = sd_bus_message_enter_container(reader->message, 'a', "{sv}");

        while (r > 0) {
                r = read_one(reader, section);
        }
        return r < 0 ? r : sd_bus_message_exit_container(reader->message);
}

static bool has_section(const Settings *settings, const char *section) {
        for (size_t i = 0; i < settings->n; i++) {
                const char *other = settings->settings[i].section;
                bool seen = i > 0 && settings->settings[i - 1].section == other;

                if (other && !seen && strcmp(other, section) == 0) {
                        return true;
                }
        }
        return false;
}

/* Two sections of a name would become one, of which the last value of each key counts. */
static int check_section(Reader *reader, const char *section) {
        if (++reader->n_peers > DEFINITION_RULES_MAX) {
                return failure_set(reader->failure, FAILURE_INVALID_SETTING,
                                   "\"Peers\": there are more than %u [Peer] sections; merge some",
                                   DEFINITION_RULES_MAX);
        }
        if (has_section(&reader->settings, section)) {
                return failure_set(reader->failure, FAILURE_INVALID_SETTING,
                                   "\"Peers\": [Peer %.64s] is there twice; join the two", section);
        }
        return 0;
}

/* A section without settings would be forgotten. */
static int read_peer_settings(Reader *reader, const char *section) {
        size_t before = reader->settings.n;
        int r = read_section(reader, section);

        return r < 0 || reader->settings.n > before
                       ? r
                       : failure_set(reader->failure, FAILURE_INVALID_SETTING,
                                     "\"Peers\": [Peer %.64s] has no VMID=; add it, as in VMID=0", section);
}

static int read_peer(Reader *reader) {
        const char *section;
        int r = sd_bus_message_enter_container(reader->message, 'r', "sa{sv}");

        if (r <= 0) {
                return r;
        }
        r = read_text(reader, "Peers", &section);
        if (r >= 0) {
                r = check_section(reader, section);
        }
        if (r >= 0) {
                r = read_peer_settings(reader, section);
        }
        if (r >= 0) {
                r = sd_bus_message_exit_container(reader->message);
        }
        return r < 0 ? r : 1;
}

static int read_peers(Reader *reader, const char *contents) {
        int r;

        if (strcmp(contents, "a(sa{sv})") != 0) {
                return failure_set(reader->failure, FAILURE_INVALID_SETTING,
                                   "\"Peers\" has a value of type \"%.32s\"; it takes a list of names with "
                                   "their settings, a(sa{sv})",
                                   contents);
        }
        if (reader->settings.peers) {
                return failure_set(reader->failure, FAILURE_INVALID_SETTING, "\"Peers\" is set twice");
        }
        reader->settings.peers = true;
        r = sd_bus_message_enter_container(reader->message, 'a', "(sa{sv})");
        while (r > 0) {
                r = read_peer(reader);
        }
        return r < 0 ? r : sd_bus_message_exit_container(reader->message);
}

int settings_read(void *ctx, sd_bus_message *message, const char *section, Settings *ret,
                  Failure *ret_failure) {
        Reader reader = { .ctx = ctx, .message = message, .failure = ret_failure };
        int r = read_section(&reader, section);

        if (r < 0) {
                return r;
        }
        reader.settings.bytes = reader.bytes + reader.settings.n * SETTING_OVERHEAD;
        *ret = reader.settings;
        return 0;
}
