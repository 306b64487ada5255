/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Findings, and the checks of the machine as a whole. */

#include "client/ctl/doctor.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>
#include <unistd.h>

#include "client/ctl/file.h"
#include "client/ctl/human.h"
#include "client/ctl/memory.h"
#include "client/ctl/value.h"

#define POOLS "/sys/kernel/mm/hugepages/hugepages-"

static const Column columns[] = {
        { "", "severity", false },
        { "SUBJECT", "subject", false },
        { "FINDING", "finding", false },
        { "MEND IT WITH", "mend", false },
};

const char *const severity_names[_SEVERITY_MAX] = {
        [SEVERITY_GOOD] = "good",
        [SEVERITY_NOTE] = "note",
        [SEVERITY_PROBLEM] = "problem",
};

static const Colour severity_colours[_SEVERITY_MAX] = {
        [SEVERITY_GOOD] = COLOUR_GOOD,
        [SEVERITY_NOTE] = COLOUR_WARNING,
        [SEVERITY_PROBLEM] = COLOUR_BAD,
};

Doctor *doctor_new(const void *ctx, const char *root) {
        Doctor *doctor = need(talloc_zero(ctx, Doctor));

        doctor->root = root;
        doctor->table = table_new(doctor, columns, sizeof(columns) / sizeof(*columns));
        return doctor;
}

void doctor_find(Doctor *doctor, Severity severity, const char *subject, const char *mend,
                 const char *format, ...) {
        va_list arguments;
        char *finding;

        if (doctor->quiet && severity == SEVERITY_GOOD) {
                return;
        }
        va_start(arguments, format);
        finding = need(talloc_vasprintf(doctor, format, arguments));
        va_end(arguments);
        table_text(doctor->table, severity_names[severity]);
        table_colour(doctor->table, severity_colours[severity]);
        table_text(doctor->table, subject);
        table_text(doctor->table, finding);
        table_text(doctor->table, mend);
        doctor->n_problems += severity == SEVERITY_PROBLEM;
}

char *doctor_read(Doctor *doctor, const char *path) {
        char *text;

        return file_read(doctor, text_new(doctor, "%s%s", doctor->root, path), &text) < 0 ? NULL : text;
}

static uint64_t read_pool(Doctor *doctor, const char *pages, const char *file) {
        const char *text = doctor_read(doctor, text_new(doctor, POOLS "%skB/%s", pages, file));

        return text ? strtoull(text, NULL, 10) : 0;
}

/* As the kernel names the pool; NULL: no huge pages are wanted. */
static const char *pool_of(json_object *domain) {
        const char *pages = value_text(domain, "HugePages");

        return strcmp(pages, "2M") == 0 ? "2048" : strcmp(pages, "1G") == 0 ? "1048576" : NULL;
}

static void check_pages_of(Doctor *doctor, json_object *domain) {
        const char *name = value_text(domain, "Name"), *pages = value_text(domain, "HugePages");
        const char *pool = pool_of(domain);
        uint64_t size, wanted, usable, all;

        if (!pool || strcmp(value_text(domain, "State"), "running") == 0) {
                return;
        }
        size = strtoull(pool, NULL, 10) * 1024;
        wanted = value_number(domain, "Size") / size;
        all = read_pool(doctor, pool, "nr_hugepages");
        usable = read_pool(doctor, pool, "free_hugepages");
        usable -= read_pool(doctor, pool, "resv_hugepages") < usable
                          ? read_pool(doctor, pool, "resv_hugepages")
                          : usable;
        if (usable < wanted) {
                char *mend = text_new(doctor, "echo %" PRIu64 " >" POOLS "%skB/nr_hugepages",
                                      all + wanted - usable, pool);

                doctor_find(doctor, SEVERITY_PROBLEM, name, mend,
                            "wants %" PRIu64 " page%s of %s, and %" PRIu64 " of %" PRIu64 " %s free", wanted,
                            human_plural(wanted), pages, usable, all, usable == 1 ? "is" : "are");
        } else {
                doctor_find(doctor, SEVERITY_GOOD, name, NULL, "finds its %" PRIu64 " page%s of %s", wanted,
                            human_plural(wanted), pages);
        }
}

void doctor_check_huge_pages(Doctor *doctor, json_object *const *domains, size_t n) {
        for (size_t i = 0; i < n; i++) {
                check_pages_of(doctor, domains[i]);
        }
}

void doctor_check_kvm(Doctor *doctor) {
        const char *path = text_new(doctor, "%s/dev/kvm", doctor->root);

        if (access(path, F_OK) < 0) {
                doctor_find(doctor, SEVERITY_NOTE, "kvm", "modprobe -a kvm_intel kvm_amd",
                            "there is no /dev/kvm, so VMs are emulated, which is slow");
        } else if (access(path, R_OK | W_OK) < 0) {
                char *mend = text_new(doctor, "usermod -aG kvm %s", human_user(doctor, geteuid()));

                doctor_find(doctor, SEVERITY_PROBLEM, "kvm", mend,
                            "you may not open /dev/kvm, so your VMs do not start, or are emulated");
        } else {
                doctor_find(doctor, SEVERITY_GOOD, "kvm", NULL, "/dev/kvm is there, and open to you");
        }
}

/* Folders of rules are closed to others than root and polkitd, so only what can be seen is judged. */
void doctor_check_polkit(Doctor *doctor) {
        static const char action[] = "/usr/share/polkit-1/actions/org.ivshmem1.policy";
        static const char rules[] = "/usr/share/polkit-1/rules.d";
        char *path = text_new(doctor, "%s%s", doctor->root, rules);
        char *rule = text_new(doctor, "%s/60-ivshmem.rules", path);
        char *unmask = doctor_unmask(doctor, "polkit.service");

        if (access(text_new(doctor, "%s/usr/share/polkit-1", doctor->root), F_OK) < 0) {
                doctor_find(doctor, SEVERITY_NOTE, "polkit", "apt install polkitd",
                            "there is no polkit, so only root and owners can manage domains");
                return;
        }
        if (access(text_new(doctor, "%s%s", doctor->root, action), F_OK) < 0) {
                doctor_find(doctor, SEVERITY_PROBLEM, "polkit", "meson install -C build",
                            "%s is missing: polkit denies what it does not know", action);
                return;
        }
        if (access(path, R_OK | X_OK) == 0 && access(rule, F_OK) < 0) {
                doctor_find(doctor, SEVERITY_PROBLEM, "polkit", "meson install -C build",
                            "%s/60-ivshmem.rules is missing: the manager cannot have systemd start domains",
                            rules);
                return;
        }
        if (unmask) {
                doctor_find(doctor, SEVERITY_PROBLEM, "polkit", unmask,
                            "polkit.service is masked, so only root and owners can manage domains");
                return;
        }
        doctor_find(doctor, SEVERITY_GOOD, "polkit", NULL, "knows the manager's actions");
}

/* Where a file is labelled by hand; libvirt labels neither sockets of servers nor /dev/shm. */
static void check_selinux(Doctor *doctor, json_object *domain) {
        const char *path = value_text(domain, "SocketPath");
        char *mend = text_new(doctor, "semanage fcontext -a -t svirt_image_t %s && restorecon %s", path,
                              path);

        doctor_find(doctor, SEVERITY_NOTE, value_text(domain, "Name"), mend,
                    "SELinux is enforcing: libvirt does not label %s, and its VMs may be kept from it",
                    path);
}

/* virt-aa-helper allows what is in the domain's XML; a plain device elsewhere is none of libvirt's. */
static void check_apparmor(Doctor *doctor, json_object *domain) {
        static const char local[] = "/etc/apparmor.d/local/abstractions/libvirt-qemu";
        const char *path = value_text(domain, "Path");
        char *rule = text_new(doctor, "\"%s\" rw,", path);
        const char *rules = doctor_read(doctor, local);

        if (!*path || strncmp(path, "/dev/shm/", strlen("/dev/shm/")) == 0 ||
            (rules && strstr(rules, rule))) {
                return;
        }
        doctor_find(doctor, SEVERITY_NOTE, value_text(domain, "Name"),
                    text_new(doctor, "echo '%s' >>%s", rule, local),
                    "AppArmor keeps plain devices of libvirt's VMs from %s", path);
}

void doctor_check_mac(Doctor *doctor, json_object *const *domains, size_t n) {
        const char *enforcing = doctor_read(doctor, "/sys/fs/selinux/enforce");
        const char *apparmor = doctor_read(doctor, "/sys/module/apparmor/parameters/enabled");
        const char *libvirt = doctor_read(doctor, "/etc/apparmor.d/abstractions/libvirt-qemu");
        bool selinux_on = enforcing && *enforcing == '1',
             apparmor_on = apparmor && *apparmor == 'Y' && libvirt;

        for (size_t i = 0; i < n; i++) {
                if (selinux_on) {
                        check_selinux(doctor, domains[i]);
                }
                if (apparmor_on) {
                        check_apparmor(doctor, domains[i]);
                }
        }
        if (!selinux_on && !apparmor_on) {
                doctor_find(doctor, SEVERITY_GOOD, "MAC", NULL,
                            "neither SELinux nor libvirt's AppArmor is in the way");
        }
}
