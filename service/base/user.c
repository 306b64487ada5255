/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The name service, by getpwnam(3) and getgrnam(3), which say "none" and "error" in one breath. */

#include "service/base/user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>

#include "service/base/error.h"

int user_by_name(const char *name, uint32_t *ret, void *userdata) {
        struct passwd *passwd;

        errno = 0;
        passwd = getpwnam(name);
        if (!passwd) {
                return errno == 0 ? -ENOENT : errno_negative();
        }
        *ret = passwd->pw_uid;
        return 0;
}

int group_by_name(const char *name, uint32_t *ret, void *userdata) {
        struct group *group;

        errno = 0;
        group = getgrnam(name);
        if (!group) {
                return errno == 0 ? -ENOENT : errno_negative();
        }
        *ret = group->gr_gid;
        return 0;
}
