/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of verbs, and the help that is made of it. */

#include "client/ctl/verbs.h"

#include <string.h>

#include "client/ctl/guess.h"
#include "client/ctl/terminal.h"

#define ANY ARGUMENTS_ANY

const Verb verb_table[_VERB_MAX] = {
        [VERB_LIST] = { "list", "[PATTERN...]", 0, ANY, verb_list, "list domains",
                        "Those that you may see. Patterns are those of the shell." },
        [VERB_STATUS] = { "status", "[NAME...]", 0, ANY, verb_status,
                          "what domains are and do, with their peers",
                          "Ends with 3 when one of them does not run. Without a name: the manager." },
        [VERB_SHOW] = { "show", "[NAME...]", 0, ANY, verb_show, "all properties, for programs",
                        "One KEY=VALUE a line. Without a name: those of the manager." },
        [VERB_PEERS] = { "peers", "NAME...", 1, ANY, verb_peers, "who is connected", NULL },
        [VERB_TOP] = { "top", "[PATTERN...]", 0, ANY, verb_top, "watch the running domains", "q ends it." },
        [VERB_MONITOR] = { "monitor", "[NAME...]", 0, ANY, verb_monitor, "print what happens, as it happens",
                           NULL },
        [VERB_LIMITS] = { "limits", "[USER...]", 0, ANY, verb_limits, "what users may have, and have",
                          "Your own; those of others are for root." },
        [VERB_CREATE] = { "create", "NAME", 1, 1, verb_create, "make a domain",
                          "It belongs to you, and is stopped. --size is needed; the rest has defaults." },
        [VERB_EDIT] = { "edit", "NAME", 1, 1, verb_edit, "change a domain's definition",
                        "In an editor ($SYSTEMD_EDITOR, $EDITOR, $VISUAL), or by options. An empty value stands for\n"
                        "the default. What a running domain cannot change is refused." },
        [VERB_REMOVE] = { "remove", "NAME...", 1, ANY, verb_remove, "remove stopped domains",
                          "Their definitions are removed. Those in /etc are the administrator's." },
        [VERB_START] = { "start", "NAME...", 1, ANY, verb_start, "start domains, and wait until they serve",
                         NULL },
        [VERB_STOP] = { "stop", "NAME...", 1, ANY, verb_stop,
                        "stop domains: peers are disconnected, memory is gone", NULL },
        [VERB_RESTART] = { "restart", "NAME...", 1, ANY, verb_restart, "start the servers of domains again",
                           "Peers stay connected where systemd runs the servers." },
        [VERB_ENABLE] = { "enable", "NAME...", 1, ANY, verb_enable,
                          "start domains at boot, by the first connection", NULL },
        [VERB_DISABLE] = { "disable", "NAME...", 1, ANY, verb_disable, "do not start domains at boot",
                           NULL },
        [VERB_RELOAD] = { "reload", "", 0, 0, verb_reload, "read ivshmemd.conf and all definitions again",
                          NULL },
        [VERB_EVICT] = { "evict", "NAME VM-ID...", 2, ANY, verb_evict, "disconnect peers for good",
                         "Their VM IDs are not given again while the domain lives. Memory that they have mapped cannot\n"
                         "be taken from them." },
        [VERB_RING] = { "ring", "NAME VM-ID [VECTOR]", 2, 3, verb_ring, "ring a doorbell of a peer",
                        "Vectors begin with 0, which is the default; \"all\" rings each." },
        [VERB_RESERVE] = { "reserve", "NAME PEER VM-ID", 3, 3, verb_reserve,
                           "keep a VM ID for certain peers",
                           "A section [Peer PEER] of the definition. Say by at least one of the options for whom." },
        [VERB_RELEASE] = { "release", "NAME PEER...", 2, ANY, verb_release, "give up reservations", NULL },
        [VERB_OPEN] = { "open", "[NAME] [COMMAND...]", 0, ANY, verb_open, "be a peer, interactively",
                        "Commands come from standard input, or are the arguments; \"help\" lists them. With --socket there is\n"
                        "no NAME." },
        [VERB_QEMU_ARGS] = { "qemu-args", "NAME", 1, 1, verb_qemu_args, "what to add to QEMU's command line",
                             NULL },
        [VERB_LIBVIRT_XML] = { "libvirt-xml", "NAME", 1, 1, verb_libvirt_xml, "the device for libvirt",
                               NULL },
        [VERB_CHECK] = { "check", "FILE...", 1, ANY, verb_check, "find what is wrong with definitions",
                         "Reads the files, and asks no manager." },
        [VERB_DOCTOR] = { "doctor", "[NAME...]", 0, ANY, verb_doctor, "look for what keeps VMs from working",
                          "Ends with 1 when something needs to be mended; each finding comes with the command for it. --quiet leaves\n"
                          "out what is good." },
        [VERB_HELP] = { "help", "[VERB]", 0, 1, verb_help, "show help, also of a verb", NULL },
};

/* Titles of the overview, each with the verb that is its first. */
static const struct {
        VerbId first;
        const char *title;
} groups[] = {
        { VERB_LIST, "Look" },
        { VERB_CREATE, "Define" },
        { VERB_START, "Run" },
        { VERB_EVICT, "Peers" },
        { VERB_QEMU_ARGS, "VMs and trouble" },
};

VerbId verb_id(const Verb *verb) {
        return (VerbId) (verb - verb_table);
}

const Verb *verb_find(const char *name) {
        for (size_t i = 0; i < _VERB_MAX; i++) {
                if (strcmp(verb_table[i].name, name) == 0) {
                        return &verb_table[i];
                }
        }
        return NULL;
}

const char *verb_guess(const char *name) {
        Guess guess = { .typed = name };

        for (size_t i = 0; i < _VERB_MAX; i++) {
                guess_try(&guess, verb_table[i].name);
        }
        return guess.best;
}

void verb_print_help(FILE *file, const Verb *verb) {
        fprintf(file, "%sivshmemctl [OPTIONS...] %s%s%s%s\n\n", terminal_colour(COLOUR_TITLE), verb->name,
                *verb->arguments ? " " : "", verb->arguments, terminal_colour(COLOUR_NONE));
        fprintf(file, "%c%s.\n", verb->summary[0] - 'a' + 'A', verb->summary + 1);
        if (verb->text) {
                fprintf(file, "%s\n", verb->text);
        }
        fputc('\n', file);
        options_print(file, verb);
        fprintf(file,
                "\n'ivshmemctl --help' has the options that all verbs have; ivshmemctl(1) has examples.\n");
}

static void print_title(FILE *file, const char *title) {
        fprintf(file, "\n%s%s:%s\n", terminal_colour(COLOUR_TITLE), title, terminal_colour(COLOUR_NONE));
}

void verbs_print_help(FILE *file) {
        fprintf(file,
                "ivshmemctl [OPTIONS...] VERB ...\n\n"
                "Memory that virtual machines share, and their doorbells: asks ivshmemd, the manager.\n");
        for (size_t i = 0, group = 0; i < _VERB_MAX; i++) {
                const Verb *verb = &verb_table[i];
                char usage[40];

                if (group < sizeof(groups) / sizeof(*groups) && groups[group].first == i) {
                        print_title(file, groups[group++].title);
                }
                snprintf(usage, sizeof(usage), "%s %s", verb->name, verb->arguments);
                fprintf(file, "  %-30s %s\n", usage, verb->summary);
        }
        print_title(file, "Options");
        options_print(file, NULL);
        fprintf(file,
                "\n'ivshmemctl VERB --help' has the options of a verb. See ivshmemctl(1), ivshmem.domain(5).\n");
}
