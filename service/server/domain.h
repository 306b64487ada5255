/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The domain that this process serves: what the parts of the server share, and nothing they do. */
#pragma once

#include <stdbool.h>

#include "service/core/definition.h"
#include "service/core/seats.h"

typedef struct Domain Domain;
typedef struct Doorbells Doorbells;
typedef struct Memory Memory;
typedef struct Succession Succession;
typedef struct Tenants Tenants;

struct Domain {
        const char *name;
        Definition *definition; /* replaced as a whole by a reload */
        Seats *seats;
        Doorbells *doorbells;
        Memory *memory;
        Tenants *tenants;
        Succession *succession; /* NULL: nothing is kept for a successor */
        bool anyone;            /* drop-in form: who can open the socket is admitted */
        bool stopping;          /* newcomers are refused */
};
