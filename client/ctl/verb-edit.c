/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl edit: changes a definition, by options, from a file, or in an editor. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>
#include <unistd.h>

#include "client/ctl/change.h"
#include "client/ctl/definition-text.h"
#include "client/ctl/memory.h"
#include "client/ctl/spawn.h"
#include "client/ctl/terminal.h"
#include "client/ctl/verbs.h"

static ExitStatus write_file(int fd, const char *path, const char *text) {
        FILE *file = fdopen(fd, "w");
        int r;

        if (!file) {
                close(fd);
                return ctl_fail(STATUS_FAILED, "Failed to write %s: %m", path);
        }
        fputs(text, file);
        r = ferror(file) ? EOF : 0;
        return fclose(file) != 0 || r != 0 ? ctl_fail(STATUS_FAILED, "Failed to write %s: %m", path)
                                           : STATUS_OK;
}

static ExitStatus make_file(Ctl *ctl, const char *name, const char *text, char **ret) {
        const char *folder = getenv("TMPDIR");
        char *path = text_new(ctl, "%s/ivshmemctl-%s-XXXXXX.domain",
                              folder && *folder == '/' ? folder : "/tmp", name);
        int fd = mkstemps(path, (int) strlen(".domain"));
        ExitStatus status;

        if (fd < 0) {
                return ctl_fail(STATUS_FAILED, "Failed to make %s: %m", path);
        }
        status = write_file(fd, path, text);
        if (status != STATUS_OK) {
                unlink(path);
                return status;
        }
        *ret = path;
        return STATUS_OK;
}

/* The editor may be a command with arguments, so a shell takes it apart. */
static ExitStatus run_editor(const char *path) {
        static const char *const variables[] = { "SYSTEMD_EDITOR", "EDITOR", "VISUAL" };
        const char *editor = NULL;
        const char *command[] = { "/bin/sh", "-c", NULL, "sh", path, NULL };
        char *script;
        pid_t pid;
        int r;

        for (size_t i = 0; i < sizeof(variables) / sizeof(*variables) && !(editor && *editor); i++) {
                editor = getenv(variables[i]);
        }
        script = text_new(NULL, "%s \"$1\"", editor && *editor ? editor : "editor");
        command[2] = script;
        r = spawn(command, NULL, 0, &pid);
        r = r < 0 ? r : spawn_wait(pid);
        talloc_free(script);
        if (r < 0) {
                return ctl_fail(STATUS_FAILED, "Failed to run the editor: %s", strerror(-r));
        }
        return r == 0 ? STATUS_OK
                      : ctl_fail(STATUS_FAILED, "The editor ended with status %d; nothing was changed", r);
}

static bool wants_again(void) {
        char answer[16];

        if (!terminal_is_input()) {
                return false;
        }
        fputs("Edit it again? [Y/n] ", stderr);
        return fgets(answer, sizeof(answer), stdin) && answer[0] != 'n' && answer[0] != 'N';
}

/* Edits until the manager takes it, or the user gives up. The file stays when what is in it was not taken. */
static ExitStatus edit_file(Ctl *ctl, const Target *target, const char *name, const Settings *before,
                            const char *path) {
        ExitStatus status;

        do {
                Settings *after;

                status = run_editor(path);
                if (status != STATUS_OK) {
                        unlink(path);
                        return status;
                }
                status = change_read(ctl, path, &after);
                if (status == STATUS_OK) {
                        status = change_apply(ctl, target, name, before, after);
                }
        } while (status != STATUS_OK && wants_again());
        if (status == STATUS_OK) {
                unlink(path);
        } else {
                ctl_fail(status, "What you wrote is in %s", path);
        }
        return status;
}

static ExitStatus edit(Ctl *ctl, const Target *target, const char *name) {
        char *text, *error, *path = NULL;
        Settings *before, *after;
        ExitStatus status = change_definition(ctl, target, name, &text);

        if (status != STATUS_OK) {
                return status;
        }
        if (definition_text_parse(ctl, text, name, &before, &error) < 0) {
                return ctl_fail(STATUS_FAILED, "Failed to understand the manager: %s", error);
        }
        if (ctl->options.from) {
                status = change_read(ctl, ctl->options.from, &after);
                return status == STATUS_OK ? change_apply(ctl, target, name, before, after) : status;
        }
        status = make_file(ctl, name, text, &path);
        return status == STATUS_OK ? edit_file(ctl, target, name, before, path) : status;
}

ExitStatus verb_edit(Ctl *ctl) {
        const char *name = ctl->options.arguments[0];
        const Settings *settings = ctl->options.settings;
        Target target;
        ExitStatus status;

        if (settings->n > 0 && ctl->options.from) {
                return ctl_misuse(
                        ctl, "--from has the whole definition; change it there instead of giving %s too",
                        settings->list[0].key);
        }
        status = call_find_domain(ctl, name, &target);
        if (status != STATUS_OK) {
                return status;
        }
        return settings->n > 0 ? change_set(ctl, &target, name, settings) : edit(ctl, &target, name);
}
