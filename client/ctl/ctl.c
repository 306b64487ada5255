/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the command line to a verb, and what verbs have in common when they speak. */

#include "client/ctl/ctl.h"

#include <inttypes.h>
#include <stdarg.h>
#include <talloc.h>

#include "client/ctl/agent.h"
#include "client/ctl/connection.h"
#include "client/ctl/human.h"
#include "client/ctl/memory.h"
#include "client/ctl/pager.h"
#include "client/ctl/terminal.h"
#include "client/ctl/verbs.h"
#include "config.h"

static void say(const char *before, const char *format, va_list arguments, const char *after)
        __attribute__((format(printf, 2, 0)));

static void say(const char *before, const char *format, va_list arguments, const char *after) {
        fflush(stdout); /* so that both come in order where they go to the same place */
        fputs(before, stderr);
        vfprintf(stderr, format, arguments);
        fputs(after, stderr);
}

ExitStatus ctl_fail(ExitStatus status, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        say("", format, arguments, "\n");
        va_end(arguments);
        return status;
}

ExitStatus ctl_misuse(const Ctl *ctl, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        say("ivshmemctl: ", format, arguments, "");
        va_end(arguments);
        fprintf(stderr, "; see 'ivshmemctl %s --help'\n", ctl->verb->name);
        return STATUS_USAGE;
}

void ctl_note(const Ctl *ctl, const char *format, ...) {
        va_list arguments;

        if (!ctl->options.quiet) {
                va_start(arguments, format);
                say("", format, arguments, "\n");
                va_end(arguments);
        }
}

ExitStatus ctl_worse(ExitStatus before, ExitStatus now) {
        return before != STATUS_OK ? before : now;
}

void ctl_show_json(const Ctl *ctl, json_object *value) {
        int flags = ctl->options.json == JSON_PRETTY ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED
                                                     : JSON_C_TO_STRING_PLAIN;

        puts(json_object_to_json_string_ext(value, flags | JSON_C_TO_STRING_NOSLASHESCAPE));
        json_object_put(value);
}

void ctl_show_table(Ctl *ctl, const Table *table, const char *what) {
        bool legend = !ctl->options.no_legend && table_rows(table) > 0;

        if (ctl->options.json != JSON_OFF) {
                ctl_show_json(ctl, table_json(table));
                return;
        }
        pager_open(ctl);
        table_print(table, stdout, legend);
        if (what && !ctl->options.no_legend) {
                printf("%s%zu %s%s listed.\n", legend ? "\n" : "", table_rows(table), what,
                       human_plural(table_rows(table)));
        }
}

ExitStatus ctl_number(const Ctl *ctl, const char *text, const char *what, uint64_t max, uint32_t *ret) {
        uint64_t number;

        if (human_parse_number(text, max, &number) < 0) {
                return ctl_misuse(ctl, "'%s' is no %s, which is a number from 0 to %" PRIu64, text, what,
                                  max);
        }
        *ret = (uint32_t) number;
        return STATUS_OK;
}

static ExitStatus find_verb(Ctl *ctl) {
        const char *name = ctl->options.verb ?: VERB_DEFAULT, *guess;

        ctl->verb = verb_find(name);
        if (ctl->verb) {
                return STATUS_OK;
        }
        guess = verb_guess(name);
        return guess ? ctl_fail(STATUS_USAGE, "ivshmemctl: unknown verb '%s'; did you mean '%s'?", name,
                                guess)
                     : ctl_fail(STATUS_USAGE, "ivshmemctl: unknown verb '%s'; see 'ivshmemctl --help'",
                                name);
}

static ExitStatus run_verb(Ctl *ctl) {
        const Verb *verb = ctl->verb;
        ExitStatus status;

        if (ctl->options.n_arguments < verb->min || ctl->options.n_arguments > verb->max) {
                return ctl_misuse(ctl, "%s arguments: ivshmemctl %s%s%s",
                                  ctl->options.n_arguments < verb->min ? "too few" : "too many", verb->name,
                                  *verb->arguments ? " " : "", verb->arguments);
        }
        status = verb->run(ctl);
        pager_close(ctl);
        if (fflush(stdout) != 0 && status == STATUS_OK) {
                status = ctl_fail(STATUS_FAILED, "Failed to write to standard output: %m");
        }
        return status;
}

static ExitStatus run(Ctl *ctl, int argc, char **argv) {
        char *error;
        ExitStatus status;

        if (options_parse(ctl, argc, argv, &ctl->options, &error) < 0) {
                return ctl_fail(STATUS_USAGE, "ivshmemctl: %s", error);
        }
        if (ctl->options.version) {
                printf("ivshmemctl %s\n", PROJECT_VERSION);
                return STATUS_OK;
        }
        if (ctl->options.help && !ctl->options.verb) {
                verbs_print_help(stdout);
                return STATUS_OK;
        }
        status = find_verb(ctl);
        if (status == STATUS_OK && ctl->options.help) {
                verb_print_help(stdout, ctl->verb);
                return STATUS_OK;
        }
        return status == STATUS_OK ? run_verb(ctl) : status;
}

int ctl_main(int argc, char **argv) {
        Ctl *ctl = need(talloc_zero(NULL, Ctl));
        ExitStatus status;

        ctl->patience = UINT64_MAX; /* polkit may ask for a password, and memory may take long to prepare */
        terminal_init();
        status = run(ctl, argc, argv);
        agent_close(ctl);
        talloc_free(ctl);
        return (int) status;
}
