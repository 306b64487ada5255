/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Units of systemd that somebody has masked, as their files show: each user may look there, and no systemd is needed. */

#include <string.h>
#include <sys/stat.h>

#include "client/ctl/doctor.h"
#include "client/ctl/memory.h"
#include "client/ctl/value.h"

/* Where a unit's file is looked for (systemd.unit(5)); the first that is there counts. */
static const struct {
        const char *folder;
        const char *option; /* of systemctl, for what is there */
} places[] = {
        { "/etc/systemd/system", "" },
        { "/run/systemd/system", "--runtime " },
        { "/usr/local/lib/systemd/system", "" },
        { "/usr/lib/systemd/system", "" },
};

#define N_PLACES (sizeof(places) / sizeof(*places))

/* Where it is masked; N_PLACES: it is not. *ret_found: there is a file of this name at all. */
static size_t masked_at(Doctor *doctor, const char *unit, bool *ret_found) {
        *ret_found = false;
        for (size_t i = 0; i < N_PLACES; i++) {
                char *path = text_new(doctor, "%s%s/%s", doctor->root, places[i].folder, unit);
                struct stat link, file;

                if (lstat(path, &link) < 0) {
                        continue;
                }
                *ret_found = true;
                /* A link to /dev/null, or what is as empty. */
                return stat(path, &file) == 0 && (S_ISCHR(file.st_mode) ||
                                                  (S_ISREG(file.st_mode) && file.st_size == 0))
                               ? i
                               : N_PLACES;
        }
        return N_PLACES;
}

/* "ivshmem@.service" of "ivshmem@ring.service"; NULL: it is no instance. */
static char *template_of(Doctor *doctor, const char *unit) {
        const char *at = strchr(unit, '@'), *end = strrchr(unit, '.');

        return at && end > at ? text_new(doctor, "%.*s@%s", (int) (at - unit), unit, end) : NULL;
}

char *doctor_unmask(Doctor *doctor, const char *unit) {
        char *template = template_of(doctor, unit);
        bool found;
        size_t place = masked_at(doctor, unit, &found);

        if (!found && template) {
                unit = template;
                place = masked_at(doctor, unit, &found);
        }
        return place < N_PLACES ? text_new(doctor, "systemctl unmask %s%s", places[place].option, unit)
                                : NULL;
}

void doctor_check_units(Doctor *doctor, json_object *domain) {
        static const char *const suffixes[] = { ".service", ".socket" };
        const char *unit = value_text(domain, "Unit"), *end = strrchr(unit, '.');
        bool stopped = strcmp(value_text(domain, "State"), "stopped") == 0 ||
                       strcmp(value_text(domain, "State"), "failed") == 0;

        for (size_t i = 0; end && i < sizeof(suffixes) / sizeof(*suffixes); i++) {
                char *name = text_new(doctor, "%.*s%s", (int) (end - unit), unit, suffixes[i]);
                char *mend = doctor_unmask(doctor, name);

                if (mend) {
                        doctor_find(doctor, stopped ? SEVERITY_PROBLEM : SEVERITY_NOTE,
                                    value_text(domain, "Name"), mend,
                                    "%s is masked, so it cannot be started%s", name,
                                    stopped ? "" : " again");
                }
        }
}
