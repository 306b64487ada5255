/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/core/definition: what is printed, and that nothing gets lost on the way there and back. */

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "service/core/definition.h"
#include "service/core/limits.h"
#include "tests/unit/definitions.h"
#include "tests/unit/testing.h"

/* Every key, in canonical order and form. */
static const char full[] = "[Domain]\n"
                           "Description=packet ring\n"
                           "Owner=alice\n"
                           "LogLevel=debug\n"
                           "Size=1G\n"
                           "HugePages=2M\n"
                           "NUMANodes=0-1,3\n"
                           "NUMAPolicy=interleave\n"
                           "Prefault=yes\n"
                           "Path=/dev/hugepages/ring\n"
                           "PathUser=libvirt-qemu\n"
                           "PathGroup=kvm\n"
                           "PathMode=0660\n"
                           "PathLabel=system_u:object_r:svirt_image_t:s0\n"
                           "Keep=always\n"
                           "WipeWhenIdle=yes\n"
                           "Vectors=64\n"
                           "MaxPeers=65536\n"
                           "Topology=star\n"
                           "\n"
                           "[Access]\n"
                           "User=alice 1000\n"
                           "Group=kvm\n"
                           "Machine=qemu-*-router qemu-*-fw\n"
                           "Unit=a.service\n"
                           "Label=*:svirt_t:*\n"
                           "PeersPerUser=4\n"
                           "ConnectRate=0\n"
                           "\n"
                           "[Peer router]\n"
                           "VMID=0\n"
                           "Master=yes\n"
                           "User=bob\n"
                           "Group=7\n"
                           "Machine=qemu-*-router\n"
                           "Unit=b.service\n"
                           "Label=x\n";

static void test_each_key(void **state) {
        Definition *definition = definition_of(*state, full);
        char *text = definition_print(definition, definition);
        const char *section, *key, *standard;
        char line[64];
        size_t i;

        assert_string_equal(text, full);
        for (i = 0; definition_key(i, &section, &key, &standard); i++) {
                snprintf(line, sizeof(line), "\n%s=", key);
                assert_non_null(strstr(text, line));
        }
        assert_int_equal(i, 32);
        talloc_free(definition);
}

static void test_values(void **state) {
        Definition *definition = definition_of(*state, full);
        const Reservation *peer = definition->reservations;

        assert_int_equal(definition->log_level, LOG_DEBUG);
        assert_int_equal(definition->size, 1 << 30);
        assert_int_equal(definition->huge_pages, HUGE_PAGES_2M);
        assert_int_equal(definition->numa_policy, NUMA_POLICY_INTERLEAVE);
        assert_true(definition->prefault && definition->wipe_when_idle);
        assert_string_equal(definition->path_user.text, "libvirt-qemu");
        assert_int_equal(definition->path_user.kind, RULE_USER);
        assert_int_equal(definition->path_user.id, PRINCIPAL_UNRESOLVED);
        assert_int_equal(definition->path_group.kind, RULE_GROUP);
        assert_int_equal(definition->path_mode, 0660);
        assert_string_equal(definition->path_label, "system_u:object_r:svirt_image_t:s0");
        assert_int_equal(definition->keep, KEEP_ALWAYS);
        assert_int_equal(definition->vectors, 64);
        assert_int_equal(definition->max_peers, 65536);
        assert_int_equal(definition->topology, TOPOLOGY_STAR);
        assert_int_equal(definition->access.n_rules, 7);
        assert_int_equal(definition->access.rules[1].id, 1000);
        assert_int_equal(definition->access.rules[4].kind, RULE_MACHINE);
        assert_int_equal(definition->peers_per_user, 4);
        assert_int_equal(definition->connect_rate, 0);
        assert_int_equal(definition->n_reservations, 1);
        assert_string_equal(peer->name, "router");
        assert_true(peer->master);
        assert_int_equal(peer->match.n_rules, 5);
        assert_int_equal(peer->match.rules[1].id, 7);
        talloc_free(definition);
}

static void test_defaults(void **state) {
        Definition *definition = NULL, *other = definition_of(*state, "[Domain]\nSize=4K\n");

        assert_int_equal(definition_new(*state, &definition), 0);
        assert_null(definition->description);
        assert_string_equal(definition->owner.text, "root");
        assert_int_equal(definition->owner.id, 0);
        assert_int_equal(definition->log_level, LOG_INFO);
        assert_int_equal(definition->size, 0);
        assert_int_equal(definition->path_mode, PATH_MODE_DEFAULT);
        assert_int_equal(definition->vectors, VECTORS_DEFAULT);
        assert_int_equal(definition->max_peers, MAX_PEERS_DEFAULT);
        assert_int_equal(definition->peers_per_user, 0);
        assert_int_equal(definition->connect_rate, CONNECT_RATE_DEFAULT);
        assert_int_equal(definition->access.n_rules, 0);
        definition->size = 4096;
        assert_true(definition_equal(definition, other));
        talloc_free(definition);
        talloc_free(other);
}

static void test_defaults_are_not_printed(void **state) {
        char *text = talloc_strdup(*state, "[Domain]\nSize=4K\nPath=/x\nNUMANodes=0\n"), *printed;
        const char *section, *key, *standard, *last = "Domain";
        Definition *definition;

        for (size_t i = 0; definition_key(i, &section, &key, &standard); i++) {
                if (standard && strcmp(section, "Peer") != 0) {
                        text = talloc_asprintf_append(
                                text, strcmp(section, last) ? "[%s]\n%s=%s\n" : "%.0s%s=%s\n", section, key,
                                standard);
                        last = section;
                }
        }
        definition = definition_of(*state, text);
        printed = definition_print(definition, definition);
        assert_string_equal(printed, "[Domain]\nSize=4K\nNUMANodes=0\nPath=/x\n");
        talloc_free(definition);
        talloc_free(text);
}

/* A line ends where the next entry would pass column 100. */
static void test_long_lists_are_folded(void **state) {
#define LETTERS_30 "abcdefghijklmnopqrstuvwxyz0123"
#define LIST "[Domain]\nSize=4K\n\n[Access]\nMachine=" LETTERS_30 " " LETTERS_30
        static const char *const texts[] = {
                LIST " " LETTERS_30 "\n        y\nLabel=x\n",
                LIST "\n        " LETTERS_30 "4 " LETTERS_30 " yy\n",
        };
#undef LIST
#undef LETTERS_30

        for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
                Definition *definition = definition_of(*state, texts[i]);

                assert_string_equal(definition_print(definition, definition), texts[i]);
                talloc_free(definition);
        }
}

/* ---- Random definitions, the same ones each time ---- */

typedef struct Dice {
        uint64_t state;
        Definition *definition;
} Dice;

/* A number below `sides` (xorshift64*). */
static uint32_t dice_roll(Dice *dice, uint32_t sides) {
        dice->state ^= dice->state >> 12;
        dice->state ^= dice->state << 25;
        dice->state ^= dice->state >> 27;
        return (uint32_t) ((dice->state * UINT64_C(2685821657736338717)) >> 33) % sides;
}

static char *dice_word(Dice *dice, const char *letters, uint32_t longest) {
        char *word = talloc_strdup(dice->definition, "");

        for (uint32_t n = 1 + dice_roll(dice, longest); n > 0; n--) {
                word = talloc_asprintf_append(word, "%c",
                                              letters[dice_roll(dice, (uint32_t) strlen(letters))]);
        }
        return word;
}

static AccessRule dice_rule(Dice *dice, RuleKind kind) {
        AccessRule rule = { .kind = kind, .id = PRINCIPAL_UNRESOLVED };

        if (kind > RULE_GROUP) {
                rule.text = dice_word(dice, "abcXYZ019-_.:@*?\\!^", RULE_TEXT_MAX);
        } else if (dice_roll(dice, 2)) {
                rule.id = dice_roll(dice, UINT32_MAX);
                rule.text = talloc_asprintf(dice->definition, "%u", rule.id);
        } else {
                rule.text = dice_word(dice, "abcXYZ_.@$\\", RULE_TEXT_MAX);
        }
        return rule;
}

/* Rules in the order of their kinds, at least `least`. */
static RuleSet dice_rules(Dice *dice, size_t least) {
        RuleSet set = { .n_rules = least + dice_roll(dice, 9) };
        RuleKind kind = RULE_USER;

        set.rules = talloc_array(dice->definition, AccessRule, set.n_rules);
        for (size_t i = 0; i < set.n_rules; i++) {
                kind += dice_roll(dice, _RULE_KIND_MAX - kind);
                set.rules[i] = dice_rule(dice, kind);
        }
        return set;
}

static void dice_memory(Dice *dice) {
        Definition *definition = dice->definition;

        definition->huge_pages = dice_roll(dice, _HUGE_PAGES_MAX);
        definition->size = huge_pages_size(definition->huge_pages) << dice_roll(dice, 12);
        definition->prefault = dice_roll(dice, 2);
        definition->wipe_when_idle = dice_roll(dice, 2);
        if (dice_roll(dice, 2)) {
                definition->numa_nodes = talloc_asprintf(definition, "%u-%u,1023", dice_roll(dice, 100),
                                                         100 + dice_roll(dice, 900));
                definition->numa_policy = dice_roll(dice, _NUMA_POLICY_MAX);
        }
        if (dice_roll(dice, 2)) {
                definition->path = talloc_asprintf(definition, "/dev/%s",
                                                   dice_word(dice, "abc XYZ=#[;", 60));
                if (definition_validate(definition, definition, &(char *){ NULL }) < 0) {
                        definition->path = talloc_strdup(definition,
                                                         "/ring"); /* a blank at the end, or " ;" */
                }
                definition->path_user = dice_rule(dice, RULE_USER);
                definition->path_group = dice_rule(dice, RULE_GROUP);
                definition->path_mode = dice_roll(dice, 01000);
                definition->keep = KEEP_ALWAYS;
        }
}

static void dice_peers(Dice *dice) {
        Definition *definition = dice->definition;

        definition->n_reservations = dice_roll(dice, 5);
        definition->reservations = talloc_array(definition, Reservation, definition->n_reservations);
        definition->max_peers = 5 + dice_roll(dice, VM_IDS_MAX - 5);
        for (uint32_t i = 0; i < definition->n_reservations; i++) {
                definition->reservations[i] = (Reservation){
                        .name = talloc_asprintf(definition, "%s%u", dice_word(dice, "aZ_.-", 60), i),
                        .vm_id = i,
                        .master = i == 0 && dice_roll(dice, 2),
                        .match = dice_rules(dice, 1),
                };
        }
}

static Definition *dice_definition(void *ctx, uint64_t seed) {
        Dice dice = { .state = seed };

        assert_int_equal(definition_new(ctx, &dice.definition), 0);
        dice_memory(&dice);
        dice.definition->description = dice_roll(&dice, 2) ? dice_word(&dice, "a;#=[]\"'", 180) : NULL;
        dice.definition->owner = dice_rule(&dice, RULE_USER);
        dice.definition->log_level = LOG_ERR + (int) dice_roll(&dice, LOG_DEBUG - LOG_ERR + 1);
        dice.definition->vectors = 1 + dice_roll(&dice, VECTORS_MAX);
        dice.definition->topology = dice_roll(&dice, _TOPOLOGY_MAX);
        dice.definition->access = dice_rules(&dice, 0);
        dice.definition->peers_per_user = dice_roll(&dice, 3);
        dice.definition->connect_rate = dice_roll(&dice, CONNECT_RATE_MAX + 1);
        dice_peers(&dice);
        return dice.definition;
}

static void test_random_definitions(void **state) {
        for (uint64_t seed = 1; seed <= 2000; seed++) {
                Definition *definition = dice_definition(*state, seed * UINT64_C(0x9e3779b97f4a7c15)),
                           *again;
                char *error = NULL, *text = definition_print(*state, definition), *text_again;

                if (definition_validate(*state, definition, &error) < 0) {
                        fail_msg("seed %llu: %s\n%s", (unsigned long long) seed, error, text);
                }
                again = definition_of(*state, text);
                text_again = definition_print(*state, again);
                assert_string_equal(text_again, text);
                assert_true(definition_equal(definition, again));
                talloc_free(text);
                talloc_free(text_again);
                talloc_free(definition);
                talloc_free(again);
        }
}

/* The largest definition that the bounds allow, printed. */
static void test_largest_text(void **state) {
        Definition *definition = NULL, *again;
        char *text, *error = NULL;

        assert_int_equal(definition_new(*state, &definition), 0);
        definition->size = UINT64_C(1) << 62;
        definition->max_peers = VM_IDS_MAX;
        definition->n_reservations = DEFINITION_RULES_MAX;
        definition->reservations = talloc_zero_array(definition, Reservation, DEFINITION_RULES_MAX);
        for (uint32_t i = 0; i < DEFINITION_RULES_MAX; i++) {
                Reservation *peer = &definition->reservations[i];

                peer->name = talloc_asprintf(definition, "%064u", i);
                peer->vm_id = VM_IDS_MAX - 1 - i;
                peer->match = (RuleSet){ talloc_array(definition, AccessRule, 1), 1 };
                peer->match.rules[0] = (AccessRule){ RULE_MACHINE, talloc_asprintf(definition, "%0128u", i),
                                                     PRINCIPAL_UNRESOLVED };
        }
        assert_int_equal(definition_validate(*state, definition, &error), 0);
        text = definition_print(*state, definition);
        assert_true(strlen(text) <= DEFINITION_TEXT_MAX);
        again = definition_of(*state, text);
        assert_true(definition_equal(definition, again));
        talloc_free(text);
        talloc_free(definition);
        talloc_free(again);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_each_key),
                TEST(test_values),
                TEST(test_defaults),
                TEST(test_defaults_are_not_printed),
                TEST(test_long_lists_are_folded),
                TEST(test_random_definitions),
                TEST(test_largest_text),
        };

        return cmocka_run_group_tests_name("definition-print", tests, NULL, NULL);
}
