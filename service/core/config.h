/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The manager's configuration (ivshmemd.conf(5)): what tenants may have. Several files are read one after the other, and
 * what a later one says counts. Parsing is pure; finding the files and users is the caller's.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "service/core/definition.h"
#include "service/core/quota.h"

typedef struct Config Config;
typedef struct ConfigTenant ConfigTenant;

/* A [User NAME] or [Group NAME] section. */
struct ConfigTenant {
        AccessRule who; /* RULE_USER or RULE_GROUP; .id is for the caller to resolve where it is a name */
        Quota limits;   /* QUOTA_UNSET where it does not say */
};

struct Config {
        Quota standard; /* [Limits]: of each user that no other section speaks of; not of root */
        Quota global;   /* [Global]: of all together */
        ConfigTenant *tenants;
        size_t n_tenants;
};

/* Bounds on what a file may hold. */
#define CONFIG_TEXT_MAX (256U * 1024U)
#define CONFIG_TENANTS_MAX 1024U

/* The names of the sections, for manuals and tests; NULL behind the last. */
extern const char *const config_sections[];

/* With what holds when no file says otherwise. -ENOMEM. */
int config_new(void *ctx, Config **ret);

/*
 * Takes over what a file says, strictly: what is not known or repeated is an error. -EINVAL with *ret_error, a chunk of `ctx`:
 * "FILE:LINE: what is wrong, and how to mend it"; *config is as it was then. -ENOMEM leaves it with a part.
 */
int config_parse(void *ctx, Config *config, const char *file, const char *text, size_t length,
                 char **ret_error);

/*
 * What a user may have who is in these groups: of each resource what [User] says; else the largest of what the [Group]
 * sections say that the user is in; else, but for root, what [Limits] says.
 */
void config_limits(const Config *config, uint32_t uid, const uint32_t *groups, size_t n_groups, Quota *ret);
