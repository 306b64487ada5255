/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The name service, asked where it stands and waited for: definitions and quotas name few users and groups. */

#include "service/manager/names.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <talloc.h>

#include "service/base/user.h"

#define GROUPS_GUESSED 64

const PrincipalLookup names_lookup = { .user = user_by_name, .group = group_by_name };

char *names_of_user(void *ctx, uint32_t uid) {
        const struct passwd *passwd = getpwuid(uid);

        return passwd ? talloc_strdup(ctx, passwd->pw_name) : talloc_asprintf(ctx, "user %u", uid);
}

int names_groups(void *ctx, uint32_t uid, uint32_t **ret, size_t *ret_n) {
        const struct passwd *passwd = getpwuid(uid);
        int n = GROUPS_GUESSED, r = -1;
        gid_t *groups = NULL;

        _Static_assert(sizeof(gid_t) == sizeof(uint32_t), "groups are handed out as they come");
        while (passwd && r < 0) {
                int room = n;

                talloc_free(groups);
                groups = talloc_array(ctx, gid_t, (size_t) room);
                if (!groups) {
                        return -ENOMEM;
                }
                r = getgrouplist(passwd->pw_name, passwd->pw_gid, groups, &n);
                if (r < 0 && n <= room) {
                        n = room * 2;
                }
        }
        *ret = groups;
        *ret_n = passwd ? (size_t) n : 0;
        return 0;
}
