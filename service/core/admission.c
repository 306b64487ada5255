/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may join, and on which seat. Steps in a fixed order, the first that refuses decides; nothing is changed. */

#include "service/core/admission.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>

#include "service/core/text.h"

static bool in_groups(const Credentials *credentials, uint32_t gid) {
        for (size_t i = 0; i < credentials->n_groups; i++) {
                if (credentials->groups[i] == gid) {
                        return true;
                }
        }
        return credentials->gid == gid;
}

/* A backslash is an ordinary character: units have them in their names (machine-qemu\x2d1.scope), and are copied from
 * there into definitions. */
static bool pattern_matches(const char *pattern, const char *text) {
        return text && fnmatch(pattern, text, FNM_NOESCAPE) == 0;
}

static bool rule_matches(const AccessRule *rule, const Credentials *credentials) {
        switch (rule->kind) {
        case RULE_USER:
                return rule->id != PRINCIPAL_UNRESOLVED && rule->id == credentials->uid;
        case RULE_GROUP:
                return rule->id != PRINCIPAL_UNRESOLVED && in_groups(credentials, rule->id);
        case RULE_MACHINE:
                return pattern_matches(rule->text, credentials->machine);
        case RULE_UNIT:
                return pattern_matches(rule->text, credentials->unit);
        case RULE_LABEL:
                return pattern_matches(rule->text, credentials->label);
        default:
                return false;
        }
}

bool rules_match(const RuleSet *rules, const Credentials *credentials, const AccessRule **ret_rule) {
        for (size_t i = 0; i < rules->n_rules; i++) {
                if (rule_matches(&rules->rules[i], credentials)) {
                        if (ret_rule) {
                                *ret_rule = &rules->rules[i];
                        }
                        return true;
                }
        }
        return false;
}

static Admission __attribute__((format(printf, 2, 3))) refuse(Refusal refusal, const char *format, ...) {
        Admission admission = { .refusal = refusal };
        va_list ap;

        va_start(ap, format);
        vsnprintf(admission.reason, sizeof(admission.reason), format, ap);
        va_end(ap);
        return admission;
}

/* Says in `admission` why the peer is permitted, or refuses. */
static Admission decide_access(const AdmissionContext *context, const Credentials *credentials) {
        Admission admission = { .refusal = REFUSAL_NONE };
        const Definition *definition = context->definition;
        const AccessRule *rule;

        if (context->anyone) {
                snprintf(admission.reason, sizeof(admission.reason), "anyone");
        } else if (credentials->uid == 0) {
                snprintf(admission.reason, sizeof(admission.reason), "root");
        } else if (rule_matches(&definition->owner, credentials)) {
                snprintf(admission.reason, sizeof(admission.reason), "owner");
        } else if (rules_match(&definition->access, credentials, &rule)) {
                snprintf(admission.reason, sizeof(admission.reason), "%s=%s", rule_kind_names[rule->kind],
                         rule->text);
        } else {
                return refuse(REFUSAL_NOT_PERMITTED, "no [Access] rule matches");
        }
        return admission;
}

static Admission decide_limits(const AdmissionContext *context, const Credentials *credentials,
                               Admission admission) {
        uint32_t limit = context->definition->peers_per_user;

        if (context->rate_exceeded) {
                return refuse(REFUSAL_TOO_MANY, "user %u connects more often than ConnectRate=%u",
                              credentials->uid, context->definition->connect_rate);
        }
        if (limit > 0 && context->peers_of_user >= limit) {
                return refuse(REFUSAL_TOO_MANY, "user %u has %u peer%s, PeersPerUser=%u", credentials->uid,
                              context->peers_of_user, plural(context->peers_of_user), limit);
        }
        return admission;
}

/* Of the reservations that match the peer, the first whose seat is free; refuses when none is. *ret_matched tells
 * whether there was any. */
static Admission decide_reserved(const AdmissionContext *context, const Credentials *credentials,
                                 Admission admission, bool *ret_matched) {
        const Definition *definition = context->definition;
        const Reservation *busy = NULL;

        for (size_t i = 0; i < definition->n_reservations; i++) {
                const Reservation *reservation = &definition->reservations[i];

                if (!rules_match(&reservation->match, credentials, NULL)) {
                        continue;
                }
                if (seats_check(context->seats, reservation->vm_id) == SEAT_OK) {
                        admission.vm_id = reservation->vm_id;
                        *ret_matched = true;
                        return admission;
                }
                busy = busy ?: reservation;
        }
        *ret_matched = busy;
        if (!busy) {
                return admission;
        }
        return refuse(REFUSAL_SEAT_TAKEN, "[Peer %s]: VM ID %u is %s", busy->name, busy->vm_id,
                      seat_state_names[seats_get(context->seats, busy->vm_id)->state]);
}

static Admission decide_seat(const AdmissionContext *context, const Credentials *credentials,
                             const char *identity, Admission admission) {
        bool matched;

        admission = decide_reserved(context, credentials, admission, &matched);
        if (matched) {
                return admission;
        }
        if (seats_choose(context->seats, identity, &admission.vm_id) != SEAT_OK) {
                return refuse(REFUSAL_NO_FREE_SEAT, "all of MaxPeers=%u are taken",
                              seats_max(context->seats));
        }
        return admission;
}

Admission admission_decide(const AdmissionContext *context, const Credentials *credentials,
                           const char *identity) {
        Admission admission;

        if (context->stopping) {
                return refuse(REFUSAL_STOPPING, "the domain is stopping");
        }
        admission = decide_access(context, credentials);
        if (admission.refusal == REFUSAL_NONE) {
                admission = decide_limits(context, credentials, admission);
        }
        if (admission.refusal == REFUSAL_NONE) {
                admission = decide_seat(context, credentials, identity, admission);
        }
        return admission;
}
