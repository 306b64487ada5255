/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The checks of one domain. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/ctl/doctor.h"
#include "client/ctl/memory.h"
#include "client/ctl/value.h"

/* What a QEMU has open beside doorbells. */
#define QEMU_OWN 256U

static void check_state(Doctor *doctor, json_object *domain) {
        const char *name = value_text(domain, "Name"), *unit = value_text(domain, "Unit");
        const char *error = value_text(domain, "DefinitionError");

        if (strcmp(value_text(domain, "DefinitionState"), "invalid") == 0) {
                doctor_find(doctor, SEVERITY_PROBLEM, name,
                            text_new(doctor, "editor %s", value_text(domain, "DefinitionPath")),
                            "its definition is wrong: %s", error);
        } else if (strcmp(value_text(domain, "State"), "failed") == 0) {
                doctor_find(doctor, SEVERITY_PROBLEM, name,
                            *unit ? text_new(doctor, "journalctl -u %s", unit)
                                  : text_new(doctor, "ivshmemctl start %s", name),
                            "it failed: %s", value_text(domain, "StatusText"));
        } else {
                doctor_find(doctor, SEVERITY_GOOD, name, NULL, "is %s", value_text(domain, "State"));
        }
}

/* The first folder on the way that not everybody may search; NULL: there is none. */
static char *closed_folder(Doctor *doctor, const char *path) {
        for (const char *slash = path; (slash = strchr(slash + 1, '/'));) {
                char *folder = text_new(doctor, "%.*s", (int) (slash - path), path);
                struct stat status;

                if (stat(text_new(doctor, "%s%s", doctor->root, folder), &status) == 0 &&
                    !(status.st_mode & S_IXOTH)) {
                        return folder;
                }
        }
        return NULL;
}

static void check_socket(Doctor *doctor, json_object *domain) {
        const char *name = value_text(domain, "Name"), *path = value_text(domain, "SocketPath");
        char *folder;

        if (strcmp(value_text(domain, "State"), "running") != 0) {
                return;
        }
        if (access(text_new(doctor, "%s%s", doctor->root, path), R_OK | W_OK) < 0) {
                doctor_find(doctor, SEVERITY_PROBLEM, name, text_new(doctor, "namei -l %s", path),
                            "you cannot reach its socket %s: %s", path, strerror(errno));
                return;
        }
        folder = closed_folder(doctor, path);
        if (folder) {
                doctor_find(
                        doctor, SEVERITY_NOTE, name, text_new(doctor, "chmod o+x %s", folder),
                        "a QEMU of another user, such as libvirt's, cannot reach its socket: %s is closed",
                        folder);
        } else {
                doctor_find(doctor, SEVERITY_GOOD, name, NULL, "its socket %s can be reached", path);
        }
}

/* Descriptors that a QEMU comes to need when all peers are there. One that runs out of them aborts. */
static uint64_t descriptors_wanted(json_object *domain) {
        return value_number(domain, "MaxPeers") * value_number(domain, "Vectors") + QEMU_OWN;
}

static void check_descriptors(Doctor *doctor, json_object *domain) {
        uint64_t wanted = descriptors_wanted(domain);
        const char *name = value_text(domain, "Name");
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || wanted <= limit.rlim_cur) {
                return;
        }
        if (wanted <= limit.rlim_max) {
                doctor_find(doctor, SEVERITY_NOTE, name, text_new(doctor, "ulimit -n %" PRIu64, wanted),
                            "a QEMU can need %" PRIu64
                            " open files, and from this shell it may have %" PRIu64,
                            wanted, (uint64_t) limit.rlim_cur);
        } else {
                doctor_find(doctor, SEVERITY_NOTE, name,
                            text_new(doctor, "systemd-run -p LimitNOFILE=%" PRIu64 " qemu-system-x86_64 ...",
                                     wanted),
                            "a QEMU can need %" PRIu64 " open files, and no more than %" PRIu64
                            " are permitted",
                            wanted, (uint64_t) limit.rlim_max);
        }
}

/* UINT64_MAX: it has none, or is gone. */
static uint64_t limit_of(Doctor *doctor, uint64_t pid) {
        const char *limits = doctor_read(doctor, text_new(doctor, "/proc/%" PRIu64 "/limits", pid));
        const char *line = limits ? strstr(limits, "Max open files") : NULL;
        uint64_t limit = line ? strtoull(line + strlen("Max open files"), NULL, 10) : 0;

        return limit > 0 ? limit : UINT64_MAX;
}

void doctor_check_peer(Doctor *doctor, json_object *domain, uint64_t vm_id, uint64_t pid) {
        uint64_t wanted = descriptors_wanted(domain), limit = limit_of(doctor, pid);

        if (limit < wanted) {
                doctor_find(doctor, SEVERITY_PROBLEM, value_text(domain, "Name"),
                            text_new(doctor, "prlimit --pid %" PRIu64 " --nofile=%" PRIu64 ":", pid, wanted),
                            "VM ID %" PRIu64 " may have %" PRIu64
                            " open files, and can come to need %" PRIu64 ": QEMU aborts then",
                            vm_id, limit, wanted);
        }
}

void doctor_check_domain(Doctor *doctor, json_object *domain) {
        check_state(doctor, domain);
        doctor_check_units(doctor, domain);
        check_socket(doctor, domain);
        check_descriptors(doctor, domain);
}
