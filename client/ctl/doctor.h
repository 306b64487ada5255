/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What keeps VMs from working, as findings: each says what is wrong, and which command mends it. The checks look at the
 * machine below a root folder, so that tests can show them another one.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/ctl/table.h"

typedef struct Doctor Doctor;

typedef enum Severity {
        SEVERITY_GOOD,    /* looked at, and nothing is wrong */
        SEVERITY_NOTE,    /* may be in the way some day */
        SEVERITY_PROBLEM, /* is in the way */
        _SEVERITY_MAX,
} Severity;

extern const char *const severity_names[_SEVERITY_MAX];

struct Doctor {
        const char *root; /* "" or a folder */
        bool quiet;       /* what is good is left out */
        Table *table;     /* of findings */
        size_t n_problems;
};

Doctor *doctor_new(const void *ctx, const char *root);

/* Adds a finding. `mend` is a command, or NULL where there is nothing to mend. */
void doctor_find(Doctor *doctor, Severity severity, const char *subject, const char *mend,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

/* The file below the root; NULL when it cannot be read. A chunk of the doctor. */
char *doctor_read(Doctor *doctor, const char *path);

/* The command that has systemd start a unit again which somebody has masked; NULL: it is not masked. A chunk of the doctor. */
char *doctor_unmask(Doctor *doctor, const char *unit);

/* ---- Checks. Properties of domains are those of org.ivshmem1.Domain. ---- */

/* The pools of huge pages: whether each stopped domain finds the pages that it wants. */
void doctor_check_huge_pages(Doctor *doctor, json_object *const *domains, size_t n);

/* Whether VMs run with the processor's help: /dev/kvm is there, and open to the caller. */
void doctor_check_kvm(Doctor *doctor);

/* A domain: whether it failed, its definition is good, its socket can be reached, QEMU's descriptors suffice. */
void doctor_check_domain(Doctor *doctor, json_object *domain);

/* Whether a domain's units are masked. */
void doctor_check_units(Doctor *doctor, json_object *domain);

/* A process that is a peer: whether it may have as many open files as it can come to need. */
void doctor_check_peer(Doctor *doctor, json_object *domain, uint64_t vm_id, uint64_t pid);

/* What polkit needs to let others than root manage domains. */
void doctor_check_polkit(Doctor *doctor);

/* SELinux and AppArmor, which can forbid a QEMU of libvirt what the permissions allow. */
void doctor_check_mac(Doctor *doctor, json_object *const *domains, size_t n);
