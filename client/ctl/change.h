/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changing a domain's definition: what create, edit, reserve and release have in common. */
#pragma once

#include "client/ctl/call.h"
#include "client/ctl/settings.h"

/* The settings of a definition in a file ("-": standard input); says what is wrong. */
ExitStatus change_read(Ctl *ctl, const char *path, Settings **ret);

/* The definition as the manager has it. A chunk of `ctl`. */
ExitStatus change_definition(Ctl *ctl, const Target *target, const char *name, char **ret);

/* Comes from one to the other, in one step or not at all. */
ExitStatus change_apply(Ctl *ctl, const Target *target, const char *name, const Settings *before,
                        const Settings *after);

/* Sets what is given, and nothing else. */
ExitStatus change_set(Ctl *ctl, const Target *target, const char *name, const Settings *settings);
