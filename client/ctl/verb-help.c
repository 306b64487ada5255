/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl help: the overview, or a verb. */

#include "client/ctl/verbs.h"

ExitStatus verb_help(Ctl *ctl) {
        const char *name, *guess;
        const Verb *verb;

        if (ctl->options.n_arguments == 0) {
                verbs_print_help(stdout);
                return STATUS_OK;
        }
        name = ctl->options.arguments[0];
        verb = verb_find(name);
        if (!verb) {
                guess = verb_guess(name);
                return ctl_misuse(ctl, "unknown verb '%s'%s%s%s", name, guess ? ", did you mean '" : "",
                                  guess ?: "", guess ? "'" : "");
        }
        verb_print_help(stdout, verb);
        return STATUS_OK;
}
