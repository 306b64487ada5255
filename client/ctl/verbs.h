/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verbs, as a table: dispatch, --help, completion and the manual's test go by it. Each verb is a file, verb-NAME.c. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "client/ctl/ctl.h"

typedef struct Verb Verb;

typedef enum VerbId {
        VERB_LIST,
        VERB_STATUS,
        VERB_SHOW,
        VERB_PEERS,
        VERB_TOP,
        VERB_MONITOR,
        VERB_LIMITS,
        VERB_CREATE,
        VERB_EDIT,
        VERB_REMOVE,
        VERB_START,
        VERB_STOP,
        VERB_RESTART,
        VERB_ENABLE,
        VERB_DISABLE,
        VERB_RELOAD,
        VERB_EVICT,
        VERB_RING,
        VERB_RESERVE,
        VERB_RELEASE,
        VERB_OPEN,
        VERB_QEMU_ARGS,
        VERB_LIBVIRT_XML,
        VERB_CHECK,
        VERB_DOCTOR,
        VERB_HELP,
        _VERB_MAX,
} VerbId;

#define ARGUMENTS_ANY SIZE_MAX

struct Verb {
        const char *name;
        const char *arguments; /* as in the usage */
        size_t min;            /* how many arguments */
        size_t max;
        ExitStatus (*run)(Ctl *ctl);
        const char *summary; /* one line */
        const char *text;    /* more; NULL: that is all */
};

extern const Verb verb_table[_VERB_MAX];

VerbId verb_id(const Verb *verb);

/* Who says nothing else lists. */
#define VERB_DEFAULT "list"

/* NULL: there is none. */
const Verb *verb_find(const char *name);

/* A name that is near to one that does not exist; NULL: none is. */
const char *verb_guess(const char *name);

void verb_print_help(FILE *file, const Verb *verb);
void verbs_print_help(FILE *file);

ExitStatus verb_check(Ctl *ctl);
ExitStatus verb_create(Ctl *ctl);
ExitStatus verb_disable(Ctl *ctl);
ExitStatus verb_doctor(Ctl *ctl);
ExitStatus verb_edit(Ctl *ctl);
ExitStatus verb_enable(Ctl *ctl);
ExitStatus verb_evict(Ctl *ctl);
ExitStatus verb_help(Ctl *ctl);
ExitStatus verb_libvirt_xml(Ctl *ctl);
ExitStatus verb_limits(Ctl *ctl);
ExitStatus verb_list(Ctl *ctl);
ExitStatus verb_monitor(Ctl *ctl);
ExitStatus verb_open(Ctl *ctl);
ExitStatus verb_peers(Ctl *ctl);
ExitStatus verb_qemu_args(Ctl *ctl);
ExitStatus verb_release(Ctl *ctl);
ExitStatus verb_reload(Ctl *ctl);
ExitStatus verb_remove(Ctl *ctl);
ExitStatus verb_reserve(Ctl *ctl);
ExitStatus verb_restart(Ctl *ctl);
ExitStatus verb_ring(Ctl *ctl);
ExitStatus verb_show(Ctl *ctl);
ExitStatus verb_start(Ctl *ctl);
ExitStatus verb_status(Ctl *ctl);
ExitStatus verb_stop(Ctl *ctl);
ExitStatus verb_top(Ctl *ctl);
