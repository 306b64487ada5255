/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* client/ctl/doctor: what it finds on machines that a test makes up, below a folder. */

#include "client/ctl/doctor.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/ctl/value.h"
#include "tests/lib/scratch.h"
#include "tests/unit/testing.h"

#define POOL "/sys/kernel/mm/hugepages/hugepages-2048kB"

/* A file of the machine, with the folders above it. */
static void put(Scratch *scratch, const char *path, const char *content) {
        char *folder = talloc_strndup(scratch, path + 1, (size_t) (strrchr(path, '/') - path - 1)), *whole;

        assert_int_equal(scratch_mkdir(scratch, folder), 0);
        assert_int_equal(scratch_write(scratch, path + 1, content, &whole), 0);
}

static Scratch *machine_new(void *ctx) {
        Scratch *scratch;

        assert_int_equal(scratch_new(ctx, &scratch), 0);
        return scratch;
}

static json_object *domain_of(const char *text) {
        json_object *domain = json_tokener_parse(text);

        assert_non_null(domain);
        return domain;
}

/* The findings as JSON; the caller puts them. */
static json_object *findings(const Doctor *doctor) {
        return table_json(doctor->table);
}

/* The only finding has to be this. */
static void expect_one(const Doctor *doctor, Severity severity, const char *finding, const char *mend) {
        cleanup_value json_object *list = findings(doctor);
        json_object *row;

        assert_int_equal(json_object_array_length(list), 1);
        row = json_object_array_get_idx(list, 0);
        assert_string_equal(value_text(row, "severity"), severity_names[severity]);
        if (!strstr(value_text(row, "finding"), finding)) {
                fail_msg("\"%s\" instead of \"%s\"", value_text(row, "finding"), finding);
        }
        assert_string_equal(value_text(row, "mend"), mend);
        assert_int_equal(doctor->n_problems, severity == SEVERITY_PROBLEM);
}

static void check_pages(void *ctx, const char *root, const char *text, Severity severity,
                        const char *finding, const char *mend) {
        cleanup_value json_object *domain = domain_of(text);
        Doctor *doctor = doctor_new(ctx, root);

        doctor_check_huge_pages(doctor, &domain, 1);
        expect_one(doctor, severity, finding, mend);
        talloc_free(doctor);
}

static void test_huge_pages(void **state) {
        Scratch *scratch = machine_new(*state);
        const char *root = scratch->path;
        cleanup_value json_object *running = domain_of(
                "{\"Name\":\"a\",\"State\":\"running\",\"HugePages\":\"2M\",\"Size\":67108864}");
        cleanup_value json_object *small = domain_of(
                "{\"Name\":\"a\",\"State\":\"stopped\",\"HugePages\":\"no\"}");
        Doctor *doctor;

        put(scratch, POOL "/nr_hugepages", "40\n");
        put(scratch, POOL "/free_hugepages", "35\n");
        put(scratch, POOL "/resv_hugepages", "5\n");
        check_pages(*state, root,
                    "{\"Name\":\"a\",\"State\":\"stopped\",\"HugePages\":\"2M\",\"Size\":67108864}",
                    SEVERITY_PROBLEM, "wants 32 pages of 2M, and 30 of 40 are free",
                    "echo 42 >" POOL "/nr_hugepages");
        check_pages(*state, root,
                    "{\"Name\":\"a\",\"State\":\"failed\",\"HugePages\":\"2M\",\"Size\":62914560}",
                    SEVERITY_GOOD, "finds its 30 pages of 2M", "");
        check_pages(*state, root,
                    "{\"Name\":\"a\",\"State\":\"stopped\",\"HugePages\":\"1G\",\"Size\":1073741824}",
                    SEVERITY_PROBLEM, "wants 1 page of 1G, and 0 of 0 are free",
                    "echo 1 >/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages");
        doctor = doctor_new(*state, root); /* who runs has them, and who wants none needs none */
        doctor_check_huge_pages(doctor, &running, 1);
        doctor_check_huge_pages(doctor, &small, 1);
        assert_int_equal(table_rows(doctor->table), 0);
        talloc_free(doctor);
        talloc_free(scratch);
}

static void check_kvm(void *ctx, const char *root, Severity severity, const char *finding) {
        Doctor *doctor = doctor_new(ctx, root);
        cleanup_value json_object *list = NULL;

        doctor_check_kvm(doctor);
        list = findings(doctor);
        assert_string_equal(value_text(json_object_array_get_idx(list, 0), "severity"),
                            severity_names[severity]);
        assert_non_null(strstr(value_text(json_object_array_get_idx(list, 0), "finding"), finding));
        talloc_free(doctor);
}

static void test_kvm(void **state) {
        Scratch *scratch = machine_new(*state);
        const char *root = scratch->path;

        check_kvm(*state, root, SEVERITY_NOTE, "there is no /dev/kvm");
        put(scratch, "/dev/kvm", "");
        check_kvm(*state, root, SEVERITY_GOOD, "open to you");
        if (geteuid() != 0) { /* root may open everything */
                assert_int_equal(chmod(scratch_path(scratch, "dev/kvm"), 0), 0);
                check_kvm(*state, root, SEVERITY_PROBLEM, "you may not open /dev/kvm");
        }
        talloc_free(scratch);
}

static void check_polkit(void *ctx, const char *root, Severity severity, const char *finding,
                         const char *mend) {
        Doctor *doctor = doctor_new(ctx, root);

        doctor_check_polkit(doctor);
        expect_one(doctor, severity, finding, mend);
        talloc_free(doctor);
}

static void test_polkit(void **state) {
        Scratch *scratch = machine_new(*state);
        const char *root = scratch->path;

        check_polkit(*state, root, SEVERITY_NOTE, "there is no polkit", "apt install polkitd");
        put(scratch, "/usr/share/polkit-1/actions/other.policy", "");
        check_polkit(*state, root, SEVERITY_PROBLEM, "org.ivshmem1.policy is missing",
                     "meson install -C build");
        put(scratch, "/usr/share/polkit-1/actions/org.ivshmem1.policy", "");
        put(scratch, "/usr/share/polkit-1/rules.d/50-default.rules", "");
        check_polkit(*state, root, SEVERITY_PROBLEM, "60-ivshmem.rules is missing",
                     "meson install -C build");
        put(scratch, "/usr/share/polkit-1/rules.d/60-ivshmem.rules", "");
        check_polkit(*state, root, SEVERITY_GOOD, "knows the manager's actions", "");
        put(scratch, "/run/systemd/system/polkit.service", "");
        check_polkit(*state, root, SEVERITY_PROBLEM, "polkit.service is masked",
                     "systemctl unmask --runtime polkit.service");
        talloc_free(scratch);
}

static void check_mac(void *ctx, const char *root, const char *text, Severity severity, const char *finding,
                      const char *mend) {
        cleanup_value json_object *domain = domain_of(text);
        Doctor *doctor = doctor_new(ctx, root);

        doctor_check_mac(doctor, &domain, 1);
        expect_one(doctor, severity, finding, mend);
        talloc_free(doctor);
}

static void test_mac(void **state) {
        static const char file[] =
                "{\"Name\":\"a\",\"Path\":\"/mnt/huge/a\",\"SocketPath\":\"/run/ivshmem/a.sock\"}";
        static const char local[] = "/etc/apparmor.d/local/abstractions/libvirt-qemu";
        Scratch *scratch = machine_new(*state);
        const char *root = scratch->path;

        check_mac(*state, root, file, SEVERITY_GOOD, "neither SELinux nor", "");
        put(scratch, "/sys/module/apparmor/parameters/enabled", "Y\n");
        check_mac(*state, root, file, SEVERITY_GOOD, "neither SELinux nor", "");
        put(scratch, "/etc/apparmor.d/abstractions/libvirt-qemu", "");
        check_mac(*state, root, file, SEVERITY_NOTE,
                  "AppArmor keeps plain devices of libvirt's VMs from /mnt/huge/a",
                  "echo '\"/mnt/huge/a\" rw,' >>/etc/apparmor.d/local/abstractions/libvirt-qemu");
        put(scratch, "/sys/module/apparmor/parameters/enabled", "N\n");
        put(scratch, "/sys/fs/selinux/enforce", "1");
        check_mac(
                *state, root, file, SEVERITY_NOTE, "SELinux is enforcing",
                "semanage fcontext -a -t svirt_image_t /run/ivshmem/a.sock && restorecon /run/ivshmem/a.sock");
        put(scratch, "/sys/fs/selinux/enforce", "0");
        check_mac(*state, root, file, SEVERITY_GOOD, "neither SELinux nor", "");
        put(scratch, "/sys/module/apparmor/parameters/enabled", "Y\n");
        put(scratch, local, "\"/mnt/huge/a\" rw,\n");
        {
                cleanup_value json_object *domain = domain_of(file);
                Doctor *doctor = doctor_new(*state, root);

                doctor_check_mac(doctor, &domain, 1);
                assert_int_equal(table_rows(doctor->table), 0); /* it was mended */
                talloc_free(doctor);
        }
        talloc_free(scratch);
}

static size_t check_domain(void *ctx, const char *root, const char *text, const char *finding,
                           const char *mend) {
        cleanup_value json_object *domain = domain_of(text), *list = NULL;
        Doctor *doctor = doctor_new(ctx, root);
        size_t problems, seen = 0;

        doctor_check_domain(doctor, domain);
        list = findings(doctor);
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                json_object *row = json_object_array_get_idx(list, i);

                seen += strstr(value_text(row, "finding"), finding) &&
                        strcmp(value_text(row, "mend"), mend) == 0;
        }
        if (seen != 1) {
                fail_msg("\"%s\" is %zu times in %s", finding, seen, json_object_to_json_string(list));
        }
        problems = doctor->n_problems;
        talloc_free(doctor);
        return problems;
}

static void test_domains(void **state) {
        Scratch *scratch = machine_new(*state);
        const char *root = scratch->path;

        assert_int_equal(check_domain(*state, root,
                                      "{\"Name\":\"a\",\"State\":\"failed\",\"StatusText\":\"no memory\","
                                      "\"Unit\":\"ivshmem@a.service\"}",
                                      "it failed: no memory", "journalctl -u ivshmem@a.service"),
                         1);
        assert_int_equal(
                check_domain(*state, root,
                             "{\"Name\":\"a\",\"State\":\"stopped\",\"DefinitionState\":\"invalid\","
                             "\"DefinitionError\":\"a.domain:3: no\",\"DefinitionPath\":\"/etc/a.domain\"}",
                             "its definition is wrong: a.domain:3: no", "editor /etc/a.domain"),
                1);
        assert_int_equal(
                check_domain(*state, root,
                             "{\"Name\":\"a\",\"State\":\"running\",\"SocketPath\":\"/run/i/a.sock\"}",
                             "you cannot reach its socket /run/i/a.sock", "namei -l /run/i/a.sock"),
                1);
        put(scratch, "/run/i/a.sock", "");
        assert_int_equal(
                check_domain(*state, root,
                             "{\"Name\":\"a\",\"State\":\"running\",\"SocketPath\":\"/run/i/a.sock\"}",
                             "its socket /run/i/a.sock can be reached", ""),
                0);
        assert_int_equal(chmod(scratch_path(scratch, "run/i"), 0700), 0);
        assert_int_equal(
                check_domain(*state, root,
                             "{\"Name\":\"a\",\"State\":\"running\",\"SocketPath\":\"/run/i/a.sock\"}",
                             "/run/i is closed", "chmod o+x /run/i"),
                0);
        talloc_free(scratch);
}

static void expect_unmask(void *ctx, const Scratch *scratch, const char *unit, const char *expected) {
        Doctor *doctor = doctor_new(ctx, scratch->path);
        char *mend = doctor_unmask(doctor, unit);

        if (expected) {
                assert_non_null(mend);
                assert_string_equal(mend, expected);
        } else {
                assert_null(mend);
        }
        talloc_free(doctor);
}

/* As "systemctl mask" does it. */
static void mask(Scratch *scratch, const char *folder, const char *unit) {
        assert_int_equal(scratch_mkdir(scratch, folder), 0);
        assert_int_equal(
                symlink("/dev/null", scratch_path(scratch, talloc_asprintf(scratch, "%s/%s", folder, unit))),
                0);
}

static void test_unmask(void **state) {
        Scratch *scratch = machine_new(*state);

        put(scratch, "/usr/lib/systemd/system/a.service", "[Service]\n");
        put(scratch, "/usr/lib/systemd/system/i@.service", "[Service]\n");
        expect_unmask(*state, scratch, "a.service", NULL);
        expect_unmask(*state, scratch, "i@x.service", NULL);
        expect_unmask(*state, scratch, "none.service", NULL);
        mask(scratch, "run/systemd/system", "a.service");
        expect_unmask(*state, scratch, "a.service", "systemctl unmask --runtime a.service");
        put(scratch, "/etc/systemd/system/a.service", "[Service]\n"); /* counts more */
        expect_unmask(*state, scratch, "a.service", NULL);
        mask(scratch, "etc/systemd/system", "i@x.service");
        expect_unmask(*state, scratch, "i@x.service", "systemctl unmask i@x.service");
        expect_unmask(*state, scratch, "i@y.service", NULL);
        mask(scratch, "etc/systemd/system", "i@.service");
        expect_unmask(*state, scratch, "i@y.service", "systemctl unmask i@.service");
        put(scratch, "/run/systemd/system/i@y.service", "[Service]\n"); /* its own counts more */
        expect_unmask(*state, scratch, "i@y.service", NULL);
        talloc_free(scratch);
}

static void test_masked_domains(void **state) {
        static const char stopped[] =
                "{\"Name\":\"a\",\"State\":\"stopped\",\"Unit\":\"ivshmem@a.service\"}";
        static const char running[] = "{\"Name\":\"a\",\"State\":\"running\",\"Unit\":\"ivshmem@a.service\","
                                      "\"SocketPath\":\"/run/a.sock\"}";
        Scratch *scratch = machine_new(*state);

        put(scratch, "/run/a.sock", "");
        mask(scratch, "etc/systemd/system", "ivshmem@a.socket");
        assert_int_equal(check_domain(*state, scratch->path, stopped,
                                      "ivshmem@a.socket is masked, so it cannot be started",
                                      "systemctl unmask ivshmem@a.socket"),
                         1);
        mask(scratch, "etc/systemd/system", "ivshmem@a.service");
        assert_int_equal(check_domain(*state, scratch->path, stopped,
                                      "ivshmem@a.service is masked, so it cannot be started",
                                      "systemctl unmask ivshmem@a.service"),
                         2);
        assert_int_equal(check_domain(*state, scratch->path, running,
                                      "ivshmem@a.service is masked, so it cannot be started again",
                                      "systemctl unmask ivshmem@a.service"),
                         0);
        talloc_free(scratch);
}

static void test_descriptors_of_peers(void **state) {
        Scratch *scratch = machine_new(*state);
        cleanup_value json_object *domain = domain_of("{\"Name\":\"a\",\"MaxPeers\":16,\"Vectors\":64}");
        Doctor *doctor = doctor_new(*state, scratch->path);

        put(scratch, "/proc/7/limits",
            "Limit                     Soft Limit           Hard Limit           Units\n"
            "Max open files            1024                 4096                 files\n");
        put(scratch, "/proc/8/limits",
            "Max open files            1280                 4096                 files\n");
        put(scratch, "/proc/9/limits",
            "Max open files            unlimited            unlimited            files\n");
        for (uint64_t pid = 8; pid <= 10; pid++) { /* enough, no limit, gone */
                doctor_check_peer(doctor, domain, 2, pid);
        }
        assert_int_equal(table_rows(doctor->table), 0);
        doctor_check_peer(doctor, domain, 2, 7);
        expect_one(doctor, SEVERITY_PROBLEM,
                   "VM ID 2 may have 1024 open files, and can come to need 1280: QEMU aborts then",
                   "prlimit --pid 7 --nofile=1280:");
        talloc_free(doctor);
        talloc_free(scratch);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_huge_pages),     TEST(test_kvm),
                TEST(test_polkit),         TEST(test_mac),
                TEST(test_domains),        TEST(test_unmask),
                TEST(test_masked_domains), TEST(test_descriptors_of_peers),
        };

        return cmocka_run_group_tests_name("ctl-doctor", tests, NULL, NULL);
}
