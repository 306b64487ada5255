/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of the control link, in and out. A table says which fields there are, which kinds have them, and what they may
 * be; both directions walk it. */

#include "service/core/control.h"

#include <errno.h>
#include <string.h>

#include "service/core/limits.h"
#include "service/core/text.h"
#include "service/core/utf8.h"

const char *const control_kind_names[_CONTROL_KIND_MAX] = {
        [CONTROL_DOMAIN] = "domain", [CONTROL_PEER] = "peer",     [CONTROL_SYNCED] = "synced",
        [CONTROL_JOINED] = "joined", [CONTROL_LEFT] = "left",     [CONTROL_REFUSED] = "refused",
        [CONTROL_REPLY] = "reply",   [CONTROL_EVICT] = "evict",   [CONTROL_RING] = "ring",
        [CONTROL_OPEN] = "open",     [CONTROL_MEMORY] = "memory", [CONTROL_RELOAD] = "reload",
};

const char *const control_result_names[_CONTROL_RESULT_MAX] = {
        [CONTROL_OK] = "ok",
        [CONTROL_NO_SUCH_PEER] = "no such peer",
        [CONTROL_NO_SUCH_VECTOR] = "no such vector",
        [CONTROL_RELOAD_FAILED] = "reload failed",
        [CONTROL_FIXED] = "takes a restart",
        [CONTROL_SHORT] = "short of resources",
        [CONTROL_STOPPING] = "stopping",
        [CONTROL_NOT_SUPPORTED] = "not supported",
};

/* ---- The fields ---- */

/* A number has as many bytes as in ControlRecord, a text ends and is filled up with zeroes. */
typedef struct Field {
        unsigned kinds; /* set of 1 << ControlKind that have it */
        size_t offset;  /* in ControlRecord */
        size_t size;
        bool is_text;
        uint64_t least; /* of numbers */
        uint64_t most;
} Field;

#define HAS(kind) (1U << (kind))
#define SEATED (HAS(CONTROL_PEER) | HAS(CONTROL_JOINED) | HAS(CONTROL_LEFT))
#define KNOWN (SEATED | HAS(CONTROL_REFUSED))
#define REQUESTS                                                                            \
        (HAS(CONTROL_EVICT) | HAS(CONTROL_RING) | HAS(CONTROL_OPEN) | HAS(CONTROL_MEMORY) | \
         HAS(CONTROL_RELOAD))

#define PLACE(member) \
        .offset = offsetof(ControlRecord, member), .size = sizeof(((ControlRecord *) NULL)->member)
#define NUMBER(which, member, from, to) \
        { .kinds = (which), PLACE(member), .least = (from), .most = (to) }
#define TEXT(which, member) \
        { .kinds = (which), PLACE(member), .is_text = true }

/* UINT32_MAX is no user and no group. */
#define ID_MAX (UINT32_MAX - 1)

/* In the order of the bytes. A field is never moved or given another meaning without a new version. */
static const Field fields[] = {
        NUMBER(REQUESTS | HAS(CONTROL_REPLY), serial, 1, UINT32_MAX),
        NUMBER(HAS(CONTROL_REPLY), result, 0, _CONTROL_RESULT_MAX - 1),
        NUMBER(HAS(CONTROL_EVICT) | HAS(CONTROL_RING), vm_id, 0, VM_IDS_MAX - 1),
        NUMBER(HAS(CONTROL_RING), vector, 0, VECTORS_MAX - 1),
        NUMBER(HAS(CONTROL_MEMORY), read_only, 0, 1),
        NUMBER(HAS(CONTROL_REFUSED), refusal, 1, INT32_MAX),

        NUMBER(SEATED, peer.vm_id, 0, VM_IDS_MAX - 1),
        NUMBER(KNOWN | HAS(CONTROL_OPEN), peer.uid, 0, ID_MAX),
        NUMBER(KNOWN | HAS(CONTROL_OPEN), peer.gid, 0, ID_MAX),
        NUMBER(KNOWN | HAS(CONTROL_OPEN), peer.pid, 0, INT32_MAX),
        NUMBER(SEATED, peer.since, 0, UINT64_MAX),
        TEXT(KNOWN, peer.identity),
        TEXT(KNOWN, peer.unit),
        TEXT(KNOWN, peer.machine),
        TEXT(KNOWN | HAS(CONTROL_OPEN), peer.label),

        TEXT(HAS(CONTROL_DOMAIN), domain.name),
        NUMBER(HAS(CONTROL_DOMAIN), domain.memory_size, 1, UINT64_MAX),
        NUMBER(HAS(CONTROL_DOMAIN), domain.huge_pages, 0, _HUGE_PAGES_MAX - 1),
        NUMBER(HAS(CONTROL_DOMAIN), domain.vectors, 1, VECTORS_MAX),
        NUMBER(HAS(CONTROL_DOMAIN), domain.max_peers, 1, VM_IDS_MAX),
        NUMBER(HAS(CONTROL_DOMAIN), domain.topology, 0, _TOPOLOGY_MAX - 1),
        NUMBER(HAS(CONTROL_DOMAIN), domain.n_peers, 0, VM_IDS_MAX),
        NUMBER(HAS(CONTROL_DOMAIN), domain.n_seats, 0, VM_IDS_MAX),
        NUMBER(HAS(CONTROL_DOMAIN), domain.joins, 0, UINT64_MAX),
        NUMBER(HAS(CONTROL_DOMAIN), domain.leaves, 0, UINT64_MAX),
        NUMBER(HAS(CONTROL_DOMAIN), domain.refusals, 0, UINT64_MAX),
        NUMBER(HAS(CONTROL_DOMAIN), domain.evictions, 0, UINT64_MAX),
        NUMBER(HAS(CONTROL_DOMAIN), domain.messages_sent, 0, UINT64_MAX),
        NUMBER(HAS(CONTROL_DOMAIN), domain.definition_removed, 0, 1),

        TEXT(HAS(CONTROL_DOMAIN) | HAS(CONTROL_LEFT) | HAS(CONTROL_REFUSED) | HAS(CONTROL_REPLY), text),
};

#define FOREACH_FIELD(field) \
        for (const Field *field = fields; field < fields + sizeof(fields) / sizeof(*fields); field++)

static bool has_field(ControlKind kind, const Field *field) {
        return field->kinds & HAS(kind);
}

bool control_is_request(ControlKind kind) {
        return kind >= 0 && kind < _CONTROL_KIND_MAX && (REQUESTS & HAS(kind));
}

/* ---- Numbers ---- */

static void number_write(uint8_t *bytes, size_t size, uint64_t value) {
        for (size_t i = 0; i < size; i++) {
                bytes[i] = (uint8_t) (value >> (8 * i));
        }
}

static uint64_t number_read(const uint8_t *bytes, size_t size) {
        uint64_t value = 0;

        for (size_t i = 0; i < size; i++) {
                value |= (uint64_t) bytes[i] << (8 * i);
        }
        return value;
}

static uint64_t member_get(const void *member, size_t size) {
        uint64_t wide;
        uint32_t narrow;

        switch (size) {
        case sizeof(bool):
                return *(const bool *) member;
        case sizeof(narrow):
                memcpy(&narrow, member, sizeof(narrow));
                return narrow;
        default:
                memcpy(&wide, member, sizeof(wide));
                return wide;
        }
}

static void member_set(void *member, size_t size, uint64_t value) {
        uint32_t narrow = (uint32_t) value;

        switch (size) {
        case sizeof(bool):
                *(bool *) member = value;
                break;
        case sizeof(narrow):
                memcpy(member, &narrow, sizeof(narrow));
                break;
        default:
                memcpy(member, &value, sizeof(value));
        }
}

/* ---- Text ---- */

/* The length of the character that the text begins with; 0 when that is none, or none that can be shown. */
static size_t character_length(const char *text) {
        size_t left = strnlen(text, 4);

        for (size_t length = 1; length <= left; length++) {
                if (utf8_check(text, length, NULL) == UTF8_OK) {
                        return length;
                }
        }
        return 0;
}

void control_text_set(char *place, size_t size, const char *text) {
        size_t n = 0;

        memset(place, 0, size);
        while (text && *text) {
                size_t length = character_length(text);

                if (n + (length ?: 1) >= size) {
                        return;
                }
                if (length > 0) {
                        memcpy(place + n, text, length);
                } else {
                        place[n] = '?';
                }
                n += length ?: 1;
                text += length ?: 1;
        }
}

/* A text that control_text_set() could have written. */
static bool is_text(const char *place, size_t size) {
        size_t length = strnlen(place, size);

        for (size_t i = length; i < size; i++) {
                if (place[i] != '\0') {
                        return false;
                }
        }
        return length < size && utf8_check(place, length, NULL) == UTF8_OK;
}

/* ---- Records ---- */

static void field_encode(const Field *field, const ControlRecord *record, uint8_t *bytes) {
        const char *member = (const char *) record + field->offset;
        char text[CONTROL_TEXT_SIZE];

        if (!has_field(record->kind, field)) {
                return;
        }
        if (!field->is_text) {
                number_write(bytes, field->size, member_get(member, field->size));
                return;
        }
        /* Whatever a caller has put there, it does not reach beyond its place. */
        memcpy(text, member, field->size);
        text[field->size - 1] = '\0';
        control_text_set((char *) bytes, field->size, text);
}

void control_encode(const ControlRecord *record, uint8_t ret[static CONTROL_RECORD_SIZE]) {
        uint8_t *bytes = ret;

        memset(ret, 0, CONTROL_RECORD_SIZE);
        number_write(bytes, sizeof(uint32_t), CONTROL_VERSION);
        bytes += sizeof(uint32_t);
        number_write(bytes, sizeof(uint32_t), record->kind);
        bytes += sizeof(uint32_t);
        FOREACH_FIELD(field) {
                field_encode(field, record, bytes);
                bytes += field->size;
        }
}

static bool is_zero(const uint8_t *bytes, size_t size) {
        for (size_t i = 0; i < size; i++) {
                if (bytes[i] != 0) {
                        return false;
                }
        }
        return true;
}

static bool field_decode(const Field *field, const uint8_t *bytes, ControlRecord *record) {
        char *member = (char *) record + field->offset;
        uint64_t value;

        if (!has_field(record->kind, field)) {
                return is_zero(bytes, field->size);
        }
        if (field->is_text) {
                memcpy(member, bytes, field->size);
                return is_text(member, field->size);
        }
        value = number_read(bytes, field->size);
        if (value < field->least || value > field->most) {
                return false;
        }
        member_set(member, field->size, value);
        return true;
}

/* What no single field shows. */
static bool can_be(const ControlRecord *record) {
        const ControlDomain *domain = &record->domain;

        switch (record->kind) {
        case CONTROL_DOMAIN:
                return domain_name_is_valid(domain->name) && domain->n_peers <= domain->n_seats &&
                       domain->n_seats <= domain->max_peers &&
                       (domain->memory_size & (domain->memory_size - 1)) == 0;
        case CONTROL_REFUSED:
                return refusal_name(record->refusal);
        default:
                return true;
        }
}

int control_decode(const uint8_t *bytes, size_t size, ControlRecord *ret) {
        const uint8_t *end = bytes + size;
        ControlRecord record = { 0 };
        uint64_t version, kind;

        if (size != CONTROL_RECORD_SIZE) {
                return -EINVAL;
        }
        version = number_read(bytes, sizeof(uint32_t));
        bytes += sizeof(uint32_t);
        kind = number_read(bytes, sizeof(uint32_t));
        bytes += sizeof(uint32_t);
        if (version != CONTROL_VERSION || kind >= _CONTROL_KIND_MAX) {
                return -EINVAL;
        }
        record.kind = (ControlKind) kind;
        FOREACH_FIELD(field) {
                if (!field_decode(field, bytes, &record)) {
                        return -EINVAL;
                }
                bytes += field->size;
        }
        if (!is_zero(bytes, (size_t) (end - bytes)) || !can_be(&record)) {
                return -EINVAL;
        }
        *ret = record;
        return 0;
}
