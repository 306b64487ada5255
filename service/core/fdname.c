/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of descriptors. Parsing accepts exactly what formatting writes. */

#include "service/core/fdname.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "service/core/limits.h"

static const char *const kind_names[_FD_KIND_MAX] = {
        [FD_PEERS] = "peers",           [FD_CONTROL] = "control",       [FD_MEMORY] = "memory",
        [FD_LEDGER] = "ledger",         [FD_DEFINITION] = "definition", [FD_FILE] = "file",
        [FD_FILE_ERROR] = "file-error", [FD_DOORBELLS] = "doorbells",   [FD_PEER] = "peer",
};

void fdname_format(const FdName *name, char ret[static FDNAME_SIZE]) {
        const char *kind = kind_names[name->kind];

        switch (name->kind) {
        case FD_DOORBELLS:
                snprintf(ret, FDNAME_SIZE, "%s-%" PRIu32, kind, name->vm_id);
                break;
        case FD_PEER:
                snprintf(ret, FDNAME_SIZE, "%s-%" PRIu32 "-%" PRIu64, kind, name->vm_id, name->serial);
                break;
        default:
                snprintf(ret, FDNAME_SIZE, "%s", kind);
        }
}

/* Reads "-DIGITS" and moves on. Whatever is not canonical shows when it is written again. */
static bool take_number(const char **text, uint64_t *ret) {
        const char *c = *text;
        uint64_t value = 0;

        if (*c++ != '-' || *c < '0' || *c > '9') {
                return false;
        }
        for (; *c >= '0' && *c <= '9'; c++) {
                if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
                    __builtin_add_overflow(value, (uint64_t) (*c - '0'), &value)) {
                        return false;
                }
        }
        *text = c;
        *ret = value;
        return true;
}

static bool parse_as(FdKind kind, const char *rest, FdName *ret) {
        uint64_t vm_id = 0, serial = 0;
        bool good = true;

        if (kind == FD_DOORBELLS || kind == FD_PEER) {
                good = take_number(&rest, &vm_id) && vm_id < VM_IDS_MAX;
        }
        if (good && kind == FD_PEER) {
                good = take_number(&rest, &serial) && serial > 0;
        }
        *ret = (FdName){ .kind = kind, .vm_id = (uint32_t) vm_id, .serial = serial };
        return good && *rest == '\0';
}

bool fdname_parse(const char *text, FdName *ret) {
        for (FdKind kind = 0; kind < _FD_KIND_MAX; kind++) {
                size_t length = strlen(kind_names[kind]);
                char again[FDNAME_SIZE];
                FdName name;

                if (strncmp(text, kind_names[kind], length) != 0 || !parse_as(kind, text + length, &name)) {
                        continue;
                }
                fdname_format(&name, again);
                if (strcmp(text, again) == 0) {
                        *ret = name;
                        return true;
                }
        }
        return false;
}
