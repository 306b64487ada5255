/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl doctor: looks for what keeps VMs from working. */

#include <errno.h>
#include <stdlib.h>
#include <talloc.h>

#include "client/ctl/call.h"
#include "client/ctl/connection.h"
#include "client/ctl/doctor.h"
#include "client/ctl/human.h"
#include "client/ctl/memory.h"
#include "client/ctl/value.h"
#include "client/ctl/verbs.h"

typedef struct Patients {
        json_object **domains;
        size_t n;
} Patients;

static int patients_destructor(Patients *patients) {
        for (size_t i = 0; i < patients->n; i++) {
                json_object_put(patients->domains[i]);
        }
        return 0;
}

static ExitStatus add(Ctl *ctl, Patients *patients, const char *name) {
        json_object *domain;
        ExitStatus status = call_domain_properties(ctl, name, &domain);

        if (status == STATUS_OK) {
                patients->domains = need(talloc_realloc(patients, patients->domains, json_object *,
                                                        (unsigned) patients->n + 1));
                patients->domains[patients->n++] = domain;
        }
        return status;
}

/* The named ones, or all. */
static ExitStatus gather(Ctl *ctl, Patients *patients) {
        cleanup_message sd_bus_message *reply = NULL;
        ExitStatus status = STATUS_OK;
        cleanup_value json_object *list = NULL;

        for (size_t i = 0; i < ctl->options.n_arguments; i++) {
                status = ctl_worse(status, add(ctl, patients, ctl->options.arguments[i]));
        }
        if (ctl->options.n_arguments > 0) {
                return status;
        }
        status = call(ctl, &manager_target, "ListDomains", "list domains", &reply, "");
        if (status != STATUS_OK) {
                return status;
        }
        if (value_read(reply, &list) <= 0) {
                return call_failed(ctl, "list domains", NULL, -EBADMSG);
        }
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                json_object *name = json_object_array_get_idx(json_object_array_get_idx(list, i), 0);

                status = ctl_worse(status, add(ctl, patients, json_object_get_string(name)));
        }
        return status;
}

/* The peers of a domain that runs, who may be none of ours to list. */
static void check_peers(Ctl *ctl, Doctor *doctor, json_object *domain) {
        cleanup_message sd_bus_message *reply = NULL;
        cleanup_value json_object *list = NULL;
        Target target;

        if (value_number(domain, "NPeers") == 0 ||
            call_find_domain(ctl, value_text(domain, "Name"), &target) != STATUS_OK ||
            call(ctl, &target, "ListPeers", "list peers", &reply, "") != STATUS_OK ||
            value_read(reply, &list) <= 0) {
                return;
        }
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                json_object *peer = json_object_array_get_idx(list, i);

                doctor_check_peer(doctor, domain, json_object_get_uint64(json_object_array_get_idx(peer, 0)),
                                  json_object_get_uint64(json_object_array_get_idx(peer, 4)));
        }
}

/* The one that is meant may be one that somebody starts by hand. */
static void find_no_manager(Ctl *ctl, Doctor *doctor) {
        const char *directory = ctl->options.directory ?: getenv("IVSHMEM_DIRECTORY");
        char *unmask = doctor_unmask(doctor, "ivshmemd.service");

        if (ctl->options.address) {
                doctor_find(doctor, SEVERITY_PROBLEM, "manager", NULL, "no manager can be asked at %s",
                            ctl->options.address);
        } else if (directory && *directory) {
                doctor_find(doctor, SEVERITY_PROBLEM, "manager",
                            text_new(doctor, "ivshmemd --embedded --directory %s", directory),
                            "no manager can be asked");
        } else if (unmask) {
                doctor_find(doctor, SEVERITY_PROBLEM, "manager", unmask,
                            "no manager can be asked: ivshmemd.service is masked");
        } else {
                doctor_find(doctor, SEVERITY_PROBLEM, "manager", "systemctl start ivshmemd",
                            "no manager can be asked");
        }
}

/* What concerns the machine is looked at even without a manager. */
static void check_manager(Ctl *ctl, Doctor *doctor, ExitStatus status) {
        if (status == STATUS_NO_MANAGER) {
                find_no_manager(ctl, doctor);
        } else {
                doctor_find(doctor, SEVERITY_GOOD, "manager", NULL, "answers at %s", ctl->connection->where);
        }
        if (status != STATUS_NO_MANAGER && ctl->connection->destination) {
                doctor_check_polkit(doctor);
        }
}

static void print(Ctl *ctl, Doctor *doctor) {
        ctl_show_table(ctl, doctor->table, NULL);
        if (ctl->options.json == JSON_OFF && !ctl->options.quiet && !ctl->options.no_legend) {
                printf("\n%zu problem%s to mend.\n", doctor->n_problems, human_plural(doctor->n_problems));
        }
}

ExitStatus verb_doctor(Ctl *ctl) {
        Patients *patients = need(talloc_zero(ctl, Patients));
        Doctor *doctor = doctor_new(ctl, "");
        ExitStatus status;

        if (ctl->options.host || ctl->options.container) {
                return ctl_misuse(ctl, "it looks at this machine; run it on the other one");
        }
        doctor->quiet = ctl->options.quiet;
        talloc_set_destructor(patients, patients_destructor);
        status = gather(ctl, patients);
        if (status != STATUS_OK && status != STATUS_NO_MANAGER) {
                return status;
        }
        check_manager(ctl, doctor, status);
        doctor_check_kvm(doctor);
        for (size_t i = 0; i < patients->n; i++) {
                doctor_check_domain(doctor, patients->domains[i]);
                check_peers(ctl, doctor, patients->domains[i]);
        }
        doctor_check_huge_pages(doctor, patients->domains, patients->n);
        doctor_check_mac(doctor, patients->domains, patients->n);
        print(ctl, doctor);
        return doctor->n_problems > 0 ? STATUS_FAILED : STATUS_OK;
}
