/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Admission against a naive statement of its rules: random definitions, random credentials, in domains that the model's
 * driver has brought into random states. A failure prints its seed; `test-admission-model SEED` replays it.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/core/admission.h"
#include "tests/model/progress.h"
#include "tests/model/script.h"
#include "tests/unit/testing.h"

#define N_STATES 6U /* of the domain in a run */
#define N_PEERS 12U /* who ask to join in a state */
#define GROUPS_MAX 3U
#define RULES_MAX 4U
#define LENGTH(array) (sizeof(array) / sizeof(*(array)))

/* Longer than a reason may be. */
#define FORTY "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LONG_TEXT FORTY FORTY FORTY FORTY FORTY

/* What a peer can be. Each is few, so that rules match often. */
static const uint32_t numbers[] = { 0, 100, 1000, 1001, UINT32_MAX - 1, UINT32_MAX };
static const char *const texts[] = {
        "",          "vm",
        "vm1",       "VM",
        "qemu-1-vm", "machine-qemu\\x2d1.scope",
        ".vm/a",     "unconfined_u:unconfined_r:svirt_t:s0:c1,c2",
        LONG_TEXT,
};

/* ---- The rules again ---------------------------------------------------------------------------------------------- */

typedef struct Verdict {
        Refusal refusal;
        uint32_t vm_id;
        const AccessRule *rule; /* the first of [Access] that matches; NULL when something else permits */
        const char *busy;       /* 409: the reservation that is named */
} Verdict;

/* "[abc]", "[!abc]", "[a-c]" after its bracket; *ret_rest is what follows. */
static bool set_matches(const char *set, char c, const char **ret_rest) {
        bool negated = *set == '!', found = false;

        for (set += negated; *set != ']'; set++) {
                if (set[1] == '-' && set[2] != ']') {
                        found |= c >= set[0] && c <= set[2];
                        set += 2;
                } else {
                        found |= c == *set;
                }
        }
        *ret_rest = set + 1;
        return found != negated;
}

/* A shell pattern, read aloud. Nothing is special about a leading dot, a slash or a backslash. */
static bool pattern_matches(const char *pattern, const char *text) {
        const char *rest;

        if (*pattern == '*') {
                return pattern_matches(pattern + 1, text) || (*text && pattern_matches(pattern, text + 1));
        }
        if (!*pattern || !*text) {
                return !*pattern && !*text;
        }
        if (*pattern == '[') {
                return set_matches(pattern + 1, *text, &rest) && pattern_matches(rest, text + 1);
        }
        if (*pattern == '?') {
                return pattern_matches(pattern + 1, text + 1);
        }
        return *pattern == *text && pattern_matches(pattern + 1, text + 1);
}

static bool group_matches(const Credentials *credentials, uint32_t gid) {
        bool found = credentials->gid == gid;

        for (size_t i = 0; i < credentials->n_groups; i++) {
                found |= credentials->groups[i] == gid;
        }
        return found;
}

static bool rule_matches(const AccessRule *rule, const Credentials *credentials) {
        const char *const of_peer[_RULE_KIND_MAX] = {
                [RULE_MACHINE] = credentials->machine,
                [RULE_UNIT] = credentials->unit,
                [RULE_LABEL] = credentials->label,
        };
        bool resolved = rule->id != PRINCIPAL_UNRESOLVED;

        if (rule->kind == RULE_USER) {
                return resolved && rule->id == credentials->uid;
        }
        if (rule->kind == RULE_GROUP) {
                return resolved && group_matches(credentials, rule->id);
        }
        return of_peer[rule->kind] && pattern_matches(rule->text, of_peer[rule->kind]);
}

static const AccessRule *first_match(const RuleSet *set, const Credentials *credentials) {
        for (size_t i = 0; i < set->n_rules; i++) {
                if (rule_matches(&set->rules[i], credentials)) {
                        return &set->rules[i];
                }
        }
        return NULL;
}

/* The seats that are reserved for a peer: the first free one is its own; when all are in use it is told so. */
static bool judge_reserved(const AdmissionContext *context, const Credentials *credentials,
                           const Model *model, Verdict *verdict) {
        const Definition *definition = context->definition;
        const char *busy = NULL;

        for (size_t i = 0; i < definition->n_reservations; i++) {
                const Reservation *reservation = &definition->reservations[i];
                const ModelSeat *seat = &model->seats[reservation->vm_id];

                if (!first_match(&reservation->match, credentials)) {
                        continue;
                }
                if (!seat->taken && !seat->retired) {
                        verdict->vm_id = reservation->vm_id;
                        return true;
                }
                busy = busy ? busy : reservation->name;
        }
        if (busy) {
                verdict->refusal = REFUSAL_SEAT_TAKEN;
                verdict->busy = busy;
        }
        return busy;
}

static Verdict judge(const AdmissionContext *context, const Credentials *credentials, int identity,
                     const Model *model) {
        const Definition *definition = context->definition;
        Verdict verdict = { REFUSAL_NONE };
        bool owner = rule_matches(&definition->owner, credentials);

        if (!context->anyone && credentials->uid != 0 && !owner) {
                verdict.rule = first_match(&definition->access, credentials);
        }
        if (context->stopping) {
                verdict.refusal = REFUSAL_STOPPING;
        } else if (!context->anyone && credentials->uid != 0 && !owner && !verdict.rule) {
                verdict.refusal = REFUSAL_NOT_PERMITTED;
        } else if (context->rate_exceeded) {
                verdict.refusal = REFUSAL_TOO_MANY;
        } else if (definition->peers_per_user > 0 && context->peers_of_user >= definition->peers_per_user) {
                verdict.refusal = REFUSAL_TOO_MANY;
        } else if (!judge_reserved(context, credentials, model, &verdict) &&
                   model_choose(model, identity, &verdict.vm_id) == MODEL_NO_SEAT) {
                verdict.refusal = REFUSAL_NO_FREE_SEAT;
        }
        return verdict;
}

/* ---- Random definitions and peers --------------------------------------------------------------------------------- */

static uint32_t draw_number(Source *source) {
        return numbers[source_draw(source, LENGTH(numbers))];
}

/* One character of a pattern that stands for `c`, or nearly. */
static char *append_piece(char *pattern, char c, Source *source) {
        switch (source_draw(source, 12)) {
        case 0:
                return talloc_asprintf_append(pattern, "?");
        case 1:
                return talloc_asprintf_append(pattern, "*");
        case 2:
                return talloc_asprintf_append(pattern, "[%cx]", c == ']' ? 'y' : c);
        case 3:
                return talloc_asprintf_append(pattern, "[!%c]", 'a' + (char) source_draw(source, 26));
        case 4:
                return talloc_asprintf_append(pattern, "[a-v]");
        case 5:
                return talloc_asprintf_append(pattern, "\\%c", c);
        case 6:
                return pattern; /* left out */
        default:
                return talloc_asprintf_append(pattern, "%c", c);
        }
}

static char *draw_pattern(void *ctx, Source *source) {
        const char *text = texts[source_draw(source, LENGTH(texts))];
        char *pattern = talloc_strdup(ctx, source_draw(source, 4) == 0 ? "*" : "");
        bool exact = source_draw(source, 2) > 0;

        /* Long texts stay as they are: the naive matching of many stars takes for ever. */
        for (; *text; text++) {
                pattern = exact || strlen(text) > 50 ? talloc_asprintf_append(pattern, "%c", *text)
                                                     : append_piece(pattern, *text, source);
        }
        return pattern;
}

static AccessRule draw_rule(void *ctx, RuleKind kind, Source *source) {
        AccessRule rule = { .kind = kind, .id = PRINCIPAL_UNRESOLVED };

        if (kind == RULE_USER || kind == RULE_GROUP) {
                rule.id = draw_number(source);
                rule.text = talloc_asprintf(ctx, "name%u", rule.id);
        } else {
                rule.text = draw_pattern(ctx, source);
        }
        return rule;
}

static RuleSet draw_rules(void *ctx, Source *source) {
        RuleSet set = { .n_rules = source_draw(source, RULES_MAX + 1) };

        set.rules = talloc_zero_array(ctx, AccessRule, set.n_rules);
        for (size_t i = 0; i < set.n_rules; i++) {
                set.rules[i] = draw_rule(set.rules, source_draw(source, _RULE_KIND_MAX), source);
        }
        return set;
}

/* Each VM ID is reserved at most once. */
static void draw_reservations(Definition *definition, Source *source) {
        definition->reservations = talloc_zero_array(definition, Reservation, definition->max_peers);
        for (uint32_t id = 0; id < definition->max_peers; id++) {
                Reservation *reservation = &definition->reservations[definition->n_reservations];

                if (source_draw(source, 3) > 0) {
                        continue;
                }
                definition->n_reservations++;
                reservation->vm_id = definition->max_peers - 1 - id;
                reservation->name = talloc_asprintf(definition, "peer%u", reservation->vm_id);
                reservation->match = draw_rules(definition, source);
        }
}

static Definition *draw_definition(void *ctx, const DriverConfig *config, Source *source) {
        Definition *definition;

        assert_int_equal(definition_new(ctx, &definition), 0);
        definition->vectors = config->vectors;
        definition->max_peers = config->max_peers;
        definition->topology = config->topology;
        definition->owner = draw_rule(definition, RULE_USER, source);
        definition->access = draw_rules(definition, source);
        definition->peers_per_user = source_draw(source, 3);
        draw_reservations(definition, source);
        return definition;
}

static const char *draw_text(Source *source) {
        return source_draw(source, 3) == 0 ? NULL : texts[source_draw(source, LENGTH(texts))];
}

static Credentials draw_credentials(uint32_t *groups, Source *source) {
        Credentials credentials = { .pid = 1, .groups = groups };

        credentials.uid = draw_number(source);
        credentials.gid = draw_number(source);
        credentials.unit = draw_text(source);
        credentials.machine = draw_text(source);
        credentials.label = draw_text(source);
        credentials.n_groups = source_draw(source, GROUPS_MAX + 1);
        for (size_t i = 0; i < credentials.n_groups; i++) {
                groups[i] = draw_number(source);
        }
        return credentials;
}

/* ---- Both, side by side ------------------------------------------------------------------------------------------- */

/* How often each kind of verdict was given. */
typedef struct Tally {
        uint32_t refusals[REFUSAL_NO_FREE_SEAT + 1];
        uint32_t by_rule[_RULE_KIND_MAX + 1]; /* the last: without a rule of [Access] */
        uint32_t seed;
} Tally;

/* What admission.h promises of the words. */
static bool reason_is_right(const Admission *admission, const Verdict *verdict) {
        static const char *const kinds[] = { "User", "Group", "Machine", "Unit", "Label" };
        size_t length = strnlen(admission->reason, sizeof(admission->reason));
        char expected[sizeof(admission->reason)];

        if (verdict->busy) {
                snprintf(expected, sizeof(expected), "[Peer %s]", verdict->busy);
                return strncmp(admission->reason, expected, strlen(expected)) == 0;
        }
        if (verdict->refusal == REFUSAL_NONE && verdict->rule) {
                snprintf(expected, sizeof(expected), "%s=%s", kinds[verdict->rule->kind],
                         verdict->rule->text);
                return strcmp(admission->reason, expected) == 0;
        }
        return length > 0 && length < sizeof(admission->reason);
}

static void assert_verdict(const Admission *admission, const Verdict *verdict, uint32_t seed) {
        bool good = admission->refusal == verdict->refusal && reason_is_right(admission, verdict) &&
                    (verdict->refusal != REFUSAL_NONE || admission->vm_id == verdict->vm_id);

        if (!good) {
                print_error("seed %u: %d, VM ID %u, '%.*s' instead of %d, VM ID %u\n", seed,
                            admission->refusal, admission->vm_id, (int) sizeof(admission->reason),
                            admission->reason, verdict->refusal, verdict->vm_id);
        }
        assert_true(good);
}

/* The driver's own findings. */
static void assert_good(const Driver *driver, bool good, uint32_t seed) {
        if (!good) {
                print_error("seed %u: %s\n", seed, driver->failure);
        }
        assert_true(good);
}

static AdmissionContext draw_context(const Driver *driver, const Definition *definition, Source *source) {
        AdmissionContext context = { .definition = definition, .seats = driver->seats };

        context.peers_of_user = source_draw(source, 3);
        context.rate_exceeded = source_draw(source, 12) == 0;
        context.anyone = source_draw(source, 8) == 0;
        context.stopping = source_draw(source, 20) == 0;
        return context;
}

static void one_peer(Driver *driver, const Definition *definition, Source *source, Tally *tally) {
        AdmissionContext context = draw_context(driver, definition, source);
        uint32_t groups[GROUPS_MAX];
        Credentials credentials = draw_credentials(groups, source);
        int identity = (int) source_draw(source, driver->config.identities);
        Verdict verdict = judge(&context, &credentials, identity, driver->model);
        Admission admission;
        char text[64];

        driver_identity(identity, text, sizeof(text));
        admission = admission_decide(&context, &credentials, text);
        assert_verdict(&admission, &verdict, tally->seed);
        tally->refusals[verdict.refusal]++;
        if (verdict.refusal == REFUSAL_NONE) {
                tally->by_rule[verdict.rule ? verdict.rule->kind : _RULE_KIND_MAX]++;
                if (source_draw(source, 2) > 0) {
                        assert_good(driver, driver_join_at(driver, admission.vm_id, identity), tally->seed);
                }
        }
        assert_good(driver, driver_check_domain(driver), tally->seed);
}

/* The domain lives for a while, gets another definition, and peers ask to join. */
static void one_state(Driver *driver, Source *source, Tally *tally) {
        Script script = script_draw(source);
        Definition *definition;

        for (uint32_t i = source_draw(source, 40); i > 0; i--) {
                assert_good(driver, script_weighted_step(&script, driver, source), tally->seed);
        }
        definition = draw_definition(driver, &driver->config, source);
        for (uint32_t id = 0; id < definition->max_peers; id++) {
                assert_good(driver, driver_reserve(driver, id, false), tally->seed);
        }
        for (size_t i = 0; i < definition->n_reservations; i++) {
                assert_good(driver, driver_reserve(driver, definition->reservations[i].vm_id, true),
                            tally->seed);
        }
        for (uint32_t i = 0; i < N_PEERS; i++) {
                one_peer(driver, definition, source, tally);
        }
        talloc_free(definition);
}

static void one_run(void *ctx, uint64_t seed, Tally *tally) {
        Source source = source_from_seed(seed);
        DriverConfig config = { .vectors = 2, .identities = 10 };
        Driver *driver;

        config.max_peers = 1 + source_draw(&source, 10);
        config.topology = source_draw(&source, 2) > 0 ? TOPOLOGY_STAR : TOPOLOGY_MESH;
        assert_int_equal(driver_new(ctx, &config, &driver), 0);
        for (uint32_t i = 0; i < N_STATES; i++) {
                one_state(driver, &source, tally);
        }
        talloc_free(driver);
}

static void assert_tally(const Tally *tally) {
        static const Refusal refusals[] = {
                REFUSAL_NONE,     REFUSAL_NOT_PERMITTED, REFUSAL_SEAT_TAKEN,
                REFUSAL_TOO_MANY, REFUSAL_STOPPING,      REFUSAL_NO_FREE_SEAT,
        };

        for (size_t i = 0; i < LENGTH(refusals); i++) {
                assert_in_range(tally->refusals[refusals[i]], 500, UINT32_MAX);
        }
        for (size_t i = 0; i < _RULE_KIND_MAX; i++) {
                assert_in_range(tally->by_rule[i], 100, UINT32_MAX);
        }
}

/* The seeds to run: all, or the one to replay. */
static uint32_t first_seed;
static uint32_t n_seeds = 800;

static void test_decisions(void **state) {
        Tally tally = { 0 };

        for (uint32_t seed = first_seed; seed < first_seed + n_seeds; seed++) {
                progress_set(seed, /* step= */ 0);
                tally.seed = seed;
                one_run(*state, seed, &tally);
        }
        if (n_seeds > 1) {
                assert_tally(&tally);
        }
}

/* "machine:NAME", else "unit:NAME", else "uid:NUMBER". */
static void test_identities(void **state) {
        Source source = source_from_seed(0);
        uint32_t groups[GROUPS_MAX];

        for (uint32_t i = 0; i < 1000; i++) {
                Credentials credentials = draw_credentials(groups, &source);
                char *identity = credentials_identity(*state, &credentials);
                char expected[256];

                if (credentials.machine) {
                        snprintf(expected, sizeof(expected), "machine:%s", credentials.machine);
                } else if (credentials.unit) {
                        snprintf(expected, sizeof(expected), "unit:%s", credentials.unit);
                } else {
                        snprintf(expected, sizeof(expected), "uid:%u", credentials.uid);
                }
                assert_string_equal(identity, expected);
                talloc_free(identity);
        }
}

int main(int argc, char **argv) {
        static const struct CMUnitTest tests[] = {
                TEST(test_decisions),
                TEST(test_identities),
        };

        progress_begin("test-admission-model");
        if (argc > 1) {
                first_seed = (uint32_t) strtoul(argv[1], NULL, 10);
                n_seeds = 1;
        }
        return cmocka_run_group_tests_name("admission-model", tests, NULL, NULL);
}
