/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The domain that this process serves: what the parts of the server share, and nothing they do. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "service/core/definition.h"
#include "service/core/seats.h"

typedef struct Counters Counters;
typedef struct Domain Domain;
typedef struct Doorbells Doorbells;
typedef struct Memory Memory;
typedef struct Succession Succession;
typedef struct Tenants Tenants;

/* What happened since this process began to serve. */
struct Counters {
        uint64_t joins;
        uint64_t leaves;
        uint64_t refusals;
        uint64_t evictions;
        uint64_t messages_sent;
};

struct Domain {
        const char *name;
        Definition *definition; /* replaced as a whole by a reload */
        Seats *seats;
        Doorbells *doorbells;
        Memory *memory;
        Tenants *tenants;
        Succession *succession;  /* NULL: nothing is kept for a successor */
        bool anyone;             /* drop-in form: who can open the socket is admitted */
        bool stopping;           /* newcomers are refused */
        bool definition_removed; /* its file is gone */
        char *not_taken; /* why the definition that there is is not the one that is served; NULL: it is */
        Counters counters;
};
