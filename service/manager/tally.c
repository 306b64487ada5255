/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is in use, and whether more may be. Nothing is kept: the definitions are looked at when somebody asks. For making
 * and changing definitions all of them count; for starting, those that run - so that somebody whose limit was lowered can
 * still run what fits into it.
 */

#include <errno.h>
#include <talloc.h>

#include "service/manager/manager-parts.h"
#include "service/manager/names.h"

/* Whose domains are counted. */
typedef struct Tally {
        const Domain *except; /* NULL: none */
        bool running;         /* only those that run, or are being started */
        uint32_t uid;
        Quota own; /* of this user */
        Quota all;
} Tally;

/* A definition with an error is a domain all the same. */
static void quota_of_domain(const Domain *domain, Quota *ret) {
        if (domain->definition) {
                quota_of_definition(domain->definition, ret);
        } else {
                *ret = (Quota){ .values = { [RESOURCE_DOMAINS] = 1 } };
        }
}

/* What is being started runs soon: it may take the launcher a while to say so, and others would start meanwhile. */
static bool runs(const Domain *domain) {
        const Operation *job = domain->job;

        return domain_is_active(domain) ||
               (job && (job->kind == OPERATION_START || job->kind == OPERATION_RESTART));
}

static void count(const Manager *manager, Tally *tally) {
        for (size_t i = 0; i < manager->registry.n; i++) {
                const Domain *domain = manager->registry.domains[i];
                Quota quota;

                if (domain == tally->except || (tally->running && !runs(domain))) {
                        continue;
                }
                quota_of_domain(domain, &quota);
                quota_add(&tally->all, &quota);
                if (domain_owner(domain) == tally->uid) {
                        quota_add(&tally->own, &quota);
                }
        }
}

/* "alice may have 4 domains and has 4; this takes 1 more (Domains= in ivshmemd.conf)". */
static int refuse(const char *who, const char *has, Resource resource, const Quota *limit, const Quota *used,
                  const Quota *more, Failure *ret) {
        char may[RESOURCE_TEXT_MAX], in_use[RESOURCE_TEXT_MAX], wanted[RESOURCE_TEXT_MAX];

        resource_format(resource, limit->values[resource], may);
        resource_format_value(resource, used->values[resource], in_use);
        resource_format_value(resource, more->values[resource], wanted);
        return failure_set(ret, FAILURE_LIMIT_EXCEEDED,
                           "%s may have %s and %s %s; this takes %s more (%s= in ivshmemd.conf)", who, may,
                           has, in_use, wanted, resource_names[resource]);
}

/* What others have is not for everybody to know. */
static int refuse_all(Resource resource, const Quota *limit, const Quota *more, Failure *ret) {
        char may[RESOURCE_TEXT_MAX], wanted[RESOURCE_TEXT_MAX];

        resource_format(resource, limit->values[resource], may);
        resource_format_value(resource, more->values[resource], wanted);
        return failure_set(ret, FAILURE_LIMIT_EXCEEDED,
                           "All users together may have %s, and this takes %s, which is more than is left "
                           "(%s= in ivshmemd.conf, [Global])",
                           may, wanted, resource_names[resource]);
}

static int check(const Manager *manager, const Tally *tally, const Quota *more, Failure *ret) {
        Quota limit;
        Resource resource;
        char *name;
        int r = limits_of(manager->limits, tally->uid, &limit);

        if (r < 0) {
                return failure_errno(ret, r, "Cannot look limits up");
        }
        if (!quota_fits(limits_global(manager->limits), &tally->all, more, &resource)) {
                return refuse_all(resource, limits_global(manager->limits), more, ret);
        }
        if (quota_fits(&limit, &tally->own, more, &resource)) {
                return 0;
        }
        name = names_of_user((void *) manager, tally->uid);
        r = refuse(name ?: "This user", tally->running ? "runs" : "has", resource, &limit, &tally->own, more,
                   ret);
        talloc_free(name);
        return r;
}

/* Who has too much already may still change what does not make it more. */
static void forgive(Quota *more, const Definition *before) {
        Quota had;

        quota_of_definition(before, &had);
        for (size_t i = 0; i < _RESOURCE_MAX; i++) {
                if (more->values[i] <= had.values[i]) {
                        more->values[i] = 0;
                }
        }
}

int tally_definition(const Manager *manager, const Domain *except, const Definition *before,
                     const Definition *definition, Failure *ret_failure) {
        Tally tally = { .except = except, .uid = definition->owner.id };
        Quota more;

        count(manager, &tally);
        quota_of_definition(definition, &more);
        if (before && before->owner.id == definition->owner.id) {
                forgive(&more, before);
        }
        return check(manager, &tally, &more, ret_failure);
}

int tally_start(const Manager *manager, const Domain *domain, Failure *ret_failure) {
        Tally tally = { .except = domain, .running = true, .uid = domain_owner(domain) };
        Quota more;

        count(manager, &tally);
        quota_of_domain(domain, &more);
        return check(manager, &tally, &more, ret_failure);
}

void manager_usage(const Manager *manager, uint32_t uid, Usage ret[static USAGES]) {
        Tally tally = { .uid = uid };
        Quota limit;

        _Static_assert(USAGES == _RESOURCE_MAX, "each resource is shown");
        count(manager, &tally);
        if (limits_of(manager->limits, uid, &limit) < 0) {
                quota_fill(&limit, 0);
        }
        for (size_t i = 0; i < _RESOURCE_MAX; i++) {
                ret[i] = (Usage){ .what = resource_names[i],
                                  .used = tally.own.values[i],
                                  .limit = limit.values[i] };
        }
}
