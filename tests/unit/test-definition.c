/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/core/definition: each key with values that it takes and values that it refuses, and in which words. */

#include "service/core/definition.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>

#include "tests/unit/testing.h"

/* A line of a section, and either the canonical line that comes of it ("" for none) or the error. */
typedef struct Row {
        const char *line;
        const char *printed;
        const char *error;
} Row;

/* Parses "PREFIX LINE SUFFIX" and compares what is printed, or the error, with the row. */
static void check_row(void *ctx, const char *prefix, const char *suffix, const Row *row) {
        char *text = talloc_asprintf(ctx, "%s%s\n%s", prefix, row->line, suffix), *error = NULL, *printed;
        Definition *definition = NULL;
        int r = definition_parse(ctx, "f", text, strlen(text), &definition, &error);

        if (row->error) {
                assert_string_equal(error ? error : "no error", row->error);
                assert_int_equal(r, -EINVAL);
                assert_null(definition);
        } else {
                assert_string_equal(error ? error : "", "");
                assert_int_equal(r, 0);
                printed = definition_print(definition, definition);
                if (*row->printed) {
                        assert_non_null(strstr(printed, row->printed));
                } else {
                        talloc_free(text);
                        text = talloc_asprintf(ctx, "%s%s", prefix, suffix);
                        assert_string_equal(printed, text);
                }
        }
        talloc_free(definition);
        talloc_free(error);
        talloc_free(text);
}

static void check_rows(void *ctx, const char *prefix, const char *suffix, const Row *rows, size_t n) {
        for (size_t i = 0; i < n; i++) {
                check_row(ctx, prefix, suffix, &rows[i]);
        }
}

#define CHECK_ROWS(state, prefix, suffix, rows) \
        check_rows(*(state), (prefix), (suffix), (rows), sizeof(rows) / sizeof(*(rows)))

static void test_size(void **state) {
        static const Row rows[] = {
                { "Size=4096", "Size=4K\n" },
                { "Size=64M", "Size=64M\n" },
                { "Size=65536K", "Size=64M\n" },
                { "Size = 8G", "Size=8G\n" },
                { "Size=4194304T", "Size=4194304T\n" },
                { "Size=0", .error = "f:2: Size=0 is nothing; write a size, as in 64M" },
                { "Size=3M", .error = "f:2: Size=3M is not a power of two; write 2M or 4M" },
                { "Size=4097", .error = "f:2: Size=4097 is not a power of two; write 4K or 8K" },
                { "Size=3", .error = "f:2: Size=3 is less than one page; write at least 4K" },
                { "Size=2K", .error = "f:2: Size=2K is less than one page; write at least 4K" },
                { "Size=8388608T", .error = "f:2: Size=8388608T is more than any machine can address" },
                { "Size=99999999T", .error = "f:2: Size=99999999T is more than any machine can address" },
                { "Size=",
                  .error =
                          "f:2: Size= is no size; write a number of bytes, or one with K, M, G or T, as in 64M" },
                { "Size=64MB",
                  .error =
                          "f:2: Size=64MB is no size; write a number of bytes, or one with K, M, G or T, as in 64M" },
                { "Prefault=yes", .error = "f:1: [Domain] has no Size=; add it, as in Size=64M" },
        };

        CHECK_ROWS(state, "[Domain]\n", "", rows);
}

static void test_pages(void **state) {
        static const Row rows[] = {
                { "HugePages=no\nSize=4K", "[Domain]\nSize=4K\n" },
                { "HugePages=2M\nSize=2M", "HugePages=2M\n" },
                { "HugePages=1G\nSize=1G\nPath=/dev/hugepages/ring", "HugePages=1G\n" },
                { "HugePages=2M\nSize=1M",
                  .error = "f:3: Size=1M is less than one page; write at least 2M" },
                { "HugePages=1G\nSize=512M",
                  .error = "f:3: Size=512M is less than one page; write at least 1G" },
                { "HugePages=4M\nSize=4M", .error = "f:2: HugePages=4M is none of no, 2M, 1G" },
                { "HugePages=2m\nSize=4M", .error = "f:2: HugePages=2m is none of no, 2M, 1G" },
        };

        CHECK_ROWS(state, "[Domain]\n", "", rows);
}

static void test_description(void **state) {
        static const Row rows[] = {
                { "Description=packet ring of router and firewall",
                  "Description=packet ring of router and firewall\n" },
                { "Description=M\303\274hle = #1 [x]; y", "Description=M\303\274hle = #1 [x]; y\n" },
                { "Description=  inner  blanks   stay  ", "Description=inner  blanks   stay\n" },
                { "Description=;", "Description=;\n" },
                { "Description=", .error = "f:3: Description= is empty; remove the line, or give a value" },
                { "Description=a\tb",
                  .error = "f:3: Description= is not plain UTF-8 text; remove what cannot be seen" },
        };

        CHECK_ROWS(state, "[Domain]\nSize=4K\n", "", rows);
}

static void test_owner_and_level(void **state) {
        static const Row rows[] = {
                { "Owner=root", "" },
                { "Owner=alice", "Owner=alice\n" },
                { "Owner=1000", "Owner=1000\n" },
                { "Owner=4294967294", "Owner=4294967294\n" },
                { "Owner=4294967295",
                  .error = "f:3: Owner=4294967295 is beyond the last number, 4294967294" },
                { "Owner=", .error = "f:3: Owner= is not one word of plain text" },
                { "Owner=alice bob", .error = "f:3: Owner=alice bob is not one word of plain text" },
                { "Owner=-1", .error = "f:3: Owner=-1 begins with a dash; write a name or a number" },
                { "LogLevel=info", "" },
                { "LogLevel=err", "LogLevel=err\n" },
                { "LogLevel=debug", "LogLevel=debug\n" },
                { "LogLevel=crit",
                  .error = "f:3: LogLevel=crit is none of err, warning, notice, info, debug" },
                { "LogLevel=7", .error = "f:3: LogLevel=7 is none of err, warning, notice, info, debug" },
        };

        CHECK_ROWS(state, "[Domain]\nSize=4K\n", "", rows);
}

static void test_numa(void **state) {
#define REFUSED(text)          \
        "f:3: NUMANodes=" text \
        " is no list of nodes; write ascending numbers and ranges below 1024, as in 0-1,3"
        static const Row rows[] = {
                { "NUMANodes=0", "NUMANodes=0\n" },
                { "NUMANodes=0-1,3", "NUMANodes=0-1,3\n" },
                { "NUMANodes=1022-1023", "NUMANodes=1022-1023\n" },
                { "NUMANodes=0\nNUMAPolicy=bind", "NUMANodes=0\n" },
                { "NUMANodes=0\nNUMAPolicy=preferred", "NUMAPolicy=preferred\n" },
                { "NUMANodes=0,1\nNUMAPolicy=interleave", "NUMAPolicy=interleave\n" },
                { "NUMANodes=", .error = REFUSED("") },
                { "NUMANodes=1024", .error = REFUSED("1024") },
                { "NUMANodes=99999999999999999999", .error = REFUSED("99999999999999999999") },
                { "NUMANodes=0-", .error = REFUSED("0-") },
                { "NUMANodes=-1", .error = REFUSED("-1") },
                { "NUMANodes=1-0", .error = REFUSED("1-0") },
                { "NUMANodes=1-1", .error = REFUSED("1-1") },
                { "NUMANodes=0-2,2", .error = REFUSED("0-2,2") },
                { "NUMANodes=1,0", .error = REFUSED("1,0") },
                { "NUMANodes=0,", .error = REFUSED("0,") },
                { "NUMANodes=0, 1", .error = REFUSED("0, 1") },
                { "NUMANodes=00", .error = REFUSED("00") },
                { "NUMANodes=all", .error = REFUSED("all") },
                { "NUMANodes=0-1-2", .error = REFUSED("0-1-2") },
                { "NUMANodes=0\nNUMAPolicy=local",
                  .error = "f:4: NUMAPolicy=local is none of bind, preferred, interleave" },
                { "NUMAPolicy=preferred",
                  .error = "f:3: NUMAPolicy= means nothing without NUMANodes=; add that, or remove this" },
                { "NUMAPolicy=bind",
                  .error = "f:3: NUMAPolicy= means nothing without NUMANodes=; add that, or remove this" },
        };
#undef REFUSED

        CHECK_ROWS(state, "[Domain]\nSize=4K\n", "", rows);
}

static void test_path(void **state) {
#define SHORTEST "is not in its shortest form; write it without \".\", \"//\" or a slash at the end"
        static const Row rows[] = {
                { "Path=/dev/shm/ring", "Path=/dev/shm/ring\n" },
                { "Path=/dev/shm/..ring.", "Path=/dev/shm/..ring.\n" },
                { "Path=/dev/shm/a b", "Path=/dev/shm/a b\n" },
                { "Path=ring", .error = "f:3: Path=ring is not absolute; begin it with /" },
                { "Path=", .error = "f:3: Path= is empty; remove the line, or give a value" },
                { "Path=/", .error = "f:3: Path=/ " SHORTEST },
                { "Path=/dev/shm/", .error = "f:3: Path=/dev/shm/ " SHORTEST },
                { "Path=/dev//ring", .error = "f:3: Path=/dev//ring " SHORTEST },
                { "Path=//ring", .error = "f:3: Path=//ring " SHORTEST },
                { "Path=/./ring", .error = "f:3: Path=/./ring " SHORTEST },
                { "Path=/dev/.", .error = "f:3: Path=/dev/. " SHORTEST },
                { "Path=/dev/../ring",
                  .error = "f:3: Path=/dev/../ring leads upwards; write it without \"..\"" },
                { "Path=/..", .error = "f:3: Path=/.. leads upwards; write it without \"..\"" },
                { "Path=/a\tb",
                  .error = "f:3: Path=/a\tb is not plain UTF-8 text; remove what cannot be seen" },
        };
#undef SHORTEST

        CHECK_ROWS(state, "[Domain]\nSize=4K\n", "", rows);
}

static void test_path_owner(void **state) {
#define WITHOUT(key) "f:3: " key "= means nothing without Path=; add that, or remove this"
        static const Row rows[] = {
                { "Path=/dev/shm/ring\nPathUser=alice\nPathGroup=kvm\nPathMode=0660",
                  "Path=/dev/shm/ring\nPathUser=alice\nPathGroup=kvm\nPathMode=0660\n" },
                { "Path=/dev/shm/ring\nPathUser=0\nPathMode=600", "Path=/dev/shm/ring\nPathUser=0\n" },
                { "Path=/dev/shm/ring\nPathMode=0", "PathMode=0000\n" },
                { "Path=/dev/shm/ring\nPathMode=1777",
                  .error = "f:4: PathMode=1777 is no file mode; write octal digits up to 0777, as in 0660" },
                { "Path=/dev/shm/ring\nPathMode=rw",
                  .error = "f:4: PathMode=rw is no file mode; write octal digits up to 0777, as in 0660" },
                { "Path=/dev/shm/ring\nPathGroup=a,b",
                  .error = "f:4: PathGroup=a,b is neither a name nor a number; separate names by blanks" },
                { "Path=/dev/shm/ring\nPathLabel=a_u:b_r:c_t:s0", "PathLabel=a_u:b_r:c_t:s0\n" },
                { "Path=/dev/shm/ring\nPathLabel=",
                  .error = "f:4: PathLabel= is empty; remove the line, or give a value" },
                { "PathLabel=x", .error = WITHOUT("PathLabel") },
                { "PathUser=alice", .error = WITHOUT("PathUser") },
                { "PathGroup=kvm", .error = WITHOUT("PathGroup") },
                { "PathMode=0660", .error = WITHOUT("PathMode") },
                { "PathMode=0600", .error = WITHOUT("PathMode") },
        };
#undef WITHOUT

        CHECK_ROWS(state, "[Domain]\nSize=4K\n", "", rows);
}

static void test_life(void **state) {
        static const Row rows[] = {
                { "Keep=until-stopped", "" },
                { "Keep=until-idle", "Keep=until-idle\n" },
                { "Keep=always\nPath=/dev/shm/ring", "Path=/dev/shm/ring\nKeep=always\n" },
                { "Keep=always",
                  .error = "f:3: Keep=always needs Path=, for memory without a file ends with the domain" },
                { "Keep=forever",
                  .error = "f:3: Keep=forever is none of until-stopped, until-idle, always" },
                { "WipeWhenIdle=yes", "WipeWhenIdle=yes\n" },
                { "WipeWhenIdle=off", "" },
                { "Prefault=on", "Prefault=yes\n" },
                { "Prefault=0", "" },
                { "Prefault=YES", .error = "f:3: Prefault=YES is neither yes nor no" },
                { "Prefault=", .error = "f:3: Prefault= is neither yes nor no" },
        };

        CHECK_ROWS(state, "[Domain]\nSize=4K\n", "", rows);
}

static void test_peers_and_vectors(void **state) {
        static const Row rows[] = {
                { "Vectors=1", "" },
                { "Vectors=64", "Vectors=64\n" },
                { "Vectors=0", .error = "f:3: Vectors=0 is no number from 1 to 64" },
                { "Vectors=65", .error = "f:3: Vectors=65 is no number from 1 to 64" },
                { "Vectors=-1", .error = "f:3: Vectors=-1 is no number from 1 to 64" },
                { "MaxPeers=16", "" },
                { "MaxPeers=1", "MaxPeers=1\n" },
                { "MaxPeers=65536", "MaxPeers=65536\n" },
                { "MaxPeers=0", .error = "f:3: MaxPeers=0 is no number from 1 to 65536" },
                { "MaxPeers=65537", .error = "f:3: MaxPeers=65537 is no number from 1 to 65536" },
                { "MaxPeers=4294967297", .error = "f:3: MaxPeers=4294967297 is no number from 1 to 65536" },
                { "Topology=mesh", "" },
                { "Topology=star", "Topology=star\n" },
                { "Topology=ring", .error = "f:3: Topology=ring is none of mesh, star" },
        };

        CHECK_ROWS(state, "[Domain]\nSize=4K\n", "", rows);
}

static void test_access(void **state) {
#define BRACKET "matches a single character only; if it is a section, begin it in the first column"
        static const Row rows[] = {
                { "User=alice libvirt-qemu 1000", "[Access]\nUser=alice libvirt-qemu 1000\n" },
                { "User=alice\n\t bob\tcarol\n\n# more\n  dave", "[Access]\nUser=alice bob carol dave\n" },
                { "Label=virt_*\nUser=a\nGroup=b", "[Access]\nUser=a\nGroup=b\nLabel=virt_*\n" },
                { "Machine=qemu-*-router [qr]emu-? x[[]", "Machine=qemu-*-router [qr]emu-? x[[]\n" },
                { "Unit=machine-qemu\\x2d1\\x2drouter.scope", "Unit=machine-qemu\\x2d1\\x2drouter.scope\n" },
                { "User=DOMAIN\\alice alice@example.org svc$",
                  "User=DOMAIN\\alice alice@example.org svc$\n" },
                { "PeersPerUser=65536\nConnectRate=0", "[Access]\nPeersPerUser=65536\nConnectRate=0\n" },
                { "User=", .error = "f:4: User= names nobody; give an entry on this line, or remove it" },
                { "User=4294967295", .error = "f:4: User=4294967295 is beyond the last number, 4294967294" },
                { "User=alice,bob",
                  .error = "f:4: User=alice,bob is neither a name nor a number; separate names by blanks" },
                { "Group=*",
                  .error = "f:4: Group=* is neither a name nor a number; separate names by blanks" },
                { "User=alice # boss",
                  .error = "f:4: User=# looks like a comment; comments have lines of their own" },
                { "User=alice\n  Group=kvm",
                  .error =
                          "f:5: User=Group=kvm contains '='; if it is a key, begin it in the first column" },
                { "Machine=a\n  [Access]", .error = "f:5: Machine=[Access] " BRACKET },
                { "Machine=a\n  [Peer x]",
                  .error =
                          "f:5: Machine=[Peer has a [ that is not closed; write [[] for the character itself" },
                { "Machine=[!]",
                  .error =
                          "f:4: Machine=[!] has a [ that is not closed; write [[] for the character itself" },
                { "Machine=[]]", .error = "f:4: Machine=[]] " BRACKET },
                { "PeersPerUser=65537", .error = "f:4: PeersPerUser=65537 is no number from 0 to 65536" },
                { "ConnectRate=1000001",
                  .error = "f:4: ConnectRate=1000001 is no number from 0 to 1000000" },
        };
#undef BRACKET

        CHECK_ROWS(state, "[Domain]\nSize=4K\n[Access]\n", "", rows);
}

static void test_peer(void **state) {
#define NAME(name) "'" name "' is no name for a peer; write letters, digits, '_', '.' and '-', 64 at most"
        static const Row rows[] = {
                { "[Peer router]\nVMID=0\nMachine=qemu-*-router\nMaster=yes",
                  "[Peer router]\nVMID=0\nMaster=yes\nMachine=qemu-*-router\n" },
                { "[Peer a]\nVMID=15\nUser=0\n[Peer A]\nVMID=1\nGroup=0",
                  "[Peer a]\nVMID=15\nUser=0\n\n[Peer A]\n" },
                { "[Peer a.b_c-1]\nVMID=1\nLabel=x", "[Peer a.b_c-1]\n" },
                { "[Peer a]\nUser=0", .error = "f:4: [Peer a] has no VMID=; add it, as in VMID=0" },
                { "[Peer a]", .error = "f:4: [Peer a] has no VMID=; add it, as in VMID=0" },
                { "[Peer a]\nVMID=1",
                  .error =
                          "f:4: [Peer a] says not who may sit there; add User=, Group=, Machine=, Unit= or Label=" },
                { "[Peer a]\nVMID=16\nUser=0",
                  .error = "f:5: VMID=16 is not below MaxPeers=16; lower it, or raise that" },
                { "[Peer a]\nVMID=65536\nUser=0", .error = "f:5: VMID=65536 is no number from 0 to 65535" },
                { "[Peer a]\nVMID=1\nUser=0\n[Peer b]\nUser=1\nVMID=1",
                  .error = "f:9: VMID=1 is reserved by [Peer a] already; choose another" },
                { "[Peer a]\nVMID=1\nUser=0\n[Peer a]\nVMID=2\nUser=1",
                  .error = "f:7: [Peer a] began on line 4 already; join the two" },
                { "[Peer a]\nVMID=1\nUser=0\nMaster=yes",
                  .error = "f:7: Master=yes needs VMID=0, for QEMU lets no other peer be master" },
                { "[Peer]", .error = "f:4: [Peer] lacks a name; write one, as in [Peer router]" },
                { "[Peer ]", .error = "f:4: " NAME("") },
                { "[Peer a b]", .error = "f:4: " NAME("a b") },
                { "[Peer  a]", .error = "f:4: " NAME(" a") },
                { "[Peer a/b]", .error = "f:4: " NAME("a/b") },
                { "[Peer a]]", .error = "f:4: " NAME("a]") },
                { "[Peer xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxy]",
                  .error = "f:4: " NAME(
                          "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxy") },
                { "[Peer xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx]\nVMID=0\nUser=0",
                  "[Peer xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx]\n" },
        };
#undef NAME

        CHECK_ROWS(state, "[Domain]\nSize=4K\n\n", "", rows);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_size),
                TEST(test_pages),
                TEST(test_description),
                TEST(test_owner_and_level),
                TEST(test_numa),
                TEST(test_path),
                TEST(test_path_owner),
                TEST(test_life),
                TEST(test_access),
                TEST(test_peer),
                TEST(test_peers_and_vectors),
        };

        return cmocka_run_group_tests_name("definition", tests, NULL, NULL);
}
