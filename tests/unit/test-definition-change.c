/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/core/definition as a value: definitions that programs make, names that become numbers, reloads, and what
 * happens when there is no memory. */

#include <errno.h>
#include <string.h>

#include "service/core/definition.h"
#include "tests/unit/definitions.h"
#include "tests/unit/testing.h"

/* ---- Definitions that did not come from text ---- */

static void spoil_size(Definition *d) {
        d->size = 3 << 20;
}

static void spoil_no_size(Definition *d) {
        d->size = 0;
}

static void spoil_enum(Definition *d) {
        d->topology = _TOPOLOGY_MAX;
}

static void spoil_log_level(Definition *d) {
        d->log_level = 2;
}

static void spoil_vectors(Definition *d) {
        d->vectors = 65;
}

static void spoil_description(Definition *d) {
        d->description = talloc_strdup(d, "a ; b");
}

static void spoil_description_lines(Definition *d) {
        d->description = talloc_strdup(d, "a\nSize=4K");
}

static void spoil_description_blank(Definition *d) {
        d->description = talloc_strdup(d, "a ");
}

static void spoil_description_length(Definition *d) {
        d->description = talloc_array(d, char, 186);
        memset(d->description, 'x', 185);
        d->description[185] = '\0';
}

static void spoil_path(Definition *d) {
        d->path = talloc_strdup(d, "/a/../b");
}

static void spoil_path_mode(Definition *d) {
        d->path_mode = 0660;
}

static void spoil_keep(Definition *d) {
        d->keep = KEEP_ALWAYS;
}

static void spoil_rule_blank(Definition *d) {
        d->access.rules[0].text = talloc_strdup(d, "alice bob");
}

static void spoil_rule_number(Definition *d) {
        d->access.rules[0].text = talloc_strdup(d, "1");
        d->access.rules[0].id = 0;
}

static void spoil_rule_text(Definition *d) {
        d->access.rules[0].text = NULL;
}

static void spoil_peer_name(Definition *d) {
        d->reservations[0].name = talloc_strdup(d, "a]\n[b");
}

static void spoil_peer_id(Definition *d) {
        d->reservations[0].vm_id = 16;
}

static void spoil_peer_twin(Definition *d) {
        d->reservations[1].name = talloc_strdup(d, "a");
}

static void spoil_peer_rules(Definition *d) {
        d->reservations[1].match.n_rules = 0;
}

static void spoil_peer_count(Definition *d) {
        d->reservations = talloc_realloc(d, d->reservations, Reservation, DEFINITION_RULES_MAX + 1);
        d->n_reservations = DEFINITION_RULES_MAX + 1;
        for (size_t i = 2; i < d->n_reservations; i++) {
                d->reservations[i] = (Reservation){ .name = talloc_asprintf(d, "%zu", i) };
        }
}

static void test_validate(void **state) {
        static const struct {
                void (*spoil)(Definition *);
                const char *error;
        } rows[] = {
                { spoil_size, "Size=3M is not a power of two; write 2M or 4M" },
                { spoil_no_size, "Size= is missing; add it to [Domain], as in Size=64M" },
                { spoil_enum, "Topology= has a value that cannot be written down" },
                { spoil_log_level, "LogLevel= has a value that cannot be written down" },
                { spoil_vectors, "Vectors=65 is no number from 1 to 64" },
                { spoil_description,
                  "Description= has a semicolon after a blank, which begins a comment; write it without the blank" },
                { spoil_description_lines,
                  "Description= is not plain UTF-8 text; remove what cannot be seen" },
                { spoil_description_blank, "Description= begins or ends with a blank; remove it" },
                { spoil_description_length, "Description= is too long; a line has room for 196 bytes" },
                { spoil_path, "Path=/a/../b leads upwards; write it without \"..\"" },
                { spoil_path_mode, "PathMode= means nothing without Path=; add that, or remove this" },
                { spoil_keep, "Keep=always needs Path=, for memory without a file ends with the domain" },
                { spoil_rule_blank, "User= has a value that cannot be written down" },
                { spoil_rule_number, "User= has a value that cannot be written down" },
                { spoil_rule_text, "User= has a value that cannot be written down" },
                { spoil_peer_name,
                  "'a]\n[b' is no name for a peer; write letters, digits, '_', '.' and '-', 64 at most" },
                { spoil_peer_id, "VMID=16 is not below MaxPeers=16; lower it, or raise that" },
                { spoil_peer_twin, "[Peer a] is there twice; rename one, or join them" },
                { spoil_peer_count, "there are more than 1024 [Peer] sections; merge some" },
                { spoil_peer_rules,
                  "[Peer b] says not who may sit there; add User=, Group=, Machine=, Unit= or Label=" },
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                Definition *definition = definition_of(
                        *state, "[Domain]\nSize=4K\n[Access]\nUser=alice\n"
                                "[Peer a]\nVMID=0\nUser=0\n[Peer b]\nVMID=1\nUser=0\n");
                char *error = NULL;

                assert_int_equal(definition_validate(*state, definition, &error), 0);
                rows[i].spoil(definition);
                assert_int_equal(definition_validate(*state, definition, &error), -EINVAL);
                assert_string_equal(error, rows[i].error);
                talloc_free(error);
                talloc_free(definition);
        }
}

/* ---- Names and numbers ---- */

/* Knows alice and kvm, and is out of order when asked for "broken". */
static int lookup(const char *name, const char *known, uint32_t id, uint32_t *ret) {
        if (strcmp(name, "broken") == 0) {
                return -EIO;
        }
        if (strcmp(name, known) != 0) {
                return -ENOENT;
        }
        *ret = id;
        return 0;
}

static int lookup_user(const char *name, uint32_t *ret_uid, void *userdata) {
        return lookup(name, "alice", 1000, ret_uid);
}

static int lookup_group(const char *name, uint32_t *ret_gid, void *userdata) {
        return lookup(name, "kvm", 104, ret_gid);
}

static const PrincipalLookup principals = { .user = lookup_user, .group = lookup_group };

static void test_resolve(void **state) {
        Definition *definition = definition_of(
                *state, "[Domain]\nSize=4K\nOwner=alice\nPath=/x\nPathUser=alice\nPathGroup=kvm\n"
                        "[Access]\nUser=0 alice\nGroup=kvm\nMachine=alice\n"
                        "[Peer a]\nVMID=0\nUser=alice\n");
        char *error = NULL;

        assert_int_equal(definition_resolve(*state, definition, &principals, &error), 0);
        assert_int_equal(definition->owner.id, 1000);
        assert_int_equal(definition->path_user.id, 1000);
        assert_int_equal(definition->path_group.id, 104);
        assert_int_equal(definition->access.rules[0].id, 0);
        assert_int_equal(definition->access.rules[1].id, 1000);
        assert_int_equal(definition->access.rules[2].id, 104);
        assert_int_equal(definition->access.rules[3].id, PRINCIPAL_UNRESOLVED);
        assert_int_equal(definition->reservations[0].match.rules[0].id, 1000);
        assert_int_equal(definition_validate(*state, definition, &error), 0);
        talloc_free(definition);
}

static void test_resolve_failures(void **state) {
        static const struct {
                const char *text;
                int result;
                const char *error;
        } rows[] = {
                { "Owner=bob\n", -ENOENT,
                  "[Domain] Owner=bob: there is no such user on this system; create it, or take it out" },
                { "Path=/x\nPathUser=bob\n", -ENOENT,
                  "[Domain] PathUser=bob: there is no such user on this system; create it, or take it out" },
                { "Path=/x\nPathGroup=alice\n", -ENOENT,
                  "[Domain] PathGroup=alice: there is no such group on this system; create it, or take it out" },
                { "[Access]\nUser=alice bob\n", -ENOENT,
                  "[Access] User=bob: there is no such user on this system; create it, or take it out" },
                { "[Access]\nGroup=broken\n", -EIO,
                  "[Access] Group=broken: this group cannot be looked up now" },
                { "[Peer a]\nVMID=0\nUser=0\n[Peer b]\nVMID=1\nGroup=bob\n", -ENOENT,
                  "[Peer b] Group=bob: there is no such group on this system; create it, or take it out" },
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                char *text = talloc_asprintf(*state, "[Domain]\nSize=4K\n%s", rows[i].text), *error = NULL;
                Definition *definition = definition_of(*state, text);

                assert_int_equal(definition_resolve(*state, definition, &principals, &error),
                                 rows[i].result);
                assert_string_equal(error, rows[i].error);
                talloc_free(error);
                talloc_free(definition);
                talloc_free(text);
        }
}

/* ---- Reloads ---- */

#define RUNNING                                                                           \
        "[Domain]\nSize=4K\nPath=/x\nNUMANodes=0\nPathUser=alice\n[Access]\nUser=alice\n" \
        "[Peer a]\nVMID=0\nUser=alice\n[Peer b]\nVMID=1\nUser=0\n"

static void test_fixed_changes(void **state) {
        static const struct {
                const char *text;
                const char *changes; /* keys with blanks behind */
        } rows[] = {
                { RUNNING, "" },
                { "[Domain]\nDescription=x\nOwner=bob\nLogLevel=debug\nSize=4K\nPath=/x\nNUMANodes=0\nPathUser=alice\n"
                  "[Access]\nGroup=x\nPeersPerUser=3\nConnectRate=3\n"
                  "[Peer b]\nVMID=1\nLabel=x\n[Peer a]\nVMID=0\nMaster=yes\nUser=alice\n",
                  "" },
                { "[Domain]\nSize=4K\nPath=/x\nNUMANodes=0\nPathUser=alice\n", "" }, /* no peers any more */
                { "[Domain]\nSize=4K\nPath=/x\nNUMANodes=0\nPathUser=alice\n"
                  "[Peer a]\nVMID=1\nUser=alice\n[Peer b]\nVMID=0\nUser=0\n",
                  "VMID " },
                { "[Domain]\nSize=4K\nPath=/x\nNUMANodes=0\nPathUser=1000\n", "PathUser " },
                { "[Domain]\nSize=4K\n", "NUMANodes Path PathUser " },
                { "[Domain]\nSize=2M\nHugePages=2M\nNUMANodes=1\nNUMAPolicy=preferred\nPrefault=yes\nPath=/y\n"
                  "PathUser=bob\nPathGroup=bob\nPathMode=0666\nPathLabel=x\nKeep=always\nWipeWhenIdle=yes\nVectors=2\nMaxPeers=17\n"
                  "Topology=star\n[Peer a]\nVMID=2\nUser=alice\n",
                  "Size HugePages NUMANodes NUMAPolicy Prefault Path PathUser PathGroup PathMode PathLabel Keep WipeWhenIdle "
                  "Vectors MaxPeers Topology VMID " },
        };
        Definition *running = definition_of(*state, RUNNING);

        for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                Definition *reloaded = definition_of(*state, rows[i].text);
                const char **changes = definition_fixed_changes(*state, running, reloaded);
                char *joined = talloc_strdup(*state, "");

                for (size_t j = 0; changes[j]; j++) {
                        joined = talloc_asprintf_append(joined, "%s ", changes[j]);
                }
                assert_string_equal(joined, rows[i].changes);
                talloc_free(joined);
                talloc_free(changes);
                talloc_free(reloaded);
        }
        talloc_free(running);
}

static void test_equal(void **state) {
        static const char *const texts[] = {
                "[Domain]\nSize=4K\n",
                "[Domain]\nSize=8K\n",
                "[Domain]\nSize=4K\nDescription=x\n",
                "[Domain]\nSize=4K\n[Access]\nUser=0 1\n",
                "[Domain]\nSize=4K\n[Access]\nUser=1 0\n",
                "[Domain]\nSize=4K\n[Access]\nGroup=0 1\n",
                "[Domain]\nSize=4K\n[Access]\nUser=0\n",
                "[Domain]\nSize=4K\n[Peer a]\nVMID=0\nUser=0\n",
                "[Domain]\nSize=4K\n[Peer b]\nVMID=0\nUser=0\n",
                "[Domain]\nSize=4K\n[Peer a]\nVMID=1\nUser=0\n",
                "[Domain]\nSize=4K\n[Peer a]\nVMID=0\nUser=0\n[Peer b]\nVMID=1\nUser=0\n",
                "[Domain]\nSize=4K\n[Peer b]\nVMID=1\nUser=0\n[Peer a]\nVMID=0\nUser=0\n",
        };
        const size_t n = sizeof(texts) / sizeof(*texts);

        for (size_t i = 0; i < n * n; i++) {
                Definition *a = definition_of(*state, texts[i / n]),
                           *b = definition_of(*state, texts[i % n]);

                assert_int_equal(definition_equal(a, b), i / n == i % n);
                talloc_free(a);
                talloc_free(b);
        }
}

/* ---- No memory ---- */

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

/* A context that holds so many bytes. It is deprecated in talloc, but nothing else makes one allocation fail. */
static void *limited(void *ctx, size_t bytes) {
        void *context = talloc_named_const(ctx, 0, "limited");

        assert_int_equal(talloc_set_memlimit(context, bytes), 0);
        return context;
}

#pragma GCC diagnostic pop

/* Besides the context and its limit nothing is there. */
static void assert_nothing_left(void *ctx) {
        assert_true(talloc_total_blocks(ctx) <= 2);
}

/* Allows more and more memory until all goes well: each step before is -ENOMEM, with nothing touched or left. Returns
 * how often memory lacked. */
static size_t starve(void *ctx, const char *text, int expected) {
        for (size_t n = 0;; n++) {
                void *context = limited(ctx, 1 + n * 64);
                Definition *definition = NULL;
                char *error = NULL;
                int r = definition_parse(context, "f", text, strlen(text), &definition, &error);

                assert_int_equal(!definition, r != 0);
                assert_int_equal(!error, r != -EINVAL);
                if (r != -ENOMEM) {
                        assert_int_equal(r, expected);
                        talloc_free(context);
                        return n;
                }
                assert_nothing_left(context);
                talloc_free(context);
        }
}

static void test_no_memory(void **state) {
        assert_true(starve(*state, RUNNING "Machine=a b\n c d\nMaster=no\n", 0) > 30);
        assert_true(starve(*state, "[Domain]\nSize=3M\n", -EINVAL) > 5);
        assert_true(starve(*state, "[Domain]\nSzie=3M\n", -EINVAL) > 5);
        assert_true(starve(*state, "[Domain]\nSize=4K\nKeep=x\n", -EINVAL) > 5);
        assert_true(starve(*state, "[Domain]\nSize=4K\nKeep=always\n", -EINVAL) > 5);
}

static void test_no_memory_to_print(void **state) {
        Definition *definition = definition_of(*state, RUNNING);
        char *text = NULL;
        size_t n;

        for (n = 0; !text; n++) {
                void *context = limited(*state, 1 + n * 64);

                text = definition_print(context, definition);
                if (!text) {
                        assert_nothing_left(context);
                }
                talloc_free(context);
        }
        assert_true(n > 5);
        talloc_free(definition);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_validate),           TEST(test_resolve), TEST(test_resolve_failures),
                TEST(test_fixed_changes),      TEST(test_equal),   TEST(test_no_memory),
                TEST(test_no_memory_to_print),
        };

        return cmocka_run_group_tests_name("definition-change", tests, NULL, NULL);
}
