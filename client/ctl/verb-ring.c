/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl ring: rings doorbells of a peer. */

#include <inttypes.h>
#include <string.h>

#include "client/ctl/call.h"
#include "client/ctl/limits.h"
#include "client/ctl/memory.h"
#include "client/ctl/value.h"
#include "client/ctl/verbs.h"

typedef struct Doorbells {
        uint32_t vm_id;
        uint32_t first;
        uint32_t last;
} Doorbells;

/* The vectors that are meant: one, or all that the domain has. */
static ExitStatus read_vectors(Ctl *ctl, const Target *target, const char *text, Doorbells *doorbells) {
        cleanup_value json_object *domain = NULL;
        ExitStatus status;

        if (strcmp(text, "all") != 0) {
                status = ctl_number(ctl, text, "vector", VECTOR_MAX, &doorbells->first);
                doorbells->last = doorbells->first;
                return status;
        }
        status = call_properties(ctl, target, "count vectors", &domain);
        if (status == STATUS_OK) {
                doorbells->first = 0;
                doorbells->last = (uint32_t) value_number(domain, "Vectors") - 1;
        }
        return status;
}

static ExitStatus ring(Ctl *ctl, const Target *target, const Doorbells *doorbells) {
        ExitStatus status = STATUS_OK;

        for (uint32_t vector = doorbells->first; vector <= doorbells->last && status == STATUS_OK;
             vector++) {
                char *what = text_new(ctl, "ring vector %" PRIu32 " of VM ID %" PRIu32, vector,
                                      doorbells->vm_id);

                status = call(ctl, target, "Ring", what, NULL, "uu", doorbells->vm_id, vector);
        }
        return status;
}

ExitStatus verb_ring(Ctl *ctl) {
        const Options *options = &ctl->options;
        uint64_t n = options->count > 0 ? options->count : 1;
        Doorbells doorbells = { 0 };
        Target target;
        ExitStatus status = ctl_number(ctl, options->arguments[1], "VM ID", VM_ID_MAX, &doorbells.vm_id);

        if (status == STATUS_OK) {
                status = call_find_domain(ctl, options->arguments[0], &target);
        }
        if (status == STATUS_OK) {
                status = read_vectors(ctl, &target, options->n_arguments > 2 ? options->arguments[2] : "0",
                                      &doorbells);
        }
        for (; n > 0 && status == STATUS_OK; n--) {
                status = ring(ctl, &target, &doorbells);
        }
        return status;
}
